//! Upstream: fetch plan, limits, retries → a verified archive state (DESIGN §5, threats F1–F9).
//!
//! Owns HTTP to upstream archives. What it has put into the store before a failure is by hash and
//! named by nothing: the old state stays. Signs nothing, publishes nothing.
