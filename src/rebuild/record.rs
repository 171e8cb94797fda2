//! Rebuild records: what one builder says about one build, as an in-toto Statement with SLSA
//! Provenance v1 (`docs/build-type.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FileOrder, Finished, Limits, Produced, RebuildError, Variation, build_options, build_path};
use crate::domain::{BuilderId, GitOid, Sha256, escape};
use crate::environment::Lock;
use crate::format::intoto::{
    self, BuildDefinition, BuildMetadata, BuilderDetails, Outcome, Provenance, ResourceDescriptor, RunDetails,
    Statement, Subject, sha256_set,
};
use crate::format::json;
use crate::site::{Backend, Varied};
use crate::source::Declaration;

/// `buildType` of our records. An URI that names `docs/build-type.md`, and is fetched by nobody.
pub const BUILD_TYPE: &str = "urn:assay:build-type:debian-rebuild:1";

/// `externalParameters`: what a verifier has to check. Unknown ones are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Parameters {
    /// SHA-256 of the declaration's canonical JSON.
    pub declaration: Sha256,
    /// SHA-256 of the environment lock's canonical JSON.
    pub environment_lock: Sha256,
    /// How it was built.
    pub recipe: Recipe,
    /// What the gate issued for this one rebuild (gate rule R3).
    pub nonce: String,
}

/// How a build was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Recipe {
    /// What was built: `binary`, as `dpkg-buildpackage --build` has it.
    pub build: String,
    /// Where.
    pub build_path: String,
    /// `DEB_BUILD_OPTIONS`.
    pub deb_build_options: String,
    /// `DEB_BUILD_PROFILES`.
    pub deb_build_profiles: String,
    /// `LC_ALL`.
    pub lc_all: String,
    /// `TZ`.
    pub tz: String,
    /// The umask, octal.
    pub umask: String,
    /// The host name.
    pub hostname: String,
    /// The build user's name.
    pub user: String,
    /// The build user's id.
    pub uid: u32,
    /// `SOURCE_DATE_EPOCH`: the changelog head's date.
    pub source_date_epoch: i64,
    /// What the build could reach: `none`.
    pub network: String,
    /// What ran it.
    #[serde(default)]
    pub backend: Backend,
    /// Where the source was unpacked to: file systems list folders in different orders.
    #[serde(default)]
    pub file_order: FileOrder,
    /// Wall time that it could take, in seconds.
    pub seconds: u64,
    /// Memory that it could take, in bytes.
    #[serde(default)]
    pub memory: u64,
    /// What it could write, in bytes.
    #[serde(default)]
    pub disk: u64,
    /// Processes and threads that it could run.
    #[serde(default)]
    pub processes: u64,
    /// How long its log could be, in bytes.
    #[serde(default)]
    pub log: u64,
}

impl Recipe {
    /// The first thing that a policy varies, and that was not as in this run. Where sbuild builds, it names host and user
    /// itself; and in which order files are listed is as a machine can.
    #[must_use]
    pub fn strays_from(&self, run: usize, vary: &[Varied]) -> Option<&'static str> {
        let wanted = Variation::of_run(run, vary);
        let ours = self.backend == Backend::Overlay;
        let parallel = build_options(&wanted);
        let path = format!("/build/{}/", wanted.place);
        let checks = [
            (Varied::Parallelism, "parallelism", {
                self.deb_build_options.split_whitespace().any(|word| word == parallel)
            }),
            (Varied::Hostname, "host name", !ours || self.hostname == wanted.hostname),
            (
                Varied::User,
                "user",
                !ours || (&self.user, self.uid) == (&wanted.user, wanted.uid),
            ),
            (Varied::Locale, "locale", self.lc_all == wanted.locale),
            (Varied::Path, "build path", self.build_path.starts_with(&path)),
        ];
        let stray = checks.iter().find(|(what, _, same)| vary.contains(what) && !same);
        stray.map(|(_, what, _)| *what)
    }
}

/// All that a record is made of.
#[derive(Debug, Clone, Copy)]
pub struct RecordInput<'a> {
    /// What was to be built.
    pub declaration: &'a Declaration,
    /// SHA-256 of its canonical JSON.
    pub declaration_sha256: &'a Sha256,
    /// In which environment.
    pub lock: &'a Lock,
    /// SHA-256 of its canonical JSON.
    pub lock_sha256: &'a Sha256,
    /// What was varied.
    pub variation: &'a Variation,
    /// What it could use.
    pub limits: &'a Limits,
    /// What ran it.
    pub backend: Backend,
    /// The gate's nonce.
    pub nonce: &'a str,
    /// Who built.
    pub builder: &'a BuilderId,
    /// What came out.
    pub finished: &'a Finished,
}

/// What the builder signs. A build that failed or took too long has no subjects, and says so.
///
/// # Errors
/// Never for a finished run.
pub fn statement(input: &RecordInput<'_>) -> Result<Statement<Provenance<Parameters>>, RebuildError> {
    let finished = input.finished;
    let subject = |file: &Produced| Subject {
        name: file.name.to_string(),
        digest: sha256_set(&file.digest.sha256),
    };
    Ok(Statement {
        statement_type: intoto::STATEMENT.to_owned(),
        subject: finished.outputs.iter().map(subject).collect(),
        predicate_type: intoto::PROVENANCE.to_owned(),
        predicate: Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: Parameters {
                    declaration: *input.declaration_sha256,
                    environment_lock: *input.lock_sha256,
                    recipe: recipe(input),
                    nonce: input.nonce.to_owned(),
                },
                resolved_dependencies: dependencies(input),
            },
            run_details: RunDetails {
                builder: BuilderDetails {
                    id: input.builder.to_string(),
                    version: BTreeMap::from([
                        ("assay".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                        ("kernel".to_owned(), finished.kernel.clone()),
                    ]),
                },
                metadata: BuildMetadata {
                    invocation_id: input.nonce.to_owned(),
                    started_on: finished.started,
                    finished_on: finished.ended,
                },
                byproducts: finished
                    .byproducts
                    .iter()
                    .map(|file| named(file.name.as_str(), &file.digest.sha256))
                    .collect(),
            },
            assay_outcome: finished.outcome,
        },
    })
}

fn recipe(input: &RecordInput<'_>) -> Recipe {
    let (declaration, variation, limits) = (input.declaration, input.variation, input.limits);
    Recipe {
        build: "binary".to_owned(),
        build_path: build_path(&declaration.source, &declaration.version, variation),
        deb_build_options: build_options(variation),
        deb_build_profiles: String::new(),
        lc_all: variation.locale.clone(),
        tz: "UTC".to_owned(),
        umask: "0022".to_owned(),
        hostname: variation.hostname.clone(),
        user: variation.user.clone(),
        uid: variation.uid,
        source_date_epoch: declaration.source_date_epoch,
        network: "none".to_owned(),
        backend: input.backend,
        file_order: variation.file_order,
        seconds: limits.seconds,
        memory: limits.memory,
        disk: limits.disk,
        processes: limits.processes,
        log: limits.log,
    }
}

/// The commit and tag, the source package that was derived from them, the lock, and what upstream
/// signed for it. The lock stands for its packages: they would make each record ten times as long.
fn dependencies(input: &RecordInput<'_>) -> Vec<ResourceDescriptor> {
    let declaration = input.declaration;
    let git = format!("git+{}@{}", declaration.git, declaration.reference);
    let described = |name: &str, digests: &[(&str, &GitOid)]| ResourceDescriptor {
        name: Some(name.to_owned()),
        uri: Some(git.clone()),
        digest: digests
            .iter()
            .map(|(kind, oid)| ((*kind).to_owned(), oid.to_string()))
            .collect(),
    };
    let commit = [
        ("gitCommit", &declaration.git_commit),
        ("gitTree", &declaration.git_tree),
    ];
    let mut all = vec![described("source", &commit)];
    all.extend(
        declaration
            .git_tag
            .iter()
            .map(|tag| described("tag", &[("gitTag", tag)])),
    );
    all.extend(
        declaration
            .files
            .iter()
            .map(|file| named(file.name.as_str(), &file.digest.sha256)),
    );
    all.push(named("environment.lock", input.lock_sha256));
    all.extend(input.lock.snapshots.iter().filter_map(|snapshot| {
        let sha256 = snapshot.inrelease_sha256.as_ref()?;
        let name = format!(
            "{}@{}/dists/{}/upstream/InRelease",
            snapshot.archive, snapshot.id, snapshot.suite
        );
        Some(named(&name, sha256))
    }));
    all
}

fn named(name: &str, sha256: &Sha256) -> ResourceDescriptor {
    ResourceDescriptor {
        name: Some(name.to_owned()),
        uri: None,
        digest: sha256_set(sha256),
    }
}

/// Reads the payload of a record whose signature has been checked.
///
/// # Errors
/// When it is not exactly such a statement, of our build type; an unknown parameter is one too.
pub fn read_statement(payload: &[u8]) -> Result<Statement<Provenance<Parameters>>, RebuildError> {
    let statement: Statement<Provenance<Parameters>> =
        json::strict("rebuild record", payload).map_err(RebuildError::format("rebuild record"))?;
    let definition = &statement.predicate.build_definition;
    for (what, found, wanted) in [
        ("_type", &statement.statement_type, intoto::STATEMENT),
        ("predicateType", &statement.predicate_type, intoto::PROVENANCE),
        ("buildType", &definition.build_type, BUILD_TYPE),
    ] {
        if found != wanted {
            let why = format!("`{what}` is `{}`, not `{wanted}`", escape(found));
            return Err(RebuildError::Record { why });
        }
    }
    let subjects = statement.subject.len();
    let bound = statement.predicate.run_details.metadata.invocation_id == definition.external_parameters.nonce;
    let problem = match statement.predicate.assay_outcome {
        _ if !bound => Some("its `invocationId` is not its nonce"),
        Outcome::Built if subjects == 0 => Some("it says that the build succeeded, and names no output"),
        Outcome::Built => None,
        _ if subjects > 0 => Some("it says that the build failed, and names outputs"),
        _ => None,
    };
    match problem {
        Some(why) => Err(RebuildError::Record { why: why.to_owned() }),
        None => Ok(statement),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outcome: &str, subject: &str, more: &str) -> String {
        let hash = "0".repeat(64);
        format!(
            r#"{{"_type":"{}","subject":[{subject}],"predicateType":"{}","predicate":{{"buildDefinition":{{"buildType":"{BUILD_TYPE}",
            "externalParameters":{{"declaration":"{hash}","environmentLock":"{hash}","nonce":"n"{more},"recipe":{{"build":"binary",
            "buildPath":"/build","debBuildOptions":"parallel=1","debBuildProfiles":"","lcAll":"C.UTF-8","tz":"UTC","umask":"0022",
            "hostname":"h","user":"u","uid":1000,"sourceDateEpoch":1,"network":"none","seconds":9}}}},"resolvedDependencies":[]}},
            "runDetails":{{"builder":{{"id":"b"}},"metadata":{{"invocationId":"n","startedOn":"2026-01-01T00:00:00Z",
            "finishedOn":"2026-01-01T00:00:00Z"}},"byproducts":[]}},"assay_outcome":"{outcome}"}}}}"#,
            intoto::STATEMENT,
            intoto::PROVENANCE
        )
    }

    #[test]
    fn records_are_read_strictly() {
        let subject = format!(r#"{{"name":"a.deb","digest":{{"sha256":"{}"}}}}"#, "1".repeat(64));
        let good = text("built", &subject, "");
        assert!(read_statement(good.as_bytes()).is_ok());
        assert!(read_statement(text("timeout", "", "").as_bytes()).is_ok());
        for (bad, why) in [
            (text("built", "", ""), "success without outputs"),
            (text("ftbfs", &subject, ""), "failure with outputs"),
            (text("built", &subject, r#","colour":"red""#), "an unknown parameter"),
            (
                good.replace(BUILD_TYPE, "https://example.org/other"),
                "another build type",
            ),
            (good.replace("provenance/v1", "provenance/v2"), "another predicate"),
            (
                good.replace(r#""invocationId":"n""#, r#""invocationId":"m""#),
                "another nonce",
            ),
            (good.replace(r#""tz":"UTC","#, ""), "a recipe without its time zone"),
            (
                good.replace(r#""uid":1000"#, r#""uid":1000,"uid":1001"#),
                "a key that stands twice",
            ),
        ] {
            assert!(read_statement(bad.as_bytes()).is_err(), "{why}");
        }
    }
}
