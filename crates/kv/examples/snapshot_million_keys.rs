//! How fast a snapshot of a million keys is scanned and loaded, how long the longest step takes that
//! holds the store, and how much memory the loaded store takes.
//!
//! ```text
//! cargo run --release -p quorate-kv --example snapshot_million_keys [-- KEYS [VALUE_BYTES]]
//! ```
//!
//! Keys of 8 bytes, put in order and in no order, and in no order with all but the last revision
//! compacted; each scanned while puts go on between the steps. The snapshot goes to a temporary file
//! and is loaded by another process, whose resident memory is what the kernel says of it
//! (`/proc/self/statm`), less what it was before.

// It measures, so it needs a clock and a file; and it has nobody to report an error to.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_kv::{Answer, Command, KEYS_PER_STEP, SnapshotLoader, Store};
use quorate_proto::etcdserverpb::{CompactionRequest, PutRequest};

const MIB: f64 = 1024.0 * 1024.0;
/// What a scan asks for in a step, and the piece in which a loader is fed.
const STEP_BYTES: usize = 256 << 10;
const PIECE_BYTES: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, path] = &arguments[..]
        && mode == "load"
    {
        return load(Path::new(path));
    }
    let number = |at: usize, default: u64| match arguments.get(at).map(|text| text.parse()) {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(error)) => panic!("KEYS and VALUE_BYTES are numbers: {error}"),
    };
    let (keys, value_bytes) = (number(0, 1_000_000), number(1, 256));
    let path = std::env::temp_dir().join(format!("snapshot-{}", std::process::id()));
    for (order, compacted) in [("sorted", false), ("shuffled", false), ("shuffled", true)] {
        let mut store = fill(order, keys, value_bytes);
        let index = store.applied_index() + 1;
        if compacted {
            let revision = store.revision();
            let physical = true;
            let compaction = CompactionRequest { revision, physical };
            let applied = store.apply(index, &compaction.into(), Answer::Wanted);
            applied.expect("it is readable");
            while store.free_step(KEYS_PER_STEP) {}
        }
        let what = if compacted { ", compacted" } else { "" };
        println!("{order}{what}: {keys} keys of 8 + {value_bytes} bytes");
        scan(&mut store, index, &path);
        drop(store);
        let program = std::env::current_exe().expect("a running program has a path");
        let load = std::process::Command::new(program)
            .arg("load")
            .arg(&path)
            .status();
        let is_loaded = load.is_ok_and(|status| status.success());
        std::fs::remove_file(&path).unwrap();
        assert!(is_loaded, "the snapshot could not be loaded");
    }
}

fn put(n: u64, shuffled: bool, value: &Bytes) -> Command {
    let place = match shuffled {
        true => n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        false => n,
    };
    Command::Put(PutRequest {
        key: Bytes::copy_from_slice(&place.to_be_bytes()),
        value: value.clone(),
        ..PutRequest::default()
    })
}

fn fill(order: &str, keys: u64, value_bytes: u64) -> Store {
    let value = Bytes::from(vec![7_u8; value_bytes as usize]);
    let mut store = Store::new();
    for n in 0..keys {
        store
            .apply(n + 1, &put(n, order == "shuffled", &value), Answer::Discard)
            .expect("a plain put succeeds");
    }
    store
}

/// Between any two steps, ten keys are put, with short values: they are in memory as long as the scan.
fn scan(store: &mut Store, mut index: u64, path: &Path) {
    let value = Bytes::from_static(b"newer");
    let keys = store.key_count();
    let mut file = File::create(path).unwrap();
    let (mut steps, mut bytes) = (Vec::new(), 0);
    let start = Instant::now();
    let mut scan = store.capture_snapshot().expect("it is the only one");
    let capture = start.elapsed();
    loop {
        let start = Instant::now();
        let Some(piece) = store.scan_snapshot(&mut scan, STEP_BYTES) else {
            break;
        };
        steps.push(start.elapsed());
        bytes += piece.len();
        file.write_all(&piece).unwrap();
        for _ in 0..10 {
            index += 1;
            store
                .apply(index, &put(index, true, &value), Answer::Discard)
                .expect("a plain put succeeds");
        }
    }
    store.end_snapshot(scan);
    let scanning: Duration = steps.iter().sum();
    println!(
        "  captured in {capture:.0?}, scanned in {scanning:.1?}: {:.0} keys/s, {:.1} bytes a key; {}",
        keys as f64 / scanning.as_secs_f64(),
        bytes as f64 / keys as f64,
        summary(steps),
    );
}

fn load(path: &Path) {
    let mut file = File::open(path).unwrap();
    let mut piece = vec![0; PIECE_BYTES];
    let resident_before = resident_bytes();
    let mut loading = Duration::ZERO;
    let mut loader = SnapshotLoader::new();
    loop {
        let length = file.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        let start = Instant::now();
        loader.feed(&piece[..length]).expect("it is undamaged");
        loading += start.elapsed();
    }
    let start = Instant::now();
    let store = loader.finish().expect("it is undamaged");
    loading += start.elapsed();
    let resident = (resident_bytes() - resident_before) as f64;
    let keys = store.key_count() as f64;
    println!(
        "  loaded in {loading:.1?}: {:.0} keys/s; {:.1} MiB resident ({:.0} bytes a key), {:.1} MiB by \
         the store's estimate",
        keys / loading.as_secs_f64(),
        resident / MIB,
        resident / keys,
        store.memory_bytes() as f64 / MIB,
    );
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

/// The second number of statm, in pages.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc/self/statm");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("statm is numbers, the second one resident pages") * 4096
}
