//! Translation-en: the long descriptions of packages, out of Packages, where a hash of each stands instead.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use md5::{Digest as _, Md5};

use super::IndexError;
use crate::domain::{Component, PackageName};
use crate::format::FormatError;
use crate::format::deb822::{Paragraph, Stanza, Stanzas};

/// What ties a stanza of Packages to its description. MD5 proves nothing here: both are signed.
const HASH: &str = "Description-md5";
/// The description in Translation-en.
const TEXT: &str = "Description-en";

/// The path of a component's Translation-en, uncompressed.
#[must_use]
pub fn translation_path(component: &Component) -> String {
    format!("{component}/i18n/Translation-en")
}

/// Descriptions by package and hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptions {
    texts: BTreeMap<(PackageName, [u8; 16]), String>,
}

impl Descriptions {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all of a Translation-en.
    ///
    /// # Errors
    /// When it is malformed, or a description is not what its hash says.
    pub fn add_index(&mut self, text: &[u8]) -> Result<(), IndexError> {
        for stanza in Stanzas::new(text) {
            let stanza = stanza?;
            let (package, named) = key(&stanza)?;
            let paragraph = stanza.to_paragraph();
            let text = paragraph.require("Translation-en", TEXT)?;
            if hash(text) != named {
                let why = "it is not the MD5 of its description";
                return Err(FormatError::malformed("Translation-en", format!("{HASH} of `{package}`"), why).into());
            }
            self.add(package, text)?;
        }
        Ok(())
    }

    /// The stanzas of a Packages file as they are with a Translation-en beside it, each with an empty line after it: the
    /// short description, and the hash of the whole, which is taken in. Packages of the installer, for which nobody reads translations, stay
    /// as they are, and so do stanzas that have a hash.
    ///
    /// # Errors
    /// When a stanza is malformed; when two descriptions of a package have one hash.
    pub fn take(&mut self, packages: &[u8]) -> Result<Vec<u8>, IndexError> {
        let mut out = Vec::with_capacity(packages.len());
        for stanza in Stanzas::new(packages) {
            let stanza = stanza?;
            let udeb = stanza.field("Filename").is_some_and(|path| path.ends_with(".udeb"));
            if udeb || stanza.field(HASH).is_some() || stanza.field("Description").is_none() {
                out.extend_from_slice(stanza.bytes());
            } else {
                let whole = stanza.to_paragraph();
                let text = whole.require("Packages", "Description")?;
                let package = name(&stanza)?;
                let hash = self.add(package, text)?;
                let short = text.lines().next().unwrap_or_default();
                let mut stanza = Paragraph::new();
                for (name, value) in whole.fields() {
                    if is_description(name) {
                        stanza.set(name, short)?;
                        stanza.set(HASH, &hex::encode(hash))?;
                    } else {
                        stanza.set(name, value)?;
                    }
                }
                out.extend(stanza.to_bytes());
            }
            out.push(b'\n');
        }
        Ok(out)
    }

    /// The other way: the stanzas as they are without a Translation-en.
    ///
    /// # Errors
    /// When a stanza is malformed, or its description is not known.
    pub fn put_back(&self, packages: &[u8]) -> Result<Vec<u8>, IndexError> {
        let mut out = Vec::with_capacity(packages.len());
        for stanza in Stanzas::new(packages) {
            let stanza = stanza?;
            if stanza.field(HASH).is_none() {
                out.extend_from_slice(stanza.bytes());
            } else {
                let (package, hash) = key(&stanza)?;
                let text = self.text(&package, hash)?;
                let mut whole = Paragraph::new();
                for (name, value) in stanza.to_paragraph().fields() {
                    if is_description(name) {
                        whole.set(name, text)?;
                    } else if !name.eq_ignore_ascii_case(HASH) {
                        whole.set(name, value)?;
                    }
                }
                out.extend(whole.to_bytes());
            }
            out.push(b'\n');
        }
        Ok(out)
    }

    /// The Translation-en that belongs to some Packages files: by name, then by hash.
    ///
    /// # Errors
    /// When a stanza is malformed, or its description is not known.
    pub fn index_of<'a>(&self, packages: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, IndexError> {
        let mut wanted = BTreeMap::new();
        for stanza in packages.into_iter().flat_map(Stanzas::new) {
            let stanza = stanza?;
            if stanza.field(HASH).is_some() {
                let (package, hash) = key(&stanza)?;
                let text = self.text(&package, hash)?;
                wanted.insert((package, hash), text);
            }
        }
        let mut out = Vec::new();
        for ((package, hash), text) in wanted {
            let mut stanza = Paragraph::new();
            stanza.set("Package", package.as_str())?;
            stanza.set(HASH, &hex::encode(hash))?;
            stanza.set(TEXT, text)?;
            out.extend(stanza.to_bytes());
            out.push(b'\n');
        }
        Ok(out)
    }

    fn text(&self, package: &PackageName, hash: [u8; 16]) -> Result<&str, IndexError> {
        let text = self.texts.get(&(package.clone(), hash)).map(String::as_str);
        text.ok_or_else(|| IndexError::NoDescription {
            package: package.to_string(),
        })
    }

    fn add(&mut self, package: PackageName, text: &str) -> Result<[u8; 16], IndexError> {
        let hash = hash(text);
        match self.texts.entry((package, hash)) {
            Entry::Occupied(there) if there.get() != text => Err(IndexError::Conflict {
                what: format!("{} ({HASH} {})", there.key().0, hex::encode(hash)),
            }),
            Entry::Occupied(_) => Ok(hash),
            Entry::Vacant(place) => {
                place.insert(text.to_owned());
                Ok(hash)
            }
        }
    }
}

fn is_description(field: &str) -> bool {
    field.eq_ignore_ascii_case("Description")
}

/// As apt computes it (`debListParser::Description_md5`): of the field's value as it stands in the file, and a newline.
fn hash(text: &str) -> [u8; 16] {
    let mut md5 = Md5::new();
    for (at, line) in text.split('\n').enumerate() {
        md5.update(if at == 0 { "" } else { " " });
        md5.update(line);
        md5.update("\n");
    }
    md5.finalize().into()
}

fn key(stanza: &Stanza<'_>) -> Result<(PackageName, [u8; 16]), IndexError> {
    let named = stanza.require("index", HASH)?;
    let mut hash = [0; 16];
    hex::decode_to_slice(named, &mut hash).map_err(|_| {
        FormatError::malformed(
            "index",
            format!("line {}", stanza.line()),
            "its hash of a description is no MD5",
        )
    })?;
    Ok((name(stanza)?, hash))
}

fn name(stanza: &Stanza<'_>) -> Result<PackageName, IndexError> {
    let name = PackageName::new(stanza.require("index", "Package")?);
    Ok(name.map_err(|source| FormatError::Value {
        what: "Package".to_owned(),
        source,
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "Package: hello\nVersion: 1\nDescription: greets\n A program that\n .\n   greets.\nFilename: pool/h/hello.deb\n\n";
    const SHORT: &str =
        "Package: hello\nVersion: 1\nDescription: greets\nDescription-md5: 4e9a3e3a8a40d2e1d3ebf2e8b5b6f0a5\n";

    #[test]
    fn what_is_taken_out_is_put_back() -> Result<(), IndexError> {
        let udeb = "Package: u\nDescription: one\n two\nFilename: pool/u/u.udeb\n\n";
        let bare = "Package: bare\nFilename: pool/b/bare.deb\n\n";
        let packages = [HELLO, udeb, bare].concat();
        let mut descriptions = Descriptions::new();
        let short = descriptions.take(packages.as_bytes())?;
        let text = String::from_utf8_lossy(&short);
        assert!(
            text.contains("Description: greets\nDescription-md5: ") && !text.contains("A program"),
            "{text}"
        );
        assert!(text.contains(udeb) && text.contains(bare));
        assert_eq!(descriptions.take(&short)?, short, "once is enough");
        let index = descriptions.index_of([short.as_slice()])?;
        let mut read = Descriptions::new();
        read.add_index(&index)?;
        assert_eq!(read, descriptions);
        assert_eq!(read.put_back(&short)?, packages.as_bytes());
        Ok(())
    }

    #[test]
    fn what_is_not_known_or_not_so_is_refused() {
        let unknown = Descriptions::new();
        assert!(matches!(
            unknown.put_back(SHORT.as_bytes()),
            Err(IndexError::NoDescription { .. })
        ));
        assert!(matches!(
            unknown.index_of([SHORT.as_bytes()]),
            Err(IndexError::NoDescription { .. })
        ));
        let forged = "Package: hello\nDescription-md5: 4e9a3e3a8a40d2e1d3ebf2e8b5b6f0a5\nDescription-en: another\n";
        assert!(Descriptions::new().add_index(forged.as_bytes()).is_err());
    }
}
