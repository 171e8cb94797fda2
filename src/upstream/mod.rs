//! Upstream: fetch plan, limits, retries → a verified archive state (DESIGN §5, threats F1–F9).
//!
//! Owns HTTP to upstream archives. What it has put into the store before a failure is by hash and
//! named by nothing: the old state stays. Signs nothing, publishes nothing.

mod address;
mod age;
mod body;
mod client;
mod decoders;
mod error;
mod fetch;
mod follow;
mod full;
mod head;
mod index;
mod inspect;
mod judge;
mod left;
mod listed;
mod lists;
mod mend;
mod mirror;
mod patched;
mod paths;
mod plan;
mod pull;
mod refused;
mod resolve;
mod same;
mod through;

pub use age::{ageing, ended};
pub use body::Body;
pub use client::{Client, Connections, Expect, Limits};
pub use error::{Mismatch, UpstreamError};
pub use follow::{Added, Follow, Followed, follow};
pub use full::{fill_added, fill_pool, lacking, last_filled, looked_at, was_filled};
pub use judge::{is_of_suite, lacking as lacking_indexes, release_fields};
pub use left::{forgotten_rows, remembered};
pub use mend::{Mended, Mender, Mending, look_at};
pub use mirror::mirror_uri;
pub use plan::{Plan, Planned, Wanted, plan};
pub use pull::{Sums, fetch_pool_file};
pub use refused::Refused;
pub use through::PullThrough;
