//! What the threads and the handlers of one server share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use quorate_kv::{Reply, Store};
use quorate_proto::envelope::CommandKind;
use quorate_raft::{
    Entry, InstallWanted, LeadershipState, LogIndex, NodeId, ReadGrant, ReadId, Role, SnapshotMeta,
    Term, TransferError, TransferOutcome, WriteId,
};
use quorate_replica::limits::REQUEST_TIMEOUT_BASE;
use quorate_replica::{
    Consensus, ConsensusStatus, LeaseNews, LeaseQuestion, LeaseTime, MemberTable, PeerMessage,
    Proposal, RequestError,
};
use tokio::sync::{Notify, Semaphore, oneshot, watch};

use crate::answers::{Answers, Outcome};
use crate::bodies::Requests;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::exports::Exports;
use crate::inbox::Inbox;
use crate::lease_questions::LeaseQuestions;
use crate::limits::{
    ANSWERS_BYTES, CATCH_UP_PAUSE, CONSENSUS_INBOX, CONSENSUS_INBOX_BYTES, HASHES_AT_ONCE,
    SLOW_READ_INDEX, WATCH_UNSENT_BYTES,
};
use crate::members::Members;
use crate::metrics::{Counted, Metrics};
use crate::peers::Peers;
use crate::quota::Quota;
use crate::read_queue::ReadQueue;
use crate::settings::ServerSettings;
use crate::watches::Watches;

/// What consensus is told.
pub(crate) enum ConsensusInput {
    Propose(Proposal),
    /// Reads wait in the read queue.
    ReadsWait,
    AskLease(LeaseQuestion),
    Received {
        from: NodeId,
        messages: Vec<PeerMessage>,
    },
    LinkUp {
        peer: NodeId,
        highest_protocol_version: u32,
    },
    LinkLost {
        peer: NodeId,
    },
    Wrote(WriteId),
    Fetched {
        first: LogIndex,
        entries: Vec<Entry>,
    },
    SnapshotTaken(SnapshotMeta),
    Installed(SnapshotMeta),
    /// Damaged entries were written back to the log, or not.
    Repaired(quorate_replica::Repaired),
    InstallFailed(InstallWanted),
    Transfer {
        to: NodeId,
        ended: TransferEnd,
    },
    Stop,
}

/// Where somebody waits to hear how a transfer of leadership ended.
pub(crate) type TransferEnd = oneshot::Sender<Result<TransferOutcome, TransferError>>;

/// What the applier is told.
pub(crate) enum ApplyInput {
    Entries(Vec<Entry>),
    Granted(ReadGrant),
    Restore(SnapshotMeta),
    /// With its bytes, or none if it was given up.
    SnapshotEnded(Option<u64>),
    /// A backup wants one of this index, which has been applied, or after it.
    SnapshotWanted(u64),
    Stop,
}

impl ApplyInput {
    /// Passes over every snapshot that is to be gone on from but the newest: an older one's file may
    /// be gone already. What lies between the two is part of the newer.
    pub(crate) fn keep_newest_restore(inputs: &mut Vec<ApplyInput>) {
        let is_restore = |input: &ApplyInput| matches!(input, ApplyInput::Restore(_));
        let mut older = inputs.iter().filter(|input| is_restore(input)).count();
        inputs.retain(|input| {
            let counts = is_restore(input);
            older -= usize::from(counts);
            !counts || older == 0
        });
    }
}

/// Who this member is.
pub(crate) struct MemberIdentity {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) boot_nonce: u32,
    /// The highest protocol version that it speaks.
    pub(crate) highest_version: u32,
    /// What its log began with ([`crate::data_dir::Known::began_with`]).
    pub(crate) began_with: u64,
}

/// Shared by all threads and handlers of one server.
pub(crate) struct Core {
    pub(crate) settings: ServerSettings,
    pub(crate) identity: MemberIdentity,
    pub(crate) clock: Clock,
    pub(crate) consensus: Inbox<ConsensusInput>,
    pub(crate) applier: Inbox<ApplyInput>,
    pub(crate) answers: Answers,
    pub(crate) reads: ReadQueue,
    pub(crate) lease_questions: LeaseQuestions,
    /// What the applier has told of leases, and consensus has not heard.
    pub(crate) lease_news: Mutex<Vec<LeaseNews>>,
    pub(crate) peers: Peers,
    pub(crate) members: Members,
    /// Somebody who is no member here has claimed to be one of this cluster.
    pub(crate) strangers: Notify,
    /// This member was removed.
    pub(crate) removed: watch::Sender<bool>,
    /// The protocol version in force here, as it is agreed.
    pub(crate) cluster_version: watch::Sender<u32>,
    /// A peer goes by a protocol version that this member does not speak.
    pub(crate) outgrown: watch::Sender<Option<quorate_replica::TooNew>>,
    pub(crate) requests: Requests,
    /// Large answers of reads.
    pub(crate) large_answers: Arc<Budget>,
    /// What watchers are being told.
    pub(crate) watch_answers: Arc<Budget>,
    pub(crate) metrics: Metrics,
    pub(crate) quota: Quota,
    /// Turns for hashing the store.
    pub(crate) hashes: Semaphore,
    pub(crate) watches: Watches,
    pub(crate) exports: Exports,
    pub(crate) applied: Applied,
    pub(crate) stopping: AtomicBool,
    /// Whether the store, rebuilt from the log since the start, has once been as new as a
    /// linearizable read would have it.
    caught_up: AtomicBool,
    store: RwLock<Store>,
    /// Counts the times that the store was given up for another; and whether that other is still
    /// being loaded. Both change only under the store's lock.
    store_generation: AtomicU64,
    is_restoring: AtomicBool,
    leadership: watch::Sender<LeadershipState>,
    status: Mutex<Option<ConsensusStatus>>,
}

/// How far the applier is, told without a lock.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) index: AtomicU64,
    pub(crate) log_time_ms: AtomicU64,
    pub(crate) cluster_version: AtomicU64,
}

impl Core {
    pub(crate) fn new(
        settings: ServerSettings,
        identity: MemberIdentity,
        clock: Clock,
        store: Store,
        members: Members,
    ) -> Arc<Core> {
        let leadership = LeadershipState {
            role: Role::Follower,
            term: Term::ZERO,
            leader: None,
        };
        let metrics = Metrics::new(&identity);
        let quota = Quota::new(settings.quota_backend_bytes);
        quota.note(store.memory_bytes(), false);
        Arc::new(Core {
            settings,
            identity,
            clock,
            consensus: Inbox::new(CONSENSUS_INBOX, CONSENSUS_INBOX_BYTES),
            applier: Inbox::new(usize::MAX, usize::MAX),
            answers: Answers::new(),
            reads: ReadQueue::new(),
            lease_questions: LeaseQuestions::default(),
            lease_news: Mutex::default(),
            peers: Peers::default(),
            members,
            strangers: Notify::new(),
            removed: watch::Sender::new(false),
            cluster_version: watch::Sender::new(0),
            outgrown: watch::Sender::new(None),
            requests: Requests::new(),
            large_answers: Budget::new(ANSWERS_BYTES),
            watch_answers: Budget::new(WATCH_UNSENT_BYTES),
            metrics,
            quota,
            hashes: Semaphore::new(HASHES_AT_ONCE),
            watches: Watches::new(store.revision()),
            exports: Exports::new(),
            applied: Applied::default(),
            stopping: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
            store: RwLock::new(store),
            store_generation: AtomicU64::new(0),
            is_restoring: AtomicBool::new(false),
            leadership: watch::Sender::new(leadership),
            status: Mutex::new(None),
        })
    }

    /// Proposes a checked command and waits for its answer.
    pub(crate) async fn write(
        &self,
        kind: CommandKind,
        body: Bytes,
    ) -> Result<Reply, RequestError> {
        match self.propose(kind, body).await? {
            Outcome::Store(reply) => Ok(reply),
            Outcome::Members(_) => unreachable!("only a command on members is answered so"),
        }
    }

    /// Proposes a change of the members and waits until it is done; gives all of them.
    pub(crate) async fn change_members(
        &self,
        kind: CommandKind,
        body: Bytes,
    ) -> Result<Arc<MemberTable>, RequestError> {
        // Once half done, it is no longer consensus that ends the waiting.
        let limit = REQUEST_TIMEOUT_BASE + 2 * self.settings.election_timeout;
        match tokio::time::timeout(limit, self.propose(kind, body)).await {
            Err(_) => Err(RequestError::TimedOut),
            Ok(result) => match result? {
                Outcome::Members(table) => Ok(table),
                Outcome::Store(reply) => unreachable!("the answer of another command: {reply:?}"),
            },
        }
    }

    async fn propose(&self, kind: CommandKind, body: Bytes) -> Result<Outcome, RequestError> {
        let (sequence, answer) = self.answers.open();
        let bytes = body.len();
        let proposal = Proposal {
            sequence,
            kind,
            body,
        };
        if self
            .consensus
            .offer(ConsensusInput::Propose(proposal), bytes)
            .is_err()
        {
            self.answers
                .answer(sequence, Err(RequestError::TooManyRequests));
        }
        if self.is_stopping() {
            self.answers.answer(sequence, Err(RequestError::Stopped));
        }
        // A client may give up, which drops this future where it waits.
        let pending = Counted::new(&self.metrics.proposals_pending);
        let answer = answer.await;
        drop(pending);
        let result = answer.unwrap_or(Err(RequestError::Stopped));
        let is_answer = |error: &RequestError| {
            matches!(error, RequestError::Refused(_) | RequestError::Members(_))
        };
        if result.as_ref().is_err_and(|error| !is_answer(error)) {
            self.metrics.proposals_failed.inc();
        }
        result
    }

    /// Waits until a read of the store is linearizable.
    pub(crate) async fn read_barrier(&self) -> Result<(), RequestError> {
        let began = self.clock.now();
        let (leave, first_in_line) = self.reads.wait()?;
        if first_in_line {
            self.consensus.push(ConsensusInput::ReadsWait);
        }
        if self.is_stopping() {
            self.reads.fail_all(&RequestError::Stopped);
        }
        let result = leave.await.unwrap_or(Err(RequestError::Stopped));
        if result.is_err() {
            self.metrics.read_indexes_failed.inc();
        }
        if self.clock.now().since(began) > SLOW_READ_INDEX {
            self.metrics.slow_read_indexes.inc();
        }
        result
    }

    /// Asks the leader for a lease's time, or for a renewal of it: none if there is no such lease.
    pub(crate) async fn ask_lease(
        &self,
        lease: i64,
        renews: bool,
    ) -> Result<Option<LeaseTime>, RequestError> {
        let (sequence, answer) = self.lease_questions.open();
        let question = LeaseQuestion {
            sequence,
            lease,
            renews,
        };
        let input = ConsensusInput::AskLease(question);
        if self.consensus.offer(input, 0).is_err() {
            self.lease_questions
                .answer(sequence, Err(RequestError::TooManyRequests));
        }
        if self.is_stopping() {
            self.lease_questions
                .answer(sequence, Err(RequestError::Stopped));
        }
        answer.await.unwrap_or(Err(RequestError::Stopped))
    }

    /// Consensus is to hear of a read that the applier released, or that it may serve itself.
    pub(crate) fn release_read(&self, id: ReadId, result: &Result<(), RequestError>) {
        if Consensus::is_round_of_leases(id) {
            self.consensus.wake();
        } else {
            self.reads.release(id, result);
        }
    }

    /// The applier has news of leases: consensus hears them before it hears how far that is.
    pub(crate) fn tell_of_leases(&self, news: LeaseNews) {
        let queue = self.lease_news.lock();
        queue.unwrap_or_else(PoisonError::into_inner).push(news);
    }

    /// All that was told since.
    pub(crate) fn take_lease_news(&self) -> Vec<LeaseNews> {
        let queue = self.lease_news.lock();
        std::mem::take(&mut queue.unwrap_or_else(PoisonError::into_inner))
    }

    /// The protocol version that the members have agreed on, as far as this one has heard; 0 if none.
    pub(crate) fn version_in_force(&self) -> u32 {
        *self.cluster_version.borrow()
    }

    /// Whether all members agree that they speak at least this version.
    pub(crate) fn cluster_knows(&self, version: u32) -> bool {
        self.version_in_force() >= version
    }

    /// Waits until this member has caught up since its start. Until then its store may lack
    /// what it had before: it would show a past that its clients have already left behind.
    pub(crate) async fn catch_up(&self) {
        while self.read_barrier().await.is_err() {
            tokio::time::sleep(CATCH_UP_PAUSE).await;
        }
        self.caught_up.store(true, Ordering::Release);
    }

    /// Whether this member may serve reads from its own store without asking anyone.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Fails what waits and refuses what comes: the server stops.
    pub(crate) fn fail_waiting(&self) {
        self.answers.fail_all(&RequestError::Stopped);
        self.reads.fail_all(&RequestError::Stopped);
        self.lease_questions.fail_all(&RequestError::Stopped);
    }

    pub(crate) fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store_mut(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store for answering a client, and its generation. A read in several steps must find
    /// the same generation at each.
    ///
    /// # Errors
    /// While another store is being loaded: then there is nothing here that could be read.
    pub(crate) fn readable_store(&self) -> Result<(RwLockReadGuard<'_, Store>, u64), RequestError> {
        let store = self.store();
        // Both change only under the lock.
        if self.is_restoring.load(Ordering::SeqCst) {
            return Err(RequestError::NotCaughtUp);
        }
        let generation = self.store_generation();
        Ok((store, generation))
    }

    /// The store is given up: another is about to be loaded, and both may not fit into memory.
    pub(crate) fn begin_restore(&self) {
        let mut present = self.store_mut();
        let given_up = std::mem::take(&mut *present);
        self.is_restoring.store(true, Ordering::SeqCst);
        self.store_generation.fetch_add(1, Ordering::SeqCst);
        drop(present);
        drop(given_up); // Not under the lock: it may be large.
    }

    /// The store that was loaded takes its place; `publish` tells how far it is.
    pub(crate) fn end_restore(&self, loaded: Store, publish: impl FnOnce()) {
        let mut present = self.store_mut();
        *present = loaded;
        self.quota.note(present.memory_bytes(), false);
        publish();
        self.watches.replaced(&present);
        self.is_restoring.store(false, Ordering::SeqCst);
    }

    /// Counts the times that the store was given up.
    pub(crate) fn store_generation(&self) -> u64 {
        self.store_generation.load(Ordering::SeqCst)
    }

    /// Where a peer is reached.
    pub(crate) fn peer_urls(&self, id: NodeId) -> Vec<String> {
        let member = self.members.get(id);
        member.map_or_else(Vec::new, |member| member.peer_urls)
    }

    pub(crate) fn leadership(&self) -> LeadershipState {
        *self.leadership.borrow()
    }

    pub(crate) fn watch_leadership(&self) -> watch::Receiver<LeadershipState> {
        self.leadership.subscribe()
    }

    pub(crate) fn set_leadership(&self, state: LeadershipState) {
        self.leadership.send_replace(state);
    }

    /// The last status that consensus published.
    pub(crate) fn consensus_status(&self) -> Option<ConsensusStatus> {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn publish_status(&self, status: ConsensusStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    pub(crate) fn applied_index(&self) -> u64 {
        self.applied.index.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Milliseconds since the start.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = self.clock.now().since(quorate_raft::Instant::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The name of a member, for people.
    pub(crate) fn member_name(&self, id: NodeId) -> String {
        if id.0 == self.identity.member_id {
            return self.settings.name.clone();
        }
        match self.members.get(id) {
            Some(member) if !member.name.is_empty() => member.name,
            _ => format!("{:x}", id.0),
        }
    }

    /// Whether this member only learns.
    pub(crate) fn is_learner(&self) -> bool {
        let table = self.members.applied();
        table
            .get(self.identity.member_id)
            .is_some_and(|member| member.is_learner)
    }

    /// Hands leadership to another member; gives how that ended.
    pub(crate) async fn transfer(
        &self,
        to: NodeId,
    ) -> Option<Result<TransferOutcome, TransferError>> {
        let (ended, end) = oneshot::channel();
        let input = ConsensusInput::Transfer { to, ended };
        self.consensus.offer(input, 0).ok()?;
        end.await.ok()
    }
}

#[cfg(test)]
pub(crate) mod tests;
