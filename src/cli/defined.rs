//! What has to be in commits before `assay prepare` builds from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use super::context::Context;
use super::failure::Failure;
use crate::domain::GitOid;
use crate::host::files;
use crate::prepare::{PrepareError, says_what_is_in, undefined};
use crate::site::Site;
use crate::source::checkout::uncommitted;

/// What defines the image: what the site declares and allows, and what the checkout says of snapshots.
#[derive(PartialEq, Eq)]
pub(super) struct Defined {
    /// Whether the site is in a repository that has it.
    is_site_kept: bool,
    /// Files that are not as the commits have them.
    undefined: Vec<(String, &'static str)>,
    /// What the commits have: of the checkout, and of the site.
    committed: [BTreeMap<String, GitOid>; 2],
}

impl Defined {
    /// With the locks that are not committed yet: `prepare` itself writes such.
    pub(super) fn read(site: &Site, checkout: &Path, serial_files: &Path) -> Result<(Self, Vec<String>), Failure> {
        let serial_files = serial_files.to_string_lossy();
        let of_checkout = [
            &*serial_files,
            "config/base_branch",
            "config/APT_overlays.d",
            "debian/changelog",
        ];
        let keyrings = keyrings(site);
        let mut of_site = vec!["assay.toml", "repos", "policies"];
        of_site.extend(keyrings.iter().map(String::as_str));
        let (cache, folder) = (site.cache().join("work"), files::absolute(checkout)?);
        let checkout = uncommitted(&folder, &of_checkout, says_what_is_in, &cache)?.unwrap_or_default();
        let own = uncommitted(site.root(), &of_site, says_what_is_in, &cache)?;
        let is_within = || files::absolute(site.root()).is_ok_and(|root| root.starts_with(&folder));
        let own = own.filter(|own| own.is_kept || is_within());
        let is_site_kept = own.is_some();
        let own = own.unwrap_or_default();
        let (undefined, locks) = undefined([checkout.files, own.files].concat());
        let defined = Self {
            is_site_kept,
            undefined,
            committed: [checkout.committed, own.committed],
        };
        Ok((defined, locks))
    }

    /// That commits define all of it.
    pub(super) fn check(&self, context: &Context, site: &Site, allow_dirty: bool) -> Result<(), Failure> {
        if !self.is_site_kept {
            context.output.note(&format!(
                "the site `{}` is in no Git repository: no commit says what it declares and allows",
                site.root().display()
            ));
        }
        if self.undefined.is_empty() {
            return Ok(());
        }
        let error = PrepareError::Uncommitted {
            files: self.undefined.clone(),
        };
        if allow_dirty {
            context
                .output
                .note(&format!("WARNING: {error}; nobody can repeat this build"));
            return Ok(());
        }
        Err(error.into())
    }
}

/// The mirrors' keyrings that lie in the site beside its folders, relative to it.
fn keyrings(site: &Site) -> BTreeSet<String> {
    let mirrors = site.mirrors();
    let mirrors = mirrors.iter().filter_map(|name| site.mirror(name).ok());
    let keyrings = mirrors.filter_map(|mirror| {
        let keyring = site.keyring(mirror);
        let inside = keyring.strip_prefix(site.root()).ok()?;
        let is_plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let is_beside = is_plain && !inside.starts_with("repos") && !inside.starts_with("policies");
        is_beside.then(|| inside.to_string_lossy().into_owned())
    });
    keyrings.collect()
}
