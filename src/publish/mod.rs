//! Publish: plan → stage → commit → flip; recovery (DESIGN §4).
//!
//! Owns the public tree of an archive: a pure projection of its snapshot records. The indexes lie in
//! the store, by hash, before a record is made; the record is the commit; what is done here can be
//! done again after a crash at any point, and finishes to the same bytes. InRelease moves last, so
//! that a reader sees the old state or the new one, whole. Publishing writes no record, no index and
//! no pool file.
//!
//! Owns the edge of the gate, too: [`admit`] carries out what `admission` decides, and is the only
//! writer of custom pools and of decisions. [`include()`] fills unproven archives, and cannot be given another.

mod admit;
mod canary;
mod changelogs;
mod claimed;
mod asked;
mod book;
mod brought;
mod attach;
mod contents;
mod ephemeral;
mod error;
mod evidence;
mod few;
mod filtered;
mod forms;
mod gate_error;
mod heard;
mod import;
mod include;
mod kept;
mod known;
mod ledger;
mod lineage;
mod memory;
mod moves;
mod locked;
mod next;
mod links;
mod mismatch;
mod overrides;
mod outside;
mod included;
mod include_error;
mod partial;
mod plan;
mod project;
mod propose;
mod provable;
mod reader;
mod recall;
mod redeclared;
mod renew;
mod repeat;
mod repository;
mod resign;
mod rounds;
mod sealed;
mod sign;
mod signers;
mod stage;
mod sync;
mod translations;
mod unrecorded;
mod upload;
mod vouch;
mod waiting;

pub use admit::{Admission, Gate, Question, admit};
pub use asked::{Fresh, Said, said};
pub use attach::{Brought, attach};
pub use book::{Book, Page};
pub use canary::canaries;
pub use claimed::{Claimed, entries as claim_entries};
pub use ephemeral::{Ephemeral, ephemeral};
pub use error::PublishError;
pub use evidence::{
    Records, add_document, add_record, hold, issue_nonce, load_nonces, load_records, read_document, run_of,
};
pub use filtered::{Filtered, filter, selection_digest};
pub use gate_error::GateError;
pub use heard::Journal;
pub use import::{ImportRequest, Importer, Importing, kept_release, kept_upstream};
pub use include::{Gone, Others, check_included, exclude, include};
pub use include_error::IncludeError;
pub use included::{Destination, Included, find_packages, read_all, read_packages};
pub use kept::{Fetch, Keyrings, StoreFiles, Unfetched};
pub use known::{Known, built_in, load_known};
pub use ledger::{append_ledger, key as ledger_key, load_claim, load_ledger, put_back};
pub use lineage::{folder as lineage_folder, load_admitted, load_lineage};
pub use links::{LARGEST_LINK, Observation, add_link, load_links};
pub use locked::{LockProblem, Locking, lock_site, locked_records};
pub use mismatch::{Contrast, contrasts};
pub use moves::{
    Contents, Held, Move, Moves, SourceChange, SourceDiff, Target, compare, contents, moves, remove, restore, suite_of,
};
pub use next::Writer;
pub use partial::{Missing, Part, Selection, select_packages};
pub use plan::{How, Release, Step, plan};
pub(crate) use project::snapshots_url;
pub use project::{Published, PublishedSuite, finish, is_published, publish, publish_all, publish_record, publish_tag};
pub use propose::{Proposal, gather, inspect, propose};
pub use provable::{Provable, provable};
pub use recall::{Forgotten, Hearing, Lost, Unread, forgotten, recall_all};
pub use redeclared::{Redeclared, load_redeclared, note_declared};
pub use renew::{Tagging, finish_renewal, is_new_tag, renew, tag};
pub use repeat::{Kept, list_decisions, load_decision, noted_decisions};
pub use repository::{Origin, Repository};
pub use resign::{is_by_all, is_signed_otherwise, resign_tag, vouch_anew};
pub use rounds::load_rounds;
pub use sealed::{Desk, Taken, load_commitments};
pub use sign::{ReleaseSigner, Signed};
pub use signers::{Signers, ending_keys};
pub use stage::{
    DECISIONS, DecisionLine, Decisions, parse_decisions, read_decision_lines, read_decisions, suite_fields,
};
pub use sync::{Named, Nameless, SuiteChange, SyncStep, Synced, expires, make_declared, nameless, plan_sync, sync};
pub use unrecorded::{Recorded, Unrecorded, lost_newest, unrecorded};
pub use upload::{Incoming, Offer, Upload, UploadError};
pub use vouch::{
    check_named, check_vouched, commit, commit_in_time, commit_mark, complete, load_vouched, mend_marks, read_vouched,
};
pub use waiting::{Waiting, forget, waiting};
