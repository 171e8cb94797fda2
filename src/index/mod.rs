//! Indexes: catalog → Packages, Sources, Contents, Translation-en, Release bytes, and their compressed forms (DESIGN §9).
//!
//! Owns the bytes of every index that we make ourselves. Pure and deterministic: sorted, no clock,
//! no locale, pinned compressors; the order in which packages came does not show. Reads no file,
//! writes none: `snapshot` stages what comes out of here.

mod blocks;
mod catalog;
mod changelogs;
mod closure;
mod contents;
mod error;
mod packages;
pub mod release;
mod select;
mod sources;
mod touched;
mod translation;

pub use blocks::{Before, Common, Cut, Packed, blocks, packed};
pub use catalog::{Catalog, has_index, index_path, suite_indexes};
pub use changelogs::{
    CHANGELOGS, Listed, changelog_of, changelog_place, changelogs, changelogs_path, may_be_changelog, read_changelogs,
};
pub use closure::{Chosen, Closure};
pub use contents::{FileList, contents, contents_path};
pub use error::IndexError;
pub use packages::{INDEX_FIELDS, binary_stanza, debug_symbols_apart, is_debug_symbols, overridden};
pub use select::{Place, Search, select};
pub use sources::source_stanza;
pub use touched::{places, spliced, touched};
pub use translation::{Descriptions, translation_path};
