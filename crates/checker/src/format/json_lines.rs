//! Our own format: one JSON object a line, as `docs/check.md` describes it. What is read is read strictly: a field that
//! has no meaning there is an error, since a misspelt field would be a check not made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{bad_line, numbered};
use crate::blob::Blob;
use crate::error::HistoryError;
use crate::history::{
    Call, ClientId, History, Moment, OpId, Operation, Outcome, RegisterCall, Time,
};
use crate::store::{Compare, OpAnswer, Span, StoreAnswer, StoreBody, StoreCall, StoreOp};
use crate::watch_log::{WatchBatch, WatchEvent, WatchId, WatchLog};

const FORMAT: &str = "quorate-history";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    initial_value: Option<Blob>,
    #[serde(default = "one")]
    initial_revision: i64,
}

fn one() -> i64 {
    1
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
enum RegisterLine {
    Read {
        key: Blob,
    },
    Write {
        key: Blob,
        // Makes the field required: a missing value is not a deletion.
        #[serde(deserialize_with = "Option::deserialize")]
        value: Option<Blob>,
    },
    Cas {
        key: Blob,
        #[serde(deserialize_with = "Option::deserialize")]
        expected: Option<Blob>,
        #[serde(deserialize_with = "Option::deserialize")]
        value: Option<Blob>,
    },
    Append {
        key: Blob,
        value: Blob,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
enum WholeLine {
    Txn {
        #[serde(default)]
        compare: Vec<Compare>,
        #[serde(default)]
        success: Vec<StoreOp>,
        #[serde(default)]
        failure: Vec<StoreOp>,
    },
    Compact {
        revision: i64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadAnswer {
    #[serde(deserialize_with = "Option::deserialize")]
    value: Option<Blob>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwapAnswer {
    swapped: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TxnAnswer {
    succeeded: bool,
    answers: Vec<OpAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchBegin {
    client: ClientId,
    key: Blob,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range_end: Option<Blob>,
    start_revision: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    key: Blob,
    #[serde(deserialize_with = "Option::deserialize")]
    value: Option<Blob>,
    mod_revision: i64,
}

/// What has been read so far.
struct Reader {
    history: History,
    ops: BTreeMap<u64, OpId>,
    watches: BTreeMap<u64, WatchId>,
}

pub(super) fn read(text: &str) -> Result<History, HistoryError> {
    let mut lines = numbered(text);
    let Some((number, first)) = lines.next() else {
        return Err(HistoryError::UnknownFormat);
    };
    let header: Header = serde_json::from_str(first)
        .map_err(|error| bad_line(number, format!("not a header: {error}")))?;
    if header.format != FORMAT {
        return Err(HistoryError::UnknownFormat);
    }
    if header.version != VERSION {
        let what = format!("version {}; this program reads {VERSION}", header.version);
        return Err(bad_line(number, what));
    }
    let history = History::new()
        .with_initial_value(header.initial_value)
        .with_initial_revision(header.initial_revision);
    let mut reader = Reader {
        history,
        ops: BTreeMap::new(),
        watches: BTreeMap::new(),
    };
    for (number, line) in lines {
        reader.line(line).map_err(|what| bad_line(number, what))?;
    }
    Ok(reader.history)
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut map: Map<String, Value> = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let kind: String = take(&mut map, "type")?;
        match kind.as_str() {
            "invoke" => self.invoke(map),
            "ok" | "fail" | "unknown" => self.complete(&kind, map),
            "watch" => self.watch(map),
            "events" | "progress" => self.watched(&kind, map),
            _ => Err(format!(
                "type {kind:?}; there are invoke, ok, fail, unknown, watch, events and progress"
            )),
        }
    }

    fn invoke(&mut self, mut map: Map<String, Value>) -> Result<(), String> {
        let number: u64 = take(&mut map, "op")?;
        let client: ClientId = take(&mut map, "client")?;
        let time: Time = take(&mut map, "time")?;
        if self.ops.contains_key(&number) {
            return Err(format!("operation {number} is invoked twice"));
        }
        let call = match map.get("call").and_then(Value::as_str) {
            Some("read" | "write" | "cas" | "append") => {
                let (key, call) = from::<RegisterLine>(map)?.call();
                Call::Register(key, call)
            }
            Some("txn" | "compact") => Call::Store(from::<WholeLine>(map)?.call()),
            Some("put" | "get" | "delete") => Call::Store(StoreCall::One(from(map)?)),
            other => {
                return Err(format!(
                    "call {other:?}; there are read, write, cas, append, put, get, delete, txn and compact"
                ));
            }
        };
        let op = match call {
            Call::Register(key, call) => self.history.invoke(client, key, call, time),
            Call::Store(call) => self.history.invoke_store(client, call, time),
        };
        self.ops.insert(number, op);
        let named = self.history.set_number(op, number);
        named.map_err(|error| error.to_string())
    }

    fn complete(&mut self, kind: &str, mut map: Map<String, Value>) -> Result<(), String> {
        let number: u64 = take(&mut map, "op")?;
        let time: Time = take(&mut map, "time")?;
        let op = *self
            .ops
            .get(&number)
            .ok_or_else(|| format!("operation {number} was never invoked"))?;
        let outcome = match kind {
            "fail" => from::<Nothing>(map).map(|_| Outcome::Failed)?,
            "unknown" => from::<Nothing>(map).map(|_| Outcome::Unknown)?,
            _ => answer(&self.history.operations()[op.0].call, map)?,
        };
        let done = self.history.complete(op, outcome, time);
        done.map_err(|error| error.to_string())
    }

    fn watch(&mut self, mut map: Map<String, Value>) -> Result<(), String> {
        let number: u64 = take(&mut map, "watch")?;
        if self.watches.contains_key(&number) {
            return Err(format!("watch {number} is begun twice"));
        }
        let begin: WatchBegin = from(map)?;
        let span = Span {
            key: begin.key,
            range_end: begin.range_end,
        };
        let log = WatchLog::new(begin.client, span, begin.start_revision);
        self.watches.insert(number, self.history.watch(log));
        Ok(())
    }

    fn watched(&mut self, kind: &str, mut map: Map<String, Value>) -> Result<(), String> {
        let number: u64 = take(&mut map, "watch")?;
        let time: Time = take(&mut map, "time")?;
        let watch = *self
            .watches
            .get(&number)
            .ok_or_else(|| format!("watch {number} was never begun"))?;
        let batch = if kind == "events" {
            let events: Vec<EventLine> = take(&mut map, "events")?;
            WatchBatch::Events(events.into_iter().map(EventLine::event).collect())
        } else {
            WatchBatch::Progress {
                revision: take(&mut map, "revision")?,
            }
        };
        from::<Nothing>(map)?;
        let done = self.history.watched(watch, batch, time);
        done.map_err(|error| error.to_string())
    }
}

fn take<T: for<'a> Deserialize<'a>>(map: &mut Map<String, Value>, name: &str) -> Result<T, String> {
    let value = map
        .remove(name)
        .ok_or_else(|| format!("no field {name:?}"))?;
    serde_json::from_value(value).map_err(|error| format!("field {name:?}: {error}"))
}

fn from<T: for<'a> Deserialize<'a>>(map: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(map)).map_err(|error| error.to_string())
}

fn answer(call: &Call, mut map: Map<String, Value>) -> Result<Outcome, String> {
    let store = match call {
        Call::Register(_, call) => {
            return match call {
                RegisterCall::Read => from::<ReadAnswer>(map).map(|read| Outcome::Read(read.value)),
                RegisterCall::CompareAndSwap { .. } => {
                    from::<SwapAnswer>(map).map(|answer| Outcome::Swapped(answer.swapped))
                }
                RegisterCall::Write(_) | RegisterCall::Append(_) => {
                    from::<Nothing>(map).map(|_| Outcome::Written)
                }
            };
        }
        Call::Store(store) => store,
    };
    let revision = take(&mut map, "revision")?;
    let body = match store {
        StoreCall::One(_) => StoreBody::One(from(map)?),
        StoreCall::Txn { .. } => {
            let TxnAnswer { succeeded, answers } = from(map)?;
            StoreBody::Txn { succeeded, answers }
        }
        StoreCall::Compact { .. } => from::<Nothing>(map).map(|_| StoreBody::Compacted)?,
    };
    Ok(Outcome::Store(StoreAnswer { revision, body }))
}

impl RegisterLine {
    fn call(self) -> (Blob, RegisterCall) {
        match self {
            RegisterLine::Read { key } => (key, RegisterCall::Read),
            RegisterLine::Write { key, value } => (key, RegisterCall::Write(value)),
            RegisterLine::Append { key, value } => (key, RegisterCall::Append(value)),
            RegisterLine::Cas {
                key,
                expected,
                value: new,
            } => (key, RegisterCall::CompareAndSwap { expected, new }),
        }
    }

    fn of(key: &Blob, call: &RegisterCall) -> Self {
        let key = key.clone();
        match call.clone() {
            RegisterCall::Read => RegisterLine::Read { key },
            RegisterCall::Write(value) => RegisterLine::Write { key, value },
            RegisterCall::Append(value) => RegisterLine::Append { key, value },
            RegisterCall::CompareAndSwap { expected, new } => RegisterLine::Cas {
                key,
                expected,
                value: new,
            },
        }
    }
}

impl WholeLine {
    fn call(self) -> StoreCall {
        match self {
            WholeLine::Compact { revision } => StoreCall::Compact { revision },
            WholeLine::Txn {
                compare,
                success,
                failure,
            } => StoreCall::Txn {
                compare,
                success,
                failure,
            },
        }
    }
}

impl EventLine {
    fn event(self) -> WatchEvent {
        WatchEvent {
            key: self.key,
            value: self.value,
            mod_revision: self.mod_revision,
        }
    }

    fn of(event: &WatchEvent) -> Self {
        let WatchEvent {
            key,
            value,
            mod_revision,
        } = event.clone();
        EventLine {
            key,
            value,
            mod_revision,
        }
    }
}

/// `history` as text that [`read_history`](crate::read_history) reads back.
pub fn write_json_lines(history: &History) -> String {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        initial_value: history.initial_value().cloned(),
        initial_revision: history.initial_revision(),
    };
    let mut lines: Vec<(u64, Value)> = Vec::new();
    for (at, watch) in history.watches().iter().enumerate() {
        lines.push((0, watch_line(at, watch)));
        let batches = watch.batches.iter();
        lines.extend(
            batches.map(|(moment, batch)| (moment.sequence, batch_line(at, moment, batch))),
        );
    }
    for operation in history.operations() {
        lines.push((operation.invoked.sequence, invoke_line(operation)));
        let given_up = operation.gave_up.map(|moment| (moment, Outcome::Unknown));
        if let Some((moment, outcome)) = operation.completed.clone().or(given_up) {
            lines.push((
                moment.sequence,
                outcome_line(operation.number, moment, &outcome),
            ));
        }
    }
    lines.sort_by_key(|(sequence, _)| *sequence);
    let mut text = json(&header).to_string();
    for (_, line) in lines {
        text.push('\n');
        text.push_str(&line.to_string());
    }
    text.push('\n');
    text
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("these types have no map whose keys are not texts")
}

/// `fields`, after `head`.
fn line(head: Value, fields: &Value) -> Value {
    let mut head = head;
    if let (Value::Object(head), Value::Object(fields)) = (&mut head, fields) {
        head.extend(fields.clone());
    }
    head
}

fn invoke_line(operation: &Operation) -> Value {
    let call = match &operation.call {
        Call::Register(key, call) => json(&RegisterLine::of(key, call)),
        Call::Store(StoreCall::One(op)) => json(op),
        Call::Store(StoreCall::Compact { revision }) => json(&WholeLine::Compact {
            revision: *revision,
        }),
        Call::Store(StoreCall::Txn {
            compare,
            success,
            failure,
        }) => json(&WholeLine::Txn {
            compare: compare.clone(),
            success: success.clone(),
            failure: failure.clone(),
        }),
    };
    let head = serde_json::json!({
        "type": "invoke", "op": operation.number, "client": operation.client, "time": operation.invoked.time,
    });
    line(head, &call)
}

fn outcome_line(op: u64, moment: Moment, outcome: &Outcome) -> Value {
    let (kind, body) = match outcome {
        Outcome::Unknown => ("unknown", Value::Null),
        Outcome::Failed => ("fail", Value::Null),
        Outcome::Written => ("ok", Value::Null),
        Outcome::Read(value) => ("ok", serde_json::json!({ "value": value })),
        Outcome::Swapped(swapped) => ("ok", serde_json::json!({ "swapped": swapped })),
        Outcome::Store(answer) => {
            let body = match &answer.body {
                StoreBody::One(one) => json(one),
                StoreBody::Txn { succeeded, answers } => {
                    serde_json::json!({ "succeeded": succeeded, "answers": answers })
                }
                StoreBody::Compacted => Value::Null,
            };
            let revision = serde_json::json!({ "revision": answer.revision });
            ("ok", line(revision, &body))
        }
    };
    let head = serde_json::json!({ "type": kind, "op": op, "time": moment.time });
    line(head, &body)
}

fn watch_line(at: usize, watch: &WatchLog) -> Value {
    let begin = WatchBegin {
        client: watch.client,
        key: watch.span.key.clone(),
        range_end: watch.span.range_end.clone(),
        start_revision: watch.start_revision,
    };
    line(
        serde_json::json!({ "type": "watch", "watch": at }),
        &json(&begin),
    )
}

fn batch_line(at: usize, moment: &Moment, batch: &WatchBatch) -> Value {
    match batch {
        WatchBatch::Events(events) => {
            let events: Vec<EventLine> = events.iter().map(EventLine::of).collect();
            serde_json::json!({ "type": "events", "watch": at, "time": moment.time, "events": events })
        }
        WatchBatch::Progress { revision } => {
            serde_json::json!({ "type": "progress", "watch": at, "time": moment.time, "revision": revision })
        }
    }
}
