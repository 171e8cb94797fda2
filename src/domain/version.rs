//! Debian package versions, ordered as dpkg orders them.

use std::cmp::Ordering;

use super::name::text_type;

text_type!(
    /// A version (Debian Policy §5.6.12). Equality is equality of the text; `dpkg_cmp` is dpkg's order.
    Version, "version", version
);

impl Version {
    /// How dpkg orders the two. `Equal` does not mean that the texts are the same (`1.0` and `1.00`).
    #[must_use]
    pub fn dpkg_cmp(&self, other: &Self) -> Ordering {
        match (
            self.as_str().parse::<debversion::Version>(),
            other.as_str().parse::<debversion::Version>(),
        ) {
            (Ok(mine), Ok(theirs)) => mine.cmp(&theirs),
            // Not reachable: the constructor parsed both. Text order keeps this total all the same.
            _ => self.as_str().cmp(other.as_str()),
        }
    }

    /// The version without its epoch: what file names carry, and what Policy §3.2.2 forbids to reuse.
    #[must_use]
    pub fn without_epoch(&self) -> &str {
        self.as_str().split_once(':').map_or(self.as_str(), |(_, rest)| rest)
    }

    /// The part before the last `-`, without the epoch.
    #[must_use]
    pub fn upstream(&self) -> &str {
        let rest = self.without_epoch();
        rest.rsplit_once('-').map_or(rest, |(upstream, _)| upstream)
    }

    /// The part after the last `-`; absent in a native version.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.without_epoch().rsplit_once('-').map(|(_, revision)| revision)
    }
}

fn version(text: &str) -> Result<(), &'static str> {
    if text.len() > 200 {
        return Err("it is longer than 200 bytes");
    }
    let (epoch, rest) = text
        .split_once(':')
        .map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
    if let Some(epoch) = epoch
        && (epoch.is_empty() || epoch.len() > 9 || !epoch.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err("its epoch is not a small number");
    }
    let (upstream, revision) = rest
        .rsplit_once('-')
        .map_or((rest, None), |(upstream, revision)| (upstream, Some(revision)));
    if !upstream.bytes().next().is_some_and(|b| b.is_ascii_digit()) {
        return Err("it does not start with a digit");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~');
    if !upstream.bytes().all(|b| allowed(b) || b == b'-' || b == b':') {
        return Err("it has a character outside `A-Za-z0-9.+~-`");
    }
    // A colon in the upstream part is legal in Policy's grammar and used nowhere; file names could not carry it.
    if upstream.contains(':') {
        return Err("it has a second colon");
    }
    match revision {
        Some(revision) if revision.is_empty() || !revision.bytes().all(allowed) => Err("its revision is malformed"),
        _ => text
            .parse::<debversion::Version>()
            .map(|_| ())
            .map_err(|_| "dpkg would refuse it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_dpkgs() -> Result<(), crate::domain::DomainError> {
        for (smaller, larger) in [
            ("1.0~", "1.0a"),
            ("1.0~a", "1.0+b1"),
            ("1.0", "1:0.1"),
            ("2.10-3", "2.10-3+b1"),
            ("1.0~rc1", "1.0"),
        ] {
            assert_eq!(
                Version::new(smaller)?.dpkg_cmp(&Version::new(larger)?),
                Ordering::Less,
                "{smaller} {larger}"
            );
        }
        Ok(())
    }

    #[test]
    fn parts() -> Result<(), crate::domain::DomainError> {
        let version = Version::new("3:6.03+dfsg-14.1")?;
        assert_eq!(version.without_epoch(), "6.03+dfsg-14.1");
        assert_eq!(version.upstream(), "6.03+dfsg");
        assert_eq!(version.revision(), Some("14.1"));
        for bad in ["", "a1", "1-", "1_0", "x:1", "1:2:3", "1 0", "1/0"] {
            assert!(Version::new(bad).is_err(), "{bad:?}");
        }
        Ok(())
    }
}
