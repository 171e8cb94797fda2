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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coded as _;

    #[test]
    fn the_machines_own_mirror_is_found() {
        let source = |uri: &str, label: &str, codename: &str, suite: &str| AptSource {
            uri: uri.to_owned(),
            origin: "Foundry".to_owned(),
            label: label.to_owned(),
            codename: codename.to_owned(),
            suite: suite.to_owned(),
        };
        let sources = [
            source("http://security.example/", "Foundry-Security", "tin", "stable"),
            source("http://old.example/", "Foundry", "lead", "oldstable"),
            source("http://right.example/", "Foundry", "tin", "stable"),
        ];
        let text = r#"{"kind":"mirror","origin":"Foundry","label":"Foundry","keyring":"k","signers":[],"suites":["tin"],
            "components":["main"],"architectures":["amd64"],"pool":"lazy",
            "signing-key":"4D64FEC119C2029067D6E791F8D2585B8783D481"}"#;
        let mut config: MirrorArchive = serde_json::from_str(text).unwrap();
        assert_eq!(mirror_uri(&config, &sources).unwrap(), "http://right.example/");
        config.suites = vec!["oldstable".parse().unwrap()];
        assert_eq!(mirror_uri(&config, &sources).unwrap(), "http://old.example/");
        config.suites = vec!["iron".parse().unwrap()];
        assert_eq!(mirror_uri(&config, &sources).unwrap_err().code(), "E-UP-017");
        config.uri = Some("http://said.example/".to_owned());
        assert_eq!(mirror_uri(&config, &sources).unwrap(), "http://said.example/");
    }
}
