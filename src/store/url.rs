//! Which backend a store's URL means.

use std::path::Path;
use std::sync::Arc;

use crate::host::Environment;

use super::{HttpStore, LocalStore, ObjectStore, Store, StoreError};

/// What the services' own tools read from the environment, and so does a store in a cloud.
const CLOUD: [&str; 19] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_ENDPOINT",
];

/// Opens the store that `url` names: a folder (relative ones below `base`), `file:///…`, `memory:`; `s3://…`, `gs://…` or
/// `az://…`, with what the environment says of these services; or somebody else's to read over `http://…` or `https://…`.
///
/// # Errors
/// `Url` when it names no kind of store that this build has; the backend's failure.
pub fn open_store(url: &str, base: &Path, environment: Environment) -> Result<Arc<dyn Store>, StoreError> {
    open(url, base, environment, LocalStore::open)
}

/// The same for who only reads: a folder is neither made nor changed.
///
/// # Errors
/// `Absent` when the folder is not there; as `open_store`.
pub fn open_store_to_read(url: &str, base: &Path, environment: Environment) -> Result<Arc<dyn Store>, StoreError> {
    open(url, base, environment, LocalStore::open_to_read)
}

fn open(
    url: &str,
    base: &Path,
    environment: Environment,
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
        Some("s3" | "gs" | "az") => {
            let settings = CLOUD
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), environment.get(name)?)));
            Ok(Arc::new(ObjectStore::cloud(url, settings)?))
        }
        Some(_) => Err(bad(
            "it is neither a folder, `file:///…`, `http://…`, `s3://…`, `gs://…`, `az://…` nor `memory:`",
        )),
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
            ("s3://", "bucket"),
            ("s3://bucket/x?y", "without"),
            ("ftp://example.org/", "neither"),
            ("https://example.org/?x", "a query"),
            ("file://host/x", "without a host"),
            ("file:///a%2fb", "without a host"),
            ("", "empty"),
        ] {
            let said = open_store(url, base, Environment).map(|_| ()).unwrap_err();
            assert!(matches!(said, StoreError::Url { .. }), "{url}: {said}");
            assert!(said.to_string().contains(why), "{url}: {said}");
        }
        assert!(open_store("memory:", base, Environment).is_ok());
    }
}
