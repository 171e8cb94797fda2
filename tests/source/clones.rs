//! However a repository is reached, cloned and packed, and whichever Git reads it: the same bytes.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;

use assay::domain::Sha256;
use assay::source::{OrigMethod, SourceError, WantedOrig};

use super::maker::{Maker, now, reference};
use crate::support::web::Web;

/// A quilt package in a folder of its repository, with upstream's tarball on the branch `pristine-tar`.
fn packaged() -> Maker {
    let mut maker = Maker::quilt();
    let tarball = maker.path("quilted_2.0.orig.tar.xz");
    let output = format!("--output={}", maker.path("upstream.tar").display());
    maker.git(&["archive", "--prefix=q/", &output, "upstream/2.0"]);
    let script = format!("xz -c {} > {}", maker.path("upstream.tar").display(), tarball.display());
    maker.run("sh", &["-c", &script]);
    maker.run("pristine-tar", &["commit", tarball.to_str().unwrap(), "upstream/2.0"]);
    maker.tag("debian/2.0-1");
    maker.request.orig = Some(WantedOrig {
        method: OrigMethod::PristineTar,
        sha256: Some(Sha256::of(&std::fs::read(tarball).unwrap())),
    });
    maker
}

#[test]
fn transports_clones_umasks_and_versions_of_git_give_the_same_bytes() {
    let maker = packaged();
    let tag = reference("refs/tags/debian/2.0-1");
    let (declaration, package) = maker.declare_from(&maker.url(), &tag, "cache").unwrap();
    let clone = maker.path("clone.git");
    let clone = clone.to_str().unwrap();
    // Debian's own Git beside the one that is found first.
    let script = format!(
        "umask 007 && /usr/bin/git clone -q --mirror {} {clone} && cd {clone} && /usr/bin/git gc -q --aggressive && \
         /usr/bin/git repack -q -a -d --depth=1 --window=1 && git update-server-info && rm -rf hooks",
        maker.url()
    );
    maker.run_in("/", "sh", &["-euc", &script]);

    let web = Web::serve(&maker.path(""));
    let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = daemon.local_addr().unwrap().port();
    let base = maker.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    std::thread::spawn(move || {
        for client in daemon.incoming().flatten() {
            let (input, output) = (OwnedFd::from(client.try_clone().unwrap()), OwnedFd::from(client));
            let mut serving = Command::new("git")
                .args(["daemon", "--inetd", "--export-all", &format!("--base-path={base}")])
                .env("HOME", "/nonexistent")
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "safe.directory")
                .env("GIT_CONFIG_VALUE_0", "*")
                .stdin(input)
                .stdout(output)
                .spawn()
                .unwrap();
            std::thread::spawn(move || serving.wait());
        }
    });
    for (number, url) in [
        clone.to_owned(),
        format!("file://{clone}"),
        format!("{}/clone.git", web.url),
        format!("git://127.0.0.1:{port}/clone.git"),
    ]
    .iter()
    .enumerate()
    {
        let (again, same) = maker.declare_from(url, &tag, &format!("other{number}")).unwrap();
        assert_eq!(again, declaration, "{url}");
        assert_eq!(same, package, "{url}");
    }
}

#[test]
fn s3_a_clone_without_its_history_or_objects_is_refused_or_whole() {
    let maker = Maker::native();
    maker.write("later", "x\n");
    maker.commit("second");
    let tag = maker.tag("v1.0");
    let (declaration, _) = maker.declare(&tag).unwrap();
    let whole = |error: &SourceError| error.broken_rule() == Some("S3") || error.to_string().contains("fetch");
    for (number, how) in ["--depth=1", "--filter=blob:none", "--shared", "--reference=."]
        .into_iter()
        .enumerate()
    {
        let folder = maker.path(&format!("clone{number}"));
        let how = how.replace('.', maker.git.to_str().unwrap());
        let from = format!("file://{}", maker.url());
        let from = if how == "--shared" { maker.url() } else { from };
        let to = folder.to_str().unwrap();
        maker.run_in(
            "/",
            "git",
            &["clone", "-q", "--bare", &how, "--branch", "v1.0", &from, to],
        );
        match maker.declare_from(to, &tag, &format!("cache{number}")) {
            Ok((again, _)) => assert_eq!(again, declaration, "{how}"),
            Err(error) => assert!(whole(&error), "{how}: {error}"),
        }
    }
    // History that was cut off by a lie in the repository itself.
    let head = maker.git(&["rev-parse", "HEAD"]);
    std::fs::write(maker.git.join(".git/info/grafts"), format!("{head}\n")).unwrap();
    match maker.declare_from(&maker.url(), &tag, "grafted") {
        Ok((again, _)) => assert_eq!(again, declaration),
        Err(error) => assert!(whole(&error), "{error}"),
    }
}

#[test]
fn s6_s9_names_and_dates_that_mean_something_else_are_refused() {
    let refused = |path: &str| {
        let maker = Maker::native();
        maker.write(path, "x\n");
        maker.commit("odd");
        let error = maker.declare(&maker.tag("v1.0")).unwrap_err();
        assert_eq!(error.broken_rule(), Some("S6"), "{path:?}: {error}");
    };
    // What one file system composes, what another drops, what a third takes for Git's own.
    refused("cafe\u{301}");
    refused("sub/da\u{200c}ta");
    refused(".git\u{200d}x/config");
    let linked = Maker::native();
    linked.run("sh", &["-c", "mv debian packaging && ln -s packaging debian"]);
    linked.commit("a link");
    let error = linked.declare(&linked.tag("v1.0")).unwrap_err();
    assert_eq!(error.broken_rule(), Some("S6"), "{error}");

    let mut old = Maker::native();
    old.at(300_000_000);
    let error = old.declare(&old.tag("v1.0")).unwrap_err();
    assert_eq!(error.broken_rule(), Some("S9"), "{error}");
    let mut future = Maker::native();
    future.at(now().unix() + 86_400);
    future.commit_signed("signer", "tomorrow");
    let error = future.verify(&reference("refs/heads/main")).unwrap_err();
    assert_eq!(error.broken_rule(), Some("S9"), "{error}");
}

#[test]
fn a_declaration_names_a_folder_from_the_root() {
    let named = assay::source::address("tests/source").unwrap();
    assert!(named.starts_with('/') && named.ends_with("/tests/source"), "{named}");
    let url = "https://git.example.org/hello.git";
    assert_eq!(assay::source::address(url).unwrap(), url);
}
