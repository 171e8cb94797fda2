//! Mirrors: every index of a snapshot is covered by upstream's own signature, by its Release or by a
//! list that the Release covers.

use std::collections::BTreeMap;

use super::releases::get;
use super::{Anchor, AnchorKind, Problem};
use crate::domain::RelPath;
use crate::format::chained::{Chained, LARGEST_LIST, chained, list_kind};
use crate::format::release::Release;
use crate::snapshot::{IndexFile, SuiteState, UpstreamRelease, index_key, read_index, upstream_files};
use crate::store::{Key, Store};
use crate::trust::{Requirement, Verified, verify_detached, verify_inrelease};

/// Upstream's own signature covers every index of the snapshot.
pub(super) fn check_upstream(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
) -> Result<Verified, Problem> {
    let verified = verified(store, anchor, state, upstream)?;
    let at = |error| Problem::new(Problem::UPSTREAM, &state.suite, error);
    let release = Release::parse(&verified.text).map_err(at)?;
    let listed = |index: &IndexFile| {
        let found = release.entries().get(&index.path);
        found.is_some_and(|found| found.digest == index.digest)
    };
    let (covered, others): (Vec<&IndexFile>, Vec<&IndexFile>) = state.indexes.iter().partition(|index| listed(index));
    if others.is_empty() {
        return Ok(verified);
    }
    let further = further(store, anchor, state, &covered)?;
    for index in others {
        let says = further.get(&index.path);
        let same = |says: &Chained| {
            says.sha256 == index.digest.sha256 && says.size.is_none_or(|size| size == index.digest.size)
        };
        if !says.is_some_and(same) {
            let why = format!(
                "upstream's signed Release does not list `{}` with SHA-256 {}, nor does a list that it covers",
                index.path, index.digest.sha256
            );
            let key = index_key(&anchor.name, &state.suite, index);
            return Err(Problem::new(Problem::UPSTREAM, key, why));
        }
    }
    Ok(verified)
}

/// The objects that say what upstream's signature covers.
pub(super) fn upstream_evidence(anchor: &Anchor, state: &SuiteState, upstream: &UpstreamRelease) -> Vec<Key> {
    let signed = upstream_files(&anchor.name, &state.suite, upstream);
    let lists = state
        .indexes
        .iter()
        .filter(|index| index.kept && list_kind(&index.path).is_some());
    let lists = lists.map(|index| index_key(&anchor.name, &state.suite, index));
    signed.into_iter().map(|file| file.key).chain(lists).collect()
}

/// What the lists among these indexes name.
fn further(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    covered: &[&IndexFile],
) -> Result<BTreeMap<RelPath, Chained>, Problem> {
    let mut further = BTreeMap::new();
    let is_list = |index: &&&IndexFile| index.kept && list_kind(&index.path).is_some();
    for index in covered.iter().filter(is_list) {
        let key = index_key(&anchor.name, &state.suite, index);
        if index.digest.size > LARGEST_LIST {
            let why = format!("it is larger than the {LARGEST_LIST} bytes that a list may have");
            return Err(Problem::new(Problem::UPSTREAM, key, why));
        }
        let bytes = read_index(store, &anchor.name, &state.suite, index);
        let bytes = bytes.map_err(|error| Problem::new(Problem::MISSING, &key, error))?;
        let files = chained(&index.path, &bytes).map_err(|error| Problem::new(Problem::UPSTREAM, &key, error))?;
        further.extend(files);
    }
    Ok(further)
}

/// What upstream signed, in either of its forms, verified again.
fn verified(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
) -> Result<Verified, Problem> {
    let AnchorKind::Mirror {
        upstream: keyring,
        threshold,
    } = &anchor.kind
    else {
        let why = "the archive is not a mirror";
        return Err(Problem::new(Problem::UPSTREAM, &state.suite, why));
    };
    // Judged as of when we first verified it: an old snapshot's upstream keys may have expired since.
    let requirement = Requirement {
        keyring,
        threshold: *threshold,
        now: upstream.verified_at,
    };
    let files = upstream_files(&anchor.name, &state.suite, upstream);
    let problem = |error| Problem::new(Problem::SIGNATURE, &state.suite, error);
    match files.as_slice() {
        [inrelease] => {
            let bytes = get(store, &inrelease.key)?;
            verify_inrelease(&bytes, &requirement)
                .map_err(|error| Problem::new(Problem::SIGNATURE, &inrelease.key, error))
        }
        [release, signature] => {
            let (text, signature_bytes) = (get(store, &release.key)?, get(store, &signature.key)?);
            let signers = verify_detached(&text, &signature_bytes, &requirement)
                .map_err(|error| Problem::new(Problem::SIGNATURE, &signature.key, error))?;
            Ok(Verified {
                text,
                signers,
                others: Vec::new(),
            })
        }
        _ => Err(problem("it names no file that upstream signed")),
    }
}
