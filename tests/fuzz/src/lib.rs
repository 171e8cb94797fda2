//! Fuzz targets: one per grammar that reads bytes from outside, each in `src/bin/`.
//!
//! They run on a stable compiler: `rustc-wrapper` adds coverage to the workspace's own crates only,
//! so that dependencies are shared with every other build. `run SECONDS` builds and runs them all.
