//! How much was applied, for whoever watches a server. No part of the state: neither snapshots nor hashes have it.

/// Operations applied to a store since it was made or loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Puts, also those within transactions.
    pub puts: u64,
    /// Deletions of a key or a range, also those within transactions.
    pub deletes: u64,
    /// Transactions that could write, done or refused.
    pub transactions: u64,
}
