//! `assay publish`: project the newest record again.

use std::process::ExitCode;

use super::args::PublishArgs;
use super::context::{Context, named_or_all};
use super::failure::Failure;
use super::mirror::keep_fresh;
use super::work::PROGRAM;
use crate::publish::{self, Writer, load_vouched};
use crate::site::ArchiveConfig;

pub(super) fn run(context: &Context, args: &PublishArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    for archive in named_or_all(&site, &args.archives, |_| true)? {
        let _working = context.writing(&store, &archive, "publish")?;
        let signers = || context.signers(&site, &archive);
        if let ArchiveConfig::Custom(custom) = site.archive(&archive)? {
            let key = signers()?;
            let writer = Writer {
                store: store.as_ref(),
                archive: &archive,
                config: custom,
                public_url: site.config().public_url.as_str(),
                signer: &key,
                program: PROGRAM,
                clock: context.clock,
            };
            // So that clients can name a suite before anything is admitted to it, and what the site says is so.
            publish::make_declared(&writer, context.now())?;
        }
        let chain = load_vouched(store.as_ref(), &archive, &site.archive_keyring(&archive)?)?;
        if chain.is_empty() {
            context.output.note(&format!("{archive} has no snapshot yet"));
            continue;
        }
        let key = signers()?;
        // A mirror is renewed when it follows upstream; a custom archive has nothing to follow.
        if let ArchiveConfig::Custom(custom) = site.archive(&archive)? {
            let back = publish::put_back(store.as_ref(), &archive, chain.latest())?;
            if back > 0 {
                let text =
                    format!("{archive}: put back {back} entries of its ledger, as the newest snapshot remembers them");
                context.output.note(&text);
            }
            let url = site.config().public_url.as_str();
            keep_fresh(context, store.as_ref(), &chain, custom.valid_days, &key, url)?;
        }
        let url = site.config().public_url.as_str();
        let again = match args.all {
            true => publish::publish_all(store.as_ref(), &archive, &key, url)?,
            false => 0,
        };
        let mut published = publish::publish(store.as_ref(), &archive, &key, url)?;
        published.written += again;
        let value = serde_json::json!({
            "archive": archive, "serial": published.name.as_str(), "id": published.id, "written": published.written,
        });
        let text = format!(
            "{archive} {} {} {} objects written",
            published.name, published.id, published.written
        );
        context.output.record(&value, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}
