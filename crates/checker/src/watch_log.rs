//! What a watch was told.

use crate::blob::Blob;
use crate::history::{ClientId, Moment};
use crate::store::Span;

/// A watch: its place among those of its history, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub usize);

/// A watch and what it was told, in the order in which it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchLog {
    /// Who watches.
    pub client: ClientId,
    /// Which keys.
    pub span: Span,
    /// The first revision to be told of. A watch that was begun with 0 has the one after the revision that its
    /// confirmation named.
    pub start_revision: i64,
    /// What it was told, and when.
    pub batches: Vec<(Moment, WatchBatch)>,
}

impl WatchLog {
    /// A watch of `span` from `start_revision` on that has been told nothing yet.
    pub fn new(client: ClientId, span: Span, start_revision: i64) -> Self {
        WatchLog {
            client,
            span,
            start_revision,
            batches: Vec::new(),
        }
    }
}

/// One response to a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchBatch {
    /// Changes.
    Events(Vec<WatchEvent>),
    /// Everything up to this revision has been told.
    Progress {
        /// That revision.
        revision: i64,
    },
}

/// A key changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// Which.
    pub key: Blob,
    /// What it holds now; `None`: it was deleted.
    pub value: Option<Blob>,
    /// At which revision.
    pub mod_revision: i64,
}
