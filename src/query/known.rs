//! What is known: segments, the newest last. A fact is named by a hash, so it does not matter which one has it.

use super::facts::SiteDeclaration;
use super::view::{Decision, Lock, Record, Reference, Segment};
use crate::domain::Sha256;
use crate::host::files::Stamp;

#[derive(Debug, Default)]
pub(super) struct Known {
    segments: Vec<Segment>,
}

impl Known {
    pub(super) fn new(segments: Vec<Segment>) -> Self {
        Self { segments }
    }

    pub(super) fn add(&mut self, segment: Segment) {
        self.segments.push(segment);
    }

    fn newest(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().rev()
    }

    pub(super) fn decision(&self, archive: &str, sha256: &Sha256) -> Option<Decision<'_>> {
        self.newest().find_map(|segment| segment.decision(archive, sha256))
    }

    pub(super) fn record(&self, sha256: &Sha256) -> Option<Record<'_>> {
        self.newest().find_map(|segment| segment.record(sha256))
    }

    /// The rebuild record that a decision rests on.
    pub(super) fn record_of<'k>(&'k self, reference: Reference<'k>) -> Option<Record<'k>> {
        reference.record().or_else(|| self.record(&reference.sha256))
    }

    /// The environment lock that a decision rests on.
    pub(super) fn lock_of<'k>(&'k self, reference: Reference<'k>) -> Option<Lock<'k>> {
        let elsewhere = || self.newest().find_map(|segment| segment.lock(&reference.sha256));
        reference.lock().or_else(elsewhere)
    }

    /// The environments of a decision.
    pub(super) fn locks_of<'k>(&'k self, decision: Decision<'k>) -> impl Iterator<Item = Lock<'k>> {
        decision.locks.iter().filter_map(|reference| self.lock_of(reference))
    }

    /// Every environment lock, one that two segments have twice.
    pub(super) fn locks(&self) -> impl Iterator<Item = Lock<'_>> {
        self.segments.iter().flat_map(Segment::locks)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn declaration(&self, archive: &str, name: &str, stamp: &Stamp) -> Option<SiteDeclaration> {
        let mut segments = self.newest();
        segments.find_map(|segment| segment.declaration(archive, name, stamp))
    }
}
