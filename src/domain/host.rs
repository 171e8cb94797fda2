//! Hosts that an upstream may send us to.

use super::name::text_type;

text_type!(
    /// A host, with a port when it is not the scheme's own: `cdn.example.org`, `10.0.0.1:8080`, `[fd00::1]`.
    HostName, "host", host_name
);

impl HostName {
    /// Whether a URL with this host and, when it is not the scheme's own, this port is on the host.
    #[must_use]
    pub fn is(&self, host: &str, port: Option<u16>) -> bool {
        let (own_host, own_port) = split(&self.0);
        own_host == host && own_port.and_then(|port| port.parse().ok()) == port
    }

    /// Whether it is this host, on whichever port.
    #[must_use]
    pub fn is_host(&self, host: &str) -> bool {
        split(&self.0).0 == host
    }
}

/// The port, when there is one: the colons of an IPv6 address stand in brackets.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn host_name(text: &str) -> Result<(), &'static str> {
    let (host, port) = split(text);
    if port.is_some_and(|port| port.starts_with(['0', '+']) || port.parse::<u16>().is_err()) {
        return Err("what stands behind the colon is no port");
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let allowed = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f' | b':');
        return if inner.contains(':') && inner.bytes().all(allowed) {
            Ok(())
        } else {
            Err("what stands in the brackets is no IPv6 address in lower case")
        };
    }
    if host.is_empty() || host.len() > 253 {
        return Err("it is empty or too long");
    }
    let is_part = |part: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        !part.is_empty() && !part.starts_with('-') && part.bytes().all(allowed)
    };
    if host.split('.').all(is_part) {
        Ok(())
    } else {
        Err("only a host in lower case, with a port when it needs one: no scheme, no path, no user")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_no_url() {
        for good in [
            "cdn.example.org",
            "10.0.0.1:8080",
            "[fd00::1]",
            "[fd00::1]:81",
            "localhost:3",
        ] {
            assert!(HostName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://a",
            "a/b",
            "a:0",
            "a:",
            "a:+1",
            "a:70000",
            "u@a",
            "A.example",
            "a..b",
            "-a",
            "[::ffff]:x",
            "[FD00::1]",
            "fd00::1:2:3",
            "a b",
            "*.example",
        ] {
            assert!(HostName::new(bad).is_err(), "{bad:?}");
        }
        let host = HostName::new("a.example:81").unwrap();
        assert!(host.is("a.example", Some(81)) && !host.is("a.example", None));
        let host = HostName::new("[fd00::1]").unwrap();
        assert!(host.is("[fd00::1]", None) && !host.is("[fd00::1]", Some(81)));
    }
}
