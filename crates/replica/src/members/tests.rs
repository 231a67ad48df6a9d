use super::*;

fn member(name: &str, url: &str) -> Member {
    Member {
        name: name.to_owned(),
        peer_urls: vec![url.to_owned()],
        ..Member::default()
    }
}

fn three() -> MemberTable {
    let named = |id: u64| (id, member(&format!("n{id}"), &format!("http://n{id}:2380")));
    MemberTable::new([1, 2, 3].map(named))
}

fn add(id: u64, url: &str, is_learner: bool) -> peer::MemberChange {
    peer::MemberChange {
        change: Some(Change::Add(peer::Member {
            id,
            peer_urls: vec![url.to_owned()],
            is_learner,
            ..peer::Member::default()
        })),
    }
}

fn of(change: Change) -> peer::MemberChange {
    peer::MemberChange {
        change: Some(change),
    }
}

fn refusal(table: &MemberTable, change: &peer::MemberChange) -> MemberError {
    table.changed(change).expect_err("refused")
}

/// Member `id` has started and said so.
fn published(mut table: MemberTable, id: u64) -> MemberTable {
    let publication = peer::MemberPublication {
        name: format!("n{id}"),
        client_urls: Vec::new(),
    };
    let update = peer::MemberUpdate {
        id,
        peer_urls: Vec::new(),
        publication: Some(publication),
    };
    table.update(update).expect("published");
    table
}

#[test]
fn a_learner_is_added_promoted_and_removed_for_ever() {
    let table = three();
    let (table, change) = table
        .changed(&add(4, "http://n4:2380", true))
        .expect("added");
    assert_eq!(change, MembershipChange::AddLearner(NodeId(4)));
    assert_eq!(table.membership().learners, [NodeId(4)]);
    let promotion = of(Change::Promote(4));
    assert_eq!(
        refusal(&table, &promotion),
        MemberError::LearnerNotReady,
        "it has not said that it has started"
    );
    let table = published(table, 4);
    let (table, change) = table.changed(&of(Change::Promote(4))).expect("promoted");
    assert_eq!(change, MembershipChange::Promote(NodeId(4)));
    assert_eq!(table.membership().voters.len(), 4);
    let (table, change) = table.changed(&of(Change::Remove(4))).expect("removed");
    assert_eq!(change, MembershipChange::Remove(NodeId(4)));
    assert!(table.is_removed(4) && table.get(4).is_none());
    assert_eq!(
        refusal(&table, &add(4, "http://n4:2380", false)),
        MemberError::Exists
    );
    table
        .changed(&add(5, "http://n4:2380", false))
        .expect("its address is free again");
}

#[test]
fn what_makes_no_sense_is_refused_in_etcds_words() {
    let table = three();
    let cases = [
        (add(1, "http://x:1", false), MemberError::Exists),
        (add(4, "http://n1:2380", false), MemberError::PeerUrlsExist),
        (of(Change::Remove(9)), MemberError::NotFound),
        (of(Change::Promote(9)), MemberError::NotFound),
        (of(Change::Promote(1)), MemberError::NotLearner),
    ];
    for (change, error) in cases {
        assert_eq!(refusal(&table, &change), error);
    }
    let (table, _) = table
        .changed(&add(4, "http://n4:2380", true))
        .expect("added");
    assert_eq!(
        refusal(&table, &add(5, "http://n5:2380", true)),
        MemberError::TooManyLearners
    );
}

#[test]
fn voters_that_never_started_hinder_the_next_change() {
    let (table, _) = three()
        .changed(&add(4, "http://n4:2380", false))
        .expect("three of four have started");
    let (table, _) = table
        .changed(&add(5, "http://n5:2380", false))
        .expect("three of five have started");
    assert_eq!(
        refusal(&table, &add(6, "http://n6:2380", false)),
        MemberError::NotEnoughStarted
    );
    assert_eq!(
        refusal(&table, &of(Change::Remove(1))),
        MemberError::NotEnoughStarted
    );
    table
        .changed(&of(Change::Remove(5)))
        .expect("three of four");
    let alone = MemberTable::new([(1, member("n1", "http://n1:2380"))]);
    alone
        .changed(&add(2, "http://n2:2380", false))
        .expect("a cluster of one may grow");
    assert_eq!(
        refusal(&alone, &of(Change::Remove(1))),
        MemberError::NotEnoughStarted
    );
}

#[test]
fn an_update_changes_what_it_names_alone() {
    let mut table = three();
    let before = table.clone();
    let update = |id: u64, url: &str| peer::MemberUpdate {
        id,
        peer_urls: vec![url.to_owned()],
        publication: None,
    };
    assert_eq!(
        table.update(update(9, "http://x:1")),
        Err(MemberError::NotFound)
    );
    assert_eq!(
        table.update(update(1, "http://n2:2380")),
        Err(MemberError::PeerUrlsExist)
    );
    assert_eq!(table, before);
    table.update(update(1, "http://x:1")).expect("done");
    let publication = peer::MemberPublication {
        name: "other".to_owned(),
        client_urls: vec!["http://c:1".to_owned()],
    };
    table
        .update(peer::MemberUpdate {
            id: 1,
            publication: Some(publication),
            ..peer::MemberUpdate::default()
        })
        .expect("done");
    let changed = table.get(1).expect("there");
    assert_eq!(changed.name, "other");
    assert_eq!(changed.peer_urls, ["http://x:1"]);
    assert_eq!(changed.client_urls, ["http://c:1"]);
}

#[test]
fn a_table_comes_back_from_its_bytes_and_nothing_else_does() {
    let (table, _) = three().changed(&of(Change::Remove(2))).expect("removed");
    assert_eq!(MemberTable::decode(&table.encode()), Some(table.clone()));
    let mut disordered = table.to_wire();
    disordered.members.swap(0, 1);
    assert_eq!(MemberTable::from_wire(&disordered), None);
    assert_eq!(MemberTable::decode(b"\xff"), None);
}

/// One that never came is no voter to count on: with another such the majority would be gone.
#[test]
fn a_voter_comes_only_while_most_of_those_to_be_have_started() {
    let (table, _) = three()
        .changed(&add(4, "http://n4:2380", false))
        .expect("three of four have started");
    let (table, _) = table
        .changed(&add(5, "http://n5:2380", false))
        .expect("three of five have started");
    let error = refusal(&table, &add(6, "http://n6:2380", false));
    assert_eq!(
        error.to_string(),
        "etcdserver: re-configuration failed due to not enough started members"
    );
    published(table, 4)
        .changed(&add(6, "http://n6:2380", false))
        .expect("four of six have started");
}
