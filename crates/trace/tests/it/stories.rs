//! Traces that several tests look at.

use quorate_trace::{FaultKind, Letter, Outcome, Recorder, Role, Run, Start, Trace, View};

/// A millisecond of virtual time.
pub(crate) const MS: u64 = 1_000_000;

/// A message from one server to another.
pub(crate) fn letter(from: usize, to: usize, kind: &'static str) -> Letter<'static> {
    Letter {
        from,
        to,
        kind,
        term: 1,
        summary: "",
        routine: false,
    }
}

/// What a leader or a follower of server 0 shows.
pub(crate) fn view(role: Role, term: u64, commit: u64) -> View {
    View {
        role,
        term,
        vote: Some(0),
        leader: Some(0),
        commit,
        applied: commit,
    }
}

/// A recorder whose servers have all started at time zero.
pub(crate) fn started(names: &[&str]) -> Recorder {
    let mut recorder = Recorder::new("A story", names.iter().copied());
    for server in 0..names.len() {
        recorder.started(0, server, Start::default());
    }
    recorder
}

/// Three servers and everything that can happen to them.
pub(crate) fn everything() -> Trace {
    let mut recorder = started(&["n1", "n2", "n3"]);
    recorder.about("seed 7");
    recorder.observe(100 * MS, 0, view(Role::Candidate, 1, 0));
    let ask = Letter {
        summary: "log ends at 0",
        ..letter(0, 1, "RequestVote")
    };
    let asked = recorder.sent(100 * MS, ask);
    recorder.received(101 * MS, asked);
    recorder.observe(101 * MS, 1, view(Role::Follower, 1, 0));
    recorder.observe(102 * MS, 0, view(Role::Leader, 1, 0));
    replication(&mut recorder);
    let cut = vec![vec![0, 1], vec![2]];
    let partition = recorder.fault_began(110 * MS, FaultKind::Partition, cut, "n3 is alone");
    let lost = recorder.sent(111 * MS, letter(0, 2, "Append"));
    recorder.lost(112 * MS, lost, "cut off");
    recorder.crashed(113 * MS, 1, "power cut");
    recorder.fault_ended(120 * MS, partition);
    let restart = Start {
        term: 1,
        vote: Some(0),
        log: vec![Run::new(1, 2)],
        ..Start::default()
    };
    recorder.started(121 * MS, 1, restart);
    recorder.snapshot_taken(130 * MS, 0, 1, 1, 1);
    recorder.snapshot_installed(131 * MS, 2, 1, 1);
    recorder.fault_struck(132 * MS, FaultKind::Disk, vec![vec![2]], "a read error");
    recorder.note(133 * MS, None, "the end");
    recorder.finish()
}

fn replication(recorder: &mut Recorder) {
    let asked = recorder.operation_began(103 * MS, "c1", Some(0), "put a 1");
    let entries = vec![Run::labelled(1, "empty"), Run::labelled(1, "put a 1")];
    recorder.log(103 * MS, 0, None, entries.clone());
    let append = recorder.sent(103 * MS, letter(0, 1, "Append"));
    let again = recorder.duplicated(103 * MS, append);
    recorder.received(104 * MS, append);
    recorder.log(104 * MS, 1, None, entries);
    recorder.received(105 * MS, again);
    let heartbeat = Letter {
        routine: true,
        ..letter(0, 2, "Append")
    };
    let heartbeat = recorder.sent(105 * MS, heartbeat);
    recorder.received(106 * MS, heartbeat);
    recorder.observe(106 * MS, 0, view(Role::Leader, 1, 2));
    recorder.attach("{\"commit\":2}");
    recorder.operation_ended(106 * MS, asked, Outcome::Done, "revision 2");
}
