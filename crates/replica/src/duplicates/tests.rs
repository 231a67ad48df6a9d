use super::*;

fn request(boot_nonce: u32, sequence: u64) -> RequestId {
    RequestId {
        member: 1,
        boot_nonce,
        sequence,
    }
}

fn admit(duplicates: &mut Duplicates, request: RequestId) -> bool {
    duplicates.admit(request, LogIndex(1))
}

#[test]
fn a_request_is_admitted_once_in_any_order() {
    let mut duplicates = Duplicates::default();
    for sequence in [5, 1, 3, 70_000, 69_999, 2 * DUPLICATE_WINDOW + 7] {
        assert!(admit(&mut duplicates, request(9, sequence)), "{sequence}");
        assert!(
            !admit(&mut duplicates, request(9, sequence)),
            "{sequence} again"
        );
    }
}

#[test]
fn what_fell_below_the_window_counts_as_applied() {
    let mut duplicates = Duplicates::default();
    assert!(admit(&mut duplicates, request(9, DUPLICATE_WINDOW + 10)));
    assert!(!admit(&mut duplicates, request(9, 10)));
    assert!(admit(&mut duplicates, request(9, 11)));
}

#[test]
fn the_greatest_number_there_is_does_not_overflow_the_window() {
    let mut duplicates = Duplicates::default();
    assert!(admit(&mut duplicates, request(9, u64::MAX)));
    assert!(!admit(&mut duplicates, request(9, u64::MAX)));
    assert!(admit(&mut duplicates, request(9, u64::MAX - 1)));
    assert!(
        !admit(&mut duplicates, request(9, 1)),
        "far below the window"
    );
}

#[test]
fn a_new_boot_starts_a_window_of_its_own_and_the_oldest_is_forgotten() {
    let mut duplicates = Duplicates::default();
    for boot in 0..=DUPLICATE_BOOTS_PER_MEMBER as u32 {
        assert!(admit(&mut duplicates, request(boot, 1)));
    }
    assert!(!admit(
        &mut duplicates,
        request(DUPLICATE_BOOTS_PER_MEMBER as u32, 1)
    ));
    assert_eq!(
        duplicates.members[&1].windows.len(),
        DUPLICATE_BOOTS_PER_MEMBER
    );
}

#[test]
fn a_long_random_run_agrees_with_a_plain_set() {
    let mut duplicates = Duplicates::default();
    let mut plain = std::collections::BTreeSet::new();
    let mut state = 12_345_u64;
    let mut base = 1;
    for _ in 0..200_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        base += (state >> 60) & 1;
        let sequence = base + (state >> 33) % 2_000;
        assert_eq!(
            admit(&mut duplicates, request(9, sequence)),
            plain.insert(sequence)
        );
    }
}

#[test]
fn the_member_heard_of_least_lately_is_forgotten_when_there_are_too_many() {
    let mut duplicates = Duplicates::default();
    let of = |member: u64| RequestId {
        member,
        ..request(9, 1)
    };
    let members = DUPLICATE_MEMBERS as u64;
    for member in 1..=members {
        assert!(duplicates.admit(of(member), LogIndex(member)));
    }
    let again = LogIndex(members + 1);
    assert!(!duplicates.admit(of(1), again), "a duplicate is heard of");
    assert!(duplicates.admit(of(members + 1), again));
    assert_eq!(duplicates.members.len(), DUPLICATE_MEMBERS);
    assert!(!duplicates.members.contains_key(&2));
    assert!(!duplicates.admit(of(1), again));
    assert!(!duplicates.admit(of(3), again));
}

#[test]
fn a_window_comes_back_from_its_runs() {
    let mut state = 99_u64;
    for round in 0..200 {
        let mut window = Window::new(7);
        let (base, spread) = (
            [1, 60_000, 65_530, 1 << 40, u64::MAX - 70_000][round % 5],
            [3, 200, 70_000][round % 3],
        );
        for _ in 0..[1, 50, 2_000][round % 3] {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            window.admit(base + (state >> 33) % spread);
        }
        let runs = window.runs();
        assert_eq!(
            runs.iter().sum::<u64>(),
            window.greatest.min(DUPLICATE_WINDOW)
        );
        assert_eq!(Window::from_runs(7, window.greatest, &runs), Some(window));
    }
    let full: u64 = DUPLICATE_WINDOW;
    let mut window = Window::new(7);
    for sequence in 1..=2 * full {
        window.admit(sequence);
    }
    assert_eq!(window.runs(), [full]);
}

#[test]
fn runs_that_no_window_has_are_refused() {
    assert_eq!(Window::from_runs(7, 0, &[]), None);
    assert_eq!(Window::from_runs(7, 5, &[]), None);
    assert_eq!(Window::from_runs(7, 5, &[4]), None);
    assert_eq!(Window::from_runs(7, 5, &[6]), None);
    assert_eq!(Window::from_runs(7, 5, &[0, 5]), None);
    assert_eq!(Window::from_runs(7, 5, &[u64::MAX, 6]), None);
    assert!(Window::from_runs(7, 5, &[2, 3]).is_some());
}
