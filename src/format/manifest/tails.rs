//! Tails' build manifests.

use super::yaml::{Node, Value, parse};
use super::{Details, Manifest, Wanted, WantedArchitecture};
use crate::domain::{Architecture, ArchiveName, DomainError, SnapshotName, escape};
use crate::format::FormatError;

const WHAT: &str = "build manifest";
/// The `format` of manifests with hashes. Those without `format` are v1.
pub(super) const FORMAT: &str = "2";

pub(super) fn read(bytes: &[u8]) -> Result<Manifest, FormatError> {
    let document = parse(bytes)?;
    let mut manifest = Manifest::default();
    let mut second = false;
    for (key, node) in map(&document)? {
        match key.as_str() {
            "origin_references" => origins(node, &mut manifest)?,
            "packages" => packages(node, &mut manifest)?,
            "format" if text(node)? == FORMAT => second = true,
            "format" => return Err(bad(node, "this program reads the formats 1 (without this key) and 2")),
            "git_commit" => manifest.git_commit = Some(value(node)?),
            "environment" => manifest.environment = Some(value(node)?),
            _ => return Err(unknown(node, key)),
        }
    }
    let details = manifest
        .binaries
        .iter()
        .chain(&manifest.sources)
        .any(|w| w.details != Details::default());
    if !second && (details || manifest.git_commit.is_some() || manifest.environment.is_some()) {
        return Err(bad(&document, "it has keys of format 2 and does not say `format: '2'`"));
    }
    Ok(manifest)
}

fn origins(node: &Node, manifest: &mut Manifest) -> Result<(), FormatError> {
    for (archive, reference) in map(node)? {
        let archive: ArchiveName = archive.parse().map_err(|source| at(reference, source))?;
        for (key, node) in map(reference)? {
            let name = match (key.as_str(), text(node)?) {
                ("reference", "unknown") => None,
                ("reference", _) => Some(value::<SnapshotName>(node)?),
                _ => return Err(unknown(node, key)),
            };
            manifest.origins.insert(archive.clone(), name);
        }
        if !manifest.origins.contains_key(&archive) {
            return Err(bad(reference, format!("`{archive}` has no `reference`")));
        }
    }
    Ok(())
}

fn packages(node: &Node, manifest: &mut Manifest) -> Result<(), FormatError> {
    for (key, node) in map(node)? {
        let list = match key.as_str() {
            "binary" => &mut manifest.binaries,
            "source" => &mut manifest.sources,
            _ => return Err(unknown(node, key)),
        };
        let Value::List(items) = &node.value else {
            return Err(bad(node, "it is not a list"));
        };
        for item in items {
            list.push(entry(item, key == "source")?);
        }
    }
    Ok(())
}

fn entry(node: &Node, source: bool) -> Result<Wanted, FormatError> {
    let (mut package, mut version, mut architecture) = (None, None, None);
    let mut details = Details::default();
    for (key, node) in map(node)? {
        match key.as_str() {
            "package" => package = Some(value(node)?),
            "version" => version = Some(value(node)?),
            "arch" if !source => architecture = Some(value::<Architecture>(node)?),
            // In Tails' file of extra packages: why a package is there.
            "explanation" => {}
            key => detail(key, node, &mut details)?,
        }
    }
    let missing = |key| move || bad(node, format!("the key `{key}` is missing"));
    let architecture = match architecture {
        Some(architecture) => WantedArchitecture::Exactly(architecture),
        None if source => source_architecture(node)?,
        None => return Err(missing("arch")()),
    };
    Ok(Wanted {
        package: package.ok_or_else(missing("package"))?,
        version: version.ok_or_else(missing("version"))?,
        architecture,
        details,
    })
}

fn source_architecture(node: &Node) -> Result<WantedArchitecture, FormatError> {
    let source = Architecture::new("source").map_err(|source| at(node, source))?;
    Ok(WantedArchitecture::Exactly(source))
}

fn detail(key: &str, node: &Node, details: &mut Details) -> Result<(), FormatError> {
    match key {
        "sha256" => details.sha256 = Some(value(node)?),
        "size" => details.size = Some(super::super::checksums::number(WHAT, "size", text(node)?)?),
        "archive" => details.archive = Some(value(node)?),
        "suite" => details.suite = Some(value(node)?),
        "component" => details.component = Some(value(node)?),
        "source" => details.source = Some(value(node)?),
        "source_version" => details.source_version = Some(value(node)?),
        "input_id" => details.input_id = Some(value(node)?),
        _ => return Err(unknown(node, key)),
    }
    Ok(())
}

fn map(node: &Node) -> Result<&[(String, Node)], FormatError> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(bad(node, "it is not a map of keys and values")),
    }
}

fn text(node: &Node) -> Result<&str, FormatError> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(bad(node, "it is not a single value")),
    }
}

fn value<T: std::str::FromStr<Err = DomainError>>(node: &Node) -> Result<T, FormatError> {
    text(node)?.parse().map_err(|source| at(node, source))
}

fn at(node: &Node, source: DomainError) -> FormatError {
    FormatError::Value {
        what: format!("{WHAT}: line {}", node.line),
        source,
    }
}

fn unknown(node: &Node, key: &str) -> FormatError {
    bad(node, format!("the key `{}` is not one of a manifest", escape(key)))
}

fn bad(node: &Node, why: impl ToString) -> FormatError {
    FormatError::malformed(WHAT, format!("line {}", node.line), why)
}
