//! How much memory a million keys take, and how fast they are written, read, counted
//! and deleted; and how long the longest step takes that holds the store.
//!
//! ```text
//! cargo run --release -p quorate-kv --example million_keys [-- KEYS [VALUE_BYTES]]
//! ```
//!
//! Keys of 8 bytes, in order and in no order, each time into a fresh store. The resident memory is what
//! the kernel says of the whole process (`/proc/self/statm`), minus what it was before the first put.

// It measures, so it needs a clock; and it has nobody to report an error to.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_kv::{Answer, Command, KEYS_PER_STEP, RangeStep, Step, Store};
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest,
};

const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let mut number = |default| match arguments.next() {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(error)) => panic!("KEYS and VALUE_BYTES are numbers: {error}"),
    };
    let (keys, value_bytes) = (number(1_000_000), number(256));
    // One process per order, or the memory of the first store would be counted with the second.
    match std::env::var("MILLION_KEYS_ORDER") {
        Ok(order) => measure(&order, keys, value_bytes),
        Err(_) => {
            for order in ["sorted", "shuffled"] {
                let program = std::env::current_exe().expect("a running program has a path");
                let status = std::process::Command::new(program)
                    .args([keys.to_string(), value_bytes.to_string()])
                    .env("MILLION_KEYS_ORDER", order)
                    .status()
                    .expect("this program can start itself");
                assert!(status.success(), "the {order} run failed: {status}");
            }
        }
    }
}

fn measure(order: &str, keys: u64, value_bytes: u64) {
    let value = Bytes::from(vec![7_u8; value_bytes as usize]);
    let key = |n: u64| -> Bytes {
        let place = if order == "sorted" {
            n
        } else {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        Bytes::copy_from_slice(&place.to_be_bytes())
    };
    let mut store = Store::new();
    let resident_before = resident_bytes();
    let start = Instant::now();
    for n in 0..keys {
        let put = PutRequest {
            key: key(n),
            value: value.clone(),
            ..PutRequest::default()
        };
        store
            .apply(n + 1, &Command::Put(put), Answer::Wanted)
            .expect("a plain put succeeds");
    }
    let elapsed = start.elapsed();
    let resident = (resident_bytes() - resident_before) as f64;
    println!(
        "{order}: {keys} keys of 8 + {value_bytes} bytes: {:.0} puts/s, {:.1} MiB resident \
         ({:.0} bytes a key), {:.1} MiB by the store's estimate",
        keys as f64 / elapsed.as_secs_f64(),
        resident / MIB,
        resident / keys as f64,
        store.memory_bytes() as f64 / MIB,
    );
    read(&store, keys, key);

    let all = RangeRequest {
        key: ALL,
        range_end: ALL,
        count_only: true,
        ..Default::default()
    };
    timed("  count of all keys", 1, || {
        assert_eq!(store.range(&all).unwrap().count, keys as i64);
    });
    let page = RangeRequest {
        limit: 10,
        count_only: false,
        ..all
    };
    timed("  first 10 of all keys", 1, || {
        assert_eq!(store.range(&page).unwrap().kvs.len(), 10);
    });

    read_all_in_steps(&store);

    let overwrite = |n: u64| {
        let key = key(n);
        Command::Put(PutRequest {
            key,
            value: value.clone(),
            ..PutRequest::default()
        })
    };
    timed("  overwriting a tenth of the keys", keys / 10, || {
        for n in 0..keys / 10 {
            store
                .apply(keys + n + 1, &overwrite(n), Answer::Wanted)
                .expect("a put succeeds");
        }
    });
    println!(
        "  {:.1} MiB resident",
        (resident_bytes() - resident_before) as f64 / MIB
    );
    delete_all_in_steps(&mut store, 2 * keys);
    let start = Instant::now();
    let mut steps = Vec::new();
    let compaction = CompactionRequest {
        revision: store.revision(),
        physical: true,
    };
    store
        .apply(2 * keys + 1, &compaction.into(), Answer::Wanted)
        .expect("it is readable");
    while timed_step(&mut steps, || store.free_step(KEYS_PER_STEP)) {}
    println!(
        "  freeing all but the tombstones: {:.1?}, {}",
        start.elapsed(),
        summary(steps)
    );
    println!(
        "  {:.1} MiB by the store's estimate",
        store.memory_bytes() as f64 / MIB
    );
}

fn read_all_in_steps(store: &Store) {
    let all = RangeRequest {
        key: ALL,
        range_end: ALL,
        ..Default::default()
    };
    let start = Instant::now();
    let mut steps = Vec::new();
    let mut cursor = store
        .begin_range(&all)
        .expect("the current revision is readable");
    let response = loop {
        let step = || store.advance_range(&mut cursor, KEYS_PER_STEP);
        if let RangeStep::Done(response) = timed_step(&mut steps, step) {
            break response;
        }
    };
    let (elapsed, count) = (start.elapsed(), response.kvs.len());
    println!(
        "  reading {count} pairs in steps: {elapsed:.1?}, {}",
        summary(steps)
    );
}

fn delete_all_in_steps(store: &mut Store, index: u64) {
    let delete = DeleteRangeRequest {
        key: ALL,
        range_end: ALL,
        prev_kv: false,
    };
    let start = Instant::now();
    let mut steps = Vec::new();
    let mut application = store.begin(index, delete.into(), Answer::Wanted);
    let mut step = || {
        timed_step(&mut steps, || {
            store.advance(&mut application, KEYS_PER_STEP)
        })
    };
    while matches!(step(), Step::More) {}
    println!(
        "  deleting all keys in steps: {:.1?}, {}",
        start.elapsed(),
        summary(steps)
    );
}

fn timed_step<T>(steps: &mut Vec<Duration>, step: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = step();
    steps.push(start.elapsed());
    result
}

/// On a busy machine the longest steps are those in which the process did not run.
fn summary(mut steps: Vec<Duration>) -> String {
    steps.sort();
    let at = |percent: usize| steps[(steps.len() - 1) * percent / 100];
    format!(
        "a step {:.0?} (median), {:.0?} (99 %), {:.0?} (longest)",
        at(50),
        at(99),
        at(100)
    )
}

/// With `range_end` the same: every key.
const ALL: Bytes = Bytes::from_static(b"\0");

fn read(store: &Store, keys: u64, key: impl Fn(u64) -> Bytes) {
    timed("  gets", keys, || {
        for n in 0..keys {
            let get = RangeRequest {
                key: key(n),
                ..RangeRequest::default()
            };
            assert_eq!(black_box(store.range(&get).unwrap()).count, 1);
        }
    });
}

fn timed(what: &str, times: u64, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let elapsed = start.elapsed();
    println!(
        "{what}: {elapsed:.1?} ({:.0}/s)",
        times as f64 / elapsed.as_secs_f64()
    );
}

/// The second number of statm, in pages.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc/self/statm");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("statm is numbers, the second one resident pages") * 4096
}
