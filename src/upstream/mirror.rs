//! Which mirror to follow when the site names none: the one that the machine's own apt uses.

use super::UpstreamError;
use crate::host::AptSource;
use crate::site::MirrorArchive;

/// The base URL of a mirror's upstream: `uri`, or the address that this machine's apt follows for
/// the same Origin, Label and one of the suites.
///
/// # Errors
/// `NoMirror` when apt follows no such archive.
pub fn mirror_uri(config: &MirrorArchive, sources: &[AptSource]) -> Result<String, UpstreamError> {
    if let Some(uri) = &config.uri {
        return Ok(uri.clone());
    }
    let fits = |source: &&AptSource| {
        let named = |suite: &str| suite == source.codename || suite == source.suite;
        source.origin == config.origin
            && source.label == config.label
            && config.suites.iter().any(|suite| named(suite.as_str()))
    };
    let names = || config.suites.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
    let found = sources.iter().find(fits).map(|source| source.uri.clone());
    found.ok_or_else(|| UpstreamError::NoMirror {
        origin: crate::domain::escape(&config.origin),
        label: crate::domain::escape(&config.label),
        suites: names(),
    })
}
