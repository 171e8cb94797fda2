//! Publish: plan → stage → commit → flip; recovery (DESIGN §4).
//!
//! A projection of a snapshot record: run again after a crash, it finishes. InRelease moves last.
