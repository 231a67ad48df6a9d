//! What a stream is to be told.

use std::ops::{Deref, Range};
use std::sync::Arc;

use quorate_proto::etcdserverpb::{ResponseHeader, WatchResponse};

use crate::event::SharedEvent;
use crate::limits::WATCH_MESSAGE_OVERHEAD_BYTES;

/// The watch id of what concerns no watcher, or all of a stream's.
const NO_WATCHER: i64 = -1;

/// Why a watcher was not created. The texts are etcd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchRefusal {
    /// A range that ends at its start or before.
    #[error("mvcc: watcher range is empty")]
    EmptyRange,
    /// The stream has a watcher of this id.
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    /// The client may not read the range. The hub does not know who may; the caller does.
    #[error("etcdserver: permission denied")]
    PermissionDenied,
    /// [`WATCHERS_PER_STREAM_MAX`](crate::WATCHERS_PER_STREAM_MAX).
    #[error("etcdserver: too many requests")]
    TooManyWatchers,
}

/// One answer on a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchMessage {
    /// A watcher is there.
    Created {
        /// Its id.
        watch_id: i64,
        /// The store's revision at that moment.
        revision: i64,
    },
    /// A watcher was not created.
    Refused {
        /// Why.
        reason: WatchRefusal,
        /// The store's revision at that moment.
        revision: i64,
    },
    /// A watcher is gone, as asked.
    Canceled {
        /// Its id.
        watch_id: i64,
        /// The store's revision at that moment, or a later one of which the stream has been told.
        revision: i64,
    },
    /// A watcher is gone, since what it has yet to be told is compacted.
    Compacted {
        /// Its id.
        watch_id: i64,
        /// The first revision that can still be watched.
        compact_revision: i64,
    },
    /// Events of one watcher: all it has of one revision or several.
    Events {
        /// Its id.
        watch_id: i64,
        /// The store's revision as far as this watcher has been told of it.
        revision: i64,
        /// The events.
        events: EventBatch,
        /// Whether it asked for the versions before.
        with_previous: bool,
        /// Whether it allowed its messages to be split.
        may_split: bool,
        /// This is a part, and more follows.
        more_follows: bool,
    },
    /// Everything up to a revision has been told.
    Progress {
        /// To whom: `None` is all watchers of the stream.
        watch_id: Option<i64>,
        /// The revision.
        revision: i64,
    },
}

/// Events, shared by all whom they concern.
#[derive(Clone, Debug)]
pub struct EventBatch {
    events: Arc<[SharedEvent]>,
    part: Range<usize>,
}

impl EventBatch {
    pub(crate) fn new(events: Vec<SharedEvent>) -> EventBatch {
        EventBatch {
            part: 0..events.len(),
            events: events.into(),
        }
    }

    /// About how many bytes of memory the events keep alive.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.iter().map(|event| event.memory_bytes()).sum()
    }

    /// Whether two are the same copy.
    pub(crate) fn is_same(&self, other: &EventBatch) -> bool {
        Arc::ptr_eq(&self.events, &other.events)
    }
}

impl Deref for EventBatch {
    type Target = [SharedEvent];

    fn deref(&self) -> &[SharedEvent] {
        &self.events[self.part.clone()]
    }
}

impl PartialEq for EventBatch {
    fn eq(&self, other: &EventBatch) -> bool {
        **self == **other
    }
}

impl WatchMessage {
    /// The revision in the answer's header; 0 where etcd tells none, as of a watcher that compaction overtook.
    pub(crate) fn header_revision(&self) -> i64 {
        match self {
            WatchMessage::Created { revision, .. }
            | WatchMessage::Refused { revision, .. }
            | WatchMessage::Canceled { revision, .. }
            | WatchMessage::Events { revision, .. }
            | WatchMessage::Progress { revision, .. } => *revision,
            WatchMessage::Compacted { .. } => 0,
        }
    }

    /// The message in etcd's terms. Of the header only the revision is set; where etcd tells none, as
    /// of a watcher that compaction overtook, it is 0. Keys and values are shared, not copied.
    pub fn to_response(&self) -> WatchResponse {
        let mut response = WatchResponse::default();
        match self {
            WatchMessage::Created { watch_id, .. } => {
                response.watch_id = *watch_id;
                response.created = true;
            }
            WatchMessage::Refused { reason, .. } => {
                response.watch_id = NO_WATCHER;
                response.created = true;
                response.canceled = true;
                response.cancel_reason = reason.to_string();
            }
            WatchMessage::Canceled { watch_id, .. } => {
                response.watch_id = *watch_id;
                response.canceled = true;
            }
            WatchMessage::Compacted {
                watch_id,
                compact_revision,
            } => {
                response.watch_id = *watch_id;
                response.canceled = true;
                response.compact_revision = *compact_revision;
            }
            WatchMessage::Events {
                watch_id,
                events,
                with_previous,
                more_follows,
                ..
            } => {
                response.watch_id = *watch_id;
                response.fragment = *more_follows;
                let protos = events.iter().map(|event| event.to_proto(*with_previous));
                response.events = protos.collect();
            }
            WatchMessage::Progress { watch_id, .. } => {
                response.watch_id = watch_id.unwrap_or(NO_WATCHER);
            }
        }
        response.header = Some(ResponseHeader {
            revision: self.header_revision(),
            ..ResponseHeader::default()
        });
        response
    }

    /// About how many bytes the response takes when it is encoded, a little more rather than less.
    pub fn response_bytes(&self) -> usize {
        let WatchMessage::Events {
            events,
            with_previous,
            ..
        } = self
        else {
            return WATCH_MESSAGE_OVERHEAD_BYTES;
        };
        let lengths = events
            .iter()
            .map(|event| event_bytes(event, *with_previous));
        WATCH_MESSAGE_OVERHEAD_BYTES + lengths.sum::<usize>()
    }

    /// The message in parts of less than `bytes_max` bytes each, if its watcher allowed that; a part has
    /// at least one event. As in etcd all parts but the last say that more follows.
    pub fn into_fragments(self, bytes_max: usize) -> Vec<WatchMessage> {
        let whole = self.response_bytes();
        let WatchMessage::Events {
            watch_id,
            revision,
            events,
            with_previous,
            may_split: true,
            more_follows: false,
        } = &self
        else {
            return vec![self];
        };
        if whole < bytes_max {
            return vec![self];
        }
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut bytes = 0;
        for (index, event) in events.part.clone().zip(events.iter()) {
            let length = event_bytes(event, *with_previous);
            match parts.last_mut() {
                Some(part) if bytes + length < bytes_max => {
                    part.end = index + 1;
                    bytes += length;
                }
                _ => {
                    parts.push(index..index + 1);
                    bytes = WATCH_MESSAGE_OVERHEAD_BYTES + length;
                }
            }
        }
        let last = parts.len() - 1;
        let message = |(index, part)| WatchMessage::Events {
            watch_id: *watch_id,
            revision: *revision,
            events: EventBatch {
                events: Arc::clone(&events.events),
                part,
            },
            with_previous: *with_previous,
            may_split: true,
            more_follows: index < last,
        };
        parts.into_iter().enumerate().map(message).collect()
    }
}

/// What an event takes in an answer: itself, its tag and its length.
fn event_bytes(event: &SharedEvent, with_previous: bool) -> usize {
    let length = event.encoded_len(with_previous);
    1 + prost::length_delimiter_len(length) + length
}
