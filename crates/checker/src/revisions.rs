//! Stores with revisions: does every answer agree with the order that the revisions themselves give?
//!
//! The [timeline](crate::timeline) has shown that changes are unique and were made by somebody. Here each answer is held
//! against it: against real time (what was finished before I asked, I must see), against what stood there (each pair
//! that was read, each key that was not found, each comparison of a transaction), and against compaction.
//!
//! Where the outcome of a write is unknown, the check is lenient about the keys that it may have changed: it may call
//! right what is wrong, never the other way round.

use crate::blob::Blob;
use crate::history::{History, OpId};
use crate::store::{Compare, KeyValue, OpAnswer, StoreBody, StoreCall, StoreOp, Target};
use crate::timeline::{Answered, Timeline, View};
use crate::verdict::{Effort, Rule, Verdict, Violation};

type Check = Result<(), Box<Violation>>;

/// Judges all requests to the store of `history` by their revisions.
pub fn check_revisions(history: &History) -> Verdict {
    match Timeline::new(history).and_then(|timeline| check_all(&timeline)) {
        Ok(effort) => Verdict::Linearizable(effort),
        Err(violation) => Verdict::Violation(violation),
    }
}

fn check_all(timeline: &Timeline<'_>) -> Result<Effort, Box<Violation>> {
    let mut steps = 0;
    for answered in &timeline.answered {
        check_real_time(timeline, *answered)?;
    }
    for answered in &timeline.answered {
        check_compaction(timeline, *answered)?;
        check_compares(timeline, *answered)?;
        steps += check_content(timeline, *answered)?;
    }
    Ok(Effort {
        operations: timeline.answered.len(),
        keys: timeline.keys.len(),
        steps,
    })
}

/// Nothing is answered at a revision before one that had been seen when it was asked; a change comes after it.
fn check_real_time(timeline: &Timeline<'_>, answered: Answered<'_>) -> Check {
    let (floor, seen_by) = timeline.floors[answered.operation.id.0];
    let revision = answered.answer.revision;
    let ops: Vec<OpId> = seen_by.into_iter().chain([answered.operation.id]).collect();
    let text = if answered.changed() && revision <= floor {
        format!(
            "a change was made at revision {revision}, but {floor} had been seen before it was asked for"
        )
    } else if revision < floor && !answered.call.is_serializable() {
        format!(
            "an answer at revision {revision} to a request made after {floor} had been seen: a stale read"
        )
    } else {
        return Ok(());
    };
    Err(timeline.broken(Rule::RealTime, None, &ops, text))
}

/// What was compacted before it was asked for cannot be read.
fn check_compaction(timeline: &Timeline<'_>, answered: Answered<'_>) -> Check {
    for (op, _) in answered.pairs() {
        let StoreOp::Get {
            at_revision,
            serializable: false,
            ..
        } = op
        else {
            continue;
        };
        if *at_revision == 0 {
            continue;
        }
        if *at_revision > answered.answer.revision {
            let text = format!(
                "revision {at_revision} was read when the store was at {}",
                answered.answer.revision
            );
            return Err(timeline.broken(Rule::Content, None, &[answered.operation.id], text));
        }
        let compacted = timeline.answered.iter().find(|other| {
            matches!(other.call, StoreCall::Compact { revision } if revision > at_revision)
                && other.completed < answered.operation.invoked
        });
        if let Some(other) = compacted {
            let text = format!("revision {at_revision} was read after it had been compacted");
            let ops = [other.operation.id, answered.operation.id];
            return Err(timeline.broken(Rule::Content, None, &ops, text));
        }
    }
    Ok(())
}

/// The revision whose state a request found.
fn found_at(answered: Answered<'_>) -> i64 {
    let revision = answered.answer.revision;
    if answered.changed() {
        revision.saturating_sub(1)
    } else {
        revision
    }
}

/// A transaction went the way that its comparisons say.
fn check_compares(timeline: &Timeline<'_>, answered: Answered<'_>) -> Check {
    let (StoreCall::Txn { compare, .. }, StoreBody::Txn { succeeded, .. }) =
        (answered.call, &answered.answer.body)
    else {
        return Ok(());
    };
    let at = found_at(answered);
    let held: Vec<Option<bool>> = compare
        .iter()
        .map(|compare| holds(timeline, compare, at))
        .collect();
    let wrong = if *succeeded {
        held.iter().position(|held| *held == Some(false))
    } else {
        // With one that is unsure, or with none that failed for certain, nothing is proved.
        held.iter().all(|held| *held == Some(true)).then_some(0)
    };
    let Some(wrong) = wrong else { return Ok(()) };
    let key = compare.get(wrong).map(|compare| &compare.key);
    let text = if *succeeded {
        format!(
            "a transaction succeeded at revision {at} although its comparison of key {} did not hold",
            key.map_or_else(String::new, ToString::to_string)
        )
    } else {
        format!("a transaction failed at revision {at} although all its comparisons held")
    };
    Err(timeline.broken(Rule::Content, key, &[answered.operation.id], text))
}

/// Whether a comparison holds at `revision`, if that is known.
fn holds(timeline: &Timeline<'_>, compare: &Compare, revision: i64) -> Option<bool> {
    let View::Sure(found) = timeline.view(&compare.key, revision) else {
        return None;
    };
    let relation = compare.result;
    match &compare.target {
        Target::Value(with) => {
            // A key that is not there has no value to compare, whatever the relation.
            Some(found.is_some_and(|(_, value)| relation.holds(value, with)))
        }
        Target::ModRevision(with) => Some(relation.holds(&found.map_or(0, |(at, _)| at), with)),
        Target::CreateRevision(0) | Target::Version(0) => {
            // Whether it is there is all that matters beside 0.
            Some(relation.holds(&i64::from(found.is_some()), &0))
        }
        Target::CreateRevision(with) | Target::Version(with) => match found {
            None => Some(relation.holds(&0, with)),
            Some(_) => None,
        },
    }
}

/// Everything read is what stood there; the result is the number of keys looked at.
fn check_content(timeline: &Timeline<'_>, answered: Answered<'_>) -> Result<u64, Box<Violation>> {
    let mut looked_at = 0;
    let mut own: Vec<&StoreOp> = Vec::new();
    for (op, answer) in answered.pairs() {
        match (op, answer) {
            (
                StoreOp::Get {
                    at_revision, limit, ..
                },
                OpAnswer::Get { kvs, more },
            ) => {
                let read = Read {
                    answered,
                    op,
                    at: if *at_revision > 0 {
                        *at_revision
                    } else {
                        found_at(answered)
                    },
                    kvs,
                    more: *more,
                    limit: *limit,
                    own: &own,
                };
                looked_at += read.check(timeline)?;
            }
            (StoreOp::Delete { .. }, OpAnswer::Delete { deleted }) => {
                if own.is_empty() {
                    check_deleted(timeline, answered, op, *deleted)?;
                }
                own.push(op);
            }
            _ => own.push(op),
        }
    }
    Ok(looked_at + 1)
}

/// A delete counted the keys that were there.
fn check_deleted(
    timeline: &Timeline<'_>,
    answered: Answered<'_>,
    op: &StoreOp,
    deleted: i64,
) -> Check {
    let at = found_at(answered);
    let (mut sure, mut unsure) = (0, 0);
    for key in timeline.keys_in(&op.span()) {
        match timeline.view(key, at) {
            View::Sure(None) => {}
            View::Sure(Some(_)) => sure += 1,
            View::Unsure => unsure += 1,
        }
    }
    // Keys that nobody in this history speaks of may have been there at first, or be an open operation's.
    let others = timeline.may_hold_unknown_keys(&op.span());
    if deleted < sure || (deleted > sure + unsure && !others) {
        let text = format!(
            "a delete counted {deleted} keys, but there were {sure} at revision {at}, and {unsure} more that may have \
             been there"
        );
        return Err(timeline.broken(Rule::Content, None, &[answered.operation.id], text));
    }
    Ok(())
}

/// A get and what it found.
struct Read<'a> {
    answered: Answered<'a>,
    op: &'a StoreOp,
    at: i64,
    kvs: &'a [KeyValue],
    more: bool,
    limit: i64,
    /// What the same transaction did before.
    own: &'a [&'a StoreOp],
}

impl Read<'_> {
    fn check(&self, timeline: &Timeline<'_>) -> Result<u64, Box<Violation>> {
        self.check_form(timeline)?;
        for kv in self.kvs {
            self.check_found(timeline, kv)?;
        }
        let looked_at = self.check_not_found(timeline)?;
        Ok(looked_at + self.kvs.len() as u64)
    }

    fn broken(&self, timeline: &Timeline<'_>, key: &Blob, text: String) -> Box<Violation> {
        let mut ops = vec![self.answered.operation.id];
        if let Some((revision, _)) = timeline
            .keys
            .get(key)
            .and_then(|facts| facts.range(..=self.at).next_back())
            && let Some(change) = timeline.changes.get(revision)
        {
            ops.push(change.operation.id);
        }
        timeline.broken(Rule::Content, Some(key), &ops, text)
    }

    /// In order, each once, all asked for, not more than asked for.
    fn check_form(&self, timeline: &Timeline<'_>) -> Check {
        let span = self.op.span();
        let outside = self.kvs.iter().find(|kv| !span.contains(&kv.key));
        let unordered = self.kvs.windows(2).find(|two| two[0].key >= two[1].key);
        let too_many = self.limit > 0 && self.kvs.len() as u64 > self.limit.unsigned_abs();
        let text = match (outside, unordered) {
            (Some(kv), _) => format!("key {} was not asked for", kv.key),
            (_, Some(two)) => format!("key {} came after key {}", two[1].key, two[0].key),
            _ if too_many => format!(
                "{} pairs came where {} was the limit",
                self.kvs.len(),
                self.limit
            ),
            _ => return Ok(()),
        };
        Err(timeline.broken(Rule::Content, None, &[self.answered.operation.id], text))
    }

    /// Whether the same transaction changed it before it was read.
    fn is_own(&self, key: &Blob) -> bool {
        self.own
            .iter()
            .any(|op| !matches!(op, StoreOp::Get { .. }) && op.span().contains(key))
    }

    /// A pair that was found had not been replaced yet. That it was written so the timeline has seen.
    fn check_found(&self, timeline: &Timeline<'_>, kv: &KeyValue) -> Check {
        if self.is_own(&kv.key) {
            return Ok(());
        }
        if kv.mod_revision > self.at {
            let text = format!(
                "key {} was read at revision {} as of {}, from the future",
                kv.key, self.at, kv.mod_revision
            );
            return Err(self.broken(timeline, &kv.key, text));
        }
        let facts = &timeline.keys[&kv.key];
        let later = facts.range(kv.mod_revision.saturating_add(1)..);
        let mut later = later.filter(|(revision, fact)| {
            **revision <= self.at && !(fact.value.is_none() && !fact.changed)
        });
        if let Some((revision, fact)) = later.next() {
            let what = fact
                .value
                .as_ref()
                .map_or("deleted".to_owned(), |value| format!("set to {value}"));
            let text = format!(
                "key {} was read at revision {} with {} of revision {}, but had been {what} at revision {revision}",
                kv.key, self.at, kv.value, kv.mod_revision
            );
            return Err(self.broken(timeline, &kv.key, text));
        }
        self.check_creation(timeline, kv)
    }

    /// Creation and version fit together and with what is known.
    fn check_creation(&self, timeline: &Timeline<'_>, kv: &KeyValue) -> Check {
        let (created, version) = (kv.create_revision, kv.version);
        let facts = &timeline.keys[&kv.key];
        let known = facts.range(created.min(kv.mod_revision)..=kv.mod_revision);
        let known: Vec<_> = known.filter(|(_, fact)| fact.changed).collect();
        let text = if created > kv.mod_revision {
            "was written before it was created".to_owned()
        } else if created > 0 && version > 0 && (version == 1) != (created == kv.mod_revision) {
            format!(
                "has version {version}, created at {created} and written at {}",
                kv.mod_revision
            )
        } else if created > 0 && known.iter().any(|(_, fact)| fact.value.is_none()) {
            format!("was created at {created}, but deleted since")
        } else if created > 0 && version > 0 && (version as u64) < known.len() as u64 {
            format!(
                "has version {version}, but was written {} times",
                known.len()
            )
        } else {
            return Ok(());
        };
        Err(self.broken(timeline, &kv.key, format!("key {} {text}", kv.key)))
    }

    /// A key that was not found was not there.
    fn check_not_found(&self, timeline: &Timeline<'_>) -> Result<u64, Box<Violation>> {
        let last = self.kvs.last().map(|kv| &kv.key);
        let mut looked_at = 0;
        for key in timeline.keys_in(&self.op.span()) {
            if self.more && last.is_none_or(|last| key > last) {
                break;
            }
            looked_at += 1;
            let found = self.kvs.binary_search_by(|kv| kv.key.cmp(key)).is_ok();
            if found || self.is_own(key) {
                continue;
            }
            if let View::Sure(Some((revision, value))) = timeline.view(key, self.at) {
                let text = format!(
                    "key {key} was not found at revision {}, but holds {value} since revision {revision}",
                    self.at
                );
                return Err(self.broken(timeline, key, text));
            }
        }
        Ok(looked_at)
    }
}
