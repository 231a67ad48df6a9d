//! Deleting the keys of a range, in steps.

use quorate_proto::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse};
use quorate_proto::mvccpb::KeyValue;

use crate::command::{Answer, header};
use crate::key::Key;
use crate::span::Span;
use crate::store::Store;
use crate::versions::Version;

/// A deletion under way.
#[derive(Debug)]
pub(crate) struct Deletion {
    span: Span,
    keeps_previous: bool,
    /// Where to go on.
    from: Key,
    deleted: i64,
    prev_kvs: Vec<KeyValue>,
}

impl Deletion {
    pub(crate) fn new(request: &DeleteRangeRequest, answer: Answer) -> Deletion {
        Deletion {
            span: Span::new(&request.key, &request.range_end),
            keeps_previous: request.prev_kv && answer.wanted(),
            from: Key::new(&request.key),
            deleted: 0,
            prev_kvs: Vec::new(),
        }
    }

    /// Goes on as far as `budget` allows; the answer when all is done.
    pub(crate) fn step(
        &mut self,
        store: &mut Store,
        budget: &mut usize,
    ) -> Option<DeleteRangeResponse> {
        if self.span.is_single() {
            *budget = budget.saturating_sub(1);
            let is_live = store
                .live_version(&self.span.start, store.draft_revision())
                .is_some();
            if is_live {
                self.delete_one(store);
            }
        } else if let Some(from) = self.delete_some(store, budget) {
            self.from = from;
            return None;
        }
        Some(DeleteRangeResponse {
            header: header(store.draft_revision()),
            deleted: self.deleted,
            prev_kvs: std::mem::take(&mut self.prev_kvs),
        })
    }

    fn delete_one(&mut self, store: &mut Store) {
        let revision = store.next_revision();
        let Store {
            keyspace,
            changes,
            draft,
            ..
        } = store;
        let key = self.span.start.clone();
        keyspace.write(&key, |newest| {
            let newest = newest.expect("the key was just seen");
            let tombstone = Version::tombstone(revision);
            draft.record(changes, &key, &tombstone);
            self.note(&key, newest);
            tombstone
        });
    }

    fn delete_some(&mut self, store: &mut Store, budget: &mut usize) -> Option<Key> {
        let revision = store.next_revision();
        let Store {
            keyspace,
            changes,
            draft,
            ..
        } = store;
        let (from, span) = (self.from.clone(), self.span.clone());
        keyspace.delete_step(
            from.as_slice(),
            &span,
            revision,
            budget,
            |key, newest, tombstone| {
                draft.record(changes, key.as_slice(), tombstone);
                self.note(key.as_slice(), newest);
            },
        )
    }

    fn note(&mut self, key: &[u8], newest: &Version) {
        self.deleted += 1;
        if self.keeps_previous {
            self.prev_kvs.push(newest.to_key_value(key, true));
        }
    }
}
