//! Fills a site that `assay init` made with a custom archive of so many source packages, two binary packages each:
//! `queries SITE SOURCES ENVIRONMENT DEBIAN`. What `make bench-queries` measures queries on.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a tool of the tests, which uses a part of their fixture"
)]

mod maker;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse().unwrap();
    let plan = maker::Plan {
        sources: number(1),
        environment: number(2),
        debian: number(3),
    };
    let maker = maker::Maker::new(std::path::Path::new(&arguments[0]), assay::host::Clock::System.now());
    assert_eq!(maker.archive(plan).len(), plan.sources);
}
