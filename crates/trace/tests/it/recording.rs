//! From calls to events, and from events to what holds.

use quorate_trace::{FaultKind, Role, Run, Start, What};

use crate::stories::{MS, letter, started, view};

#[test]
fn only_what_changed_becomes_an_event() {
    let mut recorder = started(&["n1", "n2"]);
    assert!(recorder.observe(MS, 0, view(Role::Leader, 1, 0)));
    assert!(!recorder.observe(2 * MS, 0, view(Role::Leader, 1, 0)));
    assert!(recorder.observe(3 * MS, 0, view(Role::Leader, 1, 4)));
    let trace = recorder.finish();
    let told: Vec<&What> = trace.events[2..].iter().map(|event| &event.what).collect();
    assert!(
        matches!(
            told[..],
            [
                What::Role { term: 1, .. },
                What::Vote { candidate: 0, .. },
                What::Commit { index: 4, .. },
                What::Applied { index: 4, .. },
            ]
        ),
        "{told:?}"
    );
}

#[test]
fn what_is_replaced_and_committed_in_one_step_never_looks_committed_before() {
    let mut recorder = started(&["n1"]);
    recorder.log(MS, 0, None, vec![Run::new(1, 2)]);
    let follows = view(Role::Follower, 3, 2);
    recorder.observe_write(2 * MS, 0, follows, Some(1), vec![Run::new(3, 1)]);
    let trace = recorder.finish();
    let mut moment = trace.start.clone();
    for event in &trace.events {
        moment.apply(event);
        let server = &moment.servers[0];
        assert!(
            server.commit < 2 || server.newest_terms(1).1 == [3],
            "{event:?}"
        );
    }
    assert_eq!(moment.servers[0].commit, 2);
}

#[test]
fn a_log_is_cut_before_it_grows() {
    let mut recorder = started(&["n1"]);
    recorder.log(MS, 0, None, vec![Run::new(1, 3), Run::labelled(2, "lost")]);
    recorder.log(2 * MS, 0, Some(2), vec![Run::labelled(3, "kept")]);
    let server = &recorder.now().servers[0];
    assert_eq!(server.newest_terms(10), (1, vec![1, 1, 3]));
    assert_eq!(server.newest_terms(2), (2, vec![1, 3]));
    let labels: Vec<(&u64, &String)> = server.labels.iter().collect();
    assert_eq!(labels, [(&3, &"kept".to_owned())]);
}

#[test]
fn a_log_that_stays_as_it_is_is_no_event() {
    let mut recorder = started(&["n1"]);
    assert!(recorder.log(MS, 0, None, vec![Run::new(1, 3)]));
    assert!(!recorder.log(MS, 0, None, Vec::new()));
    assert!(!recorder.log(MS, 0, Some(3), Vec::new()));
    assert!(recorder.log(MS, 0, Some(2), Vec::new()));
    assert_eq!(recorder.finish().events.len(), 3);
}

#[test]
fn term_runs_of_a_log_become_its_entries() {
    let runs = Run::of_term_runs(&[(5, 1), (8, 4)], 8);
    assert_eq!(runs, [Run::new(1, 3), Run::new(4, 1)]);
    assert!(Run::of_term_runs(&[], 4).is_empty());
}

#[test]
fn a_snapshot_shortens_the_log_from_the_front_and_an_install_voids_it() {
    let mut recorder = started(&["n1"]);
    recorder.log(MS, 0, None, vec![Run::new(1, 3), Run::new(2, 3)]);
    recorder.snapshot_taken(2 * MS, 0, 5, 2, 4);
    let server = &recorder.now().servers[0];
    assert_eq!(
        (server.last_index(), server.newest_terms(9)),
        (6, (5, vec![2, 2]))
    );
    recorder.snapshot_installed(3 * MS, 0, 20, 3);
    recorder.log(4 * MS, 0, None, vec![Run::new(3, 1)]);
    let server = &recorder.now().servers[0];
    assert_eq!(
        (server.last_index(), server.newest_terms(9)),
        (21, (21, vec![3]))
    );
    assert_eq!((server.commit, server.applied), (20, 20));
}

#[test]
fn a_crash_lasts_until_the_start_and_a_healing_does_not_end_it() {
    let mut recorder = started(&["n1", "n2"]);
    recorder.crashed(MS, 0, "killed");
    recorder.fault_began(MS, FaultKind::Pause, vec![vec![1]], "paused");
    recorder.healed(2 * MS);
    assert_eq!(recorder.now().faults.len(), 1);
    assert!(!recorder.now().servers[0].up);
    recorder.started(3 * MS, 0, Start::default());
    assert!(recorder.now().faults.is_empty() && recorder.now().servers[0].up);
}

#[test]
fn faults_end_with_one_of_the_servers_they_strike() {
    let mut recorder = started(&["n1", "n2", "n3"]);
    recorder.fault_began(MS, FaultKind::Partition, vec![vec![0], vec![1]], "apart");
    recorder.fault_began(MS, FaultKind::Disk, vec![vec![2]], "slow");
    recorder.faults_ended_at(2 * MS, 1);
    let left: Vec<FaultKind> = recorder.now().faults.values().map(|one| one.kind).collect();
    assert_eq!(left, [FaultKind::Disk]);
}

#[test]
fn a_fault_with_a_known_end_ends_by_itself_before_what_comes_after() {
    let mut recorder = started(&["n1"]);
    let pause = |recorder: &mut quorate_trace::Recorder, until| {
        recorder.fault_until(MS, until, FaultKind::Pause, vec![vec![0]], "stands still")
    };
    pause(&mut recorder, 3 * MS);
    let ended_early = pause(&mut recorder, 4 * MS);
    recorder.fault_ended(2 * MS, ended_early);
    recorder.healed(5 * MS);
    let ends = recorder.finish().events.into_iter();
    let ends = ends.filter(|event| matches!(event.what, What::FaultEnded { .. }));
    let ends: Vec<u64> = ends.map(|event| event.at).collect();
    assert_eq!(ends, [2 * MS, 3 * MS]);
}

#[test]
fn a_repeated_message_has_a_fate_of_its_own() {
    let mut recorder = started(&["n1", "n2"]);
    let first = recorder.sent(MS, letter(0, 1, "Append"));
    let second = recorder.duplicated(MS, first);
    assert_ne!(first, second);
    recorder.lost(2 * MS, first, "dropped");
    assert_eq!(recorder.now().messages.len(), 1);
    recorder.received(3 * MS, second);
    assert!(recorder.now().messages.is_empty());
    assert_eq!(
        recorder.duplicated(4 * MS, second),
        second,
        "it is no longer under way"
    );
}

#[test]
#[should_panic(expected = "time goes back")]
fn time_that_goes_back_is_refused() {
    let mut recorder = started(&["n1"]);
    recorder.note(2 * MS, None, "later");
    recorder.note(MS, None, "earlier");
}

#[test]
#[should_panic(expected = "an event of server 3; there are 2")]
fn a_server_that_is_not_there_is_refused() {
    started(&["n1", "n2"]).crashed(0, 3, "who?");
}
