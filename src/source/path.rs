//! Paths in trees: rule S6. Pure.
//!
//! A source is unpacked by other programs on other file systems. What two of them could take for
//! the same name, or for a name outside, is refused here.

use std::collections::HashMap;

use super::SourceError;

const LONGEST: usize = 1000;

/// The path of `name` in `folder` (empty: the top), when it is a plain name.
pub(super) fn below(folder: &str, name: &[u8]) -> Result<String, SourceError> {
    let shown = || format!("{folder}/{}", String::from_utf8_lossy(name));
    let refused = |why: &str| SourceError::rule("S6", shown(), why);
    let name_text = std::str::from_utf8(name).map_err(|_| refused("the name is not UTF-8"))?;
    if let Some(why) = bad_name(name_text) {
        return Err(refused(why));
    }
    let path = if folder.is_empty() {
        name_text.to_owned()
    } else {
        format!("{folder}/{name_text}")
    };
    if path.len() > LONGEST {
        return Err(refused("the path is longer than 1000 bytes"));
    }
    Ok(path)
}

fn bad_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Some("the name is empty, `.` or `..`");
    }
    if name.contains('/') {
        return Some("the name has a slash");
    }
    if name.chars().any(char::is_control) {
        return Some("the name has a control character");
    }
    if name.chars().any(is_ignorable) {
        return Some("the name has a character that is not seen, or that file systems drop");
    }
    if name.chars().any(is_combining) {
        return Some("the name has a combining character, which file systems join with the one before");
    }
    // As Git protects itself on HFS+ and NTFS, on every system.
    let plain = name.split(':').next().unwrap_or_default();
    let plain = plain.trim_end_matches([' ', '.']).to_ascii_lowercase();
    if plain == ".git" || plain == "git~1" {
        return Some("the name means Git's own folder");
    }
    None
}

/// Default-ignorable characters, and those that change the direction of text.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Without these, no two names are the same after Unicode's canonical composition but by the few
/// characters that compose from letters, such as Hangul's.
fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1100}'..='\u{11ff}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{3099}'..='\u{309a}' | '\u{fe20}'..='\u{fe2f}')
}

/// Refuses two paths that a file system without case would take for one, whole or in a folder's name.
pub(super) fn refuse_twins<'a>(paths: impl Iterator<Item = &'a String>) -> Result<(), SourceError> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for path in paths {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for part in ends.filter_map(|end| path.get(..end)) {
            let folded = part.chars().flat_map(char::to_lowercase).collect();
            match seen.insert(folded, part) {
                Some(twin) if twin != part => {
                    let why = format!("it differs from `{}` only by case", crate::domain::escape(twin));
                    return Err(SourceError::rule("S6", part, why));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Refuses a link whose target is absolute or climbs out of the tree, and one where Debian's tools
/// read a control file: they would follow it.
pub(super) fn refuse_link_outside(path: &str, target: &[u8]) -> Result<(), SourceError> {
    let refused = |why: &str| SourceError::rule("S6", path, why);
    let control = [
        "debian",
        "debian/changelog",
        "debian/control",
        "debian/copyright",
        "debian/patches",
        "debian/rules",
        "debian/source",
        "debian/tests",
        "debian/tests/control",
    ];
    if control.contains(&path) || path.starts_with("debian/source/") || path.starts_with("debian/patches/") {
        return Err(refused("a control file is a symbolic link"));
    }
    let target = std::str::from_utf8(target).map_err(|_| refused("the link's target is not UTF-8"))?;
    if target.is_empty() || target.starts_with('/') || target.chars().any(char::is_control) {
        return Err(refused(
            "the link's target is empty, absolute, or has a control character",
        ));
    }
    let mut depth = path.matches('/').count();
    for part in target.split('/') {
        match part {
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return Err(refused("the link points outside the source")),
            },
            "" | "." => {}
            _ => depth += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        for good in [
            "a",
            ".gitattributes",
            ".github",
            "ä",
            "a b",
            "x~",
            "a\\b",
            "日本",
            "git",
        ] {
            assert!(below("f", good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            &b""[..],
            b".",
            b"..",
            b"a/b",
            b".git",
            b".GIT",
            b".Git ",
            b".git.",
            b".git::$INDEX_ALLOCATION",
            b"GIT~1",
            ".g\u{200c}it".as_bytes(),
            "a\u{301}".as_bytes(),
            "a\u{202e}b".as_bytes(),
            b"a\nb",
            b"a\x1b[31m",
            b"\xff",
        ] {
            let error = below("f", bad).unwrap_err();
            assert_eq!(error.broken_rule(), Some("S6"), "{bad:?}");
        }
    }

    #[test]
    fn twins_are_refused() {
        let twins = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|&p| p.to_owned()).collect();
            refuse_twins(paths.iter()).is_err()
        };
        assert!(!twins(&["a/b", "a/c", "b/a"]));
        assert!(twins(&["a/B", "a/b"]));
        assert!(twins(&["A/b", "a/c"]));
        assert!(twins(&["Ä", "ä"]));
        assert!(twins(&["a", "A/b"]));
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in [("a/b", "c"), ("a/b", "../c"), ("b", "c/../d"), ("debian/x", "y")] {
            assert!(refuse_link_outside(path, target.as_bytes()).is_ok(), "{path} {target}");
        }
        for (path, target) in [
            ("a", "../b"),
            ("a/b", "../../c"),
            ("a", "/etc/passwd"),
            ("a", ""),
            ("a", "b/../../c/../d"),
            ("debian", "x"),
            ("debian/control", "x"),
            ("debian/patches/a", "b"),
        ] {
            assert!(refuse_link_outside(path, target.as_bytes()).is_err(), "{path} {target}");
        }
    }
}
