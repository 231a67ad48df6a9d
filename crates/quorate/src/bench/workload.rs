//! What the clients ask for: keys, values, and the choice between reading and writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quorate_client::{Connection, Error, KeepAlive};
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{
    Compare, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};

use super::Kind;
use super::plan::Plan;

/// Values are cut out of one block at random places, so that they differ and none is made on the way.
const VALUE_VARIETY_BYTES: usize = 64 << 10;

/// Long enough that none ends by itself, short enough that none is left for long.
const LEASE_SECONDS: i64 = 600;

/// A small generator, the same on every machine (splitmix64, <https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0; the bias of multiply-and-shift is beyond measure here.
    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64)
            .expect("the upper half of a product of two 64-bit numbers")
    }
}

/// Shared by all clients.
#[derive(Debug)]
pub(super) struct Workload {
    kind: Kind,
    key_size: usize,
    value_size: usize,
    key_space: u64,
    /// Reads keep to keys that are there, when keys were written beforehand.
    read_space: u64,
    read_percent: u64,
    /// Keys that one read takes in.
    range_keys: u64,
    serializable: bool,
    /// The next key, when they are taken in order.
    next_key: Option<AtomicU64>,
    values: Bytes,
}

/// What a client keeps from one operation to the next.
#[derive(Default)]
pub(super) struct Session {
    /// Its lease, and the stream on which it renews it.
    lease: Option<(i64, KeepAlive)>,
}

/// How an operation ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Found,
    NotFound,
}

impl Workload {
    pub(super) fn new(plan: &Plan) -> Arc<Self> {
        let mut random = Random::new(plan.seed);
        let length = plan.value_size + VALUE_VARIETY_BYTES;
        let block: Vec<u8> = (0..length.div_ceil(8))
            .flat_map(|_| random.next().to_le_bytes())
            .collect();
        Arc::new(Self {
            kind: plan.kind,
            key_size: plan.key_size,
            value_size: plan.value_size,
            key_space: plan.key_space,
            read_space: if plan.preload > 0 {
                plan.preload
            } else {
                plan.key_space
            },
            read_percent: plan.read_percent.into(),
            range_keys: plan.range_keys,
            serializable: plan.serializable,
            next_key: plan.sequential.then(AtomicU64::default),
            values: block.into(),
        })
    }

    /// Sends one operation and waits for its answer.
    pub(super) async fn operation(
        &self,
        connection: &Connection,
        random: &mut Random,
        session: &mut Session,
    ) -> Result<Done, Error> {
        if self.kind == Kind::KeepAlive {
            return session.renew(connection).await;
        }
        if random.below(100) < self.read_percent {
            let response = connection.range(self.get(random)).await?;
            return Ok(if (response.kvs.len() as u64) < self.range_keys {
                Done::NotFound
            } else {
                Done::Found
            });
        }
        let number = self.pick(random, self.key_space);
        if self.kind == Kind::Txn {
            connection.txn(self.txn(number, random)).await?;
        } else {
            connection.put(self.put(number, random)).await?;
        }
        Ok(Done::Found)
    }

    fn get(&self, random: &mut Random) -> RangeRequest {
        let first = self.pick(random, self.read_space - (self.range_keys - 1));
        let range_end = match self.range_keys {
            1 => Bytes::new(),
            // The last key followed by a zero: of as many digits there may be no number after it.
            many => [&self.key(first + many - 1)[..], &[0]].concat().into(),
        };
        RangeRequest {
            key: self.key(first),
            range_end,
            serializable: self.serializable,
            ..RangeRequest::default()
        }
    }

    /// The put of the key with a number.
    pub(super) fn put(&self, number: u64, random: &mut Random) -> PutRequest {
        PutRequest {
            key: self.key(number),
            value: self.value(random),
            ..PutRequest::default()
        }
    }

    /// The put of the key whose turn it is.
    pub(super) fn random_put(&self, random: &mut Random) -> PutRequest {
        self.put(self.pick(random, self.key_space), random)
    }

    /// A put under a compare that always holds, so that every transaction writes.
    fn txn(&self, number: u64, random: &mut Random) -> TxnRequest {
        let put = self.put(number, random);
        TxnRequest {
            compare: vec![Compare {
                result: CompareResult::Greater.into(),
                target: CompareTarget::Create.into(),
                key: put.key.clone(),
                target_union: Some(TargetUnion::CreateRevision(-1)),
                range_end: Bytes::new(),
            }],
            success: vec![RequestOp {
                request: Some(request_op::Request::RequestPut(put)),
            }],
            failure: vec![],
        }
    }

    fn pick(&self, random: &mut Random, space: u64) -> u64 {
        match &self.next_key {
            Some(next) => next.fetch_add(1, Ordering::Relaxed) % space,
            None => random.below(space),
        }
    }

    /// The number in decimal digits, with zeros before it.
    fn key(&self, mut number: u64) -> Bytes {
        let mut key = vec![b'0'; self.key_size];
        for digit in key.iter_mut().rev() {
            if number == 0 {
                break;
            }
            *digit += u8::try_from(number % 10).expect("a digit");
            number /= 10;
        }
        key.into()
    }

    fn value(&self, random: &mut Random) -> Bytes {
        let start = usize::try_from(random.below(VALUE_VARIETY_BYTES as u64))
            .expect("less than the length of a block in memory");
        self.values.slice(start..start + self.value_size)
    }
}

impl Session {
    /// Renews the lease; the first time grants it, too. It lives on the connection of that time.
    async fn renew(&mut self, connection: &Connection) -> Result<Done, Error> {
        let (id, mut stream) = match self.lease.take() {
            Some(lease) => lease,
            None => {
                let grant = LeaseGrantRequest {
                    ttl: LEASE_SECONDS,
                    id: 0,
                };
                (
                    connection.lease_grant(grant).await?.id,
                    connection.keep_alive(),
                )
            }
        };
        let answer = stream.renew(id).await?;
        if answer.ttl <= 0 {
            return Ok(Done::NotFound);
        }
        self.lease = Some((id, stream));
        Ok(Done::Found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(sequential: bool) -> Workload {
        Workload {
            kind: Kind::Put,
            key_size: 8,
            value_size: 3,
            key_space: 1_000,
            read_space: 10,
            read_percent: 0,
            range_keys: 1,
            serializable: false,
            next_key: sequential.then(AtomicU64::default),
            values: vec![7; VALUE_VARIETY_BYTES + 3].into(),
        }
    }

    #[test]
    fn keys_are_numbers_of_fixed_length() {
        assert_eq!(workload(false).key(0), "00000000");
        assert_eq!(workload(false).key(90_210), "00090210");
    }

    #[test]
    fn sequential_keys_go_round() {
        let workload = workload(true);
        let mut random = Random::new(1);
        let picked: Vec<u64> = (0..12).map(|_| workload.pick(&mut random, 10)).collect();
        assert_eq!(picked, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    }

    #[test]
    fn random_keys_fill_their_space_and_follow_from_the_seed() {
        let workload = workload(false);
        let draw = |seed| -> Vec<u64> {
            let mut random = Random::new(seed);
            (0..1_000).map(|_| workload.pick(&mut random, 10)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for key in 0..10 {
            let times = draw(1).iter().filter(|&&picked| picked == key).count();
            assert!(
                (50..200).contains(&times),
                "key {key} was drawn {times} times of 1000"
            );
        }
    }

    #[test]
    fn a_range_takes_in_as_many_keys_as_asked_for_and_all_of_them_are_there() {
        let workload = Workload {
            range_keys: 4,
            ..workload(false)
        };
        let mut random = Random::new(1);
        for _ in 0..100 {
            let request = workload.get(&mut random);
            let within = |number: &u64| {
                let key = workload.key(*number);
                key >= request.key && key < request.range_end
            };
            assert_eq!((0..10).filter(within).count(), 4, "{request:?}");
        }
    }

    #[test]
    fn values_have_the_length_asked_for() {
        assert_eq!(workload(false).value(&mut Random::new(1)), [7, 7, 7][..]);
    }
}
