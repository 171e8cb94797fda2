//! Admission: policy, rules, decide (DESIGN §7). The gate.
//!
//! Owns every rule by its stable id. `decide` is pure: it never sees the network, the disk or the
//! clock, and the same evidence gives the same decision.
