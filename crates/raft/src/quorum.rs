//! Who decides, and when enough of them agree.
//!
//! Everything that needs a majority (elections, commits, check-quorum, reads, leases) asks the
//! [`Configuration`], and nothing else counts heads. A quorum is a set of voters that meets
//! every other quorum in at least one voter: with `n` voters, any `n / 2 + 1` of them. While the
//! membership is joint, it holds a majority of the voters that come and one of those that go, so
//! that it meets the quorums of both (Raft §6; thesis §4.3).

use crate::limits::MAX_VOTERS;
use crate::membership::Membership;
use crate::types::NodeId;

/// A [`Membership`], as the machine asks for it. One without voters has no quorum at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// At most [`MAX_VOTERS`] in each; `outgoing` is empty unless the membership is joint.
    voters: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    /// The voters of both and the learners, ascending.
    members: Vec<NodeId>,
}

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tally {
    /// A quorum said yes.
    Won,
    /// So many said no that no quorum can say yes any more.
    Lost,
    /// Neither yet.
    Open,
}

impl Configuration {
    pub(crate) fn new(membership: &Membership) -> Configuration {
        let (voters, outgoing) = (&membership.voters, &membership.voters_outgoing);
        assert!(
            voters.len().max(outgoing.len()) <= MAX_VOTERS,
            "configuration of {membership:?}"
        );
        Configuration {
            voters: voters.clone(),
            outgoing: outgoing.clone(),
            members: membership.members(),
        }
    }

    /// Whether `id` is a voter or a learner.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.members.binary_search(&id).is_ok()
    }

    pub(crate) fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// All members but `me`: those that a leader replicates to.
    pub(crate) fn members_except(&self, me: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied().filter(move |id| *id != me)
    }

    /// All voters but `me`: those that a candidate asks.
    pub(crate) fn voters_except(&self, me: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.members_except(me).filter(|id| self.is_voter(*id))
    }

    /// Whether the voters for which `holds` is true are a quorum.
    pub(crate) fn is_quorum(&self, holds: impl Fn(NodeId) -> bool) -> bool {
        is_majority(&self.voters, &holds)
            && (self.outgoing.is_empty() || is_majority(&self.outgoing, &holds))
    }

    /// Whether those for which `holds` is true, `without` left out, are in every majority of every
    /// list of voters: the rest of each is none, `without` included.
    pub(crate) fn is_held_without(&self, without: NodeId, holds: impl Fn(NodeId) -> bool) -> bool {
        let lacks = |id: NodeId| id == without || !holds(id);
        !self.voters.is_empty()
            && !is_majority(&self.voters, lacks)
            && !is_majority(&self.outgoing, lacks)
    }

    /// The greatest value that every member of some quorum has reached: with voters at 7, 5, 4
    /// it is 5. The least value there is, when there are no voters.
    pub(crate) fn reached<T: Copy + Ord + Default>(&self, value: impl Fn(NodeId) -> T) -> T {
        let reached = majority_reached(&self.voters, &value);
        if self.outgoing.is_empty() {
            return reached;
        }
        reached.min(majority_reached(&self.outgoing, &value))
    }

    /// How an election stands, given each voter's answer so far.
    pub(crate) fn tally(&self, answer: impl Fn(NodeId) -> Option<bool>) -> Tally {
        if self.is_quorum(|id| answer(id) == Some(true)) {
            Tally::Won
        } else if self.is_quorum(|id| answer(id) != Some(false)) {
            Tally::Open
        } else {
            Tally::Lost
        }
    }
}

/// Whether those of `voters` for which `holds` is true are more than half. Nobody is no majority
/// of nobody: a node that does not know the voters must not decide alone.
fn is_majority(voters: &[NodeId], holds: impl Fn(NodeId) -> bool) -> bool {
    voters.iter().filter(|id| holds(**id)).count() > voters.len() / 2
}

/// The greatest value that more than half of `voters` have reached: of their values in
/// descending order, the one at the place of the majority's size.
fn majority_reached<T: Copy + Ord + Default>(voters: &[NodeId], value: impl Fn(NodeId) -> T) -> T {
    let mut descending = [T::default(); MAX_VOTERS];
    for (count, id) in voters.iter().enumerate() {
        let value = value(*id);
        let mut place = count;
        while place > 0 && descending[place - 1] < value {
            descending[place] = descending[place - 1];
            place -= 1;
        }
        descending[place] = value;
    }
    // Without voters this is the default that the array was filled with.
    descending[voters.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: impl IntoIterator<Item = u64>) -> Vec<NodeId> {
        ids.into_iter().map(NodeId).collect()
    }

    fn configuration(count: u64) -> Configuration {
        Configuration::new(&Membership::new(ids(1..=count), Vec::new()))
    }

    /// Voters 1 2 3 give way to 3 4 5; 6 learns.
    fn joint() -> Configuration {
        Configuration::new(&Membership {
            voters: ids([3, 4, 5]),
            voters_outgoing: ids([1, 2, 3]),
            learners: ids([6]),
        })
    }

    #[test]
    fn a_joint_quorum_is_a_majority_of_both() {
        let is_quorum = |set: &[u64]| joint().is_quorum(|id| set.contains(&id.0));
        assert!(is_quorum(&[1, 3, 4]));
        assert!(is_quorum(&[1, 2, 4, 5]));
        assert!(!is_quorum(&[1, 2, 3]), "the old voters alone");
        assert!(!is_quorum(&[3, 4, 5]), "the new voters alone");
        assert!(!is_quorum(&[1, 3, 6]), "a learner in the place of a voter");
    }

    #[test]
    fn any_joint_quorum_meets_the_quorums_before_and_after() {
        let old = configuration(3);
        let new = Configuration::new(&Membership::new(ids([3, 4, 5]), Vec::new()));
        for mine in 0_u32..32 {
            for other in 0_u32..32 {
                let has = |set: u32| move |id: NodeId| set & (1 << (id.0 - 1)) != 0;
                let others_decide = old.is_quorum(has(other))
                    || new.is_quorum(has(other))
                    || joint().is_quorum(has(other));
                if joint().is_quorum(has(mine)) && others_decide {
                    assert_ne!(mine & other, 0, "{mine:b} and {other:b} decide apart");
                }
            }
        }
    }

    #[test]
    fn a_joint_value_is_reached_when_both_majorities_have_it() {
        let values = [9_u64, 9, 9, 4, 2, 100];
        let reached = joint().reached(|id| values[id.0 as usize - 1]);
        assert_eq!(
            reached, 4,
            "the new voters are at 9, 4, 2; the learner does not count"
        );
        let tally = |yes: &[u64], no: &[u64]| {
            joint().tally(|id| {
                let said_yes = yes.contains(&id.0).then_some(true);
                said_yes.or(no.contains(&id.0).then_some(false))
            })
        };
        assert_eq!(tally(&[1, 2, 3], &[]), Tally::Open);
        assert_eq!(tally(&[1, 2, 3], &[4, 5]), Tally::Lost);
        assert_eq!(tally(&[1, 3, 5], &[2, 4]), Tally::Won);
    }

    #[test]
    fn who_is_asked_and_who_is_replicated_to() {
        let voters: Vec<_> = joint().voters_except(NodeId(3)).collect();
        let members: Vec<_> = joint().members_except(NodeId(3)).collect();
        assert_eq!((voters, members), (ids([1, 2, 4, 5]), ids([1, 2, 4, 5, 6])));
    }

    #[test]
    fn what_is_held_without_one_is_in_every_quorum_that_it_could_be_of() {
        for count in 1..=6_u32 {
            let configuration = configuration(u64::from(count));
            let one = NodeId(1);
            for holders in 0_u32..1 << count {
                let is_in = |set: u32, id: NodeId| set & (1 << (id.0 - 1)) != 0;
                let others = holders & !1;
                let meets_all = (0..1 << count)
                    .filter(|quorum| configuration.is_quorum(|id| is_in(*quorum, id)))
                    .all(|quorum| quorum & others != 0);
                let held = configuration.is_held_without(one, |id| is_in(holders, id));
                assert_eq!(held, meets_all, "{holders:b} of {count}");
            }
        }
        let held = |holders: &[u64]| {
            let holds = |id: NodeId| holders.contains(&id.0);
            joint().is_held_without(NodeId(3), holds)
        };
        assert!(held(&[1, 2, 4, 5]));
        assert!(!held(&[1, 2, 4]), "not in 3 and 5 of the new voters");
        assert!(!held(&[1, 2, 3, 4]), "its own does not count");
    }

    #[test]
    fn without_voters_nothing_is_decided() {
        let nobody = Configuration::new(&Membership::default());
        assert!(!nobody.is_quorum(|_| true));
        assert_eq!(nobody.reached(|_| 7), 0);
        assert_eq!(nobody.tally(|_| Some(true)), Tally::Lost);
    }

    #[test]
    fn the_reached_value_is_the_one_a_majority_has() {
        let of = |values: &[u64]| {
            configuration(values.len() as u64).reached(|id| values[id.0 as usize - 1])
        };
        assert_eq!(of(&[7]), 7);
        assert_eq!(of(&[7, 5]), 5);
        assert_eq!(of(&[4, 7, 5]), 5);
        assert_eq!(of(&[9, 9, 1]), 9);
        assert_eq!(of(&[1, 2, 3, 4]), 2);
        assert_eq!(of(&[5, 1, 4, 2, 3]), 3);
    }

    #[test]
    fn the_reached_value_agrees_with_counting() {
        // Every assignment of values 0..4 to up to five voters.
        for count in 1..=5_u32 {
            for mut code in 0..4_u64.pow(count) {
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(code % 4);
                    code /= 4;
                }
                let configuration = configuration(u64::from(count));
                let value = |id: NodeId| values[id.0 as usize - 1];
                let counted = (0..4)
                    .filter(|floor| configuration.is_quorum(|id| value(id) >= *floor))
                    .max()
                    .unwrap();
                assert_eq!(configuration.reached(value), counted, "{values:?}");
            }
        }
    }

    #[test]
    fn an_election_is_lost_when_no_majority_can_be_had() {
        let tally = |answers: &[Option<bool>]| {
            configuration(answers.len() as u64).tally(|id| answers[id.0 as usize - 1])
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(tally(&[yes]), Tally::Won);
        assert_eq!(tally(&[yes, None, None]), Tally::Open);
        assert_eq!(tally(&[yes, no, None]), Tally::Open);
        assert_eq!(tally(&[yes, no, no]), Tally::Lost);
        assert_eq!(tally(&[yes, no, yes]), Tally::Won);
        assert_eq!(tally(&[yes, yes, no, None]), Tally::Open);
        assert_eq!(tally(&[yes, yes, no, no]), Tally::Lost);
    }
}
