//! Events as they happen: each revision's, once, for whoever wants them.
//!
//! While nobody does, applying pays one comparison a version for it. When somebody does, the events are
//! made while the versions are written, where the version before is at hand, so that neither compaction
//! nor freeing can take it away; and they can be taken when the revision has become visible.
//!
//! A revision is handed out without its events when there are too many of them, when some of it was
//! written before anybody wanted them, or when it changed a key twice (the version before the revision is
//! then not the one before the change). Whoever is concerned reads it from the history (`history.rs`),
//! which tells the same. So nothing depends on when the store is told that events are wanted.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::{Event, SharedEvent};
use crate::limits::{LIVE_EVENTS_MAX, LIVE_REVISIONS_MAX};
use crate::store::Store;
use crate::versions::Version;

/// What one revision changed.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionEvents {
    /// The revision.
    pub revision: i64,
    /// Its events, or where to find them.
    pub content: RevisionContent,
}

/// The events of a revision.
#[derive(Clone, Debug, PartialEq)]
pub enum RevisionContent {
    /// All of them, in order, with the versions before.
    Events(Vec<SharedEvent>),
    /// They are to be read from the history.
    InHistory {
        /// The least and the greatest key among those that changed, if that is known.
        keys: Option<(Bytes, Bytes)>,
    },
}

/// The events that wait to be taken, while they are wanted.
#[derive(Debug, Default)]
pub(crate) struct LiveEvents {
    wanted: bool,
    waiting: VecDeque<RevisionEvents>,
}

/// What has been collected of a revision that is being written.
#[derive(Debug, Default)]
pub(crate) enum Collected {
    /// Nobody wanted it when it began.
    #[default]
    Unwanted,
    Events(Vec<SharedEvent>),
    /// Too many, or such as cannot be told here.
    InHistory {
        least: Bytes,
        greatest: Bytes,
    },
}

impl LiveEvents {
    pub(crate) fn begin(&self) -> Collected {
        match self.wanted {
            true => Collected::Events(Vec::new()),
            false => Collected::Unwanted,
        }
    }

    /// `revision` is visible from now on.
    pub(crate) fn end(&mut self, revision: i64, collected: Collected) {
        if !self.wanted {
            return;
        }
        let content = match collected {
            Collected::Unwanted => RevisionContent::InHistory { keys: None },
            Collected::Events(events) => RevisionContent::Events(events),
            Collected::InHistory { least, greatest } => RevisionContent::InHistory {
                keys: Some((least, greatest)),
            },
        };
        if self.waiting.len() == LIVE_REVISIONS_MAX {
            self.waiting.clear();
        }
        self.waiting.push_back(RevisionEvents { revision, content });
    }
}

impl Collected {
    /// `before` is the newest version of `key` so far, a tombstone too.
    pub(crate) fn push(&mut self, key: &[u8], before: Option<&Version>, version: &Version) {
        match self {
            Collected::Unwanted => {}
            Collected::Events(events) => {
                let is_second = before.is_some_and(|b| b.revision() == version.revision());
                if is_second || events.len() == LIVE_EVENTS_MAX {
                    let events = std::mem::take(events);
                    *self = Collected::bounds(&events, key);
                    return;
                }
                let previous = before.filter(|before| before.is_live());
                events.push(Arc::new(Event::new(key, version, previous)));
            }
            Collected::InHistory { least, greatest } => {
                if key < least.as_ref() {
                    *least = Bytes::copy_from_slice(key);
                } else if key > greatest.as_ref() {
                    *greatest = Bytes::copy_from_slice(key);
                }
            }
        }
    }

    fn bounds(events: &[SharedEvent], key: &[u8]) -> Collected {
        let keys = || events.iter().map(|event| event.key().as_ref());
        let least = keys().fold(key, |least, key| least.min(key));
        let greatest = keys().fold(key, |greatest, key| greatest.max(key));
        Collected::InHistory {
            least: Bytes::copy_from_slice(least),
            greatest: Bytes::copy_from_slice(greatest),
        }
    }
}

impl Store {
    /// Whether events are to be kept for [`Store::take_events`]. From the start they are not, nor in a
    /// store that was loaded. A revision that is being written when it is turned on is handed out as one
    /// to be read from the history.
    pub fn want_events(&mut self, wanted: bool) {
        self.live.wanted = wanted;
        if !wanted {
            self.live.waiting = VecDeque::new();
        }
    }

    /// The events of the revisions that have become visible since the last call, in order. After many
    /// calls that were not made, the oldest are missing: the next revision is then not the one after the
    /// last, and what lies between is in the history.
    pub fn take_events(&mut self) -> VecDeque<RevisionEvents> {
        std::mem::take(&mut self.live.waiting)
    }
}
