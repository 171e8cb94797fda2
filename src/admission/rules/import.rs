//! I1 to I10: what upstream's signature proves, and whether the policy takes it for proof enough.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{FileName, Fingerprint, PackageName, Sha256, SuiteName, escape};
use crate::format::packages::Binary;

use super::super::candidate::Output;
use super::super::import::{Described, ImportContext};
use super::super::proof::Proof;
use super::super::whole::file_set;
use super::archive::{exceptions, moved_here};
use super::{IMPORT_RULES, Seen, Verdict};

/// Nothing can be said of what nobody signed; I2 refuses it.
const UNSIGNED: &str = "upstream's signature does not hold, and so nothing of it is read";
/// Clocks of the mirror and of upstream may differ by this many seconds.
const SKEW: i64 = 600;

/// Allowed.
pub(super) fn i1(context: &ImportContext<'_>) -> Verdict {
    let from = &context.import.from;
    if let Some(rule) = context.in_force().next() {
        let (owner, reason) = (escape(&rule.owner), escape(&rule.reason));
        let end = rule.expires.map(|end| format!(" until {end}")).unwrap_or_default();
        return Verdict::held(format!("allowed by {owner}{end}: {reason}"));
    }
    let (source, archive, suite) = (&context.import.source, &from.archive, &from.suite);
    Verdict::broken(match context.allowing().filter_map(|rule| rule.expires).max() {
        Some(end) => format!("that `{source}` may be imported from `{archive}` (`{suite}`) ended at {end}"),
        None => format!("the policy has no [[import]] of `{source}` from `{archive}` (`{suite}`)"),
    })
}

/// Signed.
pub(super) fn i2(context: &ImportContext<'_>) -> Verdict {
    let Some(proof) = context.proof else {
        return Verdict::broken("there is nothing that upstream signed");
    };
    if proof.at != context.evidence.proven_at || proof.at > context.common.now {
        return Verdict::broken("the signatures were judged as of another time");
    }
    let mut short = None;
    for rule in context.judging() {
        if rule.is_signed_by(&proof.signers) && proof.refused.is_none() {
            let keys: Vec<&str> = rule
                .signers
                .intersection(&proof.signers)
                .map(Fingerprint::as_str)
                .collect();
            return Verdict::held(format!(
                "upstream's Release {} is signed by {}",
                proof.release,
                keys.join(", ")
            ));
        }
        let found = rule.signers.intersection(&proof.signers).count();
        short.get_or_insert(format!(
            "{found} of {} keys that the policy names signed it",
            rule.threshold
        ));
    }
    if short.is_none() {
        return Verdict::broken("the policy names no key that could have signed it");
    }
    let why = proof.refused.as_deref().map(escape).or(short);
    Verdict::broken(format!(
        "upstream's Release {}: {}",
        proof.release,
        why.unwrap_or_default()
    ))
}

/// Of this suite, and in its time.
pub(super) fn i3(context: &ImportContext<'_>) -> Verdict {
    let Some(proof) = context.proof else {
        return Verdict::broken("there is nothing that upstream signed");
    };
    if proof.refused.is_some() {
        return Verdict::not_applicable(UNSIGNED);
    }
    let (suite, snapshot) = (&context.import.from.suite, &context.evidence.snapshot);
    let Some(date) = proof
        .date
        .filter(|_| proof.names.iter().any(|name| is_called(suite, name)))
    else {
        let names = escape(&proof.names.join("` or `"));
        return Verdict::broken(format!("upstream's Release is of `{names}`, and not of `{suite}`"));
    };
    let problem = if snapshot.release != Some(proof.release) {
        Some("it is not the Release that the snapshot was made of".to_owned())
    } else if date > snapshot.verified_at.plus(SKEW) {
        Some(format!("its Date {date} is after it was mirrored"))
    } else {
        let out = proof.valid_until.filter(|until| *until <= snapshot.verified_at);
        out.map(|until| {
            format!(
                "it had expired at {until}, before it was mirrored at {}",
                snapshot.verified_at
            )
        })
    };
    Verdict::unless(
        problem,
        format!("Release of `{suite}` of {date}, mirrored at {}", snapshot.verified_at),
    )
}

/// Suites with a slash may call themselves by the part before it.
fn is_called(suite: &SuiteName, name: &str) -> bool {
    let own = suite.as_str();
    own == name || own.split_once('/').is_some_and(|(first, _)| first == name)
}

/// Covered.
pub(super) fn i4(context: &ImportContext<'_>) -> Verdict {
    if context.proof.is_some_and(|proof| proof.refused.is_some()) {
        return Verdict::not_applicable(UNSIGNED);
    }
    let indexes = context.proof.map(|proof| proof.indexes.as_slice()).unwrap_or_default();
    if indexes.is_empty() {
        return Verdict::broken("there is no index of upstream's");
    }
    let component = format!("{}/", context.import.from.component);
    let problem = indexes.iter().find_map(|index| {
        let path = &index.path;
        if !path.as_str().starts_with(&component) {
            return Some(format!("`{path}` is of another component"));
        }
        if let Some(why) = &index.unreadable {
            return Some(format!("`{path}`: {}", escape(why)));
        }
        match index.listed {
            Some(listed) if listed == index.digest => None,
            Some(listed) => Some(format!(
                "upstream signed `{path}` as {}, and not as {}",
                listed.sha256.short(),
                index.digest.sha256.short()
            )),
            None => Some(format!("upstream's Release does not list `{path}`")),
        }
    });
    let names: Vec<&str> = indexes.iter().map(|index| index.path.as_str()).collect();
    Verdict::unless(problem, format!("upstream's Release covers {}", names.join(", ")))
}

/// The files.
pub(super) fn i5(context: &ImportContext<'_>) -> Verdict {
    let Some(proof) = context.proof else {
        return Verdict::broken("there is nothing that upstream signed");
    };
    if proof.refused.is_some() {
        return Verdict::not_applicable(UNSIGNED);
    }
    let import = context.import;
    let sources: BTreeSet<Vec<(&FileName, Sha256)>> = proof
        .sources()
        .map(|source| {
            source
                .files
                .iter()
                .map(|(name, digest)| (name, digest.sha256))
                .collect()
        })
        .collect();
    let source = match (sources.len(), sources.into_iter().next()) {
        (1, Some(source)) => source,
        (0, _) | (_, None) => return Verdict::broken("upstream's Sources do not list this version"),
        (count, _) => return Verdict::broken(format!("upstream's Sources list {count} contents of this version")),
    };
    if let Err(why) = file_set(import) {
        return Verdict::Broken(why);
    }
    let mut wanted: BTreeMap<&str, Sha256> = source
        .into_iter()
        .map(|(name, sha256)| (name.as_str(), sha256))
        .collect();
    for binary in proof.binaries() {
        let name = binary.filename.file_name();
        if wanted
            .insert(name, binary.digest.sha256)
            .is_some_and(|other| other != binary.digest.sha256)
        {
            return Verdict::broken(format!("upstream lists `{}` with two contents", escape(name)));
        }
    }
    if proof.binaries().next().is_none() {
        return Verdict::broken("upstream lists no package of this version for the archive's architectures");
    }
    let sources = import
        .source_files
        .iter()
        .map(|file| (file.name.as_str(), file.digest.sha256));
    let packages = import
        .outputs
        .iter()
        .map(|output| (output.name.as_str(), output.digest.sha256));
    let offered: BTreeMap<&str, Sha256> = sources.chain(packages).collect();
    let other = offered.iter().find(|(name, sha256)| wanted.get(*name) != Some(*sha256));
    let missing = wanted.keys().find(|name| !offered.contains_key(*name));
    let problem = match (other, missing) {
        (Some((name, sha256)), _) => Some(match wanted.get(name) {
            Some(listed) => format!(
                "`{name}` is {}, and upstream's stanza says {}",
                sha256.short(),
                listed.short()
            ),
            None => format!("`{name}` is in no stanza that upstream signed"),
        }),
        (None, Some(name)) => Some(format!("`{}` is listed by upstream, and missing", escape(name))),
        (None, None) => None,
    };
    let mut held = format!("{} files, each as upstream's stanzas say", offered.len());
    for (component, names) in &context.evidence.elsewhere {
        let names: Vec<&str> = names.iter().map(PackageName::as_str).collect();
        held.push_str(&format!(
            "; left out, since upstream has it in `{component}`: {}",
            names.join(", ")
        ));
    }
    Verdict::unless(problem, held)
}

/// The snapshot.
pub(super) fn i6(context: &ImportContext<'_>) -> Verdict {
    let (from, snapshot, now) = (&context.import.from, &context.evidence.snapshot, context.common.now);
    let name = format!("{}@{}", from.archive, from.edition);
    if let Some(doubt) = &snapshot.doubt {
        return Verdict::broken(format!("{name}: {}", escape(doubt)));
    }
    if let Some(until) = snapshot.valid_until.filter(|until| *until <= now) {
        return Verdict::broken(format!("{name} has expired at {until}: no client takes it any more"));
    }
    let floors: Vec<_> = context.satisfied().map(|rule| rule.floor.as_ref()).collect();
    // The entry that lets the most through: each would do.
    let floor = floors.iter().min().copied().flatten();
    let problem = floor.filter(|floor| from.id < **floor).map(|floor| {
        format!(
            "{name} ({}) is older than {floor}, from which the policy takes imports",
            from.id
        )
    });
    Verdict::unless(problem, format!("{name} ({}), signed by its archive", from.id))
}

/// The files themselves.
pub(super) fn i7(context: &ImportContext<'_>) -> Verdict {
    if context.proof.is_some_and(|proof| proof.refused.is_some()) {
        return Verdict::not_applicable(UNSIGNED);
    }
    let import = context.import;
    match &import.dsc {
        Described::Absent => return Verdict::broken("there is no .dsc"),
        Described::Malformed(why) => return Verdict::broken(format!("the .dsc: {}", escape(why))),
        Described::As { source, version, files } => {
            if (source, version) != (&import.source, &import.version) {
                return Verdict::broken(format!("the .dsc is of {source} {version}"));
            }
            let named: BTreeSet<_> = files.iter().map(|file| (&file.name, file.digest)).collect();
            let listed = import
                .source_files
                .iter()
                .filter(|file| !file.name.as_str().ends_with(".dsc"));
            let listed: BTreeSet<_> = listed.map(|file| (&file.name, file.digest)).collect();
            if named != listed {
                return Verdict::broken("the .dsc names other files than upstream's Sources");
            }
        }
    }
    let binaries: BTreeMap<Sha256, &Binary> = context
        .proof
        .into_iter()
        .flat_map(Proof::binaries)
        .map(|binary| (binary.digest.sha256, binary))
        .collect();
    let problem = context.common.whole.debs().find_map(|(output, facts)| {
        let name = &output.name;
        let Some(binary) = binaries.get(&output.digest.sha256) else {
            return Some(format!("`{name}` has no stanza"));
        };
        let inside = (
            &facts.package,
            &facts.version,
            &facts.architecture,
            &facts.source,
            &facts.source_version,
        );
        let said = (
            &binary.package,
            &binary.version,
            &binary.architecture,
            &binary.source,
            &binary.source_version,
        );
        if inside != said {
            return Some(format!(
                "`{name}` is {} {} inside, and its stanza says otherwise",
                facts.package, facts.version
            ));
        }
        (!is_named(output, binary)).then(|| format!("`{name}` is not the name of {} {}", facts.package, facts.version))
    });
    let unread = import.outputs.iter().find(|output| output.facts.facts().is_none());
    let problem = problem.or_else(|| unread.map(|output| format!("`{}` is no .deb that can be read", output.name)));
    Verdict::unless(
        problem,
        "the .dsc and every package say of themselves what upstream's stanzas say",
    )
}

fn is_named(output: &Output, binary: &Binary) -> bool {
    let (package, version, architecture) = (&binary.package, binary.version.without_epoch(), &binary.architecture);
    ["deb", "udeb"]
        .iter()
        .any(|end| output.name.as_str() == format!("{package}_{version}_{architecture}.{end}"))
}

/// One build.
pub(super) fn i8(context: &ImportContext<'_>) -> Verdict {
    let import = context.import;
    let mut versions = BTreeMap::new();
    let mut only = BTreeSet::new();
    for (_, facts) in context.common.whole.debs() {
        let (package, version, architecture) = (&facts.package, &facts.version, &facts.architecture);
        if !architecture.is_all() && !import.architectures.contains(architecture) {
            return Verdict::broken(format!(
                "the archive has no architecture {architecture}, which {package} is for"
            ));
        }
        if versions
            .insert((package, architecture), version)
            .is_some_and(|other| other != version)
        {
            return Verdict::broken(format!("the snapshot has two versions of {package} ({architecture})"));
        }
        if is_rebuild(version.as_str(), facts.source_version.as_str()) {
            if architecture.is_all() {
                return Verdict::broken(format!(
                    "{package} {version} is for all architectures, and a binary-only rebuild"
                ));
            }
            only.insert(format!("{package} {version}"));
        }
    }
    let lacking: Vec<&str> = import
        .architectures
        .iter()
        .filter(|wanted| !versions.keys().any(|(_, found)| found == wanted || found.is_all()))
        .map(|architecture| architecture.as_str())
        .collect();
    let mut text = format!("{} packages, each in one version", versions.len());
    if !only.is_empty() {
        let only: Vec<String> = only.into_iter().collect();
        text.push_str(&format!("; upstream's binary-only rebuilds: {}", only.join(", ")));
    }
    if !lacking.is_empty() {
        text.push_str(&format!("; upstream has none for {}", lacking.join(", ")));
    }
    Verdict::held(text)
}

/// Whether a version is a source's with `+b` and a number (a binary-only rebuild, or binNMU).
fn is_rebuild(version: &str, source: &str) -> bool {
    let rest = version.strip_prefix(source).and_then(|rest| rest.strip_prefix("+b"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// Not declared.
pub(super) fn i9(context: &ImportContext<'_>) -> Verdict {
    let source = &context.import.source;
    let problem = context.evidence.declared.then(|| {
        format!(
            "the site declares `{source}` itself: what is declared gets in by rebuilds, or its declaration goes first"
        )
    });
    Verdict::unless(problem, format!("the site does not declare `{source}`"))
}

/// Asked for.
pub(super) fn i10(context: &ImportContext<'_>) -> Verdict {
    let (reason, by) = (&context.import.reason, &context.import.asked_by);
    if reason.trim().is_empty() || by.trim().is_empty() {
        return Verdict::broken("nobody says why it is wanted, or who asks");
    }
    Verdict::held(format!("{} asks for it: {}", escape(by), escape(reason)))
}

/// Where to.
pub(super) fn i11(context: &ImportContext<'_>) -> Verdict {
    let whole = &context.common.whole;
    if whole.suites.is_empty() {
        return Verdict::broken("no suite is named");
    }
    let mut suites: Vec<&str> = whole.suites.iter().map(|suite| suite.as_str()).collect();
    suites.sort_unstable();
    let place = format!("{}, component {}", suites.join(", "), whole.component);
    moved_here(whole, &context.evidence.admitted, &place).unwrap_or_else(|| Verdict::held(place))
}

/// Exceptions.
pub(super) fn a7(context: &ImportContext<'_>) -> Verdict {
    exceptions(IMPORT_RULES, Seen::Imported(context))
}
