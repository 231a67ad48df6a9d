//! One change of a key, as watchers are told of it.
//!
//! An event is made once and shared by all who are told: by live watchers, by the queues of their streams,
//! by the answers being sent. It is etcd's message, whose key and values are shared with it, so that
//! putting it into an answer copies no bytes.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::mvccpb;
use quorate_proto::mvccpb::KeyValue;
use quorate_proto::mvccpb::event::EventType;

use crate::versions::Version;

/// An event, as it is handed around.
pub type SharedEvent = Arc<Event>;

/// One change of a key.
#[derive(Debug, PartialEq)]
pub struct Event {
    kind: EventType,
    kv: KeyValue,
    prev_kv: Option<KeyValue>,
}

/// What an event takes in memory beside its keys and values.
const EVENT_OVERHEAD_BYTES: usize = size_of::<Event>() + 64;

impl Event {
    /// The event of a version that was written to `key` after `previous`. Of a deletion etcd tells key
    /// and revision, nothing else.
    pub(crate) fn new(key: &[u8], version: &Version, previous: Option<&Version>) -> Event {
        let kind = match version.is_live() {
            true => EventType::Put,
            false => EventType::Delete,
        };
        let kv = version.to_key_value(key, true);
        let prev_kv = previous.map(|previous| previous.to_key_value_of(kv.key.clone()));
        Event { kind, kv, prev_kv }
    }

    /// The key that changed.
    pub fn key(&self) -> &Bytes {
        &self.kv.key
    }

    /// The revision at which it changed.
    pub fn revision(&self) -> i64 {
        self.kv.mod_revision
    }

    /// Whether it was deleted.
    pub fn is_delete(&self) -> bool {
        self.kind == EventType::Delete
    }

    /// What was written; of a deletion key and revision alone.
    pub fn kv(&self) -> &KeyValue {
        &self.kv
    }

    /// The version before, if somebody asked for it when the event was made, there was one, and it was
    /// still kept.
    pub fn prev_kv(&self) -> Option<&KeyValue> {
        self.prev_kv.as_ref()
    }

    /// The event in etcd's terms. Its bytes are shared, not copied.
    pub fn to_proto(&self, with_previous: bool) -> mvccpb::Event {
        mvccpb::Event {
            r#type: self.kind.into(),
            kv: Some(self.kv.clone()),
            prev_kv: self.prev_kv.clone().filter(|_| with_previous),
        }
    }

    /// How many bytes [`Event::to_proto`] takes when it is encoded, without what an answer puts around
    /// it.
    pub fn encoded_len(&self, with_previous: bool) -> usize {
        let field = |kv: &KeyValue| {
            let length = kv.encoded_len();
            1 + prost::length_delimiter_len(length) + length
        };
        let previous = self.prev_kv.as_ref().filter(|_| with_previous);
        let kind = if self.is_delete() { 2 } else { 0 };
        kind + field(&self.kv) + previous.map_or(0, field)
    }

    /// About how many bytes of memory it keeps alive.
    pub fn memory_bytes(&self) -> usize {
        let previous = self.prev_kv.as_ref().map_or(0, |kv| kv.value.len());
        EVENT_OVERHEAD_BYTES + self.kv.key.len() + self.kv.value.len() + previous
    }
}
