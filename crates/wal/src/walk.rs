//! Walking through a segment, batch by batch, past what is damaged.
//!
//! What a walk knows beforehand: where the log stood when the segment began (its header), and, if
//! the segment has a successor, with which batch that one begins and where the log stood then. Each
//! header on the way repeats the latter. So where a batch cannot be found, its neighbours say which
//! numbers and which entries are lost, and whether the log was cut by what is lost (it has turned
//! more often than was seen): then what lies before is in doubt too, and the walk ends in an error.
//! That takes two damaged places, since a batch that cuts has its header twice.
//!
//! In a segment without a successor, S is the greatest `synced_through` in any header, those beyond
//! a break included. Up to S everything was durable, so what does not check out is damage. After
//! S, it is the tail that a crash tore off.

use quorate_disk::File;

use crate::batch_format::{BatchHeader, EntryFault, EntryViews, Link};
use crate::limits::SECTOR_BYTES;
use crate::scan::{Trace, fits, header_at, survey};
use crate::segment::Segment;
use crate::segment_header::{HEADER_BLOCK_BYTES, SegmentHeader};
use crate::window::Window;
use crate::{BatchNumber, HardState, WalError};

/// What comes next in a segment.
pub(crate) enum Step {
    /// A batch whose header is intact.
    Batch(Walked),
    /// Batches that are gone, headers and all.
    Lost(Lost),
    /// A tail that was never completely written; the log ends before it.
    Torn(Torn),
    /// The end.
    End,
}

/// A batch whose header is intact.
pub(crate) struct Walked {
    pub(crate) header: BatchHeader,
    /// Whether the header was read from its echo.
    pub(crate) from_echo: bool,
    /// Where terms begin: (index, term). The first and the last entry's are always right; an
    /// intact entry's too.
    pub(crate) terms: Vec<(u64, u64)>,
    /// Entries that are damaged.
    pub(crate) faults: Vec<EntryFault>,
}

impl Walked {
    /// The parts of a fault that its batch says different things about: (first, last, their term at
    /// most). Its first and its last entry's terms are in the header. What the entry after the
    /// fault says has to be noted now: a later batch may cut the log between the two.
    pub(crate) fn bounded_parts(&self, fault: &EntryFault) -> Vec<(u64, u64, u64)> {
        let header = &self.header;
        let (mut first, mut last) = (fault.first_index, fault.last_index);
        let mut parts = Vec::new();
        let one_term = header.first_term == header.last_term;
        if !one_term && first == header.first_index {
            parts.push((first, first, header.first_term));
            first += 1;
        }
        let ends = last == header.last_index;
        if !one_term && ends {
            last -= 1;
        }
        let begun_by_next = self.terms.partition_point(|run| run.0 <= last + 1);
        let next = begun_by_next.checked_sub(1).map(|at| self.terms[at].1);
        if first <= last {
            let greatest = next.filter(|_| last < header.last_index);
            parts.push((first, last, greatest.unwrap_or(header.last_term)));
        }
        if !one_term && ends {
            parts.push((fault.last_index, fault.last_index, header.last_term));
        }
        parts
    }
}

/// Batches that are gone.
pub(crate) struct Lost {
    /// The first of them.
    pub(crate) first_number: u64,
    /// The next one that is not gone.
    pub(crate) next_number: u64,
    /// Their entries, as far as the log held them when the next batch was written; none if
    /// `last_index < first_index`.
    pub(crate) first_index: u64,
    pub(crate) last_index: u64,
    pub(crate) offset: u64,
    pub(crate) what: String,
}

/// A torn tail.
pub(crate) struct Torn {
    /// The newest term and vote in it.
    pub(crate) hard_state: HardState,
    pub(crate) batch: u64,
    pub(crate) bytes: u64,
    pub(crate) what: String,
}

/// Where a walk must end: what the next segment's header says.
#[derive(Clone, Copy)]
pub(crate) struct Until {
    pub(crate) batch: u64,
    last_index: u64,
    turns: Option<u32>,
}

impl Until {
    pub(crate) fn of(next: &SegmentHeader) -> Until {
        Until {
            batch: next.first_batch,
            last_index: next.last_index,
            turns: next.turns_before,
        }
    }
}

/// A walk through one segment.
pub(crate) struct Walk<F: File> {
    pub(crate) window: Window<F>,
    segment: Segment<F>,
    until: Option<Until>,
    /// Where the next batch should begin.
    pub(crate) offset: u64,
    /// Its number.
    pub(crate) next: u64,
    /// Where the log stands.
    last_index: u64,
    pub(crate) turns: u32,
    pub(crate) synced_through: u64,
    /// Everything that can be found beyond the first break.
    traces: Option<Vec<Trace>>,
    /// Damage that reaches beyond S ended the log.
    is_cut: bool,
}

impl<F: File> Walk<F> {
    pub(crate) fn new(
        segment: &Segment<F>,
        header: &SegmentHeader,
        until: Option<Until>,
        read_bytes: usize,
    ) -> Walk<F> {
        let (file, name) = (segment.file.clone(), &segment.name);
        Walk {
            window: Window::new(file, name, segment.length, read_bytes),
            segment: segment.clone(),
            until,
            offset: HEADER_BLOCK_BYTES as u64,
            next: header.first_batch,
            last_index: header.last_index,
            turns: 0,
            synced_through: header.first_batch - 1,
            traces: None,
            is_cut: false,
        }
    }

    /// The next step.
    ///
    /// # Errors
    /// The disk's; [`WalError::Damaged`] where the neighbours of the damage do not say what is lost.
    pub(crate) fn step(&mut self) -> Result<Step, WalError> {
        if self.until.is_some_and(|until| until.batch == self.next) {
            return Ok(Step::End);
        }
        if self.is_cut {
            return Ok(self.torn("what lay before it is damaged".to_owned(), None));
        }
        let (seed, offset, number) = (self.segment.seed, self.offset, self.next);
        match header_at(&mut self.window, seed, offset, Some(number))? {
            Ok(header) => self.batch(header, false),
            Err(what) => {
                self.survey(offset + SECTOR_BYTES)?;
                let length = self.segment.length;
                let echo = self.traces().iter().find(|trace| trace.echoes(offset));
                match echo.map(|trace| trace.header.clone()) {
                    Some(header) if fits(&header, offset, Some(number), length) => {
                        self.batch(header, true)
                    }
                    _ => self.lost(what),
                }
            }
        }
    }

    fn traces(&self) -> &[Trace] {
        self.traces.as_deref().unwrap_or_default()
    }

    /// Takes down what can be found from `from` on, once.
    fn survey(&mut self, from: u64) -> Result<(), WalError> {
        if self.traces.is_none() {
            let traces = survey(&mut self.window, self.segment.seed, from)?;
            for trace in &traces {
                self.synced_through = self.synced_through.max(trace.header.synced_through);
            }
            self.traces = Some(traces);
        }
        Ok(())
    }

    fn is_acknowledged(&self, number: u64) -> bool {
        self.until.is_some() || number <= self.synced_through
    }

    /// A batch whose header is intact: verifies its entries.
    fn batch(&mut self, header: BatchHeader, from_echo: bool) -> Result<Step, WalError> {
        let mut terms: Vec<(u64, u64)> = Vec::new();
        let mut note = |index, term| {
            if terms.last().is_none_or(|run| run.1 != term) {
                terms.push((index, term));
            }
        };
        let mut faults = Vec::new();
        if header.entry_count > 0 {
            note(header.first_index, header.first_term);
        }
        let bytes = self.window.get(self.offset, u64::from(header.length))?;
        for view in EntryViews::new(&header, self.segment.seed, bytes) {
            match view {
                Ok(view) => note(view.index, view.term),
                Err(fault) => faults.push(fault),
            }
        }
        if header.entry_count > 0 {
            note(header.last_index, header.last_term);
        }
        self.synced_through = self.synced_through.max(header.synced_through);
        if let Some(fault) = faults.first() {
            let what = fault.what.clone();
            self.survey(self.offset + header.extent())?;
            if !self.is_acknowledged(header.number) {
                return Ok(self.torn(what, Some(&header)));
            }
        }
        self.pass(&header);
        Ok(Step::Batch(Walked {
            header,
            from_echo,
            terms,
            faults,
        }))
    }

    /// Takes over where the log stands after a batch.
    fn pass(&mut self, header: &BatchHeader) {
        if let Some(after) = header.truncate_after {
            self.last_index = self.last_index.min(after);
        }
        if header.entry_count > 0 {
            self.last_index = header.last_index;
        }
        if let Some(mark) = header.snapshot
            && header.restarts
        {
            self.last_index = mark.index;
        }
        self.turns += u32::from(header.turns_log());
        self.offset += header.extent();
        self.next += 1;
    }

    /// The batch that should come next cannot be found.
    fn lost(&mut self, what: String) -> Result<Step, WalError> {
        if !self.is_acknowledged(self.next) {
            return Ok(self.torn(what, None));
        }
        let limit = self.until.map_or(u64::MAX, |until| until.batch);
        let after = self.traces().iter().find(|trace| {
            let header = &trace.header;
            header.offset() > self.offset && (self.next + 1..limit).contains(&header.number)
        });
        let (next_number, offset, link) = match (after, self.until) {
            (Some(trace), _) => {
                let header = &trace.header;
                (header.number, header.offset(), header.link)
            }
            (None, Some(until)) => {
                let link = until.turns.map(|turns| Link {
                    base_index: until.last_index,
                    turns,
                });
                (until.batch, self.segment.length, link)
            }
            (None, None) => return Err(self.error(what)),
        };
        let cuts = after.is_some_and(|trace| trace.header.truncate_after.is_some());
        let Some(link) = link else {
            let old = "the log is too old to say what is lost";
            return Err(self.error(format!("{what}; {old}")));
        };
        if link.turns != self.turns || (link.base_index < self.last_index && !cuts) {
            let doubt = "a cut of the log is lost with it, so what lies before is in doubt";
            return Err(self.error(format!("{what}; {doubt}")));
        }
        let lost = Lost {
            first_number: self.next,
            next_number,
            first_index: self.last_index + 1,
            last_index: link.base_index.max(self.last_index),
            offset: self.offset,
            what,
        };
        self.is_cut = !self.is_acknowledged(next_number - 1);
        self.last_index = lost.last_index;
        self.offset = offset;
        self.next = next_number;
        Ok(Step::Lost(lost))
    }

    /// The end of a segment without a successor: torn, or simply the end.
    fn torn(&self, what: String, header: Option<&BatchHeader>) -> Step {
        let later = self
            .traces()
            .iter()
            .filter(|trace| trace.header.number >= self.next)
            .map(|trace| &trace.header);
        let newest = later.max_by_key(|header| header.number).or(header);
        let Some(newest) = newest else {
            return Step::End;
        };
        let own_end = header.map_or(self.offset + SECTOR_BYTES, |header| {
            header.offset() + header.extent()
        });
        let last = self.traces().last().map_or(0, |trace| {
            (trace.header.offset() + trace.header.extent()).min(self.segment.length)
        });
        Step::Torn(Torn {
            hard_state: newest.hard_state,
            batch: self.next,
            bytes: own_end.max(last) - self.offset,
            what,
        })
    }

    fn error(&self, what: String) -> WalError {
        WalError::Damaged {
            file: self.segment.name.clone(),
            offset: self.offset,
            batch: Some(BatchNumber(self.next)),
            what,
        }
    }
}
