//! One node: raft, wal and kv joined as two sans-IO machines, Consensus and Applier.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
