//! Watches: told everything, once, in order, all of a revision together.
//!
//! These are etcd's promises (its API guarantees: ordered, unique, reliable, atomic, resumable, bookmarkable). A
//! watch that was resumed is a watch that begins at the revision it was resumed from; so resumption needs no rule of
//! its own: nothing may be missing from its start on.

use std::collections::BTreeSet;

use crate::blob::Blob;
use crate::history::{History, OpId};
use crate::timeline::Timeline;
use crate::verdict::{Effort, Rule, Verdict, Violation};
use crate::watch_log::{WatchBatch, WatchEvent, WatchId, WatchLog};

type Check = Result<(), Box<Violation>>;

/// Judges what all watches of `history` were told.
pub fn check_watch(history: &History) -> Verdict {
    match Timeline::new(history).and_then(|timeline| check_all(&timeline)) {
        Ok(effort) => Verdict::Linearizable(effort),
        Err(violation) => Verdict::Violation(violation),
    }
}

fn check_all(timeline: &Timeline<'_>) -> Result<Effort, Box<Violation>> {
    let mut steps = 0;
    for (at, log) in timeline.history.watches().iter().enumerate() {
        let mut watch = Watch {
            timeline,
            id: WatchId(at),
            log,
            told: BTreeSet::new(),
            through: log.start_revision.saturating_sub(1),
        };
        for (_, batch) in &log.batches {
            watch.batch(batch)?;
        }
        watch.nothing_is_missing()?;
        steps += watch.told.len() as u64;
    }
    Ok(Effort {
        operations: timeline.history.watches().len(),
        keys: timeline.keys.len(),
        steps,
    })
}

struct Watch<'a> {
    timeline: &'a Timeline<'a>,
    id: WatchId,
    log: &'a WatchLog,
    told: BTreeSet<(i64, &'a Blob)>,
    /// It claims to have told everything up to here.
    through: i64,
}

impl<'a> Watch<'a> {
    fn broken(&self, rule: Rule, key: Option<&Blob>, ops: &[OpId], text: &str) -> Box<Violation> {
        let text = format!("watch {} of client {}: {text}", self.id.0, self.log.client);
        let mut violation = self.timeline.broken(rule, key, ops, text);
        violation.window.watch = Some(self.id);
        violation
    }

    fn batch(&mut self, batch: &'a WatchBatch) -> Check {
        match batch {
            WatchBatch::Progress { revision } => self.through = self.through.max(*revision),
            WatchBatch::Events(events) => {
                let mut last = i64::MIN;
                for event in events {
                    self.event(event, last)?;
                    last = event.mod_revision;
                    self.told.insert((event.mod_revision, &event.key));
                }
                self.through = self.through.max(last);
            }
        }
        Ok(())
    }

    /// `last` is the revision of the event before it in the same batch.
    fn event(&self, event: &WatchEvent, last: i64) -> Check {
        let revision = event.mod_revision;
        let (rule, text) = if !self.log.span.contains(&event.key) {
            (Rule::WatchContent, "was not watched".to_owned())
        } else if revision < self.log.start_revision {
            let start = self.log.start_revision;
            let text = format!("changed at revision {revision}, but the watch begins at {start}");
            (Rule::WatchContent, text)
        } else if self.told.contains(&(revision, &event.key)) {
            (
                Rule::WatchUnique,
                format!("was told twice of revision {revision}"),
            )
        } else if revision < last {
            (
                Rule::WatchOrder,
                format!("revision {revision} came after revision {last}"),
            )
        } else if revision <= self.through && self.was_told_of(revision) {
            (
                Rule::WatchAtomic,
                format!("revision {revision} came in two batches"),
            )
        } else if revision <= self.through {
            let through = self.through;
            let text = format!("revision {revision} came after revision {through} had been told");
            (Rule::WatchOrder, text)
        } else {
            return Ok(());
        };
        let text = format!("key {}: {text}", event.key);
        Err(self.broken(rule, Some(&event.key), &[], &text))
    }

    fn was_told_of(&self, revision: i64) -> bool {
        let least = Blob::default();
        let next = self.told.range((revision, &least)..).next();
        next.is_some_and(|told| told.0 == revision)
    }

    fn nothing_is_missing(&self) -> Check {
        if self.log.start_revision > self.through {
            return Ok(());
        }
        for key in self.timeline.keys_in(&self.log.span) {
            let changes = self.timeline.keys[key].range(self.log.start_revision..=self.through);
            for (revision, fact) in changes {
                if fact.changed && !self.told.contains(&(*revision, key)) {
                    let change = self.timeline.changes.get(revision);
                    let ops: Vec<OpId> = change.iter().map(|change| change.operation.id).collect();
                    let text = format!(
                        "key {key} changed at revision {revision}, which it was not told, though it was told what came \
                         up to {}",
                        self.through
                    );
                    return Err(self.broken(Rule::WatchComplete, Some(key), &ops, &text));
                }
            }
        }
        Ok(())
    }
}
