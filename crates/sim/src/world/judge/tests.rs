use super::*;

const REQUEST: RequestId = RequestId {
    member: 1,
    boot_nonce: 7,
    sequence: 3,
};

#[test]
fn members_that_apply_a_request_at_one_place_agree() {
    let mut judge = Judge::default();
    judge.took_effect(0, REQUEST, LogIndex(5));
    judge.took_effect(1, REQUEST, LogIndex(5));
    let other_boot = RequestId {
        boot_nonce: 8,
        ..REQUEST
    };
    judge.took_effect(0, other_boot, LogIndex(6));
}

#[test]
#[should_panic(expected = "which took effect at 5")]
fn a_request_that_is_applied_at_two_places_is_found_out() {
    let mut judge = Judge::default();
    judge.took_effect(0, REQUEST, LogIndex(5));
    judge.took_effect(1, REQUEST, LogIndex(9));
}
