//! Does a sequence to both servers, up to the first difference.

use std::fmt;

use prost_reflect::{DynamicMessage, Value};

use crate::client::{Answer, Client};
use crate::differences::Oracle;
use crate::messages;
use crate::operation::Operation;
use crate::servers::{Both, Etcd};

/// After so many operations all watches have to have told everything.
const SETTLES_EVERY: usize = 500;

/// The first thing that differs.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The number of the operation, from 0.
    pub(crate) at: usize,
    /// What is compared: the answer, or what a watch was told before.
    pub(crate) what: String,
    pub(crate) etcd: String,
    pub(crate) quorate: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            what,
            etcd,
            quorate,
            ..
        } = self;
        write!(
            formatter,
            "{what}\n--- etcd\n{etcd}\n--- Quorate\n{quorate}"
        )
    }
}

/// Something that is done to an answer of Quorate's before it is compared, to see that the comparison sees it.
pub(crate) type Distortion = fn(&Operation, &mut Answer);

/// What a trial did, if nothing differed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) operations: usize,
    /// Answers that were errors, equal ones.
    pub(crate) errors: usize,
    /// Events that watches were told.
    pub(crate) events: usize,
    /// The last revision.
    pub(crate) revision: i64,
}

/// Starts two empty servers and does the sequence to them.
pub(crate) fn run(
    etcd: &Etcd,
    operations: &[Operation],
    distortion: Option<Distortion>,
) -> Result<Count, Difference> {
    let mut both = Both::start(etcd);
    let runtime = crate::cluster::runtime();
    let done = runtime.block_on(async {
        let mut trial = Trial {
            etcd: Client::connect(&both.etcd_endpoint, etcd.oracle()).await,
            quorate: Client::connect(&both.quorate_endpoint(), Oracle::Todays).await,
            now: 1,
            compacted: -1,
            distortion,
            count: Count::default(),
        };
        trial.run(operations).await
    });
    runtime.shutdown_background();
    done.map_err(|mut difference| {
        if let Some(how) = both.ended() {
            difference.what += &format!(" ({how})");
        }
        difference
    })
}

struct Trial {
    etcd: Client,
    quorate: Client,
    now: i64,
    compacted: i64,
    distortion: Option<Distortion>,
    count: Count,
}

impl Trial {
    async fn run(&mut self, operations: &[Operation]) -> Result<Count, Difference> {
        for (at, operation) in operations.iter().enumerate() {
            if at % SETTLES_EVERY == 0 || has_to_be_settled(operation) {
                self.settle(at).await?;
            }
            if matches!(operation, Operation::Call(method, _) if method.word == "compact") {
                self.catch_up(at).await?;
            }
            self.act(at, operation).await?;
        }
        let last = operations.len().saturating_sub(1);
        self.settle(last).await?;
        self.count.operations = operations.len();
        self.count.revision = self.now;
        Ok(self.count)
    }

    async fn act(&mut self, at: usize, operation: &Operation) -> Result<(), Difference> {
        let mut resolved = operation.clone();
        if let Operation::Call(_, message) | Operation::Watch(_, message) = &mut resolved {
            messages::resolve(message, self.now, self.compacted);
        }
        if let Operation::Watch(_, request) = &mut resolved {
            begin_where_both_can(request, self.compacted);
        }
        let (etcd, mut quorate) = tokio::join!(
            self.etcd.act(resolved.clone(), self.now, self.compacted),
            self.quorate.act(resolved.clone(), self.now, self.compacted)
        );
        if let Some(distort) = self.distortion {
            distort(&resolved, &mut quorate);
        }
        if etcd != quorate {
            return Err(Difference {
                at,
                what: format!("the answer to: {resolved}"),
                etcd: etcd.text,
                quorate: quorate.text,
            });
        }
        self.now = etcd.revision.unwrap_or(self.now);
        self.count.errors += usize::from(!etcd.is_ok);
        if let Operation::Call(method, request) = &resolved
            && method.word == "compact"
            && etcd.is_ok
        {
            let revision = request.get_field_by_name("revision");
            self.compacted = revision
                .and_then(|value| value.as_i64())
                .expect("it has one");
        }
        Ok(())
    }

    async fn catch_up(&mut self, at: usize) -> Result<(), Difference> {
        let (now, compacted) = (self.now, self.compacted);
        let (etcd, quorate) = tokio::join!(
            self.etcd.catch_up(now, compacted),
            self.quorate.catch_up(now, compacted)
        );
        if etcd.is_ok() && quorate.is_ok() {
            return Ok(());
        }
        Err(Difference {
            at,
            what: "what a watch of the newest revision was told".to_owned(),
            etcd: format!("{etcd:?}"),
            quorate: format!("{quorate:?}"),
        })
    }

    /// Waits until all watches at both servers have told everything, and compares it.
    async fn settle(&mut self, at: usize) -> Result<(), Difference> {
        let (etcd, quorate) =
            tokio::join!(self.etcd.settle(self.now), self.quorate.settle(self.now));
        let differs = |what: &str, etcd: String, quorate: String| Difference {
            at,
            what: format!("{what}, before operation {at} or with it"),
            etcd,
            quorate,
        };
        if etcd.is_err() || quorate.is_err() {
            let shown = |told: Result<(), String>| told.err().unwrap_or("all was told".to_owned());
            return Err(differs(
                "what watches were told",
                shown(etcd),
                shown(quorate),
            ));
        }
        for ((what, etcd), (same, quorate)) in self.etcd.news().into_iter().zip(self.quorate.news())
        {
            if (&what, &etcd) != (&same, &quorate) {
                return Err(differs(&format!("what {what} was told"), etcd, quorate));
            }
            self.count.events += etcd.lines().count();
        }
        Ok(())
    }
}

/// Has a watch that would begin before all time begin with the first revision, and one that would begin with the
/// compacted revision with the next (see `differences::NOT_ASKED` for both).
fn begin_where_both_can(watch: &mut DynamicMessage, compacted: i64) {
    let start = watch.get_field_by_name("start_revision");
    let start = start.and_then(|value| value.as_i64()).unwrap_or_default();
    let moved = match start {
        ..0 => 1,
        _ if start == compacted => start + 1,
        _ => start,
    };
    watch.set_field_by_name("start_revision", Value::I64(moved));
}

/// Before these it matters what watches have been told: after a compaction etcd no longer finds values before, a watch
/// that is canceled is told nothing more, and progress is only told when everything else is.
fn has_to_be_settled(operation: &Operation) -> bool {
    match operation {
        Operation::Call(method, _) => method.word == "compact",
        Operation::Cancel(..) | Operation::Progress(_) | Operation::Close(_) => true,
        _ => false,
    }
}
