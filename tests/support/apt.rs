//! The real apt, with a root of its own: no setting of this machine reaches it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::next;

/// An apt client that knows one list of sources.
pub(crate) struct Apt {
    folder: tempfile::TempDir,
    /// The next stable Debian's, not this machine's.
    next: bool,
}

/// What a run of apt said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) text: String,
}

impl Apt {
    /// `sources` is a deb822 `.sources` file, or one-line sources when it starts with `deb `.
    pub(crate) fn new(sources: &str) -> Self {
        Self::of(sources, false)
    }

    /// The next stable Debian's apt.
    pub(crate) fn next(sources: &str) -> Self {
        Self::of(sources, true)
    }

    fn of(sources: &str, next: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for below in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
        ] {
            fs::create_dir_all(root.join(below)).unwrap();
        }
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        // APT_CONFIG is read first, so that the system's own parts are never looked for.
        let config = format!(
            "Dir \"{0}\";\n\
             Dir::State::status \"{0}/var/lib/dpkg/status\";\n\
             Dir::Bin::Methods \"/usr/lib/apt/methods\";\n\
             Dir::Bin::Solvers:: \"/usr/lib/apt/solvers\";\n\
             Dir::Bin::Planners:: \"/usr/lib/apt/planners\";\n\
             Dir::Bin::dpkg \"/usr/bin/dpkg\";\n\
             Dir::Bin::apt-key \"/usr/bin/apt-key\";\n\
             APT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Check-Valid-Until \"true\";\n\
             Acquire::Check-Date \"true\";\n\
             Acquire::http::Proxy \"DIRECT\";\n",
            root.display()
        );
        fs::write(root.join("apt.conf"), config).unwrap();
        let apt = Self { folder, next };
        apt.set_sources(sources);
        apt
    }

    /// Takes other sources.
    pub(crate) fn set_sources(&self, sources: &str) {
        let name = if sources.starts_with("deb ") {
            "a.list"
        } else {
            "a.sources"
        };
        let path = self.folder.path().join("etc/apt/sources.list.d").join(name);
        fs::write(path, sources).unwrap();
    }

    pub(crate) fn get(&self, args: &[&str]) -> Said {
        self.run("apt-get", args)
    }

    /// `apt-get update`, which must have nothing to complain about.
    pub(crate) fn update(&self) {
        let said = self.get(&["update"]);
        let complains = |line: &str| ["W:", "E:", "N:", "Err:", "Ign:"].iter().any(|p| line.starts_with(p));
        assert!(said.ok && !said.text.lines().any(complains), "{}", said.text);
    }

    /// The versions of a package that apt knows, newest first.
    pub(crate) fn versions(&self, package: &str) -> Vec<String> {
        let said = self.run("apt-cache", &["madison", package]);
        let version = |line: &str| line.split('|').nth(1).map(|v| v.trim().to_owned());
        said.text.lines().filter_map(version).collect()
    }

    /// Installs packages, in its own root; what is there in an older version is upgraded.
    pub(crate) fn install(&self, packages: &[&str]) -> Said {
        let root = self.folder.path().display();
        for below in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log/apt"] {
            fs::create_dir_all(self.folder.path().join(below)).unwrap();
        }
        let option = |text: &str| format!("DPkg::Options::={text}");
        let (root, log) = (option(&format!("--root={root}")), option("--log=/dev/null"));
        let mut args = vec!["--yes", "-o", &root, "-o", &log, "install"];
        args.extend(packages);
        self.get(&args)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Said {
        let folder = self.folder.path();
        let mut command = if self.next {
            next::program(next::root(), folder, program)
        } else {
            Command::new(program)
        };
        let output = command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("APT_CONFIG", folder.join("apt.conf"))
            .current_dir(folder)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said {
            ok: output.status.success(),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// The text of a `.sources` file for one suite, with the key in it.
pub(crate) fn source(uri: &str, suite: &str, certificate: &Path) -> String {
    format!(
        "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {}\n",
        certificate.display()
    )
}
