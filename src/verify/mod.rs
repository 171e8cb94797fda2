//! Verify: the reader's view (DESIGN §8). Shares parsers with the rest, no state and no planner.
