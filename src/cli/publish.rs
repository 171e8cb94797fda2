//! `assay publish`: project the newest record again.

use std::process::ExitCode;

use super::args::PublishArgs;
use super::context::{Context, named_or_all};
use super::failure::Failure;
use crate::publish;
use crate::site::ArchiveConfig;
use crate::snapshot::Chain;

pub(super) fn run(context: &Context, args: &PublishArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    for archive in named_or_all(&site, &args.archives, |_| true)? {
        if Chain::load(store.as_ref(), &archive)?.latest().is_none() {
            context.output.note(&format!("{archive} has no snapshot yet"));
            continue;
        }
        let signing_key = match site.archive(&archive)? {
            ArchiveConfig::Mirror(mirror) => &mirror.signing_key,
            ArchiveConfig::Custom(custom) => &custom.signing_key,
        };
        let key = site.archive_key(signing_key)?;
        let published = publish::publish(store.as_ref(), &archive, &key, &site.config().public_url)?;
        let value = serde_json::json!({
            "archive": archive, "serial": published.serial, "id": published.id, "written": published.written,
        });
        let text = format!(
            "{archive} {} {} {} objects written",
            published.serial, published.id, published.written
        );
        context.output.record(&value, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}
