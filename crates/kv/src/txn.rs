//! Transactions, in steps: compare, check, run.
//!
//! **Compare.** All compares, those of nested transactions on the chosen branches too, are evaluated
//! against the state before the transaction. **Check.** Everything on the chosen path that the state
//! could refuse is looked at: leases, values to keep, revisions to read at. **Run.** From here on
//! nothing may fail: a transaction that failed midway on one member and not on another would split the
//! cluster, so what cannot happen is asserted. Operations run in order and see what those before them
//! wrote; all of them write one revision.
//!
//! The request is taken apart into a list of levels, the outermost first, so that no phase recurses
//! and each can stop anywhere.

use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse,
};

use crate::command::{Answer, header};
use crate::compare::CompareScan;
use crate::delete::Deletion;
use crate::error::KvError;
use crate::range::{RangeScan, check_revision_in_txn};
use crate::store::Store;

/// How a transaction reaches the store: to change it, or, when it holds only ranges, to read.
pub(crate) enum Access<'a> {
    Write(&'a mut Store),
    Read(&'a Store),
}

impl Access<'_> {
    fn store(&self) -> &Store {
        match self {
            Access::Write(store) => store,
            Access::Read(store) => store,
        }
    }

    fn store_mut(&mut self) -> &mut Store {
        match self {
            Access::Write(store) => store,
            Access::Read(_) => unreachable!("a transaction that only reads holds only ranges"),
        }
    }
}

/// A transaction under way.
#[derive(Debug)]
pub(crate) struct Transaction {
    levels: Vec<Level>,
    phase: Phase,
    answer: Answer,
    /// The state before the transaction.
    before: i64,
    /// The compacted revision at the start.
    compacted: i64,
}

/// A transaction or one nested in it.
#[derive(Debug)]
struct Level {
    compares: Vec<Compare>,
    /// Both branches, until the compares have chosen one.
    branches: [Vec<RequestOp>; 2],
    succeeded: bool,
    /// The chosen branch.
    operations: Vec<Operation>,
}

#[derive(Debug)]
enum Operation {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    /// A level of its own, by its number.
    Txn(usize),
}

#[derive(Debug)]
enum Phase {
    Compare {
        level: usize,
        compare: usize,
        scan: CompareScan,
    },
    Check {
        what: Check,
        path: Path,
    },
    Run(Run),
}

/// etcd checks all puts before all ranges, and that decides which error is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Puts,
    Ranges,
}

/// The way to the next operation: at each level its number and how many operations are behind.
type Path = Vec<(usize, usize)>;

#[derive(Debug, Default)]
struct Run {
    path: Path,
    /// The answers so far, for each level of the path.
    responses: Vec<Vec<ResponseOp>>,
    /// An operation that takes more than one step.
    current: Option<Current>,
}

#[derive(Debug)]
enum Current {
    Range(Box<RangeScan>),
    Delete(Box<Deletion>),
}

impl Transaction {
    /// `before` is the revision of the state that the compares see.
    pub(crate) fn new(
        request: TxnRequest,
        before: i64,
        compacted: i64,
        answer: Answer,
    ) -> Transaction {
        let phase = Phase::Compare {
            level: 0,
            compare: 0,
            scan: CompareScan::default(),
        };
        Transaction {
            levels: vec![Level::new(request)],
            phase,
            answer,
            before,
            compacted,
        }
    }

    /// Goes on as far as `budget` allows; the answer when all is done.
    pub(crate) fn step(
        &mut self,
        mut access: Access<'_>,
        budget: &mut usize,
    ) -> Option<Result<TxnResponse, KvError>> {
        while *budget > 0 {
            match &self.phase {
                Phase::Compare { .. } => self.compare(access.store(), budget),
                Phase::Check { .. } => {
                    if let Err(error) = self.check(access.store(), budget) {
                        return Some(Err(error));
                    }
                }
                Phase::Run(_) => {
                    if let Some(response) = self.run(&mut access, budget) {
                        return Some(Ok(response));
                    }
                }
            }
        }
        None
    }

    /// Evaluates compares until the budget is used up or all branches are chosen.
    fn compare(&mut self, store: &Store, budget: &mut usize) {
        let Phase::Compare {
            level: number,
            compare,
            scan,
        } = &mut self.phase
        else {
            return;
        };
        while *budget > 0 {
            let next_level = self.levels.len();
            let Some(level) = self.levels.get_mut(*number) else {
                self.phase = Phase::Check {
                    what: Check::Puts,
                    path: vec![(0, 0)],
                };
                return;
            };
            let chosen = match level.compares.get(*compare) {
                None => Some(true),
                Some(condition) => {
                    match scan.step(condition, &store.keyspace, self.before, budget) {
                        None => return,
                        Some(holds) => {
                            *scan = CompareScan::default();
                            *compare += 1;
                            (!holds).then_some(false)
                        }
                    }
                }
            };
            if let Some(succeeded) = chosen {
                *budget = budget.saturating_sub(1);
                let nested = level.choose(succeeded, next_level);
                self.levels.extend(nested);
                (*number, *compare) = (*number + 1, 0);
            }
        }
    }

    /// Checks operations until the budget is used up or all are checked.
    fn check(&mut self, store: &Store, budget: &mut usize) -> Result<(), KvError> {
        let Phase::Check { what, path } = &mut self.phase else {
            return Ok(());
        };
        while *budget > 0 {
            *budget -= 1;
            let Some(&mut (level, ref mut done)) = path.last_mut() else {
                self.phase = match what {
                    Check::Puts => Phase::Check {
                        what: Check::Ranges,
                        path: vec![(0, 0)],
                    },
                    Check::Ranges => Phase::Run(Run::start()),
                };
                return Ok(());
            };
            let operation = self.levels[level].operations.get(*done);
            *done += 1;
            match (operation, *what) {
                (None, _) => {
                    path.pop();
                }
                (Some(Operation::Txn(nested)), _) => path.push((*nested, 0)),
                (Some(Operation::Put(put)), Check::Puts) => store.check_txn_put(put)?,
                (Some(Operation::Range(range)), Check::Ranges) => {
                    check_revision_in_txn(range, store.rules, self.before, self.compacted)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Runs operations until the budget is used up; the answer after the last.
    fn run(&mut self, access: &mut Access<'_>, budget: &mut usize) -> Option<TxnResponse> {
        let Phase::Run(run) = &mut self.phase else {
            return None;
        };
        while *budget > 0 {
            if let Some(current) = &mut run.current {
                let response = current.step(access, budget)?;
                run.current = None;
                run.push(response);
                continue;
            }
            *budget -= 1;
            let (level, done) = run
                .path
                .last_mut()
                .expect("the outermost level ends the run");
            let level = *level;
            let operation = self.levels[level].operations.get(*done);
            *done += 1;
            let newest = match access {
                Access::Write(store) => store.draft_revision(),
                Access::Read(_) => self.before,
            };
            match operation {
                None => {
                    let succeeded = self.levels[level].succeeded;
                    if let Some(response) = run.leave(succeeded, newest) {
                        return Some(response);
                    }
                }
                Some(Operation::Txn(nested)) => run.enter(*nested),
                Some(Operation::Put(put)) => {
                    let response = access.store_mut().put(put, self.answer);
                    run.push(Response::ResponsePut(response));
                }
                Some(Operation::Delete(delete)) => {
                    let deletion = Deletion::new(delete, self.answer);
                    run.current = Some(Current::Delete(Box::new(deletion)));
                }
                Some(Operation::Range(range)) if self.answer.wanted() => {
                    let scan = RangeScan::new(range, newest);
                    run.current = Some(Current::Range(Box::new(scan)));
                }
                Some(Operation::Range(_)) => {}
            }
        }
        None
    }
}

impl Level {
    fn new(request: TxnRequest) -> Level {
        Level {
            compares: request.compare,
            branches: [request.success, request.failure],
            succeeded: false,
            operations: Vec::new(),
        }
    }

    /// Takes a branch; the transactions nested in it become levels, numbered from `next_level`.
    fn choose(&mut self, succeeded: bool, next_level: usize) -> Vec<Level> {
        self.succeeded = succeeded;
        self.compares = Vec::new();
        let [success, failure] = std::mem::take(&mut self.branches);
        let mut nested = Vec::new();
        let operations = if succeeded { success } else { failure };
        self.operations = operations
            .into_iter()
            .map(|operation| match operation.request {
                Some(Request::RequestRange(range)) => Operation::Range(range),
                Some(Request::RequestPut(put)) => Operation::Put(put),
                Some(Request::RequestDeleteRange(delete)) => Operation::Delete(delete),
                Some(Request::RequestTxn(txn)) => {
                    nested.push(Level::new(txn));
                    Operation::Txn(next_level + nested.len() - 1)
                }
                None => unreachable!("an operation that is none is refused before"),
            })
            .collect();
        nested
    }
}

impl Run {
    fn start() -> Run {
        Run {
            path: vec![(0, 0)],
            responses: vec![Vec::new()],
            current: None,
        }
    }

    fn enter(&mut self, level: usize) {
        self.path.push((level, 0));
        self.responses.push(Vec::new());
    }

    /// Ends the innermost level. Only the outermost answer's header tells a revision.
    fn leave(&mut self, succeeded: bool, newest: i64) -> Option<TxnResponse> {
        self.path.pop();
        let responses = self
            .responses
            .pop()
            .expect("each level of the path has its answers");
        let mut response = TxnResponse {
            header: header(newest),
            succeeded,
            responses,
        };
        if self.path.is_empty() {
            return Some(response);
        }
        response.header = Some(ResponseHeader::default());
        self.push(Response::ResponseTxn(response));
        None
    }

    fn push(&mut self, response: Response) {
        let responses = self
            .responses
            .last_mut()
            .expect("each level of the path has its answers");
        responses.push(ResponseOp {
            response: Some(response),
        });
    }
}

impl Current {
    fn step(&mut self, access: &mut Access<'_>, budget: &mut usize) -> Option<Response> {
        match self {
            Current::Range(scan) => scan
                .step(&access.store().keyspace, budget)
                .map(Response::ResponseRange),
            Current::Delete(deletion) => deletion
                .step(access.store_mut(), budget)
                .map(Response::ResponseDeleteRange),
        }
    }
}
