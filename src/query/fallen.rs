//! What the newest snapshots list and the policy of today does not let stand.

use super::answer::Answer;
use super::index::Index;

/// Every decision behind listed files that is not believed, with what does not hold of it as the reason: its signers or
/// builders may speak no more, its evidence is gone, or the policy asks for more than it had.
#[must_use]
pub fn fallen(index: &Index<'_>) -> Vec<Answer> {
    let doubted = index.listed.decisions().filter_map(|id| {
        let problem = index.doubt(&id)?;
        Some(Answer::of_decision(
            index,
            &id,
            format!("{}: {}", problem.code, problem.why),
        ))
    });
    doubted.collect()
}
