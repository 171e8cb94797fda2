//! `assay snapshot keep` and `drop`; and what every verb says about which editions are kept.

use serde::Serialize;

use super::args::Until;
use super::context::{Context, nonce};
use super::failure::{Failure, UsageError};
use super::mirror::made;
use crate::collect::{self, Pinned, load_marks};
use crate::domain::{ArchiveName, Serial, SnapshotName, SnapshotRef, Timestamp};
use crate::publish::load_vouched;
use crate::site::{Keep, Site};
use crate::snapshot::{
    Chain, Edition, EditionName, Marks, Pins, Reading, Renewal, Retention, Says, TagRecord, Verdict,
};
use crate::store::Store;

/// What decides which editions of an archive are kept.
pub(super) struct Keeping {
    keep: Option<Keep>,
    pins: Pins,
    pub(super) marks: Marks,
    reading: Reading,
    newest: u64,
    now: Timestamp,
}

impl Keeping {
    /// For verbs that only show it: what cannot be read of what pins snapshots is said.
    pub(super) fn to_show(context: &Context, site: &Site, store: &dyn Store, chain: &Chain) -> Result<Self, Failure> {
        let pinned = pinned_or_note(context, site, store, chain.archive());
        Self::of(context, site, store, chain, &pinned)
    }

    pub(super) fn of(
        context: &Context,
        site: &Site,
        store: &dyn Store,
        chain: &Chain,
        pinned: &Pinned,
    ) -> Result<Self, Failure> {
        let config = site.archive(chain.archive())?;
        let keyring = site.archive_keyring(chain.archive())?;
        Ok(Self {
            keep: config.keep(),
            pins: pinned.of(chain.archive()),
            reading: collect::reading(store, chain, context.now())?,
            marks: load_marks(store, chain, &keyring)?,
            newest: chain.len(),
            now: context.now(),
        })
    }

    /// Who needs a snapshot, whatever else keeps it.
    pub(super) fn needed_by(&self, serial: &Serial) -> Vec<&str> {
        self.pins
            .get(serial)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    pub(super) fn retention(&self) -> Retention<'_> {
        Retention {
            keep: self.keep,
            pins: &self.pins,
            marks: &self.marks,
            reading: &self.reading,
            newest: self.newest,
            now: self.now,
        }
    }

    /// The snapshots that are there, and that clients refuse by now since they expired; each with what becomes of it,
    /// oldest first. The newest is not among them: that is for who makes the next one.
    pub(super) fn expired(&self, store: &dyn Store, chain: &Chain) -> Result<Vec<(Edition, Verdict)>, Failure> {
        let mut expired = Vec::new();
        for record in chain.records(store) {
            let record = record?;
            let verdict = self.retention().snapshot(record.n, &record.id, &record.serial);
            if record.n == chain.len() || matches!(verdict, Verdict::Gone(_)) {
                continue;
            }
            let edition = Edition::of_record(&record, Renewal::newest(store, &record)?.as_ref());
            if edition.valid_until().is_some_and(|until| until <= self.now) {
                expired.push((edition, verdict));
            }
        }
        Ok(expired)
    }

    pub(super) fn verdict(&self, edition: &Edition) -> Verdict {
        match (&edition.name, edition.number) {
            (EditionName::Serial(serial), number) => {
                let n = number.map_or(0, |(n, _)| n);
                self.retention().snapshot(n, &edition.id, serial)
            }
            (EditionName::Tag(tag), _) => self.retention().tag(tag),
        }
    }
}

/// What pins snapshots of an archive; what cannot be read is said.
fn pinned_or_note(context: &Context, site: &Site, store: &dyn Store, archive: &ArchiveName) -> Pinned {
    match collect::pinned(site, store) {
        Ok(pinned) => {
            for file in pinned.unreadable_of(archive) {
                context.output.note(&format!("what it keeps is not shown: {file}"));
            }
            pinned
        }
        Err(error) => {
            context.output.note(&format!("what it keeps is not shown: {error}"));
            Pinned::default()
        }
    }
}

#[derive(Serialize)]
struct Marked<'a> {
    archive: &'a ArchiveName,
    name: &'a EditionName,
    marked: &'static str,
    kept: bool,
    why: String,
}

pub(super) fn keep(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    references: &[SnapshotRef],
    until: Option<Until>,
) -> Result<(), Failure> {
    let until = until.map(|until| until.0);
    if until.is_some_and(|until| until <= context.now()) {
        return Err(UsageError::Argument("`--until` is not in the future".to_owned()).into());
    }
    for reference in references {
        let (chain, name) = named(store, reference)?;
        if until.is_some() && matches!(name, EditionName::Tag(_)) {
            let why = format!("`{name}` is a tag, which is kept until it is dropped: leave out `--until`");
            return Err(UsageError::Argument(why).into());
        }
        let says = Says::Keep {
            name: name.clone(),
            until,
        };
        mark(context, site, store, &chain, &name, &says)?;
    }
    Ok(())
}

pub(super) fn drop(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    references: &[SnapshotRef],
) -> Result<(), Failure> {
    for reference in references {
        let (chain, name) = named(store, reference)?;
        let newest = chain
            .latest()
            .is_some_and(|latest| latest.serial.as_str() == name.as_str());
        if newest {
            let why = format!("`{reference}` is the newest snapshot, which is always kept");
            return Err(UsageError::Argument(why).into());
        }
        mark(context, site, store, &chain, &name, &Says::Drop { name: name.clone() })?;
    }
    Ok(())
}

/// The edition that is meant: a tag is one of its own.
fn named(store: &dyn Store, reference: &SnapshotRef) -> Result<(Chain, EditionName), Failure> {
    let chain = Chain::load(store, &reference.archive)?;
    let name = match &reference.name {
        SnapshotName::Tag(tag) => EditionName::Tag(TagRecord::load(store, &reference.archive, tag)?.tag),
        name => EditionName::Serial(chain.resolve(store, name)?.serial),
    };
    Ok((chain, name))
}

fn mark(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    chain: &Chain,
    name: &EditionName,
    says: &Says,
) -> Result<(), Failure> {
    let archive = chain.archive();
    load_vouched(store, archive, &site.archive_keyring(archive)?)?;
    let (reason, marked) = match says {
        Says::Keep { .. } => ("kept", "keep"),
        _ => ("dropped", "drop"),
    };
    let (key, nonce) = (context.signers(site, archive)?, nonce());
    collect::mark(store, archive, name, says, made(context, None, reason, &nonce), &key)?;
    let keeping = Keeping::to_show(context, site, store, chain)?;
    let reference = match name {
        EditionName::Serial(serial) => SnapshotName::Serial(serial.clone()),
        EditionName::Tag(tag) => SnapshotName::Tag(tag.clone()),
    };
    let verdict = keeping.verdict(&chain.edition(store, &reference)?);
    let shown = Marked {
        archive,
        name,
        marked,
        kept: verdict.is_kept(),
        why: verdict.why(),
    };
    let outcome = if shown.kept {
        "stays"
    } else {
        "goes with the next `assay gc`"
    };
    let text = format!("{archive} {name} {outcome}: {}", shown.why);
    context.output.record(&shown, &text)
}
