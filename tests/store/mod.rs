//! Tests of `store`: one suite of promises for every backend, and what only a local disk has.

mod conformance;
mod killed;
mod local;

use assay::store::Key;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}
