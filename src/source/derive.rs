//! From a signed tag or commit to a declaration and the bytes of a source package.

use serde_json::Value;

use super::debian::{Debian, SourceFormat};
use super::orig::{Files, Packaging, WantedOrig};
use super::package;
use super::text::TagText;
use super::tree::{self, Blobs, Tree};
use super::{
    Base, BuildDepends, Declaration, DeclaredPackage, DeclaredSigner, Repository, SignedSource, Signers, SourceError,
    SourceFile, dsc,
};
use crate::domain::{Component, Digest, FileName, GitOid, GitRef, Sha256, SourceFolder, SuiteName, escape};

/// The bytes of a derived source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// The .dsc first, then the tarballs by name.
    pub files: Vec<(FileName, Vec<u8>)>,
    /// The tree's manifest: `mode SP sha256 SP path NUL` for each file, sorted bytewise by path.
    pub manifest: Vec<u8>,
}

impl SourcePackage {
    /// The tree's identity: SHA-256 of the manifest.
    #[must_use]
    pub fn tree_sha256(&self) -> Sha256 {
        Sha256::of(&self.manifest)
    }
}

/// What is asked of a repository: everything in a declaration that Git does not say.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it was fetched from.
    pub git: String,
    /// The suites that the packages are for.
    pub suites: Vec<SuiteName>,
    /// The component they go to.
    pub component: Component,
    /// The folder of the tree that is the source; absent: the whole.
    pub subfolder: Option<SourceFolder>,
    /// The upstream tag; absent: the one that the tag's text names, or `refs/tags/upstream/<version>`.
    pub upstream: Option<GitRef>,
    /// An upstream tarball that is kept; absent: it is made of the upstream tag's tree.
    pub orig: Option<WantedOrig>,
    /// The commit of the branch `pristine-tar`; absent: the newest.
    pub pristine_commit: Option<GitOid>,
    /// The source package of a mirror that has the upstream tarballs.
    pub base: Option<Base>,
    /// The declaration that this one follows.
    pub supersedes: Option<Sha256>,
    /// How many must sign the next version.
    pub authorised_threshold: Option<u32>,
    /// Who may sign the next version.
    pub authorised: Vec<DeclaredSigner>,
}

impl Request {
    /// What a declaration asks for.
    #[must_use]
    pub fn of(declaration: &Declaration) -> Self {
        Self {
            git: declaration.git.clone(),
            suites: declaration.suites.clone(),
            component: declaration.component.clone(),
            subfolder: declaration.subfolder.clone(),
            upstream: declaration.upstream.as_ref().map(|upstream| upstream.tag_ref.clone()),
            orig: declaration.orig.as_ref().map(|orig| WantedOrig {
                method: orig.method,
                sha256: Some(orig.sha256),
            }),
            pristine_commit: declaration.orig.as_ref().and_then(|orig| orig.git_commit.clone()),
            base: declaration.base.clone(),
            supersedes: declaration.supersedes,
            authorised_threshold: declaration.authorised_threshold,
            authorised: declaration.authorised.clone(),
        }
    }

    /// Writes into a declaration what it follows, and who may sign the next.
    pub fn says_who_follows(&self, declaration: &mut Declaration) {
        declaration.supersedes = self.supersedes;
        declaration.authorised_threshold = self.authorised_threshold;
        declaration.authorised.clone_from(&self.authorised);
    }
}

/// A native package has nothing of an upstream's.
fn refuse_upstream(request: &Request) -> Result<(), SourceError> {
    if request.orig.is_some() || request.base.is_some() {
        let why = "a native package has no upstream tarball, and no base";
        return Err(SourceError::content("debian/source/format", why));
    }
    Ok(())
}

/// Derives the declaration of a signed source, and its bytes. `files` has what is not in Git. An upstream tag that the repository lacks
/// is fetched when it was just fetched itself.
///
/// # Errors
/// When too few signed who may sign this source (S1), a rule from S3 to S9 does not hold, or a file
/// below `debian/` cannot be read.
pub fn declare(
    repository: &Repository,
    request: &Request,
    signed: &SignedSource,
    signers: &Signers<'_>,
    files: &dyn Files,
) -> Result<(Declaration, SourcePackage), SourceError> {
    let top = match &request.subfolder {
        Some(folder) => tree::descend(repository, &signed.tree, folder)?,
        None => signed.tree.clone(),
    };
    let tree = Tree::read(repository, &top)?;
    let mut blobs = Blobs::default();
    blobs.read(repository, &tree)?;
    let debian = Debian::read(&tree, &blobs)?;
    debian.check_against(signed)?;
    let (source, version) = (&debian.control.name, &debian.head.version);
    let text = TagText::read(signed)?;
    text.check(signed, source, version, debian.format)?;
    let signed_by = signed.signers_of(source, signers)?;
    let packaging = Packaging {
        repository,
        request,
        signed,
        debian: &debian,
        tree: &tree,
        files,
    };
    let found = match debian.format {
        SourceFormat::Native => {
            refuse_upstream(request)?;
            None
        }
        SourceFormat::Quilt => Some(packaging.upstream(&text, &mut blobs)?),
    };
    let (side, upstream, orig) = match found {
        Some(found) => (Some(found.side), found.upstream, found.orig),
        None => (None, None, None),
    };
    text.check_upstream(signed, debian.format, upstream.as_ref())?;
    let package = package::make(&debian, &tree, &blobs, side, files.packed())?;
    let mut declaration = Declaration {
        source: source.clone(),
        version: version.clone(),
        suites: request.suites.clone(),
        component: request.component.clone(),
        git: request.git.clone(),
        reference: signed.reference.clone(),
        git_tag: signed.tag.clone(),
        git_commit: signed.commit.clone(),
        git_tree: signed.tree.clone(),
        subfolder: request.subfolder.clone(),
        tree_sha256: package.tree_sha256(),
        source_format: debian.format.as_str().to_owned(),
        upstream,
        orig,
        base: request.base.clone(),
        source_date_epoch: debian.head.date.unix(),
        build_depends: build_depends(&debian)?,
        packages: packages(&debian),
        files: package.files.iter().map(listed).collect(),
        signers: signed_by,
        supersedes: None,
        authorised_threshold: None,
        authorised: Vec::new(),
    };
    request.says_who_follows(&mut declaration);
    Ok((declaration, package))
}

/// Verifies what `declaration` declares again, derives everything again, and compares every field.
///
/// # Errors
/// As `verify_signed` and `declare`; and with the first field that differs.
pub fn check(
    repository: &Repository,
    declaration: &Declaration,
    signers: &Signers<'_>,
    files: &dyn Files,
) -> Result<SourcePackage, SourceError> {
    let (_, derived, package) = derive(repository, declaration, signers, files)?;
    if let (Some(declared), Some(found)) = (&declaration.git_tag, &derived.git_tag)
        && declared != found
    {
        let why = format!("the tag was moved: `git-tag` is declared as `{declared}`, the repository has `{found}`");
        return Err(SourceError::rule("S2", declaration.reference.as_str(), why));
    }
    compare(declaration, &derived)?;
    Ok(package)
}

/// Verifies and derives what `declaration` asks for, whatever else it says. Of the signers, those that
/// it declares, when all of them signed: a key that the policy came to know later changes nothing.
///
/// # Errors
/// As `verify_signed` and `declare`.
pub fn derive(
    repository: &Repository,
    declaration: &Declaration,
    signers: &Signers<'_>,
    files: &dyn Files,
) -> Result<(SignedSource, Declaration, SourcePackage), SourceError> {
    let commit = declaration.git_tag.is_none().then_some(&declaration.git_commit);
    let signed = super::verify_signed(repository, &declaration.reference, commit, signers)?;
    let (mut derived, package) = declare(repository, &Request::of(declaration), &signed, signers, files)?;
    if declaration
        .signers
        .iter()
        .all(|signer| derived.signers.contains(signer))
    {
        derived.signers.clone_from(&declaration.signers);
    }
    Ok((signed, derived, package))
}

fn build_depends(debian: &Debian) -> Result<BuildDepends, SourceError> {
    Ok(BuildDepends {
        any: dsc::relations(debian, "Build-Depends")?,
        arch: dsc::relations(debian, "Build-Depends-Arch")?,
        indep: dsc::relations(debian, "Build-Depends-Indep")?,
        conflicts: dsc::all_conflicts(debian)?,
    })
}

fn packages(debian: &Debian) -> Vec<DeclaredPackage> {
    let declared = |binary: &crate::format::control::BinaryControl| {
        let (section, priority) = dsc::section_and_priority(debian, binary);
        DeclaredPackage {
            name: binary.name.clone(),
            package_type: binary.package_type.clone(),
            section,
            priority,
            architectures: binary.architectures.clone(),
        }
    };
    debian.control.binaries.iter().map(declared).collect()
}

fn listed((name, bytes): &(FileName, Vec<u8>)) -> SourceFile {
    SourceFile {
        name: name.clone(),
        digest: Digest::of(bytes),
    }
}

/// Compares field by field; the ids first, since the rest follows from them.
fn compare(declared: &Declaration, found: &Declaration) -> Result<(), SourceError> {
    let value = |declaration: &Declaration| {
        serde_json::to_value(declaration).map_err(|error| SourceError::Declaration {
            path: declaration.source.to_string(),
            why: error.to_string(),
        })
    };
    let (a, b) = (value(declared)?, value(found)?);
    let ids = ["git-tag", "git-commit", "git-tree", "tree-sha256"];
    let named = ids.iter().find_map(|id| difference(id, a.get(id)?, b.get(id)?));
    match named.or_else(|| difference("", &a, &b)) {
        None => Ok(()),
        Some((field, declared_value, found_value)) => Err(SourceError::Differs {
            source_package: declared.source.to_string(),
            field,
            declared: declared_value,
            found: found_value,
        }),
    }
}

/// The first place at which two values differ, and what each has there.
fn difference(at: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    let below = |key: &str| {
        if at.is_empty() {
            key.to_owned()
        } else {
            format!("{at}.{key}")
        }
    };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let get = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
            keys.into_iter()
                .find_map(|key| difference(&below(key), &get(a, key), &get(b, key)))
        }
        (Value::Array(a), Value::Array(b)) => {
            let get = |list: &[Value], at: usize| list.get(at).cloned().unwrap_or(Value::Null);
            (0..a.len().max(b.len())).find_map(|i| difference(&below(&i.to_string()), &get(a, i), &get(b, i)))
        }
        _ if a == b => None,
        _ => Some((at.to_owned(), shown(a), shown(b))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}
