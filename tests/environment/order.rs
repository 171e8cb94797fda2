//! Sources of ours that are built with packages of ours.

use assay::domain::{Coded, SuiteName};
use assay::environment::{Declared, EnvironmentError, SourceName, order};
use assay::site::EnvironmentSource;

use crate::admission::scenario::{Scenario, arch, package, version};

/// A source `name` that makes `lib<name>-dev`, and is built with this.
fn source(name: &str, depends: &str) -> Declared {
    let mut declaration = Scenario::good().candidate.declaration;
    declaration.source = package(name);
    declaration.version = version("2.0-1");
    declaration.build_depends.any = depends.to_owned();
    declaration.packages.truncate(1);
    declaration.packages[0].name = package(&format!("lib{name}-dev"));
    Declared {
        name: SourceName {
            archive: "custom".parse().unwrap(),
            source: package(name),
        },
        declaration,
        environment: vec![EnvironmentSource {
            archive: "custom".parse().unwrap(),
            suite: SuiteName::new("stable").unwrap(),
            components: vec!["main".parse().unwrap()],
        }],
        architecture: arch("amd64"),
    }
}

fn ordered(declared: &[Declared]) -> Result<Vec<String>, EnvironmentError> {
    let spell = |step: &assay::environment::Step| {
        let after: Vec<&str> = step.after.iter().map(|name| name.source.as_str()).collect();
        format!("{}<{}", step.name.source, after.join(","))
    };
    Ok(order(declared)?.iter().map(spell).collect())
}

#[test]
fn what_is_built_with_comes_first() {
    let all = [
        source("aa", "debhelper-compat (= 13), libzz-dev (>= 2.0)"),
        source("bb", "libaa-dev:amd64 | libother-dev, libzz-dev"),
        source("zz", ""),
    ];
    assert_eq!(ordered(&all).unwrap(), ["zz<", "aa<zz", "bb<aa,zz"]);
    let mut other_way: Vec<Declared> = all.to_vec();
    other_way.reverse();
    assert_eq!(ordered(&other_way).unwrap(), ordered(&all).unwrap());
}

#[test]
fn only_what_a_build_may_take_orders_it() {
    for depends in [
        "libzz-dev (<< 2.0)",
        "libzz-dev [i386]",
        "libzz-dev <nocheck>",
        "libaa-dev",
        "zz",
    ] {
        let all = [source("aa", depends), source("zz", "")];
        assert_eq!(ordered(&all).unwrap(), ["aa<", "zz<"], "{depends}");
    }
    let mut elsewhere = [source("aa", "libzz-dev"), source("zz", "")];
    elsewhere[0].environment[0].suite = SuiteName::new("other").unwrap();
    assert_eq!(ordered(&elsewhere).unwrap(), ["aa<", "zz<"]);
    elsewhere[0].environment.clear();
    assert_eq!(ordered(&elsewhere).unwrap(), ["aa<", "zz<"]);
    elsewhere[0] = source("aa", "libzz-dev");
    elsewhere[1].declaration.packages[0].package_type = "udeb".to_owned();
    assert_eq!(ordered(&elsewhere).unwrap(), ["aa<", "zz<"]);
}

#[test]
fn a_cycle_is_named() {
    let all = [
        source("aa", "libbb-dev"),
        source("bb", "libcc-dev"),
        source("cc", "libaa-dev, libdd-dev"),
        source("dd", ""),
    ];
    let error = ordered(&all).unwrap_err();
    assert_eq!(error.code(), "E-ENV-011");
    let text = error.to_string();
    assert!(
        text.ends_with("custom/bb → custom/cc → custom/aa → custom/bb")
            || text.ends_with("custom/aa → custom/bb → custom/cc → custom/aa"),
        "{text}"
    );
}
