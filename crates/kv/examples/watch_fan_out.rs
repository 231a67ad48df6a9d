//! How many events a second the hub gives to how many watchers, what a put costs when nobody watches, and
//! how fast history is read.
//!
//! ```text
//! cargo run --release -p quorate-kv --example watch_fan_out [-- PUTS [VALUE_BYTES]]
//! ```
//!
//! One thread does everything: applies a put, publishes it, and takes from each stream what it is to be
//! told, as a server that sends it would. What a response costs on the wire is not in it, but for one row
//! that makes etcd's messages of what was taken.

// It measures, so it needs a clock; and it has nobody to report an error to.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::{
    Answer, Command, HistoryCursor, KEYS_PER_STEP, Store, StreamId, WatchHub, WatchMessage,
};
use quorate_proto::etcdserverpb::{PutRequest, WatchCreateRequest};

/// Watchers on each stream, as clients have them.
const WATCHERS_PER_STREAM: usize = 100;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let mut number = |default| match arguments.next() {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(error)) => panic!("PUTS and VALUE_BYTES are numbers: {error}"),
    };
    let (puts, value_bytes) = (number(200_000), number(256));
    let value = Bytes::from(vec![7_u8; value_bytes as usize]);
    println!("{puts} puts of {value_bytes} bytes, {WATCHERS_PER_STREAM} watchers to a stream\n");
    for round in 1..=3 {
        let (elapsed, _) = run(&Plan::new(puts, &value));
        row(&format!("puts, nobody watches, {round}"), puts, elapsed);
        let wanted = Plan {
            watched: 1,
            key: "other",
            ..Plan::new(puts, &value)
        };
        let (elapsed, _) = run(&wanted);
        row(
            &format!("puts, another key is watched, {round}"),
            puts,
            elapsed,
        );
    }
    for (watched, key, range_end) in [(100, "k0", ""), (1000, "k", "l"), (1000, "\0", "\0")] {
        for encodes in [false, true] {
            let plan = Plan {
                watched,
                key,
                range_end,
                encodes,
                keys: 1 + 99 * u64::from(!range_end.is_empty()),
                ..Plan::new(puts / watched as u64 * 10, &value)
            };
            let (elapsed, told) = run(&plan);
            let what = if range_end.is_empty() {
                "a key"
            } else {
                "a prefix"
            };
            let how = if encodes { ", encoded" } else { "" };
            row(
                &format!("events to {watched} watchers of {what}{how}"),
                told,
                elapsed,
            );
        }
    }
    history(puts, &value);
}

struct Plan<'a> {
    puts: u64,
    value: &'a Bytes,
    /// How many keys the puts go to, in turn.
    keys: u64,
    watched: usize,
    key: &'static str,
    range_end: &'static str,
    encodes: bool,
}

impl Plan<'_> {
    fn new(puts: u64, value: &Bytes) -> Plan<'_> {
        Plan {
            puts,
            value,
            keys: 100,
            watched: 0,
            key: "",
            range_end: "",
            encodes: false,
        }
    }
}

fn put(n: u64, keys: u64, value: &Bytes) -> Command {
    Command::Put(PutRequest {
        key: format!("k{}", n % keys).into(),
        value: value.clone(),
        ..PutRequest::default()
    })
}

/// How long it took, and how many events were told.
fn run(plan: &Plan<'_>) -> (Duration, u64) {
    let mut store = Store::new();
    let mut hub = WatchHub::new(store.revision());
    let streams: Vec<StreamId> = (0..plan.watched.div_ceil(WATCHERS_PER_STREAM))
        .map(|_| hub.open_stream(0, u64::MAX))
        .collect();
    for n in 0..plan.watched {
        let request = WatchCreateRequest {
            key: plan.key.into(),
            range_end: plan.range_end.into(),
            ..WatchCreateRequest::default()
        };
        hub.create(streams[n / WATCHERS_PER_STREAM], &request, store.revision());
    }
    for stream in &streams {
        drop(hub.take(*stream, usize::MAX));
    }
    let commands: Vec<Command> = (0..plan.puts)
        .map(|n| put(n, plan.keys, plan.value))
        .collect();
    let start = Instant::now();
    let mut told = 0;
    for (index, command) in (1..).zip(commands) {
        store.want_events(hub.wants_events());
        let mut application = store.begin(index, command, Answer::Discard);
        black_box(store.advance(&mut application, KEYS_PER_STEP));
        hub.publish(store.take_events(), store.revision());
        for stream in hub.take_woken() {
            for message in hub.take(stream, usize::MAX) {
                if let WatchMessage::Events { events, .. } = &message {
                    told += events.len() as u64;
                }
                if plan.encodes {
                    black_box(message.to_response().encode_to_vec());
                }
            }
        }
    }
    let elapsed = start.elapsed();
    assert_eq!(hub.behind_count(), 0, "nobody is slow here");
    (elapsed, told)
}

fn history(puts: u64, value: &Bytes) {
    let mut store = Store::new();
    for n in 0..puts {
        let command = put(n, 100, value);
        store.apply(n + 1, &command, Answer::Discard).unwrap();
    }
    for (what, key, range_end) in [
        ("events of one key from history", "k7", ""),
        ("events of all keys from history", "k", "l"),
        ("changes passed over in history", "l", "m"),
    ] {
        let (key, range_end) = (Bytes::from(key), Bytes::from(range_end));
        let mut cursor = HistoryCursor::new(&key, &range_end, 1, false);
        let (mut read, mut longest) = (0, Duration::ZERO);
        let start = Instant::now();
        loop {
            let step_start = Instant::now();
            let step = store.read_history(&mut cursor, KEYS_PER_STEP, usize::MAX);
            longest = longest.max(step_start.elapsed());
            let step = black_box(step.unwrap());
            read += step.events.len() as u64;
            if step.is_over {
                break;
            }
        }
        let read = if read == 0 { puts } else { read };
        row(what, read, start.elapsed());
        println!("    longest step {longest:?}");
    }
}

fn row(what: &str, count: u64, elapsed: Duration) {
    let rate = count as f64 / elapsed.as_secs_f64();
    println!("{what:<48} {rate:>14.0} /s  {count:>10} in {elapsed:.2?}");
}
