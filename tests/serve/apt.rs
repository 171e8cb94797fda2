//! The real thing: Debian's own archive, mirrored, served, and read by this machine's apt.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use assay::host::{Clock, Progress, apt_sources};
use assay::serve::{Overlays, ServeConfig, ServedArchive, Server};
use assay::snapshot::Chain;
use assay::trust::Keyring;
use assay::upstream::{Client, Follow, Followed, Limits, follow, mirror_uri};

use crate::support::archive::Mirror;

/// What this machine runs: `VERSION_CODENAME`.
fn codename() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap();
    line.trim_matches('"').to_owned()
}

#[test]
fn debian_is_mirrored_and_apt_takes_every_form_of_it() {
    let signer = crate::support::archive::key("unused");
    let mut mirror = Mirror::of(&signer);
    mirror.name = "debian".parse().unwrap();
    mirror.config.origin = "Debian".to_owned();
    mirror.config.label = "Debian".to_owned();
    mirror.config.suites = vec![codename().parse().unwrap()];
    // Sources and Translation of all of Debian are not needed to see that it works, but come with it.
    mirror.config.languages.clear();
    mirror.config.indexes.clear();
    let keys = std::fs::read("/usr/share/keyrings/debian-archive-keyring.gpg").unwrap();
    mirror.keyring = Keyring::parse(&keys).unwrap();

    let now = Clock::System.now();
    let uri = mirror_uri(&mirror.config, &apt_sources().unwrap()).unwrap();
    let client = Client::new(&uri, Limits::default()).unwrap();
    let mut what = Follow {
        client: &client,
        archive: &mirror.name,
        config: &mirror.config,
        keyring: &mirror.keyring,
        previous: None,
        earlier: &[],
        allow_release_info_change: false,
    };
    let followed = follow(&what, mirror.store.as_ref(), now, &Progress::hidden()).unwrap();
    let Followed::Changed(states, _) = followed else {
        panic!("unchanged")
    };
    let record = mirror.publish(states, now);
    what.previous = Some(&record);
    let again = follow(&what, mirror.store.as_ref(), now, &Progress::hidden()).unwrap();
    assert_eq!(again, Followed::Unchanged);

    let running = Server::start(ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: Arc::clone(&mirror.store),
        archives: vec![ServedArchive {
            name: mirror.name.clone(),
            upstream: Some(Arc::new(Client::new(&uri, Limits::default()).unwrap())),
        }],
        root: None,
        overlays: Overlays::default(),
        now,
    })
    .unwrap();
    assert_eq!(Chain::load(mirror.store.as_ref(), &mirror.name).unwrap().len(), 1);
    let url = running.url();
    let suite = codename();
    for (uri, suite) in [
        (format!("{url}/debian/{}", record.id), suite.clone()),
        (format!("{url}/debian/{}", record.serial), suite.clone()),
        (format!("{url}/debian"), format!("{suite}/{}", record.serial)),
        (format!("{url}/debian"), suite.clone()),
    ] {
        let root = tempfile::tempdir().unwrap();
        let certificate = mirror.ours.certificate_armored().unwrap();
        set_up(root.path(), &uri, &suite, &certificate);
        let output = apt(root.path(), &["update"]);
        assert!(
            !output.contains("W:") && !output.contains("E:") && !output.contains("N:"),
            "{uri}: {output}"
        );
        let policy = apt(
            root.path(),
            &[
                "indextargets",
                "--format",
                "$(ORIGIN) $(CODENAME)",
                "Created-By: Packages",
            ],
        );
        assert_eq!(policy.trim(), format!("Debian {}", codename()));
        apt(root.path(), &["download", "hello"]);
        let names = std::fs::read_dir(root.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name());
        assert!(
            names
                .into_iter()
                .any(|name| name.to_string_lossy().starts_with("hello_")),
            "{uri}"
        );
    }
}

/// An apt root of its own, strict about dates whatever this machine's is.
fn set_up(root: &Path, uri: &str, suite: &str, certificate: &str) {
    for folder in [
        "state/lists/partial",
        "cache/archives/partial",
        "etc/apt.conf.d",
        "etc/preferences.d",
        "etc/trusted.gpg.d",
    ] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("status"), "").unwrap();
    std::fs::write(root.join("key.asc"), certificate).unwrap();
    let shown = root.display();
    let source = format!("deb [arch=amd64 signed-by={shown}/key.asc] {uri} {suite} main\n");
    std::fs::write(root.join("sources.list"), source).unwrap();
    let config = format!(
        "Dir::State \"{shown}/state\";\nDir::State::status \"{shown}/status\";\nDir::Cache \"{shown}/cache\";\n\
         Dir::Etc \"{shown}/etc\";\nDir::Etc::sourcelist \"{shown}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         Dir::Etc::parts \"{shown}/etc/apt.conf.d\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
         APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::http::Proxy \"false\";\n\
         Acquire::Check-Valid-Until \"true\";\nAcquire::Check-Date \"true\";\nDebug::NoLocking \"true\";\n"
    );
    std::fs::write(root.join("apt.conf"), config).unwrap();
}

fn apt(root: &Path, args: &[&str]) -> String {
    let output = Command::new("apt-get")
        .args(args)
        .current_dir(root)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("APT_CONFIG", root.join("apt.conf"))
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "apt-get {args:?}: {text}");
    text
}
