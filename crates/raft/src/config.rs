//! What the embedder chooses, once, when the machine is made.

use std::time::Duration;

use crate::error::ConfigError;
use crate::limits;
use crate::types::NodeId;

/// Settings of one node. [`Config::new`] fills in defaults that suit a cluster in one data
/// centre; each field says what goes wrong when it is set badly.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node. Must be one of `voters`, must not be zero, and must be this node's alone: two
    /// nodes under one id vote twice and lose data.
    pub id: NodeId,

    /// The first members, whose majority decides, this node included; in force until the log (or
    /// a snapshot) says otherwise. All of them must be told the same set. Empty on a node that
    /// joins a cluster which exists ([`Config::joining`]).
    pub voters: Vec<NodeId>,

    /// A follower that hears nothing from a leader for a time drawn from `[t, 2t)` campaigns.
    /// Too short (near the time of one round trip plus one fsync): leaders are replaced while
    /// they are well. Too long: a dead leader is missed for that long.
    pub election_timeout: Duration,

    /// How often an idle leader is heard. Must be at most half the election timeout; a fifth or
    /// a tenth lets single messages get lost without an election.
    pub heartbeat_interval: Duration,

    /// Ask whether an election could be won before raising the term (Raft thesis §9.6). Off, a
    /// node that was cut off comes back with a high term and unseats a leader that is well.
    /// Needs `check_quorum`: without it, a leader that is heard but cannot hear would keep its
    /// followers from ever electing another.
    pub pre_vote: bool,

    /// A leader that has had no answer from a quorum for an election timeout steps down, and
    /// nodes that heard from a leader within that time give no votes (Raft thesis §6.2, §4.2.3).
    /// Off, a leader that was cut off goes on accepting proposals that it cannot commit.
    pub check_quorum: bool,

    /// A follower whose link to the leader is lost doubts it: it campaigns soon, and gives votes,
    /// unless the leader is heard again first. A leader whose process dies is then replaced in a
    /// fraction of the election timeout; one that lives is not disturbed, since a candidate
    /// needs a quorum of doubters. Must be off where a leader serves reads on a lease, which
    /// counts on votes being withheld for a whole election timeout.
    pub doubt_leader_on_lost_link: bool,

    /// A leader serves reads without a round of contact while a quorum has heard it lately (Raft
    /// thesis §6.4.1). Counts on clocks: on time handed to this machine being monotonic, read
    /// after the input that it comes with arrived, and running at nearly the same speed
    /// everywhere ([`limits::LEASE_MARGIN_DIVISOR`]). Where that does not hold, reads may be
    /// stale; off, they never are. All members must be set alike. Needs `check_quorum`, and
    /// `doubt_leader_on_lost_link` to be off; a node that starts gives no vote for an election
    /// timeout.
    pub lease_reads: bool,

    /// Takes the disk for what it is: at this start nobody is asked what this node once
    /// acknowledged, and if it was being refilled, it is not any more; its term moves on far, past those
    /// that it may have forgotten. For clusters of which every
    /// member was restored from a copy, where nobody is left to refill from; elsewhere it gives up
    /// what `record_interval` guards.
    pub accepts_old_disk: bool,

    /// Whether a new leader appends an empty entry, which lets it commit what came before
    /// without waiting for a proposal (Raft §8). Off, log indexes hold commands only, for
    /// embedders that need them dense; but then earlier entries stay uncommitted, and
    /// linearizable reads wait (and may time out), until the term's first proposal commits.
    pub empty_entry_on_election: bool,

    /// Bytes of entries in one Append. A single entry that is larger is sent all the same.
    pub max_append_bytes: usize,

    /// Bytes of entries under way to one peer. Below bandwidth times round trip the link idles;
    /// above it, a peer that stalls costs that much memory in the transport.
    pub max_inflight_bytes: usize,

    /// Appends with entries under way to one peer.
    pub max_inflight_appends: usize,

    /// Bytes proposed and not committed; beyond it proposals are refused. One proposal is always
    /// accepted when there is no other, however large.
    pub max_uncommitted_bytes: usize,

    /// Bytes of entries in one `Ready::committed`; a single larger entry comes alone.
    pub max_committed_bytes_per_ready: usize,

    /// Bytes handed out in `Ready::committed` and not yet reported by `Raft::applied`; beyond it
    /// nothing more is handed out, so that a slow state machine does not fill the memory.
    pub max_unapplied_bytes: usize,

    /// Reads waiting on this node; beyond it they are refused.
    pub max_pending_reads: usize,

    /// Bytes of the newest log entries that stay in memory (more, while they are not durable).
    /// Too small, and followers that are only a little behind are served from disk.
    pub max_memory_log_bytes: usize,

    /// How often a leader tells everyone what each member acknowledged
    /// ([`limits::DEFAULT_RECORD_INTERVAL`]), so that a member whose disk went back in time is
    /// found out when it starts (`asking.rs`). Zero: never, and members that start ask nobody; a
    /// disk that was put back may then lose what is committed. All members should be set alike. A
    /// member that is refilled costs an empty entry in the log.
    pub record_interval: Duration,

    /// Seed of this node's random numbers: election jitter, and where its read request numbers
    /// begin. Mixed with `id`, so equal seeds on all nodes do not tie. Give each *start* of a
    /// node a fresh one: with the same seed after a restart, a late answer to a read request of
    /// the earlier life could be taken for the answer to a new one, and serve a stale read; and a
    /// node whose disk is being made good could be told that it is whole before it is.
    pub seed: u64,
}

impl Config {
    /// The defaults for node `id` in the cluster `voters`.
    pub fn new(id: NodeId, voters: Vec<NodeId>) -> Config {
        Config {
            id,
            voters,
            election_timeout: limits::DEFAULT_ELECTION_TIMEOUT,
            heartbeat_interval: limits::DEFAULT_HEARTBEAT_INTERVAL,
            pre_vote: true,
            check_quorum: true,
            doubt_leader_on_lost_link: true,
            lease_reads: false,
            accepts_old_disk: false,
            empty_entry_on_election: true,
            max_append_bytes: limits::DEFAULT_MAX_APPEND_BYTES,
            max_inflight_bytes: limits::DEFAULT_MAX_INFLIGHT_BYTES,
            max_inflight_appends: limits::DEFAULT_MAX_INFLIGHT_APPENDS,
            max_uncommitted_bytes: limits::DEFAULT_MAX_UNCOMMITTED_BYTES,
            max_committed_bytes_per_ready: limits::DEFAULT_MAX_COMMITTED_BYTES_PER_READY,
            max_unapplied_bytes: limits::DEFAULT_MAX_UNAPPLIED_BYTES,
            max_pending_reads: limits::DEFAULT_MAX_PENDING_READS,
            max_memory_log_bytes: limits::DEFAULT_MAX_MEMORY_LOG_BYTES,
            record_interval: Duration::ZERO,
            seed: 0,
        }
    }

    /// The defaults for a node that joins a cluster which exists: it does not know the members,
    /// never campaigns, and follows whatever leader adds it and sends it the log. It must not be
    /// told any voters, because by those it would decide for itself.
    pub fn joining(id: NodeId) -> Config {
        Config::new(id, Vec::new())
    }

    /// Whether the settings make sense together.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.id == NodeId::ZERO || self.voters.contains(&NodeId::ZERO) {
            return Err(ConfigError::ZeroNode);
        }
        if !self.voters.is_empty() && !self.voters.contains(&self.id) {
            return Err(ConfigError::NotAVoter { id: self.id });
        }
        if self.voters.len() > limits::MAX_VOTERS {
            return Err(ConfigError::TooManyVoters {
                count: self.voters.len(),
            });
        }
        let mut sorted = self.voters.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConfigError::DuplicateVoter { id: pair[0] });
        }
        if self.heartbeat_interval.is_zero() || self.election_timeout < self.heartbeat_interval * 2
        {
            return Err(ConfigError::Timeouts {
                election: self.election_timeout,
                heartbeat: self.heartbeat_interval,
            });
        }
        if self.pre_vote && !self.check_quorum {
            return Err(ConfigError::PreVoteWithoutCheckQuorum);
        }
        if self.lease_reads && !self.check_quorum {
            return Err(ConfigError::LeaseReadsWithoutCheckQuorum);
        }
        if self.lease_reads && self.doubt_leader_on_lost_link {
            return Err(ConfigError::LeaseReadsWithDoubt);
        }
        let positive = [
            ("max_append_bytes", self.max_append_bytes),
            ("max_inflight_bytes", self.max_inflight_bytes),
            ("max_inflight_appends", self.max_inflight_appends),
            ("max_uncommitted_bytes", self.max_uncommitted_bytes),
            (
                "max_committed_bytes_per_ready",
                self.max_committed_bytes_per_ready,
            ),
            ("max_unapplied_bytes", self.max_unapplied_bytes),
            ("max_pending_reads", self.max_pending_reads),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(ConfigError::ZeroLimit { name }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lease_counts_on_cannot_be_off() {
        let mut config = Config::new(NodeId(1), vec![NodeId(1)]);
        config.lease_reads = true;
        assert_eq!(config.check(), Err(ConfigError::LeaseReadsWithDoubt));
        config.doubt_leader_on_lost_link = false;
        assert_eq!(config.check(), Ok(()));
        (config.pre_vote, config.check_quorum) = (false, false);
        let expected = Err(ConfigError::LeaseReadsWithoutCheckQuorum);
        assert_eq!(config.check(), expected);
    }

    #[test]
    fn a_node_joins_without_voters_or_is_one_of_them() {
        assert_eq!(Config::joining(NodeId(4)).check(), Ok(()));
        let config = Config::new(NodeId(4), vec![NodeId(1)]);
        assert_eq!(
            config.check(),
            Err(ConfigError::NotAVoter { id: NodeId(4) })
        );
    }
}
