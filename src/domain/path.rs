//! Paths inside an archive. They are built by us or checked here, never taken over from input.

use super::name::text_type;
use super::{Component, PackageName};

text_type!(
    /// One name of a file, without a folder.
    FileName, "file name", segment
);
text_type!(
    /// A path of a pool file relative to the archive's base: `pool/main/h/hello/hello_2.10-3_amd64.deb`.
    /// Upstreams may keep theirs elsewhere (flat repositories), so `pool/` is not demanded.
    PoolPath, "pool path", path
);
text_type!(
    /// A path below `dists/<suite>/`, as a Release file lists it: `main/binary-amd64/Packages.xz`.
    RelPath, "index path", path
);
text_type!(
    /// Where a flat repository is below its base: `./`, or a folder with its slash.
    FlatFolder, "folder of a flat repository", flat_folder
);
text_type!(
    /// A folder of a Git tree that is a source of its own: `packaging/hello`.
    SourceFolder, "folder of a source", path
);
text_type!(
    /// The name of an object in the store. Longer than any path that it may have to hold.
    ObjectName, "object name", object_name
);

impl FlatFolder {
    /// What stands before the names of its files; empty at the base.
    #[must_use]
    pub fn prefix(&self) -> &str {
        if self.as_str() == "./" { "" } else { self.as_str() }
    }
}

impl PoolPath {
    /// A path as an index has it: flat repositories start theirs with `./`.
    ///
    /// # Errors
    /// When the rest does not follow the grammar.
    pub fn from_index(text: &str) -> Result<Self, super::DomainError> {
        Self::new(text.strip_prefix("./").unwrap_or(text))
    }

    /// Debian's own place for a file of source package `source`.
    ///
    /// # Errors
    /// Never for valid parts; the result is checked again all the same.
    pub fn in_pool(component: &Component, source: &PackageName, file: &FileName) -> Result<Self, super::DomainError> {
        Self::new(format!("pool/{component}/{}/{source}/{file}", source.pool_prefix()))
    }

    /// The last part.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

impl RelPath {
    /// The folder part with its trailing slash, empty at the top.
    #[must_use]
    pub fn folder(&self) -> &str {
        match self.as_str().rfind('/') {
            Some(at) => self.as_str().get(..=at).unwrap_or_default(),
            None => "",
        }
    }

    /// The last part.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

fn segment(text: &str) -> Result<(), &'static str> {
    if text.len() > 255 {
        return Err("a part is longer than 255 bytes");
    }
    match text.bytes().next() {
        None => return Err("a part is empty"),
        Some(first) if !first.is_ascii_alphanumeric() => return Err("a part does not start with a letter or digit"),
        Some(_) => {}
    }
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b'_' | b'-' | b'@' | b':' | b',' | b'=');
    if !text.bytes().all(allowed) {
        return Err("a part has a character outside `A-Za-z0-9.+~_-@:,=`");
    }
    if text.ends_with('.') {
        return Err("a part ends with a dot");
    }
    Ok(())
}

/// A key is such a path with an archive, a suite, a snapshot's name and a `by-hash` folder before
/// or in it (some 300 bytes): it must fit into an `ObjectName`, and that into S3's 1024 bytes.
fn path(text: &str) -> Result<(), &'static str> {
    if text.len() > 600 {
        return Err("it is longer than 600 bytes");
    }
    text.split('/').try_for_each(segment)
}

fn flat_folder(text: &str) -> Result<(), &'static str> {
    match text.strip_suffix('/') {
        Some(".") => Ok(()),
        Some(folder) => path(folder),
        None => Err("it does not end with a slash"),
    }
}

fn object_name(text: &str) -> Result<(), &'static str> {
    if text.len() > 1000 {
        return Err("it is longer than 1000 bytes");
    }
    text.split('/').try_for_each(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_leave_the_archive() {
        for good in [
            "pool/main/h/hello/hello_2.10-3_amd64.deb",
            "pool/main/g/g++/x_1%3a".trim_end_matches("%3a"),
            "a/b~1+x_y",
        ] {
            assert!(PoolPath::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "a/../b",
            "a//b",
            "a/.",
            "a/.hidden",
            "a\\b",
            "a/%2e%2e/b",
            "a b",
            "a\u{202e}b",
            "a/",
            "a./b",
            "-x",
            "a\nb",
        ] {
            assert!(PoolPath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pool_paths_are_debians() -> Result<(), crate::domain::DomainError> {
        let path = PoolPath::in_pool(
            &Component::new("main")?,
            &PackageName::new("libx11")?,
            &FileName::new("libx11-6_1_amd64.deb")?,
        )?;
        assert_eq!(path.as_str(), "pool/main/libx/libx11/libx11-6_1_amd64.deb");
        assert_eq!(path.file_name(), "libx11-6_1_amd64.deb");
        Ok(())
    }
}
