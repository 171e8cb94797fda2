//! `assay publish`: project the newest record again.

use std::process::ExitCode;

use super::args::PublishArgs;
use super::context::{Context, named_or_all};
use super::failure::{Each, Failure, Later};
use super::mirror::keep_fresh;
use super::work::PROGRAM;
use crate::domain::ArchiveName;
use crate::host::files;
use crate::publish::{self, Writer, load_vouched};
use crate::site::{ArchiveConfig, ArchiveKind, OwnArchive, OwnKind, Site};
use crate::store::Store;

pub(super) fn run(context: &Context, args: &PublishArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    if let Some(folder) = &args.prepare {
        return super::attach::prepare(context, &site, &store, &args.archives, folder);
    }
    if !args.attach.is_empty() {
        return super::attach::attach(context, &site, &store, &args.attach);
    }
    let archives = named_or_all(&site, &args.archives, |_| true)?;
    let (mut later, mut each) = (Later::default(), Each::of(context, archives.len()));
    for archive in archives {
        let working = context.writing(&store, &archive, "publish");
        let done = working.and_then(|_working| later.of(one(context, args, &site, store.as_ref(), &archive)));
        each.done(&archive, done)?;
    }
    each.end(later.end())
}

fn one(
    context: &Context,
    args: &PublishArgs,
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
) -> Result<(), Failure> {
    let signers = || context.signers(site, archive);
    let url = site.config().public_url.as_str();
    // So that clients can name a suite before anything is in it, and what the site says is so.
    make_declared(context, site, store, archive)?;
    let chain = load_vouched(store, archive, &site.archive_keyring(archive)?)?;
    if chain.is_empty() {
        context.output.note(&format!("{archive} has no snapshot yet"));
        return Ok(());
    }
    let key = signers()?;
    // A mirror is renewed when it follows upstream; our own archives have nothing to follow.
    let config = site.archive(archive)?;
    // In an unproven archive what the newest snapshot remembers is asked for there.
    if config.kind() == ArchiveKind::Custom {
        let back = publish::put_back(store, archive, chain.latest())?;
        let output = &context.output;
        output.put_back(archive, back, "ledger, as the newest snapshot remembers it");
        let gate = &site.config().gate;
        // A round is signed anew, where that can be done.
        let here = files::exists(&site.secret_key_path(gate));
        let key = here.then(|| site.ed25519_key(gate)).transpose()?;
        let back = publish::recall_all(store, archive, &site.gate_public()?, key.as_ref())?;
        output.put_back(archive, back, "evidence, as earlier decisions name it");
    }
    if config.kind() != ArchiveKind::Mirror {
        keep_fresh(context, store, &chain, config.valid_days(), &key, url)?;
    }
    let again = match args.all {
        true => publish::publish_all(store, archive, &key, url)?,
        false => 0,
    };
    let mut published = publish::publish(store, archive, &key, url)?;
    published.written += again;
    if published.former_url {
        context.output.note(&format!(
            "{archive}: `Snapshots` in its Release is of the `public-url` of before; `assay snapshot renew {archive}` says the new one"
        ));
    }
    let value = serde_json::json!({
        "archive": archive, "serial": published.name.as_str(), "id": published.id, "written": published.written,
    });
    let text = format!(
        "{archive} {} {} {} objects written",
        published.name, published.id, published.written
    );
    context.output.record(&value, &text)
}

/// Gives the suites of an archive of ours the shape that the site declares.
fn make_declared(context: &Context, site: &Site, store: &dyn Store, archive: &ArchiveName) -> Result<(), Failure> {
    let signers = || context.signers(site, archive);
    match site.archive(archive)? {
        ArchiveConfig::Mirror(_) => {}
        ArchiveConfig::Custom(custom) => {
            let key = signers()?;
            publish::make_declared(&writer(context, site, store, (archive, custom), &key)?, context.now())?;
        }
        ArchiveConfig::Unproven(unproven) => {
            let key = signers()?;
            publish::make_declared(&writer(context, site, store, (archive, unproven), &key)?, context.now())?;
        }
    }
    Ok(())
}

/// Who makes the next snapshot of an archive of ours.
pub(super) fn writer<'a, K: OwnKind>(
    context: &Context,
    site: &'a Site,
    store: &'a dyn Store,
    (archive, config): (&'a ArchiveName, &'a OwnArchive<K>),
    signer: &'a publish::Signers,
) -> Result<Writer<'a, K>, Failure> {
    Ok(Writer {
        store,
        archive,
        config,
        public_url: site.config().public_url.as_str(),
        signer,
        gate: site.gate_public()?,
        program: PROGRAM,
        clock: context.clock,
    })
}
