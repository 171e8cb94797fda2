//! The decision: which suites and snapshots a checkout is built from. A function of its input.

use std::collections::BTreeMap;

use super::{Checkout, Frozen};
use crate::domain::{ArchiveName, SuiteName, TagName, escape, suite_of_branch};
use crate::site::{BaseBranch, BranchPolicy, Released, SerialKind};
use crate::source::SourceError;

/// What a checkout is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Suites of the custom archive: the base first, then the overlays.
    pub custom: Vec<SuiteName>,
    /// Whether it is a released version, whose packages are in a suite of its own.
    pub released: bool,
    /// Each archive that has a serial file.
    pub archives: BTreeMap<ArchiveName, Origin>,
}

/// Where an archive's packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A time-based snapshot.
    TimeBased(Frozen),
    /// The tagged snapshot.
    Tagged(TagName),
}

impl Checkout {
    /// What the policy lets this checkout be built from.
    ///
    /// # Errors
    /// `Checkout`, with the rule that does not hold and what mends it.
    pub fn resolve(&self, policy: &BranchPolicy) -> Result<Resolved, SourceError> {
        let base = self.base(policy)?;
        let released = base.released == Released::Tagged && self.was_released(&self.version);
        if base.previous_released && !released {
            self.check_previous()?;
        }
        for (archive, serial) in &self.serials {
            self.check_serial(base, archive, serial)?;
        }
        let custom = if released {
            self.released_suites()?
        } else {
            self.branch_suites()?
        };
        let tag = (released && self.on_a_tag).then(|| self.tag()).transpose()?;
        let origin = |serial: &Frozen| match &tag {
            Some(tag) => Origin::Tagged(tag.clone()),
            None => Origin::TimeBased(serial.clone()),
        };
        let archives = self
            .serials
            .iter()
            .map(|(archive, serial)| (archive.clone(), origin(serial)));
        Ok(Resolved {
            custom,
            released,
            archives: archives.collect(),
        })
    }

    fn base<'a>(&self, policy: &'a BranchPolicy) -> Result<&'a BaseBranch, SourceError> {
        let name = &self.base_branch;
        if let Some(branch) = &self.branch
            && policy.base(branch).is_some()
            && branch != name
        {
            let why = format!(
                "HEAD is on the base branch `{}`, and config/base_branch says `{}`",
                escape(branch),
                escape(name)
            );
            let fix = format!(
                "write `{}` into config/base_branch, as a merge may have changed it",
                escape(branch)
            );
            return Err(SourceError::checkout("base-branch", &why, &fix));
        }
        policy.base(name).ok_or_else(|| {
            let known: Vec<&str> = policy.branches.iter().map(|branch| branch.name.as_str()).collect();
            let why = format!(
                "`{}` is not a base branch; there are {}",
                escape(name),
                known.join(", ")
            );
            let fix = "correct config/base_branch, or add the branch to policies/branches.toml of the site";
            SourceError::checkout("base-branch", &why, fix)
        })
    }

    fn check_previous(&self) -> Result<(), SourceError> {
        if self.was_released(&self.version) || self.previous.as_ref().is_some_and(|v| self.was_released(v)) {
            return Ok(());
        }
        let why = format!(
            "neither of the last two versions in debian/changelog was released: {} has no tag{}",
            self.version,
            self.previous
                .as_ref()
                .map_or_else(String::new, |v| format!(", nor has {v}"))
        );
        let fix = "fetch the tags (`git fetch --tags`), or correct debian/changelog";
        Err(SourceError::checkout("previous-released", &why, fix))
    }

    fn check_serial(&self, base: &BaseBranch, archive: &ArchiveName, serial: &Frozen) -> Result<(), SourceError> {
        let folder = self.folder.display();
        match (base.serial_of(archive), serial) {
            (SerialKind::Numeric, Frozen::Latest) => {
                let why = format!(
                    "the serial of `{archive}` is `latest`, and has to be frozen on `{}`",
                    base.name
                );
                let fix = format!("freeze it: `assay freeze {folder} --archive {archive}`");
                Err(SourceError::checkout("frozen", &why, &fix))
            }
            (SerialKind::Latest, Frozen::At(serial)) => {
                let why = format!(
                    "the serial of `{archive}` is {serial}, and has to be `latest` on `{}`",
                    base.name
                );
                let fix = format!("thaw it: `assay thaw {folder} --archive {archive}`");
                Err(SourceError::checkout("not-frozen", &why, &fix))
            }
            _ => Ok(()),
        }
    }

    fn released_suites(&self) -> Result<Vec<SuiteName>, SourceError> {
        if let Some(overlay) = self.overlays.first() {
            let why = format!(
                "version {} was released, and config/APT_overlays.d has `{}`",
                self.version,
                escape(overlay)
            );
            let fix = "merge the overlays into the branch's suite and empty the folder, or start a new version";
            return Err(SourceError::checkout("released-without-overlays", &why, fix));
        }
        Ok(vec![suite(&suite_of_branch(self.version.as_str()))?])
    }

    fn branch_suites(&self) -> Result<Vec<SuiteName>, SourceError> {
        let mut suites = vec![suite(&suite_of_branch(&self.base_branch))?];
        for overlay in &self.overlays {
            let own = suite_of_branch(overlay);
            if own != *overlay {
                let why = format!(
                    "`{}` is not a suite's name: that branch has the suite `{}`",
                    escape(overlay),
                    escape(&own)
                );
                let fix = format!("rename the file to `{}`", escape(&own));
                return Err(SourceError::checkout("overlays", &why, &fix));
            }
            let overlay = suite(overlay)?;
            if !suites.contains(&overlay) {
                suites.push(overlay);
            }
        }
        Ok(suites)
    }

    fn tag(&self) -> Result<TagName, SourceError> {
        TagName::new(suite_of_branch(self.version.as_str())).map_err(|source| SourceError::Name {
            what: "the last version in debian/changelog".to_owned(),
            source,
        })
    }
}

fn suite(name: &str) -> Result<SuiteName, SourceError> {
    SuiteName::new(name).map_err(|source| SourceError::Name {
        what: "the suite of a branch".to_owned(),
        source,
    })
}
