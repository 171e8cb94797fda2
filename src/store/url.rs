//! Which backend a store's URL means.

use std::path::Path;
use std::sync::Arc;

use super::{HttpStore, LocalStore, ObjectStore, Store, StoreError};

/// Opens the store that `url` names: a folder (relative ones below `base`), `file:///…`, `memory:`,
/// or somebody else's to read over `http://…` or `https://…`.
///
/// # Errors
/// `Url` when it names no kind of store that this build has; the backend's failure.
pub fn open_store(url: &str, base: &Path) -> Result<Arc<dyn Store>, StoreError> {
    open(url, base, LocalStore::open)
}

/// The same for who only reads: a folder is neither made nor changed.
///
/// # Errors
/// `Absent` when the folder is not there; as `open_store`.
pub fn open_store_to_read(url: &str, base: &Path) -> Result<Arc<dyn Store>, StoreError> {
    open(url, base, LocalStore::open_to_read)
}

fn open(
    url: &str,
    base: &Path,
    folder: fn(&Path) -> Result<LocalStore, StoreError>,
) -> Result<Arc<dyn Store>, StoreError> {
    let bad = |why: &str| StoreError::Url {
        url: crate::domain::escape(url),
        why: why.to_owned(),
    };
    if url == "memory:" {
        return Ok(Arc::new(ObjectStore::memory()?));
    }
    if let Some(rest) = url.strip_prefix("file:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if !path.starts_with('/') || path.contains(['%', '?', '#']) {
            return Err(bad("write it as `file:///folder`, without a host, `%`, `?` and `#`"));
        }
        return Ok(Arc::new(folder(Path::new(path))?));
    }
    match scheme(url) {
        Some("http" | "https") => Ok(Arc::new(HttpStore::open(url)?)),
        Some("s3" | "gs" | "az") => Err(bad("this build has no support for cloud stores")),
        Some(_) => Err(bad("it is neither a folder, `file:///…`, `http://…` nor `memory:`")),
        None if url.is_empty() => Err(bad("it is empty")),
        None => Ok(Arc::new(folder(&base.join(url))?)),
    }
}

/// What stands before the first colon, when that is an URL's scheme (RFC 3986 §3.1).
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let first = scheme.bytes().next()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    (first.is_ascii_alphabetic() && scheme.bytes().all(plain)).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_build_has_is_opened() {
        let base = Path::new("/nonexistent");
        for (url, why) in [
            ("s3://bucket/x", "cloud"),
            ("gs://bucket", "cloud"),
            ("ftp://example.org/", "neither"),
            ("https://example.org/?x", "a query"),
            ("file://host/x", "without a host"),
            ("file:///a%2fb", "without a host"),
            ("", "empty"),
        ] {
            let said = open_store(url, base).map(|_| ()).unwrap_err();
            assert!(matches!(said, StoreError::Url { .. }), "{url}: {said}");
            assert!(said.to_string().contains(why), "{url}: {said}");
        }
        assert!(open_store("memory:", base).is_ok());
    }
}
