//! Whether the tags that a declaration names are still where they were: one question to the repository, nothing is fetched.

use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::repository::list_tags;
use super::{Declaration, SourceError};
use crate::domain::{GitOid, GitRef};

/// A tag that is not what was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strayed {
    /// The tag.
    pub reference: GitRef,
    /// What it was when it was declared: the tag object, or upstream's commit.
    pub declared: GitOid,
    /// What it is now; none when the repository has no such tag any more.
    pub found: Option<GitOid>,
}

impl fmt::Display for Strayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reference, declared) = (&self.reference, &self.declared);
        match &self.found {
            Some(found) => write!(
                f,
                "the tag `{reference}` was moved: {declared} is declared, the repository has {found}"
            ),
            None => write!(
                f,
                "the tag `{reference}`, declared as {declared}, is gone from its repository"
            ),
        }
    }
}

/// The tags of each declaration that its repository has otherwise now, or has no more: the signed one, and upstream's; or why nobody
/// can say. Several repositories are asked at a time.
///
/// A signed commit has none: that its branch goes on is no news. Each comes with where its repository is now.
#[must_use]
pub fn strayed_tags(declarations: &[(Declaration, String)], cache: &Path) -> Vec<Result<Vec<Strayed>, SourceError>> {
    declarations
        .par_iter()
        .map(|(declaration, url)| look(declaration, url, cache))
        .collect()
}

fn look(declaration: &Declaration, url: &str, cache: &Path) -> Result<Vec<Strayed>, SourceError> {
    let signed = declaration
        .git_tag
        .iter()
        .map(|tag| (&declaration.reference, tag, false));
    let upstream = declaration.upstream.iter();
    let upstream = upstream.map(|upstream| (&upstream.tag_ref, &upstream.git_commit, true));
    let named: Vec<(&GitRef, &GitOid, bool)> = signed.chain(upstream).collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let refs: Vec<&GitRef> = named.iter().map(|(reference, ..)| *reference).collect();
    let there = list_tags(url, &refs, cache)?;
    let strayed = named.into_iter().filter_map(|(reference, declared, peeled)| {
        // An annotated tag comes twice, the second time with the commit that it means.
        let meant = peeled.then(|| there.get(&format!("{reference}^{{}}"))).flatten();
        let found = meant.or_else(|| there.get(reference.as_str()));
        (found != Some(declared)).then(|| Strayed {
            reference: reference.clone(),
            declared: declared.clone(),
            found: found.cloned(),
        })
    });
    Ok(strayed.collect())
}
