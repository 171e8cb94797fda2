//! `[moved-git]` of `assay.toml`: where Git repositories are now.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Git repositories that moved: by how their address begins, what stands in that place now.
///
/// Where a source is fetched from is no part of what it is: each object is known by its id, the signers by their keys, and all that is
/// derived is compared with what was declared. So declarations, and all that was rebuilt and decided under them, stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MovedGit(BTreeMap<String, String>);

impl MovedGit {
    /// Where a repository is that was declared at `url`: the longest beginning that is named decides, once.
    #[must_use]
    pub fn now(&self, url: &str) -> String {
        let rest = |from: &str| {
            let rest = url.strip_prefix(from)?;
            (rest.is_empty() || from.ends_with('/') || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let found = self
            .0
            .iter()
            .filter_map(|(from, to)| Some((from.len(), to, rest(from)?)));
        match found.max_by_key(|(length, ..)| *length) {
            Some((_, to, rest)) => format!("{to}{rest}"),
            None => url.to_owned(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for MovedGit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moved = BTreeMap::<String, String>::deserialize(deserializer)?;
        let wrong = |(from, to): &(&String, &String)| {
            from.is_empty() || to.is_empty() || from.ends_with('/') != to.ends_with('/')
        };
        match moved.iter().find(wrong) {
            Some((from, to)) => Err(D::Error::custom(format!(
                "`{from}` = `{to}`: each is an address or how addresses begin; either both end in `/`, or neither"
            ))),
            None => Ok(Self(moved)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_decides_and_a_name_is_not_cut_in_two() {
        let moved: MovedGit = toml::from_str(
            "\"https://old/\" = \"https://new/\"\n\"https://old/a.git\" = \"/srv/a\"\n\"/srv/a\" = \"/srv/b\"\n",
        )
        .unwrap();
        for (url, now) in [
            ("https://old/x/y.git", "https://new/x/y.git"),
            ("https://old/a.git", "/srv/a"),
            ("https://old/a.gitter", "https://new/a.gitter"),
            ("/srv/a/sub", "/srv/b/sub"),
            ("/srv/abc", "/srv/abc"),
            ("https://older/x", "https://older/x"),
        ] {
            assert_eq!(moved.now(url), now);
        }
        for wrong in ["\"\" = \"/x\"", "\"/x/\" = \"/y\"", "\"/x\" = \"\""] {
            assert!(toml::from_str::<MovedGit>(wrong).is_err(), "{wrong}");
        }
    }
}
