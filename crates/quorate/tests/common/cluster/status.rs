//! What `GET /quorate/status` says.

/// One node's word of itself.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct NodeStatus {
    /// Its name.
    pub(crate) member: String,
    /// The leader's name, empty when it knows none.
    pub(crate) leader: String,
    /// Its term.
    pub(crate) term: u64,
    /// The index it has applied up to.
    pub(crate) applied: u64,
    /// The store's revision.
    pub(crate) revision: i64,
    /// The store's running hash.
    pub(crate) state_hash: String,
}
