//! Tests of `prepare`: which suite each declared source has to be in.

use assay::domain::{Coded as _, Sha256, SuiteName};
use assay::prepare::{Heads, Image, Own, PrepareError, Step, Wanted, place};

fn suites(names: &[&str]) -> Vec<SuiteName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn wanted(names: &[&str]) -> Wanted {
    Wanted {
        source: "hello".parse().unwrap(),
        declaration: Sha256::of(b"declaration"),
        suites: suites(names),
    }
}

/// What is to be done when these suites of the image have it.
fn step(wanted: &Wanted, image: &Image, have: &[&str]) -> Result<Step, PrepareError> {
    place(wanted, image, |suite| Ok(have.contains(&suite.as_str())))
}

#[test]
fn an_overlay_gets_only_what_the_base_has_not() {
    let image = Image {
        suites: suites(&["stable", "feature-foo"]),
        own: Own::Suite("feature-foo".parse().unwrap()),
    };
    let of_branch = wanted(&[]);
    let bring = Step::Bring(suites(&["feature-foo"]));
    assert_eq!(step(&of_branch, &image, &[]).unwrap(), bring);
    assert_eq!(
        step(&of_branch, &image, &["stable"]).unwrap(),
        Step::Held("stable".parse().unwrap())
    );
    assert_eq!(
        step(&of_branch, &image, &["feature-foo"]).unwrap(),
        Step::Held("feature-foo".parse().unwrap())
    );
    assert_eq!(step(&of_branch, &image, &["other"]).unwrap(), bring);
}

#[test]
fn a_declaration_that_names_suites_counts_for_those() {
    let image = Image {
        suites: suites(&["stable"]),
        own: Own::Suite("stable".parse().unwrap()),
    };
    assert_eq!(step(&wanted(&["devel"]), &image, &[]).unwrap(), Step::Elsewhere);
    assert_eq!(
        step(&wanted(&["stable", "devel"]), &image, &["stable"]).unwrap(),
        Step::Held("stable".parse().unwrap())
    );
    let all = Step::Bring(suites(&["stable", "devel"]));
    assert_eq!(step(&wanted(&["stable", "devel"]), &image, &[]).unwrap(), all);
    let any = Image {
        suites: Vec::new(),
        ..image
    };
    assert_eq!(
        step(&wanted(&["devel"]), &any, &[]).unwrap(),
        Step::Bring(suites(&["devel"]))
    );
}

#[test]
fn a_branch_without_a_suite_is_told_what_mends_it() {
    let image = Image {
        suites: suites(&["stable"]),
        own: Own::None {
            why: "HEAD is on `feature/foo`".into(),
            fix: "add a file".into(),
        },
    };
    assert!(step(&wanted(&[]), &image, &["stable"]).is_ok());
    let error = step(&wanted(&[]), &image, &[]).unwrap_err();
    assert_eq!(
        (error.code(), error.hint().unwrap().as_str()),
        ("E-PREP-001", "add a file")
    );
}

#[test]
fn a_suite_of_another_ref_is_not_the_image_s() {
    let named = |name: &str| name.parse::<assay::domain::GitRef>().unwrap();
    let (tag, branch) = (named("refs/tags/v2.0"), named("refs/heads/v2.0"));
    let suite: SuiteName = "v2.0".parse().unwrap();
    let stable: SuiteName = "stable".parse().unwrap();
    let of_stable = named("refs/heads/stable");
    // A branch that was pushed before the tag has the name, and its class may demand less.
    for heads in [Heads::Head(tag.clone()), Heads::Release(suite.clone())] {
        assert!(heads.check(&suite, Some(&tag)).is_ok());
        assert_eq!(heads.check(&suite, Some(&branch)).unwrap_err().code(), "E-PREP-006");
        assert!(heads.check(&stable, Some(&of_stable)).is_ok());
        assert!(heads.check(&suite, None).is_ok(), "the site names it itself");
    }
    assert_eq!(
        Heads::Branches.check(&suite, Some(&tag)).unwrap_err().code(),
        "E-PREP-006"
    );
}
