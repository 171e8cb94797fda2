//! Uploads through a folder that anybody may fill: only what the rebuilds gave gets in, whole or not at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use assay::admission::explain;
use assay::domain::{Coded as _, Digest, Kind};
use assay::publish::{Admission, Incoming, Upload, UploadError, admit};

use super::brought::{buildinfo, dsc};
use super::scenario::file;
use super::site::{Built, Site, deb};

/// Puts files and a .changes that says this of them into a folder, in dput's order.
pub(crate) fn put(folder: &Path, version: &str, files: &[(&str, &[u8])], said: &[Digest]) -> String {
    let (mut sums, mut list) = (String::new(), String::new());
    for ((name, bytes), said) in files.iter().zip(said) {
        fs::write(folder.join(name), bytes).unwrap();
        sums.push_str(&format!("\n {} {} {name}", said.sha256, said.size));
        list.push_str(&format!(
            "\n {} {} devel optional {name}",
            "0123456789abcdef".repeat(2),
            said.size
        ));
    }
    let name = format!("hello_{version}_amd64.changes");
    let changes = format!(
        "Format: 1.8\nDate: Sun, 22 Nov 2026 12:00:00 +0000\nSource: hello\nBinary: hello\nArchitecture: amd64\n\
         Version: {version}\nDistribution: stable\nUrgency: medium\nMaintainer: T <t@example.org>\n\
         Description:\n hello - x\nChanges:\n hello ({version}) stable; urgency=medium\n .\n   * One.\n\
         Checksums-Sha256:{sums}\nFiles:{list}\n"
    );
    fs::write(folder.join(&name), changes).unwrap();
    name
}

pub(super) fn honest(folder: &Path, version: &str, files: &[(&str, &[u8])]) -> String {
    let said: Vec<Digest> = files.iter().map(|(_, bytes)| Digest::of(bytes)).collect();
    put(folder, version, files, &said)
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What the gate says of an upload of what was built.
pub(super) fn offered(site: &Site, built: &Built, folder: &Path, name: &str) -> Result<Admission, UploadError> {
    let upload = Upload::read(folder, &file(name))?;
    upload.check()?;
    let offer = upload.hold(&site.store, &site.archive, &built.scenario.candidate.declaration)?;
    let (mut candidate, evidence) = site.prepare(built);
    offer.put_into(&mut candidate);
    let scenario = &built.scenario;
    Ok(admit(
        &site.gate(),
        &scenario.policy,
        &candidate,
        &evidence,
        scenario.now,
    )?)
}

fn refused_by(admission: &Admission) -> Vec<&str> {
    assert!(!admission.decision.admitted && admission.decision_sha256.is_some());
    admission.decision.broken().map(|rule| rule.id.as_str()).collect()
}

#[test]
fn an_upload_of_what_the_rebuilds_gave_is_admitted_and_taken_away() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb("1.0", "first");
    let name = honest(folder.path(), "1.0", &[("hello_1.0_amd64.deb", &bytes)]);
    fs::write(folder.path().join("unrelated.txt"), "x").unwrap();
    let mut incoming = Incoming::look(folder.path()).unwrap();
    assert_eq!(incoming.changes, [file(&name)]);
    let admission = offered(&site, &built, folder.path(), &name).unwrap();
    assert!(admission.decision.admitted, "{}", explain(&admission.decision));
    let named: Vec<_> = admission
        .decision
        .inputs
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(
        named.contains(&"changes"),
        "the upload is named in the decision: {named:?}"
    );
    incoming.done(&file(&name)).unwrap();
    assert_eq!(names(folder.path()), ["unrelated.txt"]);
}

#[test]
fn another_byte_an_extra_file_or_a_missing_one_refuses_the_whole_set() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let (good, other, extra) = (deb("1.0", "first"), deb("1.0", "other"), deb("1.0", "extra"));
    let info = buildinfo("1.0", &[]);
    let public = site.objects("custom/pool");
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [&'a str]);
    let cases: [Case<'_>; 3] = [
        (&[("hello_1.0_amd64.deb", &other)], &["R1", "B1"]),
        (
            &[("hello_1.0_amd64.deb", &good), ("hello-extra_1.0_amd64.deb", &extra)],
            &["R1", "B1", "B7", "V1"],
        ),
        (&[("hello_1.0_source.buildinfo", &info)], &["R1", "B1", "A2"]),
    ];
    for (files, rules) in cases {
        let folder = tempfile::tempdir().unwrap();
        let name = honest(folder.path(), "1.0", files);
        let admission = offered(&site, &built, folder.path(), &name).unwrap();
        assert_eq!(refused_by(&admission), rules, "{}", explain(&admission.decision));
        assert!(!admission.decision.waits_for_rebuilds());
        let mut incoming = Incoming::look(folder.path()).unwrap();
        let said = incoming.refuse(&file(&name), &explain(&admission.decision)).unwrap();
        assert!(fs::read_to_string(&said).unwrap().contains("B1   REFUSED"));
        assert_eq!(names(folder.path()), ["refused"], "the whole set went");
        assert_eq!(
            names(said.parent().unwrap()).len(),
            files.len() + 2,
            "it lies beside its reason"
        );
        assert_eq!(site.objects("custom/pool"), public);
    }
}

#[test]
fn a_source_alone_asks_for_what_was_rebuilt_and_its_tarball_must_be_that_of_git() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let folder = tempfile::tempdir().unwrap();
    let text = dsc("1.0", b"the tarball of 1.0") + "X-Built-By: somebody\n";
    let dsc: (&str, &[u8]) = ("hello_1.0.dsc", text.as_bytes());
    let name = honest(folder.path(), "1.0", &[dsc, ("hello_1.0.tar.xz", b"another tarball")]);
    assert_eq!(
        refused_by(&offered(&site, &built, folder.path(), &name).unwrap())[0],
        "S8"
    );
    let name = honest(
        folder.path(),
        "1.0",
        &[dsc, ("hello_1.0.tar.xz", b"the tarball of 1.0")],
    );
    assert!(offered(&site, &built, folder.path(), &name).unwrap().decision.admitted);
}

#[test]
fn an_upload_waits_while_rebuilds_are_to_come() {
    let site = Site::new();
    let mut built = site.build("1.0", "first");
    let second = built.scenario.evidence.records.pop();
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb("1.0", "first");
    let name = honest(folder.path(), "1.0", &[("hello_1.0_amd64.deb", &bytes)]);
    let one = offered(&site, &built, folder.path(), &name).unwrap();
    assert!(one.decision.waits_for_rebuilds(), "{}", explain(&one.decision));
    built.scenario.evidence.records.clear();
    assert!(
        offered(&site, &built, folder.path(), &name)
            .unwrap()
            .decision
            .waits_for_rebuilds()
    );
    let other = Digest::of(b"other");
    assay::publish::hold(&site.store, &site.archive, &other, &mut &b"other"[..]).unwrap();
    let mut dissent = second.unwrap();
    dissent.outputs.values_mut().for_each(|sha256| *sha256 = other.sha256);
    built.scenario.evidence.records.push(dissent);
    assert!(
        !offered(&site, &built, folder.path(), &name)
            .unwrap()
            .decision
            .waits_for_rebuilds()
    );
}

#[test]
fn what_is_partial_oversized_or_no_file_is_not_read_into_the_store() {
    let site = Site::new();
    // Of something else: what was built is held already.
    let declared = site.build("1.0", "other").scenario.candidate.declaration;
    let bytes = deb("1.0", "first");
    let deb_name = "hello_1.0_amd64.deb";
    let before = site.objects("");
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, bool); 7] = [
        ("is not there", |deb| fs::remove_file(deb).unwrap(), true),
        ("bytes, not the", |deb| fs::write(deb, "half").unwrap(), true),
        ("bytes, not the", |deb| fs::write(deb, vec![0; 100_000]).unwrap(), false),
        (
            "and the .changes file says",
            |deb| {
                let length = fs::metadata(deb).unwrap().len() as usize;
                fs::write(deb, vec![0; length]).unwrap();
            },
            true,
        ),
        (
            "cannot open",
            |deb| {
                fs::rename(deb, deb.with_extension("moved")).unwrap();
                symlink(deb.with_extension("moved"), deb).unwrap();
            },
            false,
        ),
        (
            "no regular file",
            |deb| {
                fs::remove_file(deb).unwrap();
                assert!(Command::new("mkfifo").arg(deb).status().unwrap().success());
            },
            false,
        ),
        (
            "no regular file",
            |deb| {
                fs::remove_file(deb).unwrap();
                fs::create_dir(deb).unwrap();
            },
            false,
        ),
    ];
    for (why, spoil, unfinished) in cases {
        let folder = tempfile::tempdir().unwrap();
        let name = honest(folder.path(), "1.0", &[(deb_name, &bytes)]);
        spoil(&folder.path().join(deb_name));
        let upload = Upload::read(folder.path(), &file(&name)).unwrap();
        let error = upload.check().unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.may_be_unfinished(), unfinished, "{error}");
        assert!(error.is_its_own() && error.kind() != Kind::Bug);
        assert!(upload.hold(&site.store, &site.archive, &declared).is_err());
    }
    // The .changes itself: a link, a FIFO, a path, too much.
    let folder = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", folder.path().join("link.changes")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(folder.path().join("fifo.changes"))
            .status()
            .unwrap()
            .success()
    );
    let name = put(folder.path(), "1.0", &[(deb_name, &bytes)], &[Digest::of(&bytes)]);
    let text = fs::read_to_string(folder.path().join(&name)).unwrap();
    fs::write(
        folder.path().join("path.changes"),
        text.replace(deb_name, "../hello_1.0_amd64.deb"),
    )
    .unwrap();
    let size = format!(" {} ", bytes.len());
    fs::write(folder.path().join("much.changes"), text.replace(&size, " 3000000000 ")).unwrap();
    let mut incoming = Incoming::look(folder.path()).unwrap();
    assert_eq!(incoming.changes.len(), 5);
    for (name, code, unfinished) in [
        ("link.changes", None, false),
        ("fifo.changes", None, false),
        ("path.changes", Some("E-UPLOAD-001"), true),
        ("much.changes", Some("E-UPLOAD-002"), false),
    ] {
        let error = Upload::read(folder.path(), &file(name)).unwrap_err();
        assert!(code.is_none_or(|code| error.code() == code), "{error}");
        assert_eq!(error.may_be_unfinished(), unfinished, "{error}");
        let said = incoming.refuse(&file(name), "no").unwrap();
        assert!(names(said.parent().unwrap()).contains(&name.to_owned()));
    }
    assert!(fs::metadata("/etc/passwd").is_ok());
    assert_eq!(
        names(folder.path()).len(),
        3,
        "the good one is untouched, beside what was refused"
    );
    assert_eq!(site.objects(""), before, "nothing was kept");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_held() {
    let site = Site::new();
    // Of something else: what was built is held already.
    let declared = site.build("1.0", "other").scenario.candidate.declaration;
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb("1.0", "first");
    let name = honest(folder.path(), "1.0", &[("hello_1.0_amd64.deb", &bytes)]);
    let upload = Upload::read(folder.path(), &file(&name)).unwrap();
    upload.check().unwrap();
    let mut other = bytes.clone();
    other[200] ^= 1;
    fs::write(folder.path().join("hello_1.0_amd64.deb"), other).unwrap();
    let before = site.objects("");
    let error = upload.hold(&site.store, &site.archive, &declared).unwrap_err();
    assert!(error.may_be_unfinished() && error.is_its_own(), "{error}");
    assert_eq!(site.objects(""), before);
}

#[test]
fn a_refused_upload_takes_no_file_of_another_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb("1.0", "first");
    let good = honest(folder.path(), "1.0", &[("hello_1.0_amd64.deb", &bytes)]);
    let bad = honest(
        folder.path(),
        "6.6.6",
        &[("hello_1.0_amd64.deb", &bytes), ("evil.deb", b"evil")],
    );
    let mut incoming = Incoming::look(folder.path()).unwrap();
    incoming.refuse(&file(&bad), "no").unwrap();
    Upload::read(folder.path(), &file(&good)).unwrap().check().unwrap();
    assert_eq!(
        names(&folder.path().join("refused/hello_6.6.6_amd64")),
        ["evil.deb", "hello_6.6.6_amd64.changes", "hello_6.6.6_amd64.reason"]
    );
    // The last one that names it takes it along, whether it is admitted or refused.
    incoming.done(&file(&good)).unwrap();
    assert_eq!(names(folder.path()), ["refused"]);

    let good = honest(folder.path(), "1.0", &[("hello_1.0_amd64.deb", &bytes)]);
    let bad = honest(folder.path(), "6.6.6", &[("hello_1.0_amd64.deb", &bytes)]);
    let mut incoming = Incoming::look(folder.path()).unwrap();
    incoming.done(&file(&good)).unwrap();
    assert!(
        folder.path().join("hello_1.0_amd64.deb").exists(),
        "the other one needs it"
    );
    incoming.refuse(&file(&bad), "no").unwrap();
    assert_eq!(names(folder.path()), ["refused"]);
    assert!(
        folder
            .path()
            .join("refused/hello_6.6.6_amd64.2/hello_1.0_amd64.deb")
            .exists()
    );
}

#[test]
fn a_link_in_the_place_of_the_folder_of_refused_ones_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (inbox, elsewhere) = (folder.path().join("incoming"), folder.path().join("elsewhere"));
    fs::create_dir_all(&inbox).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    let name = honest(&inbox, "1.0", &[("hello_1.0_amd64.deb", b"evil"), ("x.conf", b"evil")]);
    let before = names(&inbox);
    symlink(&elsewhere, inbox.join("refused")).unwrap();
    let mut incoming = Incoming::look(&inbox).unwrap();
    let error = incoming.refuse(&file(&name), "no").unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(names(&elsewhere), Vec::<String>::new());
    fs::remove_file(inbox.join("refused")).unwrap();
    assert_eq!(names(&inbox), before, "nothing was moved");

    // A link within a real one is passed by.
    fs::create_dir(inbox.join("refused")).unwrap();
    symlink(&elsewhere, inbox.join("refused/hello_1.0_amd64")).unwrap();
    let said = incoming.refuse(&file(&name), "no").unwrap();
    assert!(
        said.ends_with("refused/hello_1.0_amd64.2/hello_1.0_amd64.reason"),
        "{said:?}"
    );
    assert_eq!(names(&elsewhere), Vec::<String>::new());
}

#[test]
fn dput_puts_uploads_where_they_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (incoming, from) = (folder.path().join("incoming"), folder.path().join("from"));
    fs::create_dir_all(&incoming).unwrap();
    fs::create_dir_all(&from).unwrap();
    let bytes = deb("1.0", "first");
    let name = honest(&from, "1.0", &[("hello_1.0_amd64.deb", &bytes)]);
    // dput-ng and dput wants MD5 sums that are right.
    let md5 = Command::new("md5sum")
        .arg(from.join("hello_1.0_amd64.deb"))
        .output()
        .unwrap();
    let md5 = String::from_utf8(md5.stdout).unwrap();
    let changes = fs::read_to_string(from.join(&name)).unwrap();
    fs::write(
        from.join(&name),
        changes.replace(&"0123456789abcdef".repeat(2), md5.split(' ').next().unwrap()),
    )
    .unwrap();
    let config = folder.path().join("dput.cf");
    let method = format!(
        "[local]\nmethod = local\nincoming = {}\nallow_unsigned_uploads = 1\nrun_dinstall = 0\ncheck_version = 0\n",
        incoming.display()
    );
    fs::write(&config, method).unwrap();
    let run = Command::new("dput")
        .arg("--config")
        .arg(&config)
        .arg("--unchecked")
        .arg("local")
        .arg(from.join(&name))
        .output();
    let run = run.expect("dput is installed by tests/setup");
    assert!(run.status.success(), "{run:?}");
    let found = Incoming::look(&incoming).unwrap();
    assert_eq!(found.changes, [file(&name)]);
    Upload::read(&incoming, &file(&name)).unwrap().check().unwrap();
}
