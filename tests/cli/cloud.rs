//! A site whose store is in S3: it mirrors, tags, renews, collects and verifies whatever the service gets wrong; and what lies in
//! the bucket is a repository.

use std::fs;
use std::process::{Command, Output};

use super::mirrors::Metals;
use super::{ASSAY, text};
use crate::support::apt::{Apt, source};
use crate::support::s3::{Fault, S3};

struct Cloud {
    metals: Metals,
    server: S3,
}

impl Cloud {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(ASSAY);
        command.args(["--store", "s3://bucket/site"]).args(args);
        command.envs(self.server.settings()).current_dir(self.metals.site());
        command.output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    fn problems(&self) -> String {
        text(&self.run(&["verify"]).stdout)
    }
}

#[test]
fn a_store_in_s3_is_mirrored_to_tagged_renewed_collected_and_read_by_apt() {
    let cloud = Cloud {
        metals: Metals::new("pool = \"full\"\nkeep = { count = 1 }\n"),
        server: S3::start(),
    };
    cloud.ok(&["mirror"]);
    cloud.ok(&["tag", "v1"]);
    for (version, seconds, fault) in [("2", -3000, Fault::DoneAndGone), ("3", -1000, Fault::Half)] {
        cloud.metals.offer(version, seconds);
        cloud.server.fail_each(37, fault);
        for verb in [&["mirror"][..], &["snapshot", "renew", "foundry"], &["gc", "--at-once"]] {
            cloud.ok(verb);
        }
        cloud.server.honest();
        cloud.ok(&["mirror"]);
        let said = cloud.problems();
        assert!(said.contains("verified"), "{fault:?}: {said}");
    }
    let listed = cloud.ok(&["snapshot", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");

    // The bucket is what a web server would serve.
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in cloud.server.objects() {
        let path = folder.path().join(name.strip_prefix("site/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let key = fs::read_dir(cloud.metals.site().join("policies/keys")).unwrap();
    let key = key
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "asc"));
    let url = format!("file:{}/foundry", folder.path().display());
    for (suite, version) in [("tin", "3"), ("tin/v1", "1")] {
        let apt = Apt::new(&source(&url, suite, key.as_deref().unwrap()));
        apt.update();
        let known = apt.run("apt-cache", &["show", "alloy"]).text;
        assert!(known.contains(&format!("Version: {version}\n")), "{suite}: {known}");
    }
    let nobody = Command::new(ASSAY)
        .args(["--store", "s3://bucket/site", "status"])
        .envs(cloud.server.settings())
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .current_dir(cloud.metals.site())
        .output()
        .unwrap();
    assert!(!nobody.status.success());
}
