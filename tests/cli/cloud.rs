//! A site whose store is in S3: it mirrors, tags, renews, collects and verifies whatever the service gets wrong; and what lies in
//! the bucket is a repository.

use std::fs;
use std::process::{Command, Output, Stdio};

use super::mirrors::Metals;
use super::{ASSAY, text, url_of};
use crate::support::apt::{Apt, source};
use crate::support::s3::{Fault, S3};
use crate::support::service::Service;

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

/// The same on a service that is as it is, with two writers at once, read by apt through `serve`: `make test-s3` has a real one.
#[test]
fn a_site_in_a_bucket_has_one_history_whoever_writes_and_is_served_from_there() {
    let (metals, service) = (Metals::new("pool = \"full\"\nkeep = { count = 1 }\n"), Service::start());
    let command = |args: &[&str]| {
        let mut command = Command::new(ASSAY);
        command.args(["--store", service.folder()]).args(args);
        command.envs(service.settings()).current_dir(metals.site());
        command
    };
    let ok = |args: &[&str]| {
        let done = command(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    };
    ok(&["mirror"]);
    ok(&["tag", "v1"]);
    metals.offer("2", -3000);
    let both = ["mirror", "mirror"].map(|verb| command(&[verb]).stderr(Stdio::piped()).spawn().unwrap());
    for one in both {
        let done = one.wait_with_output().unwrap();
        // Who came second is told so.
        assert!(matches!(done.status.code(), Some(0 | 4)), "{}", text(&done.stderr));
    }
    ok(&["mirror"]);
    ok(&["snapshot", "renew", "foundry"]);
    assert_eq!(ok(&["snapshot", "list"]).lines().count(), 3);
    assert!(ok(&["verify"]).contains("verified"));
    assert!(ok(&["fsck"]).starts_with("whole: "));
    ok(&["gc", "--at-once"]);
    assert!(ok(&["verify"]).contains("verified"));

    let mut serve = command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut serve = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let url = url_of(&mut serve);
    let key = fs::read_dir(metals.site().join("policies/keys")).unwrap();
    let mut keys = key.map(|entry| entry.unwrap().path());
    let key = keys.find(|path| path.extension().is_some_and(|e| e == "asc")).unwrap();
    let mut said = Vec::new();
    for suite in ["tin", "tin/v1"] {
        let url = format!("{url}/foundry");
        let apt = Apt::new(&source(&url, suite, &key));
        let updated = apt.get(&["update"]);
        let fetched = apt.get(&["download", "copper"]);
        said.push((
            apt.versions("alloy"),
            updated.ok,
            fetched.ok,
            updated.text + &fetched.text,
        ));
    }
    serve.kill().unwrap();
    serve.wait().unwrap();
    for ((versions, updated, fetched, heard), version) in said.into_iter().zip(["2", "1"]) {
        assert!(versions == [version] && updated && fetched, "{versions:?} {heard}");
    }
}
