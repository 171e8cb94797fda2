//! One environment for all tests: resolved from the suites that this machine's apt follows, served
//! as Assay serves it, with the packages themselves coming from the machine's mirror.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use assay::domain::{Architecture, Sha256, Timestamp};
use assay::environment::{
    ChrootJob, LockedChroot, LockedPackage, LockedSnapshot, SnapshotInput, build_chroot, locked_archive, resolve,
};
use assay::trust::ArchiveKey;

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Served {
    pub(crate) packages: Vec<LockedPackage>,
    pub(crate) base_url: String,
    pub(crate) certificate: String,
}

pub(crate) struct Chroot {
    pub(crate) made: LockedChroot,
    pub(crate) tar: PathBuf,
    pub(crate) folder: PathBuf,
}

pub(crate) const EPOCH: i64 = 1_700_000_000;

pub(crate) fn amd64() -> Architecture {
    Architecture::new("amd64").unwrap()
}

/// The suites of this machine's apt, as snapshots: archive name, base URL and Packages.
pub(crate) fn inputs() -> &'static (Vec<SnapshotInput>, BTreeMap<String, String>) {
    static INPUTS: OnceLock<(Vec<SnapshotInput>, BTreeMap<String, String>)> = OnceLock::new();
    INPUTS.get_or_init(|| {
        let targets = Command::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(ORIGIN)\t$(LABEL)\t$(COMPONENT)\t$(CODENAME)\t$(REPO_URI)\t$(FILENAME)",
            ])
            .arg("Created-By: Packages")
            .output()
            .unwrap();
        let mut inputs = Vec::new();
        let mut bases = BTreeMap::new();
        for line in String::from_utf8(targets.stdout).unwrap().lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            if fields[0] != "Debian" || fields[2] != "main" {
                continue;
            }
            let archive = fields[1].to_lowercase();
            let read = Command::new("/usr/lib/apt/apt-helper")
                .args(["cat-file", fields[5]])
                .output()
                .unwrap();
            assert!(read.status.success(), "{line}");
            bases.insert(archive.clone(), fields[4].to_owned());
            let locked = LockedSnapshot {
                archive: archive.parse().unwrap(),
                suite: fields[3].parse().unwrap(),
                components: vec!["main".parse().unwrap()],
                id: "20260101T000000Z".parse().unwrap(),
                serial: "2026010101".parse().unwrap(),
                inrelease_sha256: None,
                release_date: Some(Timestamp::from_unix(EPOCH)),
                packages_sha256: vec![Sha256::of(&read.stdout)],
            };
            inputs.push(SnapshotInput {
                locked,
                packages: vec![read.stdout],
            });
        }
        assert!(!inputs.is_empty(), "this machine's apt follows no Debian suite");
        (inputs, bases)
    })
}

/// The environment of a package with debhelper, and a server for its locked archive.
pub(crate) fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(|| {
        let (inputs, bases) = inputs();
        let work = tempfile::tempdir().unwrap();
        let packages = resolve(inputs, "debhelper-compat (= 13)", &amd64(), work.path()).unwrap();
        let now = Timestamp::from_unix(EPOCH);
        let key = ArchiveKey::generate("test", now).unwrap();
        let archive = locked_archive(&amd64(), &packages, inputs, &key, now).unwrap();
        Served {
            base_url: serve(archive.files, bases.clone()),
            certificate: key.certificate_armored().unwrap(),
            packages,
        }
    })
}

/// Makes a chroot of the served environment below `folder`.
pub(crate) fn make(served: &Served, folder: &Path) -> Chroot {
    let tar = folder.join("chroot.tar");
    let job = ChrootJob {
        base_url: &served.base_url,
        certificate: &served.certificate,
        architecture: &amd64(),
        packages: &served.packages,
        source_date_epoch: EPOCH,
        output_tar: &tar,
        work: &folder.join("work"),
        log: &folder.join("mmdebstrap.log"),
    };
    let made = build_chroot(&job).unwrap_or_else(|error| panic!("{error}"));
    Chroot {
        made,
        tar,
        folder: folder.to_owned(),
    }
}

/// The one chroot that all tests share. Kept between runs of the tests, under a name that holds all
/// that it depends on.
pub(crate) fn chroot() -> &'static Chroot {
    static CHROOT: OnceLock<Chroot> = OnceLock::new();
    CHROOT.get_or_init(|| {
        let recipe = concat!(
            include_str!("../../src/environment/chroot.rs"),
            include_str!("../../src/environment/finish-chroot.sh")
        );
        let served = served();
        let set = assay::environment::set_digest(&amd64(), &served.packages).unwrap();
        let name = format!(
            "environment-{}-{}",
            own_uid(),
            Sha256::of(format!("{set}{recipe}").as_bytes()).short()
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let made = folder.join("made.json");
        if let Ok(text) = std::fs::read(&made) {
            let made = serde_json::from_slice(&text).unwrap();
            return Chroot {
                made,
                tar: folder.join("chroot.tar"),
                folder,
            };
        }
        if folder.exists() {
            assay::rebuild::remove_work_folder(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        let chroot = make(served, &folder);
        std::fs::write(&made, serde_json::to_vec(&chroot.made).unwrap()).unwrap();
        chroot
    })
}

pub(crate) fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// What `serve` does for `/env/…`, in small: the archive's files, and the pools elsewhere.
fn serve(files: BTreeMap<String, Vec<u8>>, bases: BTreeMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (files, bases) = (files.clone(), bases.clone());
            std::thread::spawn(move || answer(&stream.unwrap(), &files, &bases));
        }
    });
    format!("http://{address}/")
}

fn answer(mut stream: &TcpStream, files: &BTreeMap<String, Vec<u8>>, bases: &BTreeMap<String, String>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let path = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap() > 2 {
            header.clear();
        }
        let elsewhere = path
            .split_once('/')
            .and_then(|(archive, rest)| Some(format!("{}{rest}", bases.get(archive)?)));
        let (head, body) = match (files.get(&path), elsewhere) {
            (Some(body), _) => ("200 OK".to_owned(), body.as_slice()),
            (None, Some(url)) => (format!("302 Found\r\nLocation: {url}"), &b""[..]),
            (None, None) => ("404 Not Found".to_owned(), &b""[..]),
        };
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .is_err()
        {
            return;
        }
    }
}
