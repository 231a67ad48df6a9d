//! Sequences from seeds.
//!
//! Few keys, few values, few leases, so that operations meet. Among them, wrong ones of every kind that has an error of
//! its own. What a sequence must not have is in `differences.rs`.

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest,
    RequestOp, TxnRequest, WatchCreateRequest,
};

use crate::calls;
use crate::dice::Dice;
use crate::messages::{COMPACTED, NOW, dynamic};
use crate::operation::{Operation, STREAMS};

/// Draws an operation of one kind.
type Make = fn(&mut Generator) -> Operation;

/// What is drawn how often, of a thousand.
const WEIGHTS: [(u64, Make); 16] = [
    (290, Generator::put),
    (70, Generator::delete),
    (250, Generator::range),
    (200, Generator::txn),
    (30, Generator::grant),
    (15, Generator::revoke),
    (10, Generator::keep_alive),
    (25, Generator::time_to_live),
    (10, Generator::leases),
    (8, Generator::grant_briefly),
    (5, Generator::compact),
    (40, Generator::watch),
    (25, Generator::cancel),
    (15, Generator::progress),
    (5, Generator::close),
    (2, Generator::large_put),
];

/// Leases are granted for so many seconds at least: far longer than a trial takes.
const TTL_SECONDS_MIN: u64 = 900;
/// Ids of leases are 1 to this, and the negative of some.
const LEASES: u64 = 12;
/// How deep transactions are nested.
const DEPTH: usize = 3;

/// The sequence of a seed.
pub(crate) fn sequence(seed: u64, operations: usize) -> Vec<Operation> {
    let mut generator = Generator {
        dice: Dice::of(seed),
    };
    (0..operations).map(|_| generator.operation()).collect()
}

struct Generator {
    dice: Dice,
}

impl Generator {
    fn operation(&mut self) -> Operation {
        let total = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(total);
        for (weight, make) in WEIGHTS {
            if drawn < weight {
                return make(self);
            }
            drawn -= weight;
        }
        unreachable!("the draw is below the sum")
    }

    fn below(&mut self, end: u64) -> u64 {
        self.dice.draw(0..end)
    }

    /// True in so many of a hundred.
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn put(&mut self) -> Operation {
        let put = self.put_request();
        call("put", "PutRequest", &put)
    }

    fn delete(&mut self) -> Operation {
        let delete = self.delete_request();
        call("delete", "DeleteRangeRequest", &delete)
    }

    fn range(&mut self) -> Operation {
        let range = self.range_request();
        call("range", "RangeRequest", &range)
    }

    fn txn(&mut self) -> Operation {
        let mut txn = if self.chance(1) {
            self.huge_txn()
        } else {
            self.txn_request(DEPTH)
        };
        if has_put(&txn) {
            close_deletes(&mut txn);
        }
        call("txn", "TxnRequest", &txn)
    }

    fn key(&mut self) -> Bytes {
        let edges: [&'static [u8]; 7] = [
            b"\0",
            b"\0\0",
            b"a\0",
            b"\xff",
            b"\xff\xff",
            b"\xff\0",
            b"zz",
        ];
        match self.below(100) {
            0 => Bytes::new(),
            1..10 => Bytes::from_static(self.one_of(&edges)),
            10..30 => vec![b'a' + self.below(4) as u8].into(),
            _ => {
                let (first, second) = (self.below(3), self.below(14));
                format!(
                    "{}/{second:x}",
                    self.one_of(&["a", "b", "c"][..=first as usize])
                )
                .into()
            }
        }
    }

    fn span(&mut self) -> (Bytes, Bytes) {
        let key = self.key();
        let end = match self.below(10) {
            0..4 => Bytes::new(),
            4..6 => quorate_client::prefix_end(&key),
            6 => return (vec![0].into(), vec![0].into()),
            7 => vec![0].into(),
            8 => {
                return (
                    self.one_of(&["a", "b", "c"]).into(),
                    self.one_of(&["b", "c", "d"]).into(),
                );
            }
            _ => self.key(),
        };
        (key, end)
    }

    fn value(&mut self) -> Bytes {
        match self.below(10) {
            0 => Bytes::new(),
            1..7 => format!("v{}", self.below(5)).into(),
            7 => vec![self.below(256) as u8, 0, b'"', b'\\', 0xff].into(),
            _ => format!("{:016x}", self.below(u64::MAX)).into(),
        }
    }

    fn lease(&mut self) -> i64 {
        let id = 1 + self.below(LEASES) as i64;
        match self.below(30) {
            0 => -id,
            1 => i64::MAX,
            2 => 0,
            _ => id,
        }
    }

    /// A revision of the past, for the most part.
    fn revision(&mut self) -> i64 {
        match self.below(20) {
            0 => 1,
            1 => NOW + 1,
            2 => COMPACTED - 1,
            3 => COMPACTED,
            4 => COMPACTED + 1,
            5 => -1,
            6 => NOW,
            7 => i64::MAX,
            8..12 => NOW - self.below(4) as i64,
            _ => NOW - self.below(60) as i64,
        }
    }

    fn put_request(&mut self) -> PutRequest {
        let mut put = PutRequest {
            key: self.key(),
            value: self.value(),
            prev_kv: self.chance(30),
            ..Default::default()
        };
        if self.chance(25) {
            put.lease = self.lease();
        }
        if self.chance(8) {
            put.ignore_value = true;
            if !self.chance(10) {
                put.value = Bytes::new();
            }
        }
        if self.chance(8) {
            put.ignore_lease = true;
            if !self.chance(10) {
                put.lease = 0;
            }
        }
        put
    }

    fn delete_request(&mut self) -> DeleteRangeRequest {
        let (key, mut range_end) = self.span();
        // Few empty the store, so that there is something in it.
        if range_end == "\0" && !self.chance(10) {
            range_end = Bytes::new();
        }
        DeleteRangeRequest {
            key,
            range_end,
            prev_kv: self.chance(50),
        }
    }

    fn range_request(&mut self) -> RangeRequest {
        let (key, range_end) = self.span();
        let mut range = RangeRequest {
            key,
            range_end,
            serializable: self.chance(30),
            keys_only: self.chance(15),
            count_only: self.chance(10),
            ..Default::default()
        };
        if self.chance(30) {
            range.revision = self.revision();
        }
        if self.chance(30) {
            range.limit = self.one_of(&[-1, 1, 1, 2, 3, 5, 10, 20, 1000, i64::MAX]);
        }
        if self.chance(40) {
            range.sort_order = self.one_of(&[0, 1, 1, 1, 2, 2, 2]);
            range.sort_target = self.one_of(&[0, 1, 2, 3, 4]);
        }
        if self.chance(20) {
            let revision = self.revision();
            let field = self.one_of(&[
                |range: &mut RangeRequest, to| range.min_mod_revision = to,
                |range: &mut RangeRequest, to| range.max_mod_revision = to,
                |range: &mut RangeRequest, to| range.min_create_revision = to,
                |range: &mut RangeRequest, to| range.max_create_revision = to,
            ] as &[fn(&mut RangeRequest, i64)]);
            field(&mut range, revision);
        }
        range
    }

    fn txn_request(&mut self, depth: usize) -> TxnRequest {
        let mut operations = |most| -> Vec<RequestOp> {
            let count = self.below(most);
            (0..count).map(|_| self.request_op(depth)).collect()
        };
        let (success, failure) = (operations(5), operations(4));
        let compares = self.below(3);
        TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success,
            failure,
        }
    }

    fn request_op(&mut self, depth: usize) -> RequestOp {
        let request = match self.below(100) {
            0 => None,
            1..45 => Some(Request::RequestPut(self.put_request())),
            45..60 => Some(Request::RequestDeleteRange(self.delete_request())),
            60..85 => Some(Request::RequestRange(self.range_request())),
            _ if depth == 0 => Some(Request::RequestRange(self.range_request())),
            _ => Some(Request::RequestTxn(self.txn_request(depth - 1))),
        };
        RequestOp { request }
    }

    fn compare(&mut self) -> Compare {
        let (key, range_end) = self.span();
        let target = self.below(5);
        let revision = self.revision();
        let target_union = match target {
            0 => TargetUnion::Version(self.below(4) as i64),
            1 => TargetUnion::CreateRevision(self.one_of(&[0, 0, revision])),
            2 => TargetUnion::ModRevision(self.one_of(&[0, 0, revision])),
            3 => TargetUnion::Value(self.value()),
            _ => TargetUnion::Lease(self.one_of(&[0, 1, 2, 3])),
        };
        let mut compare = Compare {
            result: self.below(4) as i32,
            target: target as i32,
            key,
            range_end,
            target_union: Some(target_union),
        };
        match self.below(60) {
            0 => compare.target_union = None,
            1 => compare.target = self.below(5) as i32,
            2 => compare.result = 9,
            3 => compare.target = 9,
            _ => {}
        }
        compare
    }

    /// About as many operations as there may be.
    fn huge_txn(&mut self) -> TxnRequest {
        let count = self.one_of(&[127, 128, 129]);
        let put = |i: u64| PutRequest {
            key: format!("huge/{i}").into(),
            ..Default::default()
        };
        let put = |i| RequestOp {
            request: Some(Request::RequestPut(put(i))),
        };
        let range = RequestOp {
            request: Some(Request::RequestRange(self.range_request())),
        };
        let inner = TxnRequest {
            success: vec![range; self.one_of(&[1, 2])],
            ..Default::default()
        };
        let mut success: Vec<RequestOp> = (1..count).map(put).collect();
        success.push(RequestOp {
            request: Some(Request::RequestTxn(inner)),
        });
        TxnRequest {
            success,
            ..Default::default()
        }
    }

    fn grant(&mut self) -> Operation {
        let id = match self.lease() {
            0 => 1,
            id => id,
        };
        let ttl = match self.below(20) {
            0 => 9_000_000_000,
            1 => 9_000_000_001,
            2 => i64::MAX,
            _ => (TTL_SECONDS_MIN + self.below(1000)) as i64,
        };
        call("grant", "LeaseGrantRequest", &LeaseGrantRequest { id, ttl })
    }

    fn grant_briefly(&mut self) -> Operation {
        let grant = LeaseGrantRequest {
            id: self.one_of(&[0, 0, 1000, 1, -1000]),
            ttl: self.one_of(&[0, 1, 2, 3, 10, -5, i64::MIN, 9_000_000_001]),
        };
        Operation::GrantBriefly(dynamic("LeaseGrantRequest", &grant))
    }

    fn revoke(&mut self) -> Operation {
        let id = self.lease();
        call("revoke", "LeaseRevokeRequest", &LeaseRevokeRequest { id })
    }

    fn keep_alive(&mut self) -> Operation {
        let id = self.lease();
        Operation::KeepAlive(dynamic(
            "LeaseKeepAliveRequest",
            &LeaseKeepAliveRequest { id },
        ))
    }

    fn time_to_live(&mut self) -> Operation {
        let request = LeaseTimeToLiveRequest {
            id: self.lease(),
            keys: self.chance(70),
        };
        call("time_to_live", "LeaseTimeToLiveRequest", &request)
    }

    fn leases(&mut self) -> Operation {
        call("leases", "LeaseLeasesRequest", &LeaseLeasesRequest {})
    }

    fn compact(&mut self) -> Operation {
        let revision = match self.below(10) {
            0..7 => NOW - self.below(100) as i64,
            7 => COMPACTED + 1 + self.below(5) as i64,
            8 => 0,
            _ => self.revision(),
        };
        let request = CompactionRequest {
            revision,
            physical: self.chance(30),
        };
        call("compact", "CompactionRequest", &request)
    }

    fn large_put(&mut self) -> Operation {
        Operation::LargePut(self.one_of(&[1_600_000, 2_000_000, 2_200_000]))
    }

    fn stream(&mut self) -> usize {
        self.below(STREAMS as u64) as usize
    }

    fn watch(&mut self) -> Operation {
        let (key, range_end) = self.span();
        let mut watch = WatchCreateRequest {
            key,
            range_end,
            prev_kv: self.chance(50),
            progress_notify: self.chance(20),
            fragment: self.chance(20),
            ..Default::default()
        };
        if self.chance(70) {
            watch.start_revision = match self.below(20) {
                0 => NOW + 1,
                1 => NOW + 2 + self.below(10) as i64,
                _ => self.revision(),
            };
        }
        if self.chance(30) {
            watch.filters = self
                .one_of(&[&[0][..], &[1], &[0, 1], &[1, 1], &[5]])
                .to_vec();
        }
        if self.chance(20) {
            watch.watch_id = self.one_of(&[1, 2, 3, 7, 20, 1 << 40, -7]);
        }
        Operation::Watch(self.stream(), dynamic("WatchCreateRequest", &watch))
    }

    fn cancel(&mut self) -> Operation {
        let id = match self.below(20) {
            0 => -7,
            1 => 1 << 40,
            _ => self.below(24) as i64,
        };
        Operation::Cancel(self.stream(), id)
    }

    fn progress(&mut self) -> Operation {
        Operation::Progress(self.stream())
    }

    fn close(&mut self) -> Operation {
        Operation::Close(self.stream())
    }
}

fn call(word: &str, name: &str, message: &impl prost::Message) -> Operation {
    Operation::Call(calls::named(word), dynamic(name, message))
}

fn operations(txn: &TxnRequest) -> impl Iterator<Item = &Request> {
    let all = txn.success.iter().chain(&txn.failure);
    all.filter_map(|operation| operation.request.as_ref())
}

fn has_put(txn: &TxnRequest) -> bool {
    operations(txn).any(|request| match request {
        Request::RequestPut(_) => true,
        Request::RequestTxn(inner) => has_put(inner),
        _ => false,
    })
}

/// Gives deletes to the end of all keys an end (see `differences::NOT_ASKED`).
fn close_deletes(txn: &mut TxnRequest) {
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut operation.request {
            Some(Request::RequestDeleteRange(delete)) if delete.range_end == "\0" => {
                delete.range_end = vec![0xff; 3].into();
            }
            Some(Request::RequestTxn(inner)) => close_deletes(inner),
            _ => {}
        }
    }
}
