//! `assay tag`: a name for a state of every archive named, kept until it is let go.

use std::process::ExitCode;

use serde::Serialize;

use super::args::TagArgs;
use super::context::{Context, nonce};
use super::failure::{Failure, UsageError};
use super::mirror::made;
use super::sources::references;
use crate::domain::{ArchiveName, SnapshotRef};
use crate::publish::{self, Tagging, load_vouched};
use crate::site::Site;
use crate::store::Store;

#[derive(Serialize)]
struct Tagged<'a> {
    tag: &'a str,
    archive: &'a ArchiveName,
    serial: &'a str,
    partial: bool,
    state: &'static str,
}

pub(super) fn run(context: &Context, args: &TagArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    if site
        .archives()
        .keys()
        .any(|archive| archive.as_str() == args.tag.as_str())
    {
        let why = format!(
            "`{}` is an archive of this site: URLs could not tell the two apart",
            args.tag
        );
        return Err(UsageError::Argument(why).into());
    }
    for reference in references(context, &site, store.as_ref(), &args.snapshots)? {
        whole(context, &site, store.as_ref(), args, &reference)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tags the whole of one snapshot.
fn whole(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    args: &TagArgs,
    reference: &SnapshotRef,
) -> Result<(), Failure> {
    let signing_key = site.archive(&reference.archive)?.signing_key();
    let chain = load_vouched(store, &reference.archive, &site.archive_keyring(signing_key)?)?;
    let record = chain.resolve(store, &reference.name)?;
    let tagging = Tagging {
        tag: &args.tag,
        of: &record,
        suites: record.suites.clone(),
        partial: false,
    };
    let nonce = nonce();
    let made = made(context, None, "tagged", &nonce);
    let key = site.archive_key(signing_key)?;
    let (_, new) = publish::tag(store, tagging, made, &key, &site.config().public_url)?;
    let tagged = Tagged {
        tag: args.tag.as_str(),
        archive: &record.archive,
        serial: record.serial.as_str(),
        partial: false,
        state: if new { "new" } else { "unchanged" },
    };
    let text = format!("{} {} {} {}", tagged.archive, args.tag, tagged.serial, tagged.state);
    context.output.record(&tagged, &text)
}
