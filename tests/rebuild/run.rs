//! The runner, on small packages that each try one thing.

use std::path::Path;

use assay::domain::{FileName, PackageName, Version};
use assay::format::intoto::Outcome;
use assay::host::Clock;
use assay::rebuild::{FileOrder, Finished, Job, Limits, RebuildError, Variation, run};

use assay::site::Backend;

use crate::environment::fixture;

/// A native source package whose `debian/rules` runs `commands` to fill `debian/tiny/`.
pub(super) struct Tiny {
    source: PackageName,
    version: Version,
    files: Vec<(FileName, Vec<u8>)>,
}

fn recipe(commands: &str) -> String {
    commands.lines().map(|line| format!("\t{}\n", line.trim())).collect()
}

/// What makes a package without debhelper, and each goal of `debian/rules` that Policy asks for.
pub(crate) fn bare_rules(name: &str, commands: &str) -> String {
    format!(
        "export D = debian/{name}/usr/share/{name}\nbuild build-arch build-indep clean binary-indep:\nbinary: binary-arch\n\
         binary-arch:\n\tmkdir -p $(D) debian/{name}/DEBIAN\n{}\tdpkg-gencontrol -p{name} -Pdebian/{name}\n\
         \tdpkg-deb --root-owner-group --build debian/{name} ..\n",
        recipe(commands)
    )
}

/// The tree of a native source package.
pub(crate) fn write_source(tree: &Path, name: &str, build_depends: &str, rules: &str) {
    use std::os::unix::fs::PermissionsExt;
    let write = |path: &str, text: &str| {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("debian/source/format", "3.0 (native)\n");
    write(
        "debian/changelog",
        &format!(
            "{name} (1.0) unstable; urgency=medium\n\n  * One.\n\n -- T T <t@example.org>  Sat, 01 Nov 2025 10:00:00 +0000\n"
        ),
    );
    write(
        "debian/control",
        &format!(
            "Source: {name}\nSection: misc\nPriority: optional\nMaintainer: T T <t@example.org>\n\
             Build-Depends: {build_depends}\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n\n\
             Package: {name}\nArchitecture: any\nDescription: tiny\n Tiny.\n"
        ),
    );
    write("debian/rules", &format!("#!/usr/bin/make -f\n{rules}"));
    std::fs::set_permissions(tree.join("debian/rules"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl Tiny {
    /// Built by debhelper, with all that it does.
    pub(super) fn new(name: &str, commands: &str) -> Self {
        let rules = format!("%:\n\tdh $@\noverride_dh_auto_install:\n\tmkdir -p debian/{name}/usr/share/{name}\n");
        Self::made(name, "debhelper-compat (= 13)", &(rules + &recipe(commands)))
    }

    /// Built by dpkg-dev alone, in a fraction of the time. `commands` find their folder in `$(D)`.
    pub(super) fn bare(name: &str, commands: &str) -> Self {
        Self::made(name, "dpkg-dev", &bare_rules(name, commands))
    }

    fn made(name: &str, build_depends: &str, rules: &str) -> Self {
        let work = tempfile::tempdir().unwrap();
        let tree = work.path().join(format!("{name}-1.0"));
        write_source(&tree, name, build_depends, rules);
        let packed = std::process::Command::new("dpkg-source")
            .args(["-b", "."])
            .current_dir(&tree)
            .output()
            .unwrap();
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        let mut files = Vec::new();
        for name in [format!("{name}_1.0.dsc"), format!("{name}_1.0.tar.xz")] {
            let bytes = std::fs::read(work.path().join(&name)).unwrap();
            files.push((name.parse().unwrap(), bytes));
        }
        Self {
            source: name.parse().unwrap(),
            version: "1.0".parse().unwrap(),
            files,
        }
    }

    pub(super) fn build(&self, work: &Path, variation: &Variation, limits: &Limits) -> Finished {
        self.try_build(work, variation, limits)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) fn try_build(
        &self,
        work: &Path,
        variation: &Variation,
        limits: &Limits,
    ) -> Result<Finished, RebuildError> {
        let chroot = fixture::chroot();
        let job = Job {
            source: &self.source,
            version: &self.version,
            files: &self.files,
            chroot_tar: &chroot.tar,
            chroot_sha256: &chroot.made.tar_sha256,
            cache: &chroot.folder,
            variation,
            limits,
            backend: Backend::Overlay,
            work,
            clock: Clock::System,
        };
        run(&job)
    }
}

pub(super) fn variation(number: u32) -> Variation {
    Variation {
        hostname: format!("host{number}"),
        user: format!("builder{number}"),
        uid: 1000 + number,
        parallel: number,
        locale: if number.is_multiple_of(2) { "C" } else { "C.UTF-8" }.to_owned(),
        place: "reproducible-path".to_owned(),
        file_order: if number.is_multiple_of(2) {
            FileOrder::Memory
        } else {
            FileOrder::Disk
        },
    }
}

pub(super) fn log(finished: &Finished) -> String {
    let log = finished
        .byproducts
        .iter()
        .find(|p| p.name.as_str().ends_with(".log"))
        .unwrap();
    std::fs::read_to_string(&log.path).unwrap()
}

#[test]
fn two_builds_that_differ_in_all_we_vary_are_the_same() {
    let tiny = Tiny::new(
        "tiny",
        "printf 'int main(void){return 0;}' > m.c\ngcc $(CFLAGS) -g -o debian/tiny/usr/share/tiny/m m.c",
    );
    let work = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for number in 1..=2 {
        let folder = work.path().join(number.to_string());
        let finished = tiny.build(&folder, &variation(number), &Limits::default());
        assert_eq!(
            finished.outcome,
            Outcome::Built,
            "{:?}\n{}",
            finished.reason,
            log(&finished)
        );
        let left: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 2, "only the outputs and the log are left: {left:?}");
        all.push(
            finished
                .outputs
                .iter()
                .map(|o| (o.name.clone(), o.digest))
                .collect::<Vec<_>>(),
        );
    }
    let names: Vec<&str> = all[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["tiny-dbgsym_1.0_amd64.deb", "tiny_1.0_amd64.deb"]);
    assert_eq!(all[0], all[1]);
}

#[test]
fn a_build_sees_nothing_of_the_machine() {
    let report = "id -u > $(O)/uid\nhostname > $(O)/hostname\nid -un > $(O)/user\numask > $(O)/umask\npwd > $(O)/pwd\n\
                  env | cut -d= -f1 | grep -i -e assay -e proxy -e ssh > $(O)/env || true\n\
                  cat /proc/net/dev | grep -c : > $(O)/interfaces\n\
                  ls / > $(O)/top\nls /dev > $(O)/dev\nps ax > $(O)/ps || ls -d /proc/[0-9]* > $(O)/ps\n\
                  grep -e CapEff -e CapBnd -e NoNewPrivs /proc/self/status > $(O)/caps\n\
                  cat /proc/self/mountinfo > $(O)/mounts\nfor f in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/self/fd/$$f; done > $(O)/descriptors || true\n\
                  echo $$DEB_BUILD_OPTIONS $$TZ $$LC_ALL $$SOURCE_DATE_EPOCH > $(O)/recipe";
    let tiny = Tiny::new("spy", &report.replace("$(O)", "debian/spy/usr/share/spy"));
    let work = tempfile::tempdir().unwrap();
    let finished = tiny.build(&work.path().join("w"), &variation(3), &Limits::default());
    assert_eq!(
        finished.outcome,
        Outcome::Built,
        "{:?}\n{}",
        finished.reason,
        log(&finished)
    );
    let deb = finished
        .outputs
        .iter()
        .find(|o| o.name.as_str() == "spy_1.0_amd64.deb")
        .unwrap();
    let out = work.path().join("x");
    let unpacked = std::process::Command::new("dpkg-deb")
        .arg("-x")
        .arg(&deb.path)
        .arg(&out)
        .status()
        .unwrap();
    assert!(unpacked.success());
    let read = |name: &str| std::fs::read_to_string(out.join("usr/share/spy").join(name)).unwrap();
    assert_eq!(read("uid"), "1003\n");
    assert_eq!(read("user"), "builder3\n");
    assert_eq!(read("hostname"), "host3\n");
    assert_eq!(read("umask"), "0022\n");
    assert_eq!(read("pwd"), "/build/reproducible-path/spy-1.0\n");
    assert_eq!(read("env"), "");
    assert_eq!(read("interfaces"), "1\n", "only loopback");
    assert_eq!(read("recipe"), "parallel=3 UTC C.UTF-8 1761991200\n");
    assert!(!read("dev").contains("sda") && !read("dev").contains("vda") && !read("dev").contains("kmsg"));
    for line in read("caps").lines() {
        let wanted = if line.starts_with("NoNewPrivs") {
            "1"
        } else {
            "0000000000000000"
        };
        assert_eq!(line.split_whitespace().nth(1), Some(wanted), "{line}");
    }
    // The shell's pipe, and what reads the list.
    let descriptors = read("descriptors");
    let outside = descriptors
        .lines()
        .filter(|line| line.starts_with('/') && !line.starts_with("/build/"));
    assert_eq!(outside.collect::<Vec<_>>(), ["/dev/null"], "{descriptors}");
    let mounts = read("mounts");
    for word in [work.path().to_str().unwrap(), env!("CARGO_MANIFEST_DIR"), "/home"] {
        assert!(!mounts.contains(word), "{word} in\n{mounts}");
    }
}
