//! The variation matrix: what differs on purpose between the runs of a quorum.

use super::Variation;

/// Host name, user, uid, jobs. Neighbours differ in all of them.
const MATRIX: [(&str, &str, u32, u32); 4] = [
    ("assay-one", "builder", 1000, 1),
    ("assay-two", "rebuilder", 2222, 2),
    ("assay-three", "other", 30_303, 4),
    ("assay-four", "another", 4444, 3),
];

impl Variation {
    /// The variation of the `n`-th run for one declaration, counted from 0.
    #[must_use]
    pub fn of_run(n: usize) -> Self {
        let [first, ..] = MATRIX;
        let (hostname, user, uid, parallel) = MATRIX.iter().cycle().nth(n % MATRIX.len()).copied().unwrap_or(first);
        Self {
            hostname: hostname.to_owned(),
            user: user.to_owned(),
            uid,
            parallel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_differ_in_everything() {
        for n in 0..8 {
            let (one, next) = (Variation::of_run(n), Variation::of_run(n + 1));
            assert_ne!(one.hostname, next.hostname);
            assert_ne!(one.user, next.user);
            assert_ne!(one.uid, next.uid);
            assert_ne!(one.parallel, next.parallel);
        }
    }
}
