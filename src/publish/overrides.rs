//! Sections and priorities that the site gives packages. What a package's own control file says is in no index any more, so of
//! one whose override changes or goes it is read from the .deb again.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::GateError;
use super::stage::Texts;
use crate::domain::{ArchiveName, PackageName};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::packages::Binary;
use crate::index::{binary_stanza, overridden};
use crate::site::Overrides;
use crate::store::{Key, Store};

/// The texts of the suite before, with what the site says now.
///
/// # Errors
/// When one is malformed; when the .deb of a package whose override changed is missing or damaged; the store's failure.
pub(super) fn with_overrides<'t>(
    store: &dyn Store,
    archive: &ArchiveName,
    texts: &'t Texts,
    (before, now): (&Overrides, &Overrides),
) -> Result<Cow<'t, Texts>, GateError> {
    let names = before.keys().chain(now.keys());
    let changed: BTreeSet<&PackageName> = names.filter(|name| before.get(*name) != now.get(*name)).collect();
    if changed.is_empty() {
        return Ok(Cow::Borrowed(texts));
    }
    let mut anew = texts.clone();
    for (path, (_, text)) in &mut anew {
        if path.file_name() == "Packages" {
            *text = overridden(&own_stanzas(store, archive, text, &changed)?, now)?.into_owned();
        }
    }
    Ok(Cow::Owned(anew))
}

/// A Packages text in which the stanzas of some packages are as their .debs give them.
fn own_stanzas(
    store: &dyn Store,
    archive: &ArchiveName,
    text: &[u8],
    of: &BTreeSet<&PackageName>,
) -> Result<Vec<u8>, GateError> {
    let mut out = Vec::with_capacity(text.len());
    for stanza in Stanzas::new(text) {
        let stanza = stanza.map_err(GateError::document("Packages"))?;
        let named = stanza.field("Package").and_then(|name| PackageName::new(name).ok());
        if named.is_some_and(|name| of.contains(&name)) {
            out.extend(own_stanza(store, archive, &stanza)?);
        } else {
            out.extend_from_slice(stanza.bytes());
        }
        out.push(b'\n');
    }
    Ok(out)
}

fn own_stanza(store: &dyn Store, archive: &ArchiveName, stanza: &Stanza<'_>) -> Result<Vec<u8>, GateError> {
    let binary = Binary::from_stanza(stanza).map_err(GateError::document("Packages"))?;
    let key = Key::pool(archive, &binary.filename);
    let deb = read_deb(store.open(&key)?, &DebLimits::default()).map_err(GateError::document(&key))?;
    if deb.digest != binary.digest {
        let found = deb.digest.sha256;
        return Err(GateError::Swapped { key, found });
    }
    Ok(binary_stanza(&deb.control, &binary.filename, &binary.digest)?)
}
