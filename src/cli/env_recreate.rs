//! `assay env recreate`: the chroot of a lock, anywhere.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::env::{Set, check, chroot_at};
use super::failure::Failure;
use super::work::Unframed;
use crate::domain::PublicUrl;
use crate::environment::{self, Lock, locked_inputs};
use crate::format::json;
use crate::host::{TempFolder, files};
use crate::serve::{ServeConfig, ServedArchive, Server};
use crate::store::{LocalStore, Store};

/// Make the chroot of a lock file, anywhere: with `--url` from nothing but a store that is served over HTTP
///
/// Any web server that serves the store will do, and nothing of it is trusted: indexes and packages must have
/// the hashes of the lock. Without `--url` the store is the site's. The tar archive must come out as the lock
/// says, byte for byte; exit 3 otherwise. A lock from a `.buildinfo` is made by `env lock --buildinfo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay env recreate hello.lock --url http://deb.example.org --output chroot.tar\n  git show v3:repos/custom/hello.lock > old.lock; assay env recreate old.lock --output old.tar"
)]
pub(super) struct RecreateArgs {
    /// The lock
    #[arg(value_name = "FILE")]
    lock: PathBuf,
    /// Where a store is served [default: use the site's store]
    #[arg(long)]
    url: Option<PublicUrl>,
    /// The tar archive to write
    #[arg(short, long, value_name = "TAR")]
    output: PathBuf,
}

pub(super) fn run(context: &Context, args: &RecreateArgs) -> Result<ExitCode, Failure> {
    let lock: Lock = json::strict("environment lock", &Unframed::read(&args.lock)?.text)?;
    // Beside the output: the last step is to move it there.
    let beside = args.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let temp = TempFolder::below(beside.unwrap_or(Path::new(".")))?;
    let output = args.output.clone();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let made = if let Some(url) = &args.url {
        let store: Arc<dyn Store> = Arc::new(LocalStore::open(&temp.path().join("store"))?);
        let inputs = environment::fetch_inputs(url.as_str(), &lock)?;
        environment::fetch_packages(url.as_str(), &lock, store.as_ref(), &context.progress)?;
        let archives = lock.snapshots.iter().map(|snapshot| ServedArchive {
            name: snapshot.archive.clone(),
            upstream: None,
        });
        let config = |overlays| ServeConfig {
            listen,
            store: Arc::clone(&store),
            archives: archives.collect(),
            root: None,
            overlays,
            now: context.now(),
        };
        let start = |overlays| Ok(Server::start(config(overlays))?);
        chroot_at(context, &Set::of(&lock, &inputs), start, temp.path(), &output)?
    } else {
        let site = context.site()?;
        let store = context.store(&site)?;
        let inputs = locked_inputs(store.as_ref(), &lock)?;
        let start = |overlays| super::serve::start(context, &site, Arc::clone(&store), listen, overlays);
        chroot_at(context, &Set::of(&lock, &inputs), start, temp.path(), &output)?
    };
    if let Err(other) = check(&lock, &made) {
        files::remove(&output)?;
        return Err(other);
    }
    let value = serde_json::json!({ "chroot": made.tar_sha256, "packages": lock.packages.len(), "output": output });
    let text = format!(
        "{} {} packages {}",
        made.tar_sha256,
        lock.packages.len(),
        output.display()
    );
    context.output.record(&value, &text)?;
    Ok(ExitCode::SUCCESS)
}
