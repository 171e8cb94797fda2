//! Debian package versions, ordered as dpkg orders them.

use std::cmp::Ordering;

use super::name::text_type;

text_type!(
    /// A version (Debian Policy §5.6.12). Equality is equality of the text; `dpkg_cmp` is dpkg's order.
    Version, "version", version
);

impl Version {
    /// How dpkg orders the two (deb-version(7)). `Equal` does not mean that the texts are the same
    /// (`1.0` and `1.00`). Ours, since `debversion` 0.5 forgets what follows zeros: to it `9+` is
    /// earlier than `9+0~1`.
    #[must_use]
    pub fn dpkg_cmp(&self, other: &Self) -> Ordering {
        let revision = |version: &Self| version.revision().unwrap_or_default().to_owned();
        self.epoch()
            .cmp(&other.epoch())
            .then_with(|| part_cmp(self.upstream(), other.upstream()))
            .then_with(|| part_cmp(&revision(self), &revision(other)))
    }

    /// The number before the first colon; 0 when there is none.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        let epoch = self.as_str().split_once(':').map(|(epoch, _)| epoch);
        epoch.and_then(|digits| digits.parse().ok()).unwrap_or_default()
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

/// Upstream versions and revisions: by turns what is not a number, character by character, and numbers.
fn part_cmp(mine: &str, theirs: &str) -> Ordering {
    let (mut mine, mut theirs) = (mine, theirs);
    while !mine.is_empty() || !theirs.is_empty() {
        let (my_text, my_rest) = split_where(mine, |b| b.is_ascii_digit());
        let (their_text, their_rest) = split_where(theirs, |b| b.is_ascii_digit());
        let (my_number, my_rest) = split_where(my_rest, |b| !b.is_ascii_digit());
        let (their_number, their_rest) = split_where(their_rest, |b| !b.is_ascii_digit());
        let order = text_cmp(my_text, their_text).then_with(|| number_cmp(my_number, their_number));
        if order.is_ne() {
            return order;
        }
        (mine, theirs) = (my_rest, their_rest);
    }
    Ordering::Equal
}

fn split_where(text: &str, stop: fn(u8) -> bool) -> (&str, &str) {
    let at = text.bytes().position(stop).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// `~` is before the end, the end before letters, letters before all else.
fn text_cmp(mine: &str, theirs: &str) -> Ordering {
    let rank = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(b),
        Some(b) => 256 + i32::from(b),
    };
    let (mut mine, mut theirs) = (mine.bytes(), theirs.bytes());
    loop {
        let (my_byte, their_byte) = (mine.next(), theirs.next());
        let order = rank(my_byte).cmp(&rank(their_byte));
        if order.is_ne() || (my_byte.is_none() && their_byte.is_none()) {
            return order;
        }
    }
}

/// Numbers of any length; none is zero.
fn number_cmp(mine: &str, theirs: &str) -> Ordering {
    let (mine, theirs) = (mine.trim_start_matches('0'), theirs.trim_start_matches('0'));
    mine.len().cmp(&theirs.len()).then_with(|| mine.cmp(theirs))
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
        _ => Ok(()),
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
            ("9+00~~9", "9+"),
            ("1.99999999999999999999", "1.100000000000000000000"),
            ("1.0", "1.0-1"),
        ] {
            assert_eq!(
                Version::new(smaller)?.dpkg_cmp(&Version::new(larger)?),
                Ordering::Less,
                "{smaller} {larger}"
            );
        }
        for (one, same) in [("1.0", "1.00"), ("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1a", "1a0")] {
            assert_eq!(
                Version::new(one)?.dpkg_cmp(&Version::new(same)?),
                Ordering::Equal,
                "{one} {same}"
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
