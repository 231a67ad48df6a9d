//! Headers and revisions.

use quorate_proto::etcdserverpb::RangeRequest;
use quorate_proto::etcdserverpb::response_op::Response;

use crate::support::*;

/// "Store revision starts at 1; the first write gives 2. compactMainRev starts at -1."
#[test]
fn a_fresh_store_is_at_revision_1_and_its_first_write_gives_2() {
    let mut member = Member::default();
    assert_eq!(
        (member.store.revision(), member.store.compacted_revision()),
        (1, -1)
    );
    assert_eq!(revision(&member.range(&get("a")).unwrap().header), 1);
    assert_eq!(revision(&member.put(put("a", "1")).unwrap().header), 2);
    assert_eq!(member.store.revision(), 2);
}

/// "One revision per write op/txn, whatever its size."
#[test]
fn a_transaction_takes_one_revision_whatever_its_size() {
    let mut member = Member::default();
    let puts = (0..100).map(|n| op(put(&format!("key{n}"), "")));
    assert_eq!(revision(&member.txn(all(puts)).unwrap().header), 2);
    let response = member.range(&everything()).unwrap();
    assert_eq!(response.kvs.len(), 100);
    assert!(
        response
            .kvs
            .iter()
            .all(|pair| pair.mod_revision == 2 && pair.create_revision == 2)
    );
    assert_eq!(
        revision(&member.delete(delete("\0", "\0")).unwrap().header),
        3
    );
}

/// "sub-revision orders ops inside": a key that one transaction changes twice is left as the last of
/// its operations left it. (Nested transactions that follow one another may do that.)
#[test]
fn within_one_revision_the_last_operation_has_the_last_word() {
    let mut member = Member::default();
    let both = all([op(all([op(put("a", "1"))])), op(all([op(delete("a", ""))]))]);
    assert_eq!(revision(&member.txn(both).unwrap().header), 2);
    assert_eq!(member.pair("a"), None);
    assert_eq!(member.pair_at("a", 2), None);
}

/// "Txn that writes nothing, deletes of nothing … do not bump it."
#[test]
fn what_changes_nothing_takes_no_revision() {
    let mut member = Member::with_keys(&["a"]);
    assert_eq!(revision(&member.delete(delete("b", "")).unwrap().header), 2);
    assert_eq!(
        revision(&member.delete(delete("b", "z")).unwrap().header),
        2
    );
    assert_eq!(
        revision(&member.txn(all([op(delete("b", ""))])).unwrap().header),
        2
    );
    assert_eq!(
        revision(&member.txn(all([op(all([op(get("a"))]))])).unwrap().header),
        2
    );
    assert_eq!(member.store.revision(), 2);
    assert_eq!(member.store.applied_index(), 5);
}

/// "Range header.revision is the current revision, not the requested one."
#[test]
fn a_range_in_the_past_tells_the_current_revision() {
    let member = Member::with_keys(&["a", "b", "c"]);
    let response = member
        .range(&RangeRequest {
            revision: 2,
            ..everything()
        })
        .unwrap();
    assert_eq!(
        (keys(&response).as_str(), revision(&response.header)),
        ("a", 4)
    );
}

/// "Txn inner responses carry only header.revision."
#[test]
fn inner_answers_carry_only_the_revision_that_their_operation_saw() {
    let mut member = Member::with_keys(&["a"]);
    let request = all([
        op(get("a")),
        op(delete("nothing", "")),
        op(put("b", "")),
        op(get("a")),
        op(delete("nothing", "")),
        op(all([op(get("b"))])),
    ]);
    let response = member.txn(request).unwrap();
    let headers: Vec<_> = response
        .responses
        .iter()
        .map(|inner| match inner.response.as_ref().unwrap() {
            Response::ResponseRange(inner) => inner.header.unwrap(),
            Response::ResponsePut(inner) => inner.header.unwrap(),
            Response::ResponseDeleteRange(inner) => inner.header.unwrap(),
            Response::ResponseTxn(inner) => inner.header.unwrap(),
        })
        .collect();
    assert!(
        headers
            .iter()
            .all(|h| h.cluster_id == 0 && h.member_id == 0 && h.raft_term == 0)
    );
    let revisions: Vec<i64> = headers.iter().map(|header| header.revision).collect();
    assert_eq!(revisions, [2, 2, 3, 3, 3, 0]);
    assert_eq!(revision(&response.header), 3);
}

/// "resp header revision = rev(+1 if changes)."
#[test]
fn the_answer_to_a_transaction_tells_the_revision_after_it() {
    let mut member = Member::with_keys(&["a"]);
    let reading = all([op(get("a"))]);
    assert_eq!(
        revision(&member.store.read_only_txn(&reading).unwrap().header),
        2
    );
    assert_eq!(
        revision(&member.txn(all([op(put("a", ""))])).unwrap().header),
        3
    );
}

/// An entry that changes nothing for the store still counts as applied.
#[test]
fn a_skipped_entry_moves_only_the_applied_index() {
    let mut member = Member::with_keys(&["a"]);
    let before = (member.store.revision(), member.store.state_hash());
    member.store.skip(9);
    assert_eq!(member.store.applied_index(), 9);
    assert_eq!((member.store.revision(), member.store.state_hash()), before);
}

#[test]
#[should_panic(expected = "entry 1 cannot be applied after entry 1")]
fn no_entry_is_applied_twice() {
    let mut member = Member::with_keys(&["a"]);
    member.index = 0;
    let _ = member.put(put("a", "again"));
}
