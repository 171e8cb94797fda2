//! What an upload may bring: files that this source gives, and nothing beside them.
//!
//! Packages and tarballs of the declared names are compared by the gate, whose refusal is signed. A `.dsc` and a `.buildinfo` are
//! signed by whoever built, so their bytes are never the derived ones: what they say is compared. Every other name is refused,
//! since it would leave the folder with an admitted upload and be looked at by nobody.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Upload, UploadError};
use crate::domain::{Digest, FileName};
use crate::format::buildinfo::Buildinfo;
use crate::format::dsc::Dsc;
use crate::host::files;
use crate::source::{Declaration, SourceFile};
use crate::trust::unframed_text;

/// The largest .dsc and .buildinfo that is read, in bytes.
const LARGEST_TEXT: u64 = 8 << 20;

impl Upload {
    /// Whether it brings nothing but files of what is declared: its `.dsc` and tarballs, packages, and `.buildinfo` files that say
    /// the same.
    ///
    /// # Errors
    /// The first file that is of nothing declared, or that says something else; when it cannot be read.
    pub fn check_brought(&self, declaration: &Declaration) -> Result<(), UploadError> {
        let is_package = |name: &FileName| self.packages().any(|(package, _)| package == name);
        let is_declared = |name: &FileName| declaration.files.iter().any(|file| file.name == *name);
        let stem = format!("{}_{}_", declaration.source, declaration.version.without_epoch());
        for (name, digest) in self.files() {
            match name.as_str() {
                dsc if dsc.ends_with(".dsc") && is_declared(name) => {
                    same_source(&self.text_of(name, digest)?, declaration).map_err(|why| self.differs(name, why))?;
                }
                info if info.ends_with(".buildinfo") && info.starts_with(&stem) => {
                    let text = self.text_of(name, digest)?;
                    same_build(&text, self.files(), declaration).map_err(|why| self.differs(name, why))?;
                }
                _ if is_package(name) || is_declared(name) => {}
                _ => {
                    return Err(UploadError::Foreign {
                        path: self.folder().join(name.as_str()),
                        source_package: declaration.source.clone(),
                        version: declaration.version.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// A small file that it names, of just the bytes that it says; without the frame of a signature.
    fn text_of(&self, name: &FileName, said: &Digest) -> Result<Vec<u8>, UploadError> {
        let bytes = files::read_beneath(self.folder(), Path::new(name.as_str()), LARGEST_TEXT)?;
        let found = Digest::of(&bytes);
        if found != *said {
            let path = self.folder().join(name.as_str());
            return Err(UploadError::Other {
                path,
                said: *said,
                found,
            });
        }
        unframed_text(&bytes).map_err(|error| self.differs(name, error.to_string()))
    }

    fn differs(&self, name: &FileName, why: String) -> UploadError {
        UploadError::Differs {
            path: self.folder().join(name.as_str()),
            why,
        }
    }
}

/// Whether a `.dsc` names the source package that Git gives, and its very files.
fn same_source(text: &[u8], declaration: &Declaration) -> Result<(), String> {
    let dsc = Dsc::parse(text).map_err(|error| error.to_string())?;
    let wanted: BTreeSet<(&FileName, &Digest)> = tarballs(declaration).map(|file| (&file.name, &file.digest)).collect();
    if (&dsc.source, &dsc.version) != (&declaration.source, &declaration.version) {
        return Err(format!("it is of {} {}", dsc.source, dsc.version));
    }
    if dsc.format != declaration.source_format {
        return Err(format!(
            "its format is {}, and Git gives {}",
            dsc.format, declaration.source_format
        ));
    }
    let binaries: BTreeSet<_> = dsc.binaries.iter().collect();
    let declared: BTreeSet<_> = declaration.packages.iter().map(|package| &package.name).collect();
    if let Some(other) = binaries.symmetric_difference(&declared).next() {
        return Err(format!(
            "it and `debian/control` in Git do not both have the package {other}"
        ));
    }
    for (name, digest) in &dsc.files {
        if !wanted.contains(&(name, digest)) {
            return Err(format!("it lists {name} as {digest}, which Git does not give"));
        }
    }
    match wanted
        .iter()
        .find(|(name, _)| !dsc.files.iter().any(|(listed, _)| listed == *name))
    {
        Some((name, _)) => Err(format!("it does not list {name}, which Git gives")),
        None => Ok(()),
    }
}

fn tarballs(declaration: &Declaration) -> impl Iterator<Item = &SourceFile> {
    declaration
        .files
        .iter()
        .filter(|file| !file.name.as_str().ends_with(".dsc"))
}

/// Whether a `.buildinfo` is of this source, and of these files.
fn same_build(text: &[u8], brought: &[(FileName, Digest)], declaration: &Declaration) -> Result<(), String> {
    let info = Buildinfo::parse(text).map_err(|error| error.to_string())?;
    if (&info.source, &info.source_version) != (&declaration.source, &declaration.version) {
        return Err(format!("it is of {} {}", info.source, info.source_version));
    }
    for (name, digest) in &info.files {
        let own = brought
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, digest)| digest);
        let declared = declaration
            .files
            .iter()
            .find(|file| file.name == *name)
            .map(|file| &file.digest);
        match own.or(declared) {
            Some(found) if found == digest => {}
            Some(found) => return Err(format!("it says that {name} is {digest}, and it is {found}")),
            None => return Err(format!("it lists {name}, which the upload does not bring")),
        }
    }
    Ok(())
}
