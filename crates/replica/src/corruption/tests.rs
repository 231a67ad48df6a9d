use super::*;

fn says(member: u64, hash: u32) -> MemberHash {
    MemberHash {
        member,
        votes: true,
        hash,
        hash_revision: 10,
        compact_revision: 5,
    }
}

#[test]
fn equal_members_are_not_corrupt() {
    assert_eq!(corrupt_members(&[], 3), []);
    assert_eq!(corrupt_members(&[says(1, 7)], 3), []);
    assert_eq!(
        corrupt_members(&[says(1, 7), says(2, 7), says(3, 7)], 3),
        []
    );
}

#[test]
fn the_minority_is_corrupt_whoever_asks() {
    assert_eq!(
        corrupt_members(&[says(1, 7), says(2, 8), says(3, 7)], 3),
        [2]
    );
    assert_eq!(
        corrupt_members(&[says(1, 8), says(2, 7), says(3, 7)], 3),
        [1]
    );
    let five = [says(5, 1), says(4, 7), says(3, 7), says(2, 7), says(1, 2)];
    assert_eq!(corrupt_members(&five, 5), [1, 5]);
}

#[test]
fn without_a_majority_of_all_voters_nobody_can_say_who_is_wrong() {
    assert_eq!(
        corrupt_members(&[says(1, 7), says(2, 8)], 2),
        [UNKNOWN_MEMBER]
    );
    assert_eq!(
        corrupt_members(&[says(1, 7), says(2, 8)], 3),
        [UNKNOWN_MEMBER]
    );
    let three_ways = [says(1, 7), says(2, 8), says(3, 9)];
    assert_eq!(corrupt_members(&three_ways, 3), [UNKNOWN_MEMBER]);
}

#[test]
fn learners_are_judged_and_do_not_judge() {
    let learner = |member, hash| MemberHash {
        votes: false,
        ..says(member, hash)
    };
    let judged = [says(1, 7), says(2, 7), learner(3, 8), learner(4, 8)];
    assert_eq!(corrupt_members(&judged, 3), [3, 4]);
    let alone = [says(1, 7), learner(3, 8), learner(4, 8)];
    assert_eq!(corrupt_members(&alone, 3), [UNKNOWN_MEMBER]);
}

#[test]
fn other_revisions_and_compactions_are_not_compared() {
    let later = MemberHash {
        hash_revision: 11,
        ..says(2, 8)
    };
    let compacted = MemberHash {
        compact_revision: 6,
        ..says(3, 9)
    };
    assert_eq!(corrupt_members(&[says(1, 7), later, compacted], 3), []);
}
