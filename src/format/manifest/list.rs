//! Lists of installed packages: what `dpkg-query -W` prints with the usual formats, what apt and
//! mmdebstrap's `--include` take, and stanzas such as those of dpkg's status file.

use super::{Manifest, Wanted, WantedArchitecture};
use crate::domain::{Architecture, PackageName, escape};
use crate::format::FormatError;
use crate::format::checksums::value;
use crate::format::deb822::{Stanza, Stanzas};

const LINES: &str = "package list";
const STANZAS: &str = "package stanzas";

/// `name version`, `name version architecture` (blanks or tabs between), or `name=version`, the last
/// also several on a line, with blanks or commas between. A name may be `name:architecture`. Lines that
/// start with `#` are comments; a name without a version is a package that dpkg knows and that is not
/// installed.
pub(super) fn lines(bytes: &[u8]) -> Result<Manifest, FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad(1, "it is not UTF-8"))?;
    let mut manifest = Manifest::default();
    for (at, line) in text.split('\n').enumerate() {
        let number = at.saturating_add(1);
        let line = line.trim_end_matches(['\r', ' ']);
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains('=') {
            for pair in line.split([' ', '\t', ',']).filter(|pair| !pair.is_empty()) {
                let (name, version) = pair.split_once('=').ok_or_else(|| no_pair(number, pair))?;
                manifest.binaries.push(wanted(LINES, name, version, None)?);
            }
            continue;
        }
        match words.as_slice() {
            [name, version] => manifest.binaries.push(wanted(LINES, name, version, None)?),
            [name, version, architecture] => {
                manifest
                    .binaries
                    .push(wanted(LINES, name, version, Some(architecture))?);
            }
            [name] if line.ends_with('\t') => {
                value::<PackageName>(LINES, "name", name.split(':').next().unwrap_or(name))?;
            }
            _ => return Err(no_pair(number, line)),
        }
    }
    if manifest.binaries.is_empty() {
        return Err(bad(1, "it names no package"));
    }
    Ok(manifest)
}

/// `Package`, `Version` and `Architecture` of each stanza. One whose `Status` is not `installed` is
/// not there.
pub(super) fn stanzas(bytes: &[u8]) -> Result<Manifest, FormatError> {
    let mut manifest = Manifest::default();
    for stanza in Stanzas::new(bytes) {
        let stanza = stanza?;
        let installed = |status: &str| status.split(' ').next_back() == Some("installed");
        if stanza.field("Status").is_none_or(installed) {
            manifest.binaries.push(of_stanza(&stanza)?);
        }
    }
    if manifest.binaries.is_empty() {
        return Err(FormatError::NoList {
            what: STANZAS,
            at: "the whole file".to_owned(),
            why: "it names no installed package".to_owned(),
        });
    }
    Ok(manifest)
}

fn of_stanza(stanza: &Stanza<'_>) -> Result<Wanted, FormatError> {
    let name = stanza.require(STANZAS, "Package")?;
    let version = stanza.require(STANZAS, "Version")?;
    wanted(STANZAS, name, version, stanza.field("Architecture"))
}

fn wanted(what: &'static str, name: &str, version: &str, architecture: Option<&str>) -> Result<Wanted, FormatError> {
    let (name, qualifier) = name
        .split_once(':')
        .map_or((name, None), |(name, one)| (name, Some(one)));
    if let (Some(qualifier), Some(architecture)) = (qualifier, architecture)
        && qualifier != architecture
    {
        let why = format!("`{}` cannot also be of {}", escape(qualifier), escape(architecture));
        return Err(FormatError::malformed(what, escape(name), why));
    }
    let architecture = qualifier.or(architecture);
    let architecture = architecture
        .map(|text| value::<Architecture>(what, "architecture", text))
        .transpose()?;
    Ok(Wanted::new(
        value(what, "name", name)?,
        value(what, "version", version)?,
        architecture.map_or(WantedArchitecture::Any, WantedArchitecture::Exactly),
    ))
}

fn no_pair(number: usize, text: &str) -> FormatError {
    let why = format!(
        "`{}` is not like `name version architecture` or `name=version`",
        escape(text)
    );
    bad(number, why)
}

fn bad(number: usize, why: impl ToString) -> FormatError {
    FormatError::NoList {
        what: LINES,
        at: format!("line {number}"),
        why: why.to_string(),
    }
}
