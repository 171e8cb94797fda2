//! What a lock needs, from a store that somebody serves over HTTP: any static web server will do.
//!
//! Nothing of that server is trusted. An index counts when its uncompressed bytes have the hash that the
//! lock says, a package when its own have.

use super::{EnvironmentError, Lock, LockedSnapshot, SnapshotInput};
use crate::domain::{Digest, RelPath, Sha256};
use crate::format::compress::{Compression, decompress};
use crate::host::Progress;
use crate::store::Store;
use crate::upstream::{Client, Expect, Limits, Sums, UpstreamError, fetch_pool_file};

/// The largest index, compressed or not, in bytes.
const LARGEST: u64 = 1 << 30;

/// The indexes that a lock names, from the store at `url`.
///
/// # Errors
/// When the server has no form of one with the locked hash; what the network does wrong.
pub fn fetch_inputs(url: &str, lock: &Lock) -> Result<Vec<SnapshotInput>, EnvironmentError> {
    let mut inputs = Vec::new();
    for locked in &lock.snapshots {
        let client = client(url, locked.archive.as_str())?;
        let mut packages = Vec::new();
        for (component, wanted) in locked.components.iter().zip(&locked.packages_sha256) {
            let index = format!("{component}/binary-{}/Packages", lock.architecture);
            packages.push(fetch_index(&client, locked, &index, wanted)?);
        }
        inputs.push(SnapshotInput {
            locked: locked.clone(),
            packages,
        });
    }
    Ok(inputs)
}

/// One index, in whichever form the server has it.
fn fetch_index(
    client: &Client,
    locked: &LockedSnapshot,
    index: &str,
    wanted: &Sha256,
) -> Result<Vec<u8>, EnvironmentError> {
    for form in [".xz", ".zst", ".gz", ""] {
        let path = RelPath::new(format!("dists/{}/{}/{index}{form}", locked.suite, locked.serial))?;
        let bytes = match client.get(path.as_str(), Expect::AtMost(LARGEST)) {
            Err(UpstreamError::NotFound { .. }) => continue,
            other => other?,
        };
        let plain = decompress(Compression::of_name(path.as_str()), &bytes, LARGEST);
        let plain = plain.map_err(EnvironmentError::format(&path))?;
        if Sha256::of(&plain) == *wanted {
            return Ok(plain);
        }
    }
    Err(EnvironmentError::NoSuchIndex {
        url: client.base_uri().to_owned(),
        index: index.to_owned(),
        snapshot: format!("{}@{}", locked.archive, locked.serial),
        wanted: wanted.hex(),
    })
}

/// Fetches a lock's packages from the store at `url` into another.
///
/// # Errors
/// When one is not there, or is not what the lock says; what the network or the store do wrong.
pub fn fetch_packages(url: &str, lock: &Lock, store: &dyn Store, progress: &Progress) -> Result<(), EnvironmentError> {
    let total = lock
        .packages
        .iter()
        .map(|package| package.size)
        .fold(0, u64::saturating_add);
    let bar = progress.transfer("packages", lock.packages.len() as u64, total);
    let fetched = lock.snapshots.iter().try_for_each(|snapshot| {
        let client = client(url, snapshot.archive.as_str())?;
        let here = lock
            .packages
            .iter()
            .filter(|p| (&p.archive, &p.suite) == (&snapshot.archive, &snapshot.suite));
        for package in here {
            let digest = Digest {
                sha256: package.sha256,
                size: package.size,
            };
            fetch_pool_file(
                &client,
                store,
                &package.archive,
                &package.filename,
                &Sums::sha256(digest),
            )?;
            bar.advance(digest.size);
            bar.file_done();
        }
        Ok(())
    });
    bar.finish();
    fetched
}

fn client(url: &str, archive: &str) -> Result<Client, EnvironmentError> {
    let base = format!("{}/{archive}/", url.trim_end_matches('/'));
    Ok(Client::new(&base, Limits::default())?)
}
