//! Applying entries of the log, whole or in bounded steps.
//!
//! A change becomes visible all at once, with its last step: until then its versions carry a revision
//! that no reader names. Whether it is applied in one step or in a thousand, and whether anybody wants
//! the answer, leaves no trace in the state.

use chaos::chaos;
use quorate_proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, LeaseCheckpointRequest, LeaseGrantRequest, PutRequest,
};

use crate::check::check_command;
use crate::command::{Answer, Command, Reply};
use crate::delete::Deletion;
use crate::error::KvError;
use crate::lease::Revocation;
use crate::store::Store;
use crate::txn::{Access, Transaction};

/// An entry being applied. It must be carried to its end before the next one starts: the store panics
/// rather than go on from half a change.
#[derive(Debug)]
pub struct Application {
    index: u64,
    answer: Answer,
    work: Work,
}

/// What one step of an application gave.
#[derive(Debug)]
pub enum Step {
    /// Not done: call again.
    More,
    /// Applied. A refusal is a result like any other: the entry is behind us.
    Done(Result<Reply, KvError>),
}

#[derive(Debug)]
enum Work {
    Refuse(KvError),
    Put(PutRequest),
    Delete(Deletion),
    Txn(Box<Transaction>),
    Compact(CompactionRequest),
    GrantLease(LeaseGrantRequest),
    RevokeLease(Revocation),
    CheckpointLeases(LeaseCheckpointRequest),
    Alarm(AlarmRequest),
}

impl Store {
    /// Applies the entry at `index` in one go.
    ///
    /// Panics unless `index` lies after the last one applied and no application is under way.
    pub fn apply(
        &mut self,
        index: u64,
        command: &Command,
        answer: Answer,
    ) -> Result<Reply, KvError> {
        let mut application = self.begin(index, command.clone(), answer);
        loop {
            if let Step::Done(result) = self.advance(&mut application, usize::MAX) {
                return result;
            }
        }
    }

    /// Starts to apply the entry at `index`.
    ///
    /// Panics unless `index` lies after the last one applied and no application is under way.
    pub fn begin(&mut self, index: u64, command: Command, answer: Answer) -> Application {
        self.open(index);
        let checked = check_command(&command).and_then(|()| self.check_alarms(&command));
        let work = match checked {
            Err(error) => Work::Refuse(error),
            Ok(()) => match command {
                Command::Put(request) => Work::Put(request),
                Command::DeleteRange(request) => Work::Delete(Deletion::new(&request, answer)),
                Command::Txn(request) => {
                    let (before, compacted) = (self.revision, self.compacted_revision);
                    let transaction = Transaction::new(request, before, compacted, answer);
                    Work::Txn(Box::new(transaction))
                }
                Command::Compact(request) => Work::Compact(request),
                Command::LeaseGrant(request) => Work::GrantLease(request),
                Command::LeaseRevoke(request) => Work::RevokeLease(Revocation::new(&request)),
                Command::LeaseCheckpoint(request) => Work::CheckpointLeases(request),
                Command::Alarm(request) => Work::Alarm(request),
            },
        };
        Application {
            index,
            answer,
            work,
        }
    }

    /// Goes on, touching at most `keys_max` keys (at least one). Not to be called after `Done`.
    ///
    /// Panics when the application is not the one under way.
    pub fn advance(&mut self, application: &mut Application, keys_max: usize) -> Step {
        assert_eq!(
            self.draft.index,
            Some(application.index),
            "entry {} is not the one being applied",
            application.index
        );
        let answer = application.answer;
        let mut budget = match chaos!("one-key-at-a-time", 50) {
            true => 1,
            false => keys_max.max(1),
        };
        let result = match &mut application.work {
            Work::Refuse(error) => Err(*error),
            Work::Put(request) => self
                .check_lone_put(request)
                .map(|()| Reply::Put(self.put(request, answer))),
            Work::Delete(deletion) => match deletion.step(self, &mut budget) {
                None => return Step::More,
                Some(response) => Ok(Reply::DeleteRange(response)),
            },
            Work::Txn(transaction) => match transaction.step(Access::Write(self), &mut budget) {
                None => return Step::More,
                Some(result) => {
                    self.counts.transactions += 1;
                    result.map(Reply::Txn)
                }
            },
            Work::Compact(request) => self.compact(request).map(Reply::Compact),
            Work::GrantLease(request) => self.grant_lease(request).map(Reply::LeaseGrant),
            Work::RevokeLease(revocation) => match revocation.step(self, &mut budget) {
                None => return Step::More,
                Some(result) => result.map(Reply::LeaseRevoke),
            },
            Work::CheckpointLeases(request) => {
                Ok(Reply::LeaseCheckpoint(self.checkpoint_leases(request)))
            }
            Work::Alarm(request) => self.change_alarms(request).map(Reply::Alarm),
        };
        assert!(
            result.is_ok() || self.draft.versions == 0,
            "entry {} was refused with {result:?} after it had written {} versions",
            application.index,
            self.draft.versions
        );
        self.close();
        Step::Done(result)
    }
}
