//! Which URLs are used at all (threats F9). Pure.

use reqwest::Url;

use super::UpstreamError;
use super::resolve::is_private_host;
use crate::domain::{HostName, escape};

/// Checks the address of an upstream, and ends it with a slash.
pub(super) fn base_url(text: &str) -> Result<Url, UpstreamError> {
    // The parser would drop tabs and line ends without a word.
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad_url(
            text,
            "it has blanks, control characters or bytes outside ASCII",
        ));
    }
    let mut url = Url::parse(text).map_err(|source| bad_url(text, source))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad_url(text, "it is not http:// or https:// with a host"));
    }
    if url.query().is_some() || url.fragment().is_some() || has_user(&url) {
        return Err(bad_url(text, "it has a user name, a query or a fragment"));
    }
    if !url.path().ends_with('/') {
        let folder = format!("{}/", url.path());
        url.set_path(&folder);
    }
    Ok(url)
}

/// Whether a redirect may be followed: from one URL of the upstream at `base` to another, or to one
/// of the allowed hosts.
///
/// # Errors
/// Which rule it breaks.
pub(super) fn check_redirect(base: &Url, allowed_hosts: &[HostName], from: &Url, to: &Url) -> Result<(), &'static str> {
    if !matches!(to.scheme(), "http" | "https") {
        return Err("it is neither http:// nor https://");
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err("https may only lead to https");
    }
    if has_user(to) {
        return Err("it has a user name");
    }
    let upgraded = to.scheme() == "https" && to.port().is_none();
    let same_port = to.port_or_known_default() == base.port_or_known_default();
    let same_host = to.host_str() == base.host_str();
    // A private address that is named was meant; a name that leads to one is the resolver's to refuse.
    let named = |host: &str| allowed_hosts.iter().any(|allowed| allowed.is(host, to.port()));
    if (same_host && (same_port || upgraded)) || to.host_str().is_some_and(named) {
        Ok(())
    } else if same_host {
        Err("it leads to another port of the host")
    } else if to
        .host_str()
        .is_some_and(|host| allowed_hosts.iter().any(|allowed| allowed.is_host(host)))
    {
        Err("it leads to another port than `allowed-hosts` names with the host")
    } else if is_private_host(to) {
        Err("it leads to a private address")
    } else {
        Err("it leads to another host")
    }
}

/// An address that is not used.
pub(super) fn bad_url(url: &str, why: impl ToString) -> UpstreamError {
    UpstreamError::Url {
        url: escape(url),
        why: why.to_string(),
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for bad in [
            "",
            "debian",
            "ftp://h/x",
            "http://h/a b",
            "http://h/a\r\nX: y",
            "http://h/\t",
            "http://u@h/",
            "http://h/?q",
            "http:///",
        ] {
            assert!(base_url(bad).is_err(), "{bad:?}");
        }
        assert_eq!(base_url("http://h/debian").unwrap().as_str(), "http://h/debian/");
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let base = base_url("http://a.example/debian").unwrap();
        let allowed = ["cdn.example".parse().unwrap(), "10.0.0.1:81".parse().unwrap()];
        let check =
            |from: &str, to: &str| check_redirect(&base, &allowed, &from.parse().unwrap(), &to.parse().unwrap());
        assert_eq!(check("http://a.example/x", "http://a.example/y"), Ok(()));
        assert_eq!(check("http://a.example/x", "https://a.example/y"), Ok(()));
        assert_eq!(check("http://a.example/x", "https://cdn.example/y"), Ok(()));
        assert_eq!(check("http://a.example/x", "http://10.0.0.1:81/y"), Ok(()));
        for (from, to, why) in [
            ("https://a.example/x", "http://a.example/y", "only lead to https"),
            (
                "http://a.example/x",
                "http://a.example:22/y",
                "another port of the host",
            ),
            ("http://a.example/x", "http://b.example/y", "another host"),
            ("http://a.example/x", "http://cdn.example:22/y", "`allowed-hosts`"),
            ("http://a.example/x", "http://10.0.0.1/y", "`allowed-hosts`"),
            ("http://a.example/x", "http://10.0.0.2/y", "private address"),
            ("http://a.example/x", "http://localhost/y", "private address"),
            ("http://a.example/x", "http://u@a.example/y", "user name"),
            ("http://a.example/x", "file:///etc/passwd", "neither http:// nor"),
        ] {
            assert!(check(from, to).is_err_and(|said| said.contains(why)), "{to}");
        }
    }
}
