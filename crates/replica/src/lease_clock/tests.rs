use super::*;

const GRACE: Duration = Duration::from_secs(1);
const NOTHING: LogIndex = LogIndex::ZERO;

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn granted(id: i64, ttl_seconds: i64) -> LeaseEvent {
    LeaseEvent::Granted { id, ttl_seconds }
}

fn noted(id: i64, remaining_ttl_seconds: Option<i64>) -> LeaseEvent {
    LeaseEvent::Checkpointed {
        id,
        remaining_ttl_seconds,
    }
}

/// A leader since second 0, with these leases granted then.
fn leader(leases: &[(i64, i64)]) -> LeaseClock {
    let mut clock = LeaseClock::new(GRACE, true);
    clock.begin(at(0));
    tell(
        &mut clock,
        0,
        leases.iter().map(|(id, ttl)| granted(*id, *ttl)),
    );
    clock
}

fn tell(
    clock: &mut LeaseClock,
    second: u64,
    events: impl IntoIterator<Item = LeaseEvent>,
) -> Vec<i64> {
    clock.learn(at(second), LeaseNews::Changes(events.into_iter().collect()))
}

/// Those that the log takes the end of, at its index 100 and on.
fn expired(clock: &mut LeaseClock, now: Instant) -> Vec<i64> {
    let ids = clock.take_expired(now, NOTHING);
    clock.revokes_appended(&ids, LogIndex(100));
    ids
}

#[test]
fn a_lease_ends_when_its_time_is_over_and_not_a_moment_earlier() {
    let mut clock = leader(&[(7, 10), (8, 20)]);
    let last_moment = Instant::from_nanos(at(10).as_nanos() - 1);
    assert_eq!(expired(&mut clock, last_moment), []);
    assert_eq!(clock.deadline(), Some(at(10)));
    assert_eq!(expired(&mut clock, at(10)), [7]);
    assert_eq!(clock.standing(7), Standing::Ending);
    assert_eq!(clock.standing(8), Standing::Running);
    assert_eq!(tell(&mut clock, 11, [LeaseEvent::Revoked { id: 7 }]), [7]);
    assert_eq!(clock.standing(7), Standing::Unknown);
}

#[test]
fn a_renewed_lease_has_all_its_time_again() {
    let mut clock = leader(&[(7, 10)]);
    clock.renew(at(9), 7);
    let time = LeaseTime {
        granted_seconds: 10,
        remaining_seconds: 8,
    };
    assert_eq!(clock.time(at(11), 7), Some(time));
    assert_eq!(expired(&mut clock, at(18)), []);
    assert_eq!(expired(&mut clock, at(19)), [7]);
}

#[test]
fn a_new_leader_gives_each_lease_all_its_time_again_and_an_election_timeout() {
    let mut clock = LeaseClock::new(GRACE, false);
    tell(&mut clock, 0, [granted(7, 10)]);
    assert_eq!(clock.deadline(), None, "a follower counts nothing");
    assert_eq!(clock.standing(7), Standing::Unknown);
    clock.begin(at(100));
    assert_eq!(expired(&mut clock, at(110)), []);
    assert_eq!(expired(&mut clock, at(111)), [7]);
}

#[test]
fn a_renewal_never_takes_from_what_a_new_leader_gave() {
    let mut clock = LeaseClock::new(GRACE, false);
    tell(&mut clock, 0, [granted(7, 10)]);
    clock.begin(at(100));
    clock.renew(at(100), 7);
    assert_eq!(clock.deadline(), Some(at(111)));
}

#[test]
fn a_leader_that_was_deposed_forgets_and_counts_anew_when_it_leads_again() {
    let mut clock = leader(&[(7, 10)]);
    assert_eq!(expired(&mut clock, at(10)), [7]);
    clock.forget();
    assert_eq!(clock.deadline(), None);
    assert_eq!(expired(&mut clock, at(50)), []);
    clock.begin(at(60));
    assert_eq!(clock.standing(7), Standing::Running, "its end never came");
    assert_eq!(clock.deadline(), Some(at(71)));
}

#[test]
fn a_pause_of_the_process_ends_only_what_is_over() {
    let mut clock = leader(&[(7, 10), (8, 3_600)]);
    assert_eq!(expired(&mut clock, at(3_000)), [7]);
    assert_eq!(clock.take_checkpoints(at(3_000)), [(8, 600)]);
    assert_eq!(
        clock.deadline(),
        Some(at(3_001)),
        "asked again if nothing comes of it"
    );
}

#[test]
fn a_clock_of_any_rate_ends_a_lease_after_its_own_seconds() {
    for parts_per_hundred in [50, 99, 100, 101, 200] {
        let mut clock = leader(&[(7, 10)]);
        let local =
            |true_millis: u64| Instant::from_nanos(true_millis * 10_000 * parts_per_hundred);
        let mut true_millis = 0;
        while expired(&mut clock, local(true_millis)).is_empty() {
            true_millis += 1;
        }
        assert_eq!(true_millis, (1_000_000_u64).div_ceil(parts_per_hundred));
    }
}

#[test]
fn an_end_that_is_under_way_is_not_asked_for_twice_and_one_that_was_refused_is() {
    let mut clock = leader(&[(7, 10)]);
    let ids = clock.take_expired(at(10), NOTHING);
    clock.revokes_refused(&ids);
    assert_eq!(
        clock.standing(7),
        Standing::Running,
        "the log did not take it"
    );
    assert_eq!(expired(&mut clock, at(11)), [7]);
    assert_eq!(expired(&mut clock, at(13)), [], "it stands in the log");
    let ids = clock.take_expired(at(15), LogIndex(100));
    assert_eq!(ids, [7], "it was applied, and the store refused it");
}

#[test]
fn a_thousand_leases_end_in_a_second_at_most() {
    let leases: Vec<_> = (1..=2_500).map(|id| (id, 10)).collect();
    let mut clock = leader(&leases);
    let mut ended = Vec::new();
    for half_second in 0..4 {
        let now = at(10) + half_second * LEASE_REVOKE_WINDOW;
        let ids = expired(&mut clock, now);
        assert_eq!(ids.len(), LEASE_REVOKES_PER_WINDOW);
        assert_eq!(expired(&mut clock, now), []);
        assert_eq!(clock.deadline(), Some(now + LEASE_REVOKE_WINDOW));
        tell(
            &mut clock,
            10,
            ids.iter().map(|id| LeaseEvent::Revoked { id: *id }),
        );
        ended.extend(ids);
    }
    assert_eq!(ended, (1..=2_000).collect::<Vec<_>>());
}

#[test]
fn an_id_that_is_being_granted_anew_is_left_alone() {
    let mut clock = leader(&[(7, 10)]);
    // A client has revoked it and granted it again; neither is applied.
    clock.grant_appended(7, LogIndex(51));
    assert_eq!(clock.take_expired(at(10), LogIndex(49)), []);
    tell(
        &mut clock,
        10,
        [LeaseEvent::Revoked { id: 7 }, granted(7, 10)],
    );
    clock.applied(LogIndex(51));
    assert_eq!(clock.take_expired(at(19), LogIndex(51)), []);
    assert_eq!(clock.take_expired(at(20), LogIndex(51)), [7]);
}

#[test]
fn an_id_that_is_granted_anew_before_the_clock_begins_is_left_alone_too() {
    let mut clock = LeaseClock::new(GRACE, true);
    tell(&mut clock, 0, [granted(7, 2)]);
    // This node was just elected. The first entry of its term is 50; then a client revokes the lease and grants it again.
    clock.grant_appended(7, LogIndex(52));
    clock.applied(LogIndex(50));
    clock.begin(at(0));
    assert_eq!(
        clock.take_expired(at(3), LogIndex(50)),
        [],
        "of the new one"
    );
    tell(
        &mut clock,
        3,
        [LeaseEvent::Revoked { id: 7 }, granted(7, 2)],
    );
    clock.applied(LogIndex(52));
    assert_eq!(clock.take_expired(at(5), LogIndex(52)), [7]);
    // Whoever leads no more does not know what becomes of its grants.
    clock.grant_appended(7, LogIndex(53));
    clock.forget();
    clock.begin(at(10));
    assert_eq!(clock.take_expired(at(13), LogIndex(60)), [7]);
}

#[test]
fn what_is_left_of_a_long_lease_is_noted_every_five_minutes_rounded_up() {
    let mut clock = leader(&[(7, 1_000), (8, 300)]);
    assert_eq!(clock.take_checkpoints(at(299)), []);
    assert_eq!(clock.take_checkpoints(at(300)), [(7, 700)]);
    assert_eq!(
        clock.standing(7),
        Standing::Noted,
        "it may come into the log from now on"
    );
    let later = at(600) + Duration::from_millis(1);
    assert_eq!(clock.take_checkpoints(later), [(7, 400)]);
    assert_eq!(clock.take_checkpoints(at(950)), [(7, 50)]);
    assert_eq!(clock.take_checkpoints(at(999)), []);
}

#[test]
fn leases_are_noted_only_where_that_is_wanted() {
    let mut clock = LeaseClock::new(GRACE, false);
    clock.begin(at(0));
    tell(&mut clock, 0, [granted(7, 1_000)]);
    assert_eq!(clock.take_checkpoints(at(900)), []);
}

#[test]
fn a_thousand_leases_are_noted_in_one_entry_and_the_rest_in_the_next() {
    let leases: Vec<_> = (1..=1_500).map(|id| (id, 1_000)).collect();
    let mut clock = leader(&leases);
    assert_eq!(clock.take_checkpoints(at(300)).len(), LEASE_CHECKPOINTS_MAX);
    assert_eq!(clock.take_checkpoints(at(300)).len(), 0);
    let next = at(300) + LEASE_CHECKPOINT_PAUSE;
    assert_eq!(clock.deadline(), Some(next));
    assert_eq!(clock.take_checkpoints(next).len(), 500);
}

#[test]
fn a_new_leader_goes_on_from_what_was_noted() {
    let mut clock = LeaseClock::new(GRACE, true);
    tell(&mut clock, 0, [granted(7, 1_000), noted(7, Some(40))]);
    clock.begin(at(2_000));
    assert_eq!(clock.standing(7), Standing::Noted);
    assert_eq!(clock.deadline(), Some(at(2_041)));
}

#[test]
fn a_note_is_struck_out_before_the_lease_is_renewed() {
    let mut clock = LeaseClock::new(GRACE, true);
    tell(&mut clock, 0, [granted(7, 1_000), noted(7, Some(40))]);
    clock.begin(at(2_000));
    assert!(clock.clear(7));
    assert!(!clock.clear(7), "once is enough");
    assert_eq!(tell(&mut clock, 2_010, [noted(7, None)]), [7]);
    assert_eq!(clock.standing(7), Standing::Running);
    clock.renew(at(2_010), 7);
    assert_eq!(
        clock.time(at(2_010), 7).map(|time| time.remaining_seconds),
        Some(1_000)
    );
    clock.forget();
    clock.begin(at(3_000));
    assert_eq!(
        clock.deadline(),
        Some(at(3_300)),
        "all its time, to be noted"
    );
}

#[test]
fn a_note_on_its_way_counts_until_the_striking_out_after_it() {
    let mut clock = leader(&[(7, 1_000)]);
    assert_eq!(clock.take_checkpoints(at(300)), [(7, 700)]);
    assert!(clock.clear(7));
    tell(&mut clock, 301, [noted(7, Some(700))]);
    assert_eq!(clock.standing(7), Standing::Noted);
    assert!(!clock.clear(7), "it is still on its way");
    tell(&mut clock, 301, [noted(7, None)]);
    assert_eq!(clock.standing(7), Standing::Running);
}

#[test]
fn nothing_is_noted_of_a_lease_whose_note_is_being_struck_out() {
    let mut clock = leader(&[(7, 1_000)]);
    assert_eq!(clock.take_checkpoints(at(300)), [(7, 700)]);
    assert!(clock.clear(7));
    assert_eq!(clock.take_checkpoints(at(600)), []);
    clock.clear_refused(7);
    assert!(clock.clear(7), "the log did not take it");
}

#[test]
fn being_told_of_all_leases_replaces_what_was_known() {
    let mut clock = LeaseClock::new(GRACE, true);
    tell(&mut clock, 0, [granted(7, 10)]);
    let lease = LeaseInfo {
        id: 8,
        granted_ttl_seconds: 20,
        remaining_ttl_seconds: Some(5),
    };
    clock.learn(at(0), LeaseNews::All(vec![lease]));
    assert_eq!(clock.known.keys().collect::<Vec<_>>(), [&8]);
    clock.begin(at(0));
    assert_eq!(expired(&mut clock, at(6)), [8]);
}
