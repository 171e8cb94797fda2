//! `assay serve`: HTTP.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use super::args::ServeArgs;
use super::context::Context;
use super::failure::Failure;
use crate::domain::ArchiveName;
use crate::serve::{Overlays, Running, ServeConfig, ServedArchive, Server};
use crate::site::{ArchiveConfig, Site};
use crate::store::Store;
use crate::upstream::{Client, Limits};

pub(super) fn run(context: &Context, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    let running = start(context, &site, store, args.listen, Overlays::default())?;
    let value = serde_json::json!({ "url": running.url() });
    context.output.record(&value, &format!("serving {}", running.url()))?;
    running.wait()?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the site's server. A mirror whose upstream is unknown now serves what it has.
pub(super) fn start(
    context: &Context,
    site: &Site,
    store: Arc<dyn Store>,
    listen: SocketAddr,
    overlays: Overlays,
) -> Result<Running, Failure> {
    super::tag::check_names(site, store.as_ref())?;
    let served = |(name, archive): (&ArchiveName, &ArchiveConfig)| -> Result<ServedArchive, Failure> {
        let upstream = match archive {
            ArchiveConfig::Mirror(config) => match super::mirror::upstream_uri(site, name) {
                Ok(uri) => Some(Arc::new(Client::new(&uri, Limits::of(config))?)),
                Err(_) => None,
            },
            ArchiveConfig::Custom(_) | ArchiveConfig::Unproven(_) => None,
        };
        Ok(ServedArchive {
            name: name.clone(),
            upstream,
        })
    };
    let archives = site.archives().iter().map(served).collect::<Result<_, _>>()?;
    Ok(Server::start(ServeConfig {
        listen,
        store,
        archives,
        root: site.config().root.clone(),
        overlays,
        now: context.now(),
    })?)
}
