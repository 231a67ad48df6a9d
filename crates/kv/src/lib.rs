//! etcd's data model in memory: revisions, ranges, transactions, compaction.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
