//! What the named tests have in common.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use quorate_kv::Store;
use quorate_proto::etcdserverpb::RangeRequest;
use quorate_replica::{HIGHEST_PROTOCOL_VERSION, PeerMessage};

use quorate_sim::world::World;

pub(crate) const SOON: Duration = Duration::from_secs(3);

/// A quiet cluster in which everyone knows the leader and the cluster version.
pub(crate) fn cluster(nodes: usize) -> World {
    let mut world = World::quiet(nodes);
    run_until_settled(&mut world);
    world
}

pub(crate) fn run_until_settled(world: &mut World) {
    world.run_until("a leader and a cluster version", SOON, |world| {
        (0..world.members.len()).all(|node| {
            let consensus = &world.process(node).consensus;
            consensus.leadership().leader.is_some()
                && consensus.status().cluster_version == HIGHEST_PROTOCOL_VERSION
        })
    });
}

/// The leader, a follower, and another follower.
pub(crate) fn roles(world: &World) -> (usize, usize, usize) {
    let leader = world.leader().expect("someone leads");
    (leader, (leader + 1) % 3, (leader + 2) % 3)
}

/// What is sent from now on, with sender and receiver.
pub(crate) type Sent = Rc<RefCell<Vec<(usize, usize, PeerMessage)>>>;

/// Notes all messages and drops those that `drops` names.
pub(crate) fn tap(
    world: &mut World,
    mut drops: impl FnMut(usize, usize, &PeerMessage) -> bool + 'static,
) -> Sent {
    let sent = Sent::default();
    let noted = Rc::clone(&sent);
    world.filter = Some(Box::new(move |from, to, message| {
        noted.borrow_mut().push((from, to, message.clone()));
        !drops(from, to, message)
    }));
    sent
}

/// How many proposals were forwarded.
pub(crate) fn forwards(sent: &Sent) -> usize {
    let sent = sent.borrow();
    let counts = sent.iter().map(|(_, _, message)| match message {
        PeerMessage::Forward(proposals) => proposals.len(),
        _ => 0,
    });
    counts.sum()
}

/// The versions of the keys with this prefix (or, without one, of all).
pub(crate) fn versions(store: &Store, prefix: &str) -> Vec<i64> {
    let mut range_end = prefix.as_bytes().to_vec();
    match range_end.last_mut() {
        Some(last) => *last += 1,
        None => range_end.push(0),
    }
    let key = if prefix.is_empty() { "\0" } else { prefix };
    let request = RangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.into(),
        ..RangeRequest::default()
    };
    let found = store.range(&request).unwrap();
    found.kvs.iter().map(|kv| kv.version).collect()
}
