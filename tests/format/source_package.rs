//! Source packages: what dpkg makes is read; what is read, dpkg reads in the same way.

use std::path::Path;
use std::process::Command;

use assay::domain::{Digest, FileName};
use assay::format::buildinfo::Buildinfo;
use assay::format::changelog::{Head, parse_head};
use assay::format::changes::Changes;
use assay::format::control::SourceControl;
use assay::format::dsc::Dsc;
use assay::format::relation::Relations;
use proptest::prelude::*;

use super::generate;
use crate::support::dpkg_perl;

const CONTROL: &str = "# comment\nSource: hello\nSection: misc\nPriority: optional\nMaintainer: A. Person <a@example.org>\n\
    Build-Depends: dpkg-dev (>= 1.17),\n# not this\n# libnot-dev,\n base-files | nothing [!hurd-any] <!nocheck>,\n\
    Standards-Version: 4.6.2\nRules-Requires-Root: no\n\n\
    Package: hello\nArchitecture: all\nDescription: says hello\n It says hello.\n .\n Twice.\n\n\
    # and one more\nPackage: hello-data\nArchitecture: all\nDescription: data\n Data.\n";
const CHANGELOG: &str = "hello (1:2.0+ds~rc1) custom; urgency=medium\n\n  * First.\n\n -- A. Person <a@example.org>  Sat, 11 Jul 2026 12:16:37 +0200\n";
const RULES: &str = "#!/usr/bin/make -f\nclean:\n\trm -rf debian/hello debian/hello-data debian/files\nbuild build-arch build-indep:\nbinary-arch:\nbinary binary-indep:\n\
    \tfor p in hello hello-data; do mkdir -p debian/$$p/DEBIAN && dpkg-gencontrol -p$$p -Pdebian/$$p && dpkg-deb --root-owner-group --build debian/$$p .. || exit 1; done\n";

fn build(folder: &Path) {
    let tree = folder.join("hello-2.0");
    std::fs::create_dir_all(tree.join("debian/source")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(tree.join("debian").join(name), text).unwrap();
    write("control", CONTROL);
    write("changelog", CHANGELOG);
    write("rules", RULES);
    write("source/format", "3.0 (native)\n");
    Command::new("chmod")
        .arg("+x")
        .arg(tree.join("debian/rules"))
        .status()
        .unwrap();
    let output = Command::new("dpkg-buildpackage")
        .args(["--no-sign", "--no-check-builddeps"])
        .current_dir(&tree)
        .env("LC_ALL", "C.UTF-8")
        .env("CFLAGS", "-DX=\"y\"")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn assert_files(folder: &Path, files: &[(FileName, Digest)], names: &[&str]) {
    assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    for (name, digest) in files {
        assert_eq!(
            Digest::of(&std::fs::read(folder.join(name.as_str())).unwrap()),
            *digest,
            "{name}"
        );
    }
}

#[test]
fn what_dpkg_builds_is_read() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path());
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let built_on = String::from_utf8(
        Command::new("dpkg")
            .arg("--print-architecture")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let built_on = built_on.trim();

    let dsc = Dsc::parse(&read("hello_2.0+ds~rc1.dsc")).unwrap();
    assert_eq!(
        (dsc.source.as_str(), dsc.version.as_str(), dsc.format.as_str()),
        ("hello", "1:2.0+ds~rc1", "3.0 (native)")
    );
    assert_eq!(dsc.binaries.len(), 2);
    assert_files(folder.path(), &dsc.files, &["hello_2.0+ds~rc1.tar.xz"]);

    let changes = Changes::parse(&read(&format!("hello_2.0+ds~rc1_{built_on}.changes"))).unwrap();
    assert_eq!(changes.source_version, changes.version);
    assert_eq!(
        changes.architectures.iter().map(|a| a.as_str()).collect::<Vec<_>>(),
        ["source", "all"]
    );
    assert_eq!(
        changes.distributions.iter().map(|a| a.as_str()).collect::<Vec<_>>(),
        ["custom"]
    );
    let buildinfo_name = format!("hello_2.0+ds~rc1_{built_on}.buildinfo");
    let debs = ["hello-data_2.0+ds~rc1_all.deb", "hello_2.0+ds~rc1_all.deb"];
    let all = [
        "hello_2.0+ds~rc1.dsc",
        "hello_2.0+ds~rc1.tar.xz",
        debs[0],
        debs[1],
        &buildinfo_name,
    ];
    assert_files(folder.path(), &changes.files, &all);

    let buildinfo = Buildinfo::parse(&read(&buildinfo_name)).unwrap();
    assert_files(folder.path(), &buildinfo.files, &[all[0], debs[0], debs[1]]);
    assert_eq!(buildinfo.build_architecture.as_str(), built_on);
    assert!(buildinfo.build_date.is_some());
    assert!(buildinfo.installed.iter().any(|one| one.package.as_str() == "dpkg-dev"));
    assert!(
        buildinfo
            .environment
            .contains(&("CFLAGS".to_owned(), "-DX=\"y\"".to_owned()))
    );

    // A file list that one reader could take in another way is refused.
    let text = String::from_utf8(read("hello_2.0+ds~rc1.dsc")).unwrap();
    let size = dsc.files[0].1.size.to_string();
    for (from, to) in [
        (format!(" {size} "), format!(" {size}0 ")),
        ("hello_2.0+ds~rc1.tar.xz".to_owned(), "other_2.0.tar.xz".to_owned()),
        ("Checksums-Sha256".to_owned(), "Checksums-Sha512".to_owned()),
        ("Checksums-Sha1:".to_owned(), "Checksums-Sha1:\n 1 1 x".to_owned()),
        ("3.0 (native)".to_owned(), "3.0 (git)".to_owned()),
    ] {
        assert!(text.contains(&from), "{from}");
        assert!(
            Dsc::parse(text.replacen(&from, &to, 1).as_bytes()).is_err(),
            "{from} -> {to}"
        );
    }
}

#[test]
fn a_control_file_is_read_as_dpkg_reads_it() {
    let control = SourceControl::parse(CONTROL.as_bytes()).unwrap();
    let program = r"
        my $info = Dpkg::Control::Info->new(filename => undef);
        open(my $file, '<', \$_) or die;
        $info->parse($file, 'case');
        my @out;
        for my $part ($info->get_source(), $info->get_packages()) {
            push @out, map { ($_, $part->{$_} =~ s/\n(?=\n)/\n./r) } @{$$part->{in_order}};
        }
        @out
    ";
    let dpkg = dpkg_perl::each("use Dpkg::Control::Info;", program, &[CONTROL.into()]);
    let ours = std::iter::once(&control.source).chain(control.binaries.iter().map(|b| &b.paragraph));
    let ours: Vec<Vec<u8>> = ours
        .flat_map(|p| p.fields())
        .flat_map(|(n, v)| [n.into(), v.into()])
        .collect();
    assert_eq!(dpkg, [Some(ours)]);
}

/// Joins pieces, in which what is good comes up often.
fn joined(good: &'static [&'static str], odd: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![9 => prop::sample::select(good), 1 => prop::sample::select(odd)];
    prop::collection::vec(piece, 1..most).prop_map(|pieces| pieces.concat())
}

#[test]
fn dpkg_understands_each_relation_that_is_taken() {
    let good = &[
        "hello",
        "g++",
        "libx1",
        ":any",
        " (>= 1.0)",
        "(<< 2:1-1~)",
        " (= 0)",
        " [amd64 i386]",
        "[!armel !any-i386]",
        " <!nocheck>",
        "<a b> <!c>",
        ", ",
        " | ",
        ",",
    ];
    let odd = &[
        "(> 1)",
        "(>=1 2)",
        "(>= )",
        "[amd64 !i386]",
        "[]",
        "<>",
        "<a",
        " ",
        "\n",
        "|",
        "(",
        ")",
        "]",
        ">",
        "x y",
        "${a:B}",
        "UP",
        ":",
        "!",
        "%",
    ];
    let mut taken = Vec::new();
    for text in generate(&joined(good, odd, 9), 20_000) {
        if let Ok(relations) = Relations::parse("Build-Depends", &text) {
            taken.push((text, relations));
        }
    }
    assert!(taken.len() > 500, "{}", taken.len());
    let program = r"
        my $deps = Dpkg::Deps::deps_parse($_, build_dep => 1, reduce_arch => 0, reduce_profiles => 0);
        die unless defined $deps;
        ($deps->output())
    ";
    let cases: Vec<Vec<u8>> = taken.iter().map(|(text, _)| text.clone().into_bytes()).collect();
    let answers = dpkg_perl::each("use Dpkg::Deps;", program, &cases);
    for ((text, relations), dpkg) in taken.iter().zip(answers) {
        let dpkg = dpkg.map(|out| String::from_utf8(out.concat()).unwrap().replace(' ', ""));
        assert_eq!(dpkg, Some(relations.to_string().replace(' ', "")), "{text:?}");
    }
}

fn flat(head: &Head) -> Vec<Vec<u8>> {
    let suites: Vec<&str> = head.distributions.iter().map(|suite| suite.as_str()).collect();
    let texts = [
        head.source.to_string(),
        head.version.to_string(),
        suites.join(" "),
        head.maintainer.clone(),
        head.date.unix().to_string(),
        head.changes.clone(),
    ];
    texts.map(String::into_bytes).to_vec()
}

#[test]
fn dpkg_reads_each_changelog_that_is_taken_in_the_same_way() {
    let heads = prop::sample::select(
        &[
            "hello (1.0-1) custom; urgency=low\n",
            "hello (1:1~a+b) a b-c; urgency=medium, XB-y=z\n",
            "hello (1.0) UNRELEASED;\n",
            "\nhello (1.0) a;\n",
            "hello (1.0)  two;\n",
            "hello (1_0) a; urgency=low\n",
            "Hello (1.0) a;\n",
            "hello (1.0) a/b;\n",
            "hello(1.0) a;\n",
            "hello (1.0) a; urgency\n",
            "# c\nhello (1.0) a;\n",
            "hello (1.0) a;u=1,u=2\n",
        ][..],
    );
    let body = joined(
        &["\n", "  * One.\n", "  [ X ]\n", "    two é\n", "\n  * x -- y  \n"],
        &[
            "\t* tab\n",
            " * one\n",
            "* none\n",
            "  \x0c\n",
            " \n",
            "# x\n",
            "vim: x\n",
            "$Id: x$\n",
            " -- \n",
            "  -- x <y>  z\n",
            "/* x */\n",
            "hello (2) b; urgency=low\n",
        ],
        7,
    );
    let trailers = prop::sample::select(
        &[
            " -- A. Person <a@example.org>  Sat, 11 Jul 2026 12:16:37 +0200\n",
            " -- É <>  11 Jul 2026 12:16:37 -0030\n",
            " -- A <a@b>  Sat, 11 Jul 2026 2:16:37 +0000\n",
            " -- A <a@b>  Sat, 1 Aug 2026 02:16:37 +0000\n",
            " -- A <a@b>  Sat,  1 Aug 2026 02:16:37 +0000\n",
            " -- A <a@b>  Sat, 11 Jul 2026 12:16:60 +0000\n",
            " -- A <a@b>  Sat, 11 July 2026 12:16:37 +0000\n",
            " -- A <a@b> Sat, 11 Jul 2026 12:16:37 +0000\n",
            " -- A <a@b>  Sun, 11 Jul 2026 12:16:37 +0000\n",
            " -- A <a@b>  Sat, 11 Jul 2026 12:16:37 GMT\n",
            " -- A <a@b>  Sat, 11 Jul 26 12:16:37 +0000\n",
            " -- A <a@b>  Sat, 11 Jul 2026 12:16:37 +0000 (UTC)\n",
            " -- A <a <b>>  Sat, 11 Jul 2026 12:16:37 +0000\n",
            " -- <a@b>  Sat, 11 Jul 2026 12:16:37 +0000\n",
            " -- A <a@b>  Sat, 11 Jul 2026 12:16 +0000\n",
            "",
            " --\n",
        ][..],
    );
    let strategy = (heads, body, trailers).prop_map(|(head, body, trailer)| format!("{head}{body}{trailer}"));
    let mut taken = Vec::new();
    for text in generate(&strategy, 20_000) {
        if let Ok(head) = parse_head(text.as_bytes()) {
            taken.push((text, head));
        }
    }
    assert!(taken.len() > 500, "{}", taken.len());
    let program = r#"
        my $log = Dpkg::Changelog::Debian->new(verbose => 0);
        open(my $file, '<', \$_) or die;
        $log->parse($file, 'case');
        die if $log->get_parse_errors();
        my $e = $log->[0];
        my $changes = join("\n", map { s/\s+$//r } @{$e->get_part('changes')}) . "\n";
        $changes =~ s/^\n+//; $changes =~ s/\n+$/\n/;
        ($e->get_source(), $e->get_version() . '', join(' ', $e->get_distributions()), $e->get_maintainer(), $e->get_timepiece()->epoch, $changes)
    "#;
    let cases: Vec<Vec<u8>> = taken.iter().map(|(text, _)| text.clone().into_bytes()).collect();
    let answers = dpkg_perl::each("use Dpkg::Changelog::Debian;", program, &cases);
    for ((text, head), dpkg) in taken.iter().zip(answers) {
        assert_eq!(dpkg, Some(flat(head)), "{text:?}");
    }
}
