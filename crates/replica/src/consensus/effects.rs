//! What the machine gives out: everything that its shell is to do, and in which order.

use std::sync::Arc;

use quorate_raft::{
    Entry, Fetch, InstallWanted, LeadershipState, Membership, NodeId, ReadGrant, ReadId, Record,
    SnapshotMeta, Standing, TransferOutcome, Write,
};

#[cfg(doc)]
use super::Consensus;
use super::leases::LeaseResult;
use crate::error::RequestError;
use crate::members::MemberTable;
use crate::wire::PeerMessage;

/// A batch for the log, and what may be said once it is durable.
#[derive(Debug)]
pub struct WriteRequest {
    /// For [`LogWriter`](crate::LogWriter).
    pub write: Write,
    /// To be sent when the write is durable, not before.
    pub then_send: Vec<(NodeId, PeerMessage)>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages that may leave at once.
    pub send: Vec<(NodeId, PeerMessage)>,
    /// For the log's writer.
    pub write: Option<WriteRequest>,
    /// For the applier, in order.
    pub apply: Vec<Entry>,
    /// For the applier: reads that have their index.
    pub grant: Vec<ReadGrant>,
    /// Ranges to be read back from the log and given to [`Consensus::fetched`].
    pub fetch: Vec<Fetch>,
    /// For the applier, before `apply`: the store is to be loaded from this snapshot, which is
    /// durable here and in the log. What is under way of earlier entries is void.
    pub restore: Option<SnapshotMeta>,
    /// Damaged entries of the log as others have them, for
    /// [`LogWriter::repair`](crate::LogWriter::repair) after `write`; then [`Consensus::repaired`].
    pub repair: Vec<Entry>,
    /// What members acknowledged, for [`RecordsFile`](crate::RecordsFile): soon, in no order with
    /// anything else, and only the newest.
    pub records: Option<Vec<Record>>,
    /// A snapshot to be pulled from a peer, for [`Consensus::installed`] or
    /// [`Consensus::install_failed`].
    pub install: Option<InstallWanted>,
    /// Changes of the members that are answered before they are applied, with the members after it.
    pub changes: Vec<(u64, Arc<MemberTable>)>,
    /// Writes that end without the applier, with what their clients hear.
    pub failed_proposals: Vec<(u64, RequestError)>,
    /// Reads that end without the applier.
    pub failed_reads: Vec<(ReadId, RequestError)>,
    /// Answers to [`Consensus::ask_leases`]: how long the lease lives, or none if there is none of its
    /// id.
    pub lease_answers: Vec<(u64, LeaseResult)>,
    /// Role, term or leader, when they changed.
    pub state: Option<LeadershipState>,
    /// What the node takes its disk for, when that changed.
    pub standing: Option<Standing>,
    /// Who the members are by an entry that was appended here, and may be cut off again: they
    /// have to be reached before it can be committed.
    pub members: Option<MemberTable>,
    /// The same once that entry is durable here.
    pub durable_members: Option<MemberTable>,
    /// The membership in force, when it changed.
    pub membership: Option<Membership>,
    /// How the transfer that [`Consensus::transfer`] began has ended.
    pub transfer: Option<TransferOutcome>,
}

impl Effects {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.send.is_empty()
            && self.write.is_none()
            && self.apply.is_empty()
            && self.grant.is_empty()
            && self.fetch.is_empty()
            && self.repair.is_empty()
            && self.records.is_none()
            && self.standing.is_none()
            && self.restore.is_none()
            && self.install.is_none()
            && self.changes.is_empty()
            && self.failed_proposals.is_empty()
            && self.failed_reads.is_empty()
            && self.lease_answers.is_empty()
            && self.state.is_none()
            && self.members.is_none()
            && self.durable_members.is_none()
            && self.membership.is_none()
            && self.transfer.is_none()
    }
}
