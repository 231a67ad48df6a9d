//! What protocol version 1 made of each command is what every later program makes of it.
//!
//! `version_1/golden.txt` is what the last program that spoke only version 1 (commit 04ff2a8) did with these very
//! commands: after each its answer, the revision and the hash of the state. While members of both programs apply one
//! log, a line that differs here is a cluster that falls apart. So this text never changes: what a program shall do
//! otherwise, it does by a rule of a later version (`Rules`).

mod commands;
mod words;

use std::fmt::Write as _;

use quorate_kv::{Answer, Command, KvError, Reply, Rules, Step, Store};
use quorate_proto::etcdserverpb::RangeRequest;

use self::commands::commands;
use self::words::{answer, words};
use crate::support::{everything, snapshot};

const GOLDEN: &str = include_str!("version_1/golden.txt");

/// A store that goes by version 1.
fn store() -> Store {
    let mut store = Store::new();
    store.go_by(Rules::of_version(1));
    store
}

/// Everything that is compared, as text.
fn transcript(
    store: &mut Store,
    apply: impl Fn(&mut Store, u64, &Command) -> Result<Reply, KvError>,
) -> String {
    let mut text = String::new();
    for (index, command) in (1..).zip(commands()) {
        let outcome = match apply(store, index, &command) {
            Ok(reply) => answer(&reply),
            Err(refused) => format!("refused: {refused}"),
        };
        let (revision, hash) = (store.revision(), store.state_hash());
        let command = words(&command);
        writeln!(
            text,
            "{command}\n    {outcome}\n    revision {revision} hash {hash:016x}"
        )
        .unwrap();
    }
    for revision in store.compacted_revision()..=store.revision() {
        let at = RangeRequest {
            revision,
            ..everything()
        };
        let pairs = words::pairs(&store.range(&at).unwrap().kvs);
        writeln!(text, "at revision {revision}: {pairs}").unwrap();
    }
    let bytes = snapshot(store);
    let checksum = crc32c::crc32c(&bytes);
    writeln!(
        text,
        "snapshot: format {}, {} bytes, CRC-32C {checksum:08x}",
        bytes[0],
        bytes.len()
    )
    .unwrap();
    text
}

#[track_caller]
fn assert_golden(transcript: &str) {
    for (number, (ours, golden)) in (1..).zip(transcript.lines().zip(GOLDEN.lines())) {
        assert_eq!(ours, golden, "line {number} of the golden text");
    }
    assert_eq!(transcript.lines().count(), GOLDEN.lines().count());
}

#[test]
fn what_version_1_does_stays_as_the_programs_of_its_time_did_it() {
    assert_golden(&transcript(&mut store(), |store, index, command| {
        store.apply(index, command, Answer::Wanted)
    }));
}

#[test]
fn what_version_1_does_in_steps_of_one_key_is_the_same() {
    assert_golden(&transcript(&mut store(), |store, index, command| {
        let mut application = store.begin(index, command.clone(), Answer::Wanted);
        loop {
            if let Step::Done(result) = store.advance(&mut application, 1) {
                return result;
            }
        }
    }));
}

/// Refusals, revisions and hashes of a member that nobody asked.
#[test]
fn what_version_1_does_is_the_same_where_nobody_waits_for_the_answer() {
    let (mut asked, mut unasked) = (store(), store());
    for (index, command) in (1..).zip(commands()) {
        let answered = asked.apply(index, &command, Answer::Wanted);
        let discarded = unasked.apply(index, &command, Answer::Discard);
        let command = words(&command);
        assert_eq!(answered.err(), discarded.err(), "{command}");
        assert_eq!(asked.revision(), unasked.revision(), "{command}");
        assert_eq!(asked.state_hash(), unasked.state_hash(), "{command}");
    }
    assert_eq!(snapshot(&mut asked), snapshot(&mut unasked));
}
