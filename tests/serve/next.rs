//! The next stable Debian's apt, which verifies with sqv and knows `Snapshot:`, in a root of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use assay::publish::{Tagging, tag};
use assay::serve::{Overlays, ServeConfig, ServedArchive, Server};
use assay::store::{LocalStore, Store};

use crate::index::filler;
use crate::support::next;
use crate::support::repository::{Repository, made, now};

/// What a client asks for, and which version of `hello` it must get.
struct Form {
    name: &'static str,
    source: String,
    version: &'static str,
}

#[test]
fn the_next_stable_takes_every_form_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::open(&folder.path().join("store")).unwrap());
    let served: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let running = Server::start(ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: served,
        archives: vec![ServedArchive {
            name: "custom".parse().unwrap(),
            upstream: None,
        }],
        root: None,
        overlays: Overlays::default(),
        now: now(),
    })
    .unwrap();
    let repository = Repository::new(&running.url());
    let old = repository.add_hello(store.as_ref(), "1.0");
    let first = repository.commit(store.as_ref(), &old);
    repository.publish(store.as_ref());
    let name = "5.15.1".parse().unwrap();
    let tagging = Tagging {
        tag: &name,
        of: &first,
        suites: first.suites.clone(),
        partial: false,
    };
    tag(
        store.as_ref(),
        tagging,
        made("t", now()),
        &repository.key,
        &running.url(),
    )
    .unwrap();
    // The head's index is large enough to be xz of several blocks.
    let new = repository.add_hello(store.as_ref(), "2.0") + &filler(3000);
    repository.commit(store.as_ref(), &new);
    repository.publish(store.as_ref());

    let url = format!("{}/custom", running.url());
    let (id, serial) = (first.id.as_str(), first.serial.as_str());
    let plain = |name, uri: String, suite: &str, version| Form {
        name,
        source: format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"),
        version,
    };
    let snapshot = |name, value: &str| {
        let head = plain(name, url.clone(), "trixie", "1.0");
        Form {
            source: format!("{}Snapshot: {value}\n", head.source),
            ..head
        }
    };
    let forms = [
        plain("the head", url.clone(), "trixie", "2.0"),
        plain(
            "a serial below the suite",
            url.clone(),
            &format!("trixie/{serial}"),
            "1.0",
        ),
        plain("a tag below the suite", url.clone(), "trixie/5.15.1", "1.0"),
        plain("an id", format!("{url}/{id}"), "trixie", "1.0"),
        plain("a serial", format!("{url}/{serial}"), "trixie", "1.0"),
        plain("a tag", format!("{url}/5.15.1"), "trixie", "1.0"),
        plain(
            "a timestamp",
            format!("{url}/{}", first.id.timestamp()),
            "trixie",
            "1.0",
        ),
        snapshot("the option Snapshot with an id", id),
        snapshot("the option Snapshot with a serial", serial),
        snapshot("the option Snapshot with a tag", "5.15.1"),
    ];
    let said = in_next(folder.path(), &repository.key.certificate_armored().unwrap(), &forms);
    for form in &forms {
        let (_, answer) = said
            .split_once(&format!("== {}\n", form.name))
            .unwrap_or_else(|| panic!("{}: no answer\n{said}", form.name));
        let answer = answer.split("\n== ").next().unwrap();
        for word in ["W:", "E:", "N:", "Err:", "Ign:"] {
            assert!(
                !answer.lines().any(|line| line.starts_with(word)),
                "{}: {answer}",
                form.name
            );
        }
        let installed = format!("installed {}", form.version);
        assert!(answer.lines().any(|line| line == installed), "{}: {answer}", form.name);
    }
}

/// Has the other Debian's apt update and install from each source, one after the other; what it said.
fn in_next(folder: &Path, certificate: &str, forms: &[Form]) -> String {
    let mut script = String::from(
        "set -eu\nexport LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin\n\
         echo 'APT::Sandbox::User \"root\";' > /etc/apt/apt.conf.d/00user\n",
    );
    script.push_str("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*\n");
    script.push_str(&format!(
        "cat > /etc/apt/key.asc <<'END'\n{}\nEND\n",
        certificate.trim_end()
    ));
    for form in forms {
        // apt learns from the live archive where its snapshots are: it must have seen that once.
        let warm = match form.source.split_once("Snapshot:") {
            Some((live, _)) => format!(
                "printf '{}Signed-By: /etc/apt/key.asc\\n' > /etc/apt/sources.list.d/a.sources\napt-get -qq update\n",
                live.replace('\n', "\\n")
            ),
            None => String::new(),
        };
        script.push_str(&format!(
            "echo '== {}'\n\
             rm -rf /var/lib/apt/lists/*\n\
             {warm}\
             cat > /etc/apt/sources.list.d/a.sources <<'END'\n{}Signed-By: /etc/apt/key.asc\nEND\n\
             apt-get -o APT::Update::Error-Mode=any -o Acquire::http::Proxy=false update 2>&1 || echo 'E: update failed'\n\
             apt-get -o Acquire::http::Proxy=false install -qq -y hello >/tmp/said 2>&1 || {{ echo 'E: install failed'; cat /tmp/said; }}\n\
             dpkg-query -W -f 'installed ${{Version}}\\n' hello\n\
             dpkg --purge hello >/dev/null\n",
            form.name, form.source
        ));
    }
    let root = folder.join("root");
    next::copy(&root);
    fs::write(root.join("script"), script).unwrap();
    let output = next::program(&root, folder, "sh").arg("/script").output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}
