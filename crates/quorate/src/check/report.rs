//! A verdict in words and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use quorate_checker::{
    Blob, Call, Format, History, OpAnswer, Operation, Outcome, RegisterCall, StoreBody, StoreCall,
    StoreOp, Verdict, Violation,
};
use serde_json::{Value, json};

/// More operations than this are not listed in the terminal; the page has them all.
const LINES_MAX: usize = 24;

/// What was checked, and what came of it.
pub(super) struct Report<'a> {
    pub(super) file: String,
    pub(super) format: Format,
    pub(super) history: &'a History,
    verdicts: Vec<(&'static str, Verdict)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        file: &Path,
        format: Format,
        history: &'a History,
        verdicts: Vec<(&'static str, Verdict)>,
    ) -> Self {
        Report {
            file: file.display().to_string(),
            format,
            history,
            verdicts,
        }
    }

    /// The verdict of all checks together: a violation, else what is undecided, else the first.
    pub(super) fn verdict(&self) -> &Verdict {
        let mut all = self.verdicts.iter().map(|(_, verdict)| verdict);
        let first = all
            .clone()
            .next()
            .expect("at least one check is made of any history");
        all.clone()
            .find(|verdict| verdict.is_violation())
            .or_else(|| all.find(|verdict| !verdict.is_linearizable()))
            .unwrap_or(first)
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        match self.verdict() {
            Verdict::Violation(violation) => Some(violation),
            _ => None,
        }
    }

    fn clients(&self) -> usize {
        let clients: BTreeSet<_> = self
            .history
            .operations()
            .iter()
            .map(|op| op.client)
            .collect();
        clients.len()
    }

    fn open(&self) -> usize {
        self.history
            .operations()
            .iter()
            .filter(|op| op.is_open())
            .count()
    }

    /// One JSON object.
    pub(super) fn json(&self) -> Value {
        let checks: Vec<Value> = self
            .verdicts
            .iter()
            .map(|(name, verdict)| check(name, verdict))
            .collect();
        json!({
            "file": self.file,
            "format": self.format.name(),
            "operations": self.history.operations().len(),
            "open": self.open(),
            "clients": self.clients(),
            "watches": self.history.watches().len(),
            "verdict": word(self.verdict()),
            "checks": checks,
            "violation": self.violation().map(|violation| self.violation_json(violation)),
        })
    }

    /// The violation with its window, each operation with what a drawing needs.
    pub(super) fn violation_json(&self, violation: &Violation) -> Value {
        let window = &violation.window;
        let place: BTreeMap<_, _> = window.longest_order.iter().zip(1_usize..).collect();
        let operations: Vec<Value> = window
            .operations
            .iter()
            .map(|id| {
                let operation = &self.history.operations()[id.0];
                json!({
                    "op": operation.number,
                    "client": operation.client,
                    "kind": kind(operation),
                    "call": call(operation),
                    "outcome": outcome(operation),
                    "from": operation.invoked.time,
                    "until": operation.completed.as_ref().map(|(moment, _)| moment.time),
                    "essential": window.essential.contains(id),
                    "place": place.get(id),
                })
            })
            .collect();
        json!({
            "rule": violation.rule.name(),
            "key": violation.key,
            "explanation": violation.explanation,
            "from": window.from,
            "until": window.until,
            "operations": operations,
        })
    }
}

/// `1 client`, `3 clients`.
fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Linearizable(_) => "linearizable",
        Verdict::Violation(_) => "violation",
        Verdict::Undecided(_) => "undecided",
    }
}

fn check(name: &str, verdict: &Verdict) -> Value {
    let steps = match verdict {
        Verdict::Linearizable(effort) => Some(effort.steps),
        Verdict::Undecided(undecided) => Some(undecided.steps),
        Verdict::Violation(_) => None,
    };
    json!({ "check": name, "verdict": word(verdict), "steps": steps })
}

/// In plain words, for the terminal.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {}, {} of {}, {} of unknown outcome",
            self.file,
            self.format.name(),
            counted(self.history.operations().len(), "operation"),
            counted(self.clients(), "client"),
            self.open()
        )?;
        for (name, verdict) in &self.verdicts {
            writeln!(f, "{name}: {verdict}")?;
        }
        if let Some(violation) = self.violation() {
            let essential = &violation.window.essential;
            for id in essential.iter().take(LINES_MAX) {
                let operation = &self.history.operations()[id.0];
                let until = operation
                    .completed
                    .as_ref()
                    .map_or("…".to_owned(), |(moment, _)| moment.time.to_string());
                let span = format!("{}–{until}", operation.invoked.time);
                writeln!(
                    f,
                    "  {span:>16}  op {:<4} client {:<4} {}  →  {}",
                    operation.number,
                    operation.client,
                    call(operation),
                    outcome(operation)
                )?;
            }
            if essential.len() > LINES_MAX {
                writeln!(
                    f,
                    "  and {} more; --html shows them",
                    essential.len() - LINES_MAX
                )?;
            }
        }
        let verdict = match self.verdict() {
            Verdict::Linearizable(_) => "LINEARIZABLE",
            Verdict::Violation(_) => "NOT LINEARIZABLE",
            Verdict::Undecided(_) => {
                "UNDECIDED: give it a larger --budget, or record with fewer writers on a key"
            }
        };
        writeln!(f, "{verdict}")
    }
}

/// For colours: what an operation does at heart.
fn kind(operation: &Operation) -> &'static str {
    match &operation.call {
        Call::Register(_, RegisterCall::Read)
        | Call::Store(StoreCall::One(StoreOp::Get { .. })) => "read",
        Call::Register(_, RegisterCall::CompareAndSwap { .. })
        | Call::Store(StoreCall::Txn { .. }) => "cas",
        _ => "write",
    }
}

fn value(value: Option<&Blob>) -> String {
    value.map_or("nothing".to_owned(), ToString::to_string)
}

fn call(operation: &Operation) -> String {
    match &operation.call {
        Call::Register(_, RegisterCall::Read) => "read".to_owned(),
        Call::Register(_, RegisterCall::Write(None)) => "delete".to_owned(),
        Call::Register(_, RegisterCall::Write(new)) => format!("write {}", value(new.as_ref())),
        Call::Register(_, RegisterCall::Append(tail)) => format!("append {tail}"),
        Call::Register(_, RegisterCall::CompareAndSwap { expected, new }) => {
            format!(
                "swap {} for {}",
                value(expected.as_ref()),
                value(new.as_ref())
            )
        }
        Call::Store(StoreCall::One(op)) => store_op(op),
        Call::Store(StoreCall::Compact { revision }) => format!("compact to {revision}"),
        Call::Store(StoreCall::Txn {
            compare,
            success,
            failure,
        }) => {
            let list = |ops: &[StoreOp]| ops.iter().map(store_op).collect::<Vec<_>>().join(", ");
            format!(
                "if {} hold: [{}] else [{}]",
                compare.len(),
                list(success),
                list(failure)
            )
        }
    }
}

fn store_op(op: &StoreOp) -> String {
    let span = op.span();
    let keys = match &span.range_end {
        None => span.key.to_string(),
        Some(end) => format!("{}..{end}", span.key),
    };
    match op {
        StoreOp::Put { value, .. } => format!("put {keys} = {value}"),
        StoreOp::Get { at_revision: 0, .. } => format!("get {keys}"),
        StoreOp::Get { at_revision, .. } => format!("get {keys} at {at_revision}"),
        StoreOp::Delete { .. } => format!("delete {keys}"),
    }
}

fn outcome(operation: &Operation) -> String {
    match operation.outcome() {
        None | Some(Outcome::Unknown) => "unknown".to_owned(),
        Some(Outcome::Failed) => "did not happen".to_owned(),
        Some(Outcome::Read(read)) => value(read.as_ref()),
        Some(Outcome::Written) => "done".to_owned(),
        Some(Outcome::Swapped(true)) => "swapped".to_owned(),
        Some(Outcome::Swapped(false)) => "something else was there".to_owned(),
        Some(Outcome::Store(answer)) => {
            let body = match &answer.body {
                StoreBody::One(one) => op_answer(one),
                StoreBody::Compacted => "done".to_owned(),
                StoreBody::Txn { succeeded, answers } => {
                    let answers: Vec<String> = answers.iter().map(op_answer).collect();
                    format!(
                        "{}: [{}]",
                        if *succeeded { "held" } else { "did not hold" },
                        answers.join(", ")
                    )
                }
            };
            format!("{body} at revision {}", answer.revision)
        }
    }
}

fn op_answer(answer: &OpAnswer) -> String {
    match answer {
        OpAnswer::Put {} => "done".to_owned(),
        OpAnswer::Delete { deleted } => format!("{deleted} deleted"),
        OpAnswer::Get { kvs, .. } if kvs.is_empty() => "nothing".to_owned(),
        OpAnswer::Get { kvs, .. } => {
            let pairs: Vec<String> = kvs
                .iter()
                .map(|kv| format!("{} = {} of {}", kv.key, kv.value, kv.mod_revision))
                .collect();
            pairs.join(", ")
        }
    }
}
