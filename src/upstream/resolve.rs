//! Which addresses may be connected to (threats F9): a redirect must not lead inside.
//!
//! The host that the site declares may be anywhere, on a private network too: its owner says so, and so
//! may an address that it allows redirects to. Any other host must be on the public Internet.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A resolver that leaves out private addresses of all hosts but the declared one. It is the
/// connection's own, so that no second look-up can give another answer.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) declared: String,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let declared = name.as_str() == self.declared;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> = found.filter(|a| declared || !is_private(a.ip())).collect();
            if usable.is_empty() {
                return Err(format!("`{}` has no address, or only private ones", name.as_str()).into());
            }
            let addresses: Addrs = Box::new(usable.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether the URL's host is a private address, or a name that always means this machine.
pub(super) fn is_private_host(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().is_ok_and(is_private)
}

/// Addresses that are not on the public Internet (RFC 6890).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4() {
                return is_private(IpAddr::V4(v4));
            }
            v6.is_multicast() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "192.168.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
            "::",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["151.101.2.132", "2a04:4e42::644"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
        assert!(is_private_host(&"http://[::1]:80/".parse().unwrap()));
        assert!(is_private_host(&"http://127.1/".parse().unwrap()));
        assert!(!is_private_host(&"http://a.example/".parse().unwrap()));
    }
}
