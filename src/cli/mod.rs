//! The command line: one file per verb; text, progress, exit codes; no logic.
