//! Query: what is asked about a whole archive (gate rules §6.8): which source, which commit, which key, built with what.
//!
//! Owns the facts that are drawn from decisions, rebuild records and environment locks after their signatures
//! were checked, the cache of them, and the answers. Reads the store, the site and the cache; writes the cache
//! alone. What an archive lists is read each time from what the archive signs; a fact is named by the hash of its
//! document, so only documents that are new are read. A crash leaves the old cache or the new one.

mod answer;
mod built_with;
mod cache;
mod codec;
mod declared;
mod dissent;
mod error;
mod facts;
mod fallen;
mod index;
mod key;
mod known;
mod listed;
mod lost;
mod read;
mod source;
mod stale;
mod view;

pub use answer::{Answer, Exception, Git, State};
pub use built_with::{Ingredient, built_with};
pub use cache::Cache;
pub use declared::{Unreproduced, unreproduced};
pub use dissent::{contradicted, dissent};
pub use error::QueryError;
pub use facts::DecisionId;
pub use fallen::fallen;
pub use index::{Asked, Index, builder_keys};
pub use key::WhichKey;
pub use source::{by_signer, outputs_of, source_of};
pub use stale::{Limits, stale, strayed};
