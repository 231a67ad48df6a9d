//! Who decides, and when enough of them agree.
//!
//! Everything that needs a majority (elections, commits, check-quorum, reads) asks the
//! [`Configuration`], and nothing else counts heads. A quorum is a set of voters that meets
//! every other quorum in at least one voter: with `n` voters, any `n / 2 + 1` of them.

use crate::limits::MAX_VOTERS;
use crate::types::NodeId;

/// The voters, in ascending order, each once; at least one, at most [`MAX_VOTERS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    voters: Vec<NodeId>,
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
    pub(crate) fn new(mut voters: Vec<NodeId>) -> Configuration {
        voters.sort_unstable();
        voters.dedup();
        assert!(
            !voters.is_empty() && voters.len() <= MAX_VOTERS,
            "configuration of {} voters",
            voters.len()
        );
        Configuration { voters }
    }

    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.voters.binary_search(&id).is_ok()
    }

    /// All voters but `me`.
    pub(crate) fn peers(&self, me: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.iter().copied().filter(move |id| *id != me)
    }

    /// How many voters make a quorum.
    fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether the voters for which `holds` is true are a quorum.
    pub(crate) fn is_quorum(&self, holds: impl Fn(NodeId) -> bool) -> bool {
        self.voters.iter().filter(|id| holds(**id)).count() >= self.quorum()
    }

    /// The greatest value that every member of some quorum has reached: with voters at 7, 5, 4
    /// it is 5. (Of the values in descending order, the one at the place of the quorum's size.)
    pub(crate) fn reached<T: Copy + Ord + Default>(&self, value: impl Fn(NodeId) -> T) -> T {
        let mut descending = [T::default(); MAX_VOTERS];
        for (count, id) in self.voters.iter().enumerate() {
            let value = value(*id);
            let mut place = count;
            while place > 0 && descending[place - 1] < value {
                descending[place] = descending[place - 1];
                place -= 1;
            }
            descending[place] = value;
        }
        descending[self.quorum() - 1]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(count: u64) -> Configuration {
        Configuration::new((1..=count).map(NodeId).collect())
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
