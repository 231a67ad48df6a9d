//! A start from a snapshot and the log after it.
