//! Imports go one way, and I/O has its places.
