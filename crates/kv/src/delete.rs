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
        store.counts.deletes += 1;
        Some(DeleteRangeResponse {
            header: header(store.draft_revision()),
            deleted: self.deleted,
            prev_kvs: std::mem::take(&mut self.prev_kvs),
        })
    }

    fn delete_one(&mut self, store: &mut Store) {
        let key = self.span.start.clone();
        delete_key(store, &key, |newest| self.note(&key, newest));
    }

    fn delete_some(&mut self, store: &mut Store, budget: &mut usize) -> Option<Key> {
        let revision = store.next_revision();
        let Store {
            keyspace,
            changes,
            draft,
            leases,
            ..
        } = store;
        let (from, span) = (self.from.clone(), self.span.clone());
        keyspace.delete_step(
            from.as_slice(),
            &span,
            revision,
            budget,
            |key, newest, tombstone| {
                draft.record(changes, key.as_slice(), Some(newest), tombstone);
                if newest.lease != 0 {
                    leases.detach(newest.lease, key.as_slice());
                }
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

/// Puts a tombstone on a key that is live; `note` is told what was there.
pub(crate) fn delete_key(store: &mut Store, key: &[u8], note: impl FnOnce(&Version)) {
    let revision = store.next_revision();
    let Store {
        keyspace,
        changes,
        draft,
        leases,
        ..
    } = store;
    keyspace.write(key, |newest| {
        let newest = newest.filter(|newest| newest.is_live());
        let newest = newest.expect("only a key that is live is deleted");
        let tombstone = Version::tombstone(revision);
        draft.record(changes, key, Some(newest), &tombstone);
        if newest.lease != 0 {
            leases.detach(newest.lease, key);
        }
        note(newest);
        tombstone
    });
}
