//! Writing one key.

use std::sync::Arc;

use quorate_proto::etcdserverpb::{PutRequest, PutResponse};

use crate::command::{Answer, header};
use crate::error::KvError;
use crate::store::Store;

impl Store {
    /// What the state refuses in a put that stands alone: first its lease, then that there is no value
    /// or lease to keep. (Inside a transaction etcd looks in the other order.)
    pub(crate) fn check_lone_put(&self, request: &PutRequest) -> Result<(), KvError> {
        self.check_lease(request.lease)?;
        self.check_kept(request)
    }

    /// The same for a put inside a transaction.
    pub(crate) fn check_txn_put(&self, request: &PutRequest) -> Result<(), KvError> {
        self.check_kept(request)?;
        self.check_lease(request.lease)
    }

    /// `ignore_value` and `ignore_lease` need a key to keep them from.
    fn check_kept(&self, request: &PutRequest) -> Result<(), KvError> {
        let keeps = request.ignore_value || request.ignore_lease;
        if keeps && self.live_version(&request.key, self.revision).is_none() {
            return Err(KvError::KeyNotFound);
        }
        Ok(())
    }

    fn check_lease(&self, lease: i64) -> Result<(), KvError> {
        if lease == 0 || self.leases.contains(lease) {
            Ok(())
        } else {
            Err(KvError::LeaseNotFound)
        }
    }

    /// Writes a key; what could be refused has been.
    pub(crate) fn put(&mut self, request: &PutRequest, answer: Answer) -> PutResponse {
        self.counts.puts += 1;
        let key = request.key.as_ref();
        let mut prev_kv = None;
        self.write_key(key, |before| {
            if request.prev_kv && answer.wanted() {
                prev_kv = before.map(|before| before.to_key_value(key, true));
            }
            let kept = || before.expect("a put that keeps something was checked against the state");
            let value = match &request.ignore_value {
                true => kept().value.clone().expect("what is kept is live"),
                false => Arc::from(request.value.as_ref()),
            };
            let lease = if request.ignore_lease {
                kept().lease
            } else {
                request.lease
            };
            (value, lease)
        });
        PutResponse {
            header: header(self.draft_revision()),
            prev_kv,
        }
    }
}
