//! The running hash of the state.

use crate::support::*;

#[test]
fn equal_histories_have_equal_hashes_and_any_difference_shows() {
    let base = || Member::with_keys(&["a", "b"]);
    let hash = |member: &Member| member.store.state_hash();
    assert_eq!(hash(&base()), hash(&base()));
    assert_ne!(hash(&base()), hash(&Member::with_keys(&["b", "a"])));
    assert_ne!(hash(&base()), hash(&Member::with_keys(&["a"])));
    assert_eq!(hash(&Member::default()), 0);

    let mut seen = vec![hash(&base())];
    let variants: [fn(&mut Member); 5] = [
        |member| drop(member.put(put("c", "1"))),
        |member| drop(member.put(put("c", "2"))),
        |member| drop(member.put(put("a", "1"))),
        |member| drop(member.delete(delete("a", ""))),
        |member| drop(member.compact(2)),
    ];
    for change in variants {
        let mut member = base();
        change(&mut member);
        seen.push(hash(&member));
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

/// Members free at different times and have different readers: their hashes agree all the same.
#[test]
fn freeing_and_pins_do_not_show() {
    let mut eager = Member::with_keys(&["a", "a", "b"]);
    let mut lazy = Member::with_keys(&["a", "a", "b"]);
    let _pin = lazy.store.pin(2).unwrap();
    for member in [&mut eager, &mut lazy] {
        member.compact(4).unwrap();
    }
    eager.free();
    assert_eq!(eager.store.state_hash(), lazy.store.state_hash());
    assert!(eager.store.memory_bytes() < lazy.store.memory_bytes());
}
