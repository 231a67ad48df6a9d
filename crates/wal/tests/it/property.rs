//! Random lives of a log against the model: batches, truncations, snapshots, releases, crashes.

use proptest::prelude::*;
use quorate_disk::{Crash, Disk, File, SimDisk};
use quorate_wal::{Batch, HardState, Options, SnapshotMark, WalError};

use crate::damage::{assert_named_or_there, lost_entries};
use crate::model::{History, State, check_recovery, entry, observe, small};

#[derive(Clone, Debug)]
enum Op {
    /// Sizes of the entries, how far to truncate first, by how much the term rises, a vote.
    Append {
        sizes: Vec<usize>,
        cut: Option<u64>,
        rise: u64,
        vote: Option<u64>,
    },
    /// A snapshot so far behind the last entry, or ahead of it.
    Snapshot {
        behind: i64,
    },
    Sync,
    Cover,
    Prepare,
    Release,
    Crash {
        seed: u64,
    },
    Kill,
    /// The power fails after so many operations of what follows.
    PowerOff {
        after: u64,
        seed: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![8 => 8_usize..200, 2 => 200_usize..2_000, 1 => 4_000_usize..9_000];
    let append = (
        prop::collection::vec(size, 0..5),
        prop::option::weighted(0.2, 0_u64..6),
        prop_oneof![4 => Just(0_u64), 1 => 1_u64..4],
        prop::option::weighted(0.2, 0_u64..4),
    )
        .prop_map(|(sizes, cut, rise, vote)| Op::Append {
            sizes,
            cut,
            rise,
            vote,
        });
    prop_oneof![
        20 => append,
        1 => (-5_i64..12).prop_map(|behind| Op::Snapshot { behind }),
        6 => Just(Op::Sync),
        2 => Just(Op::Cover),
        1 => Just(Op::Prepare),
        2 => Just(Op::Release),
        3 => any::<u64>().prop_map(|seed| Op::Crash { seed }),
        1 => Just(Op::Kill),
        2 => (0_u64..30, any::<u64>()).prop_map(|(after, seed)| Op::PowerOff { after, seed }),
    ]
}

struct Life {
    disk: SimDisk,
    options: Options,
    opened: Option<quorate_wal::Opened<SimDisk>>,
    history: History,
    /// What the next power cut will decide by.
    seed: u64,
}

impl Life {
    fn new(block_bytes: u64) -> Life {
        let options = Options {
            block_bytes,
            ..small()
        };
        let history = History::new(State::new());
        Life {
            disk: SimDisk::new(),
            options,
            opened: None,
            history,
            seed: 0,
        }
    }

    /// The open log; opened anew if there was a crash. If the power goes meanwhile, once more.
    fn opened(&mut self) -> &mut quorate_wal::Opened<SimDisk> {
        while self.opened.is_none() {
            match quorate_wal::open(self.disk.clone(), self.options) {
                Ok(opened) => {
                    let found = observe(&opened.recovered, &opened.reader);
                    self.history.check(&found);
                    let released = self.history.released;
                    self.history = History {
                        released,
                        ..History::new(found)
                    };
                    self.opened = Some(opened);
                }
                Err(error) => self.power_came_back(&error),
            }
        }
        self.opened.as_mut().unwrap()
    }

    fn power_came_back(&mut self, error: &WalError) {
        assert!(
            self.disk.power_is_off(),
            "only the power fails here: {error}"
        );
        self.crash(self.seed);
    }

    fn crash(&mut self, seed: u64) {
        self.opened = None;
        self.disk.crash(Crash::Random(seed));
    }

    fn append(&mut self, batch: &Batch) {
        self.history.push(batch);
        if let Err(error) = self.opened().writer.append(batch) {
            self.power_came_back(&error);
        }
    }

    fn batch(&self, sizes: &[usize], cut: Option<u64>, rise: u64, vote: Option<u64>) -> Batch {
        let state = self.history.now();
        let floor = (state.first - 1).max(state.snapshot.map_or(0, |mark| mark.index));
        let truncate_after = cut.map(|cut| state.last().saturating_sub(cut).max(floor));
        let last = truncate_after.unwrap_or(u64::MAX).min(state.last());
        let term = state.last_term().max(state.hard_state.term).max(1) + rise;
        let mut index = last;
        let entries = sizes
            .iter()
            .map(|size| {
                index += 1;
                entry(index, term, *size)
            })
            .collect();
        let hard_state = vote.map(|vote| HardState {
            term,
            vote,
            refilling: vote % 2 == 1,
        });
        Batch {
            hard_state,
            truncate_after,
            entries,
            snapshot: None,
        }
    }

    fn snapshot(&self, behind: i64) -> Option<Batch> {
        let state = self.history.now();
        let index = state.last().checked_add_signed(-behind)?;
        let oldest = state.snapshot.map_or(1, |mark| mark.index).max(state.first);
        let known = state.entries.get(&index).map(|entry| entry.term);
        let term = known.unwrap_or(state.last_term().max(state.hard_state.term).max(1) + 1);
        let mark = SnapshotMark { index, term };
        (index >= oldest).then(|| Batch {
            snapshot: Some(mark),
            ..Batch::default()
        })
    }

    fn step(&mut self, op: &Op) {
        self.opened();
        let done = match op {
            Op::Append {
                sizes,
                cut,
                rise,
                vote,
            } => {
                let batch = self.batch(sizes, *cut, *rise, *vote);
                self.append(&batch);
                Ok(())
            }
            Op::Snapshot { behind } => {
                if let Some(batch) = self.snapshot(*behind) {
                    self.append(&batch);
                }
                Ok(())
            }
            Op::Sync => self
                .opened()
                .writer
                .sync()
                .map(|_| self.history.all_synced()),
            Op::Cover => self
                .opened()
                .writer
                .cover()
                .map(|()| self.history.all_synced()),
            Op::Prepare => self.opened().preparer.prepare().map(drop),
            Op::Release => self.release(),
            Op::Crash { seed } => {
                self.crash(*seed);
                Ok(())
            }
            Op::Kill => {
                self.opened = None;
                self.disk.kill_process();
                Ok(())
            }
            Op::PowerOff { after, seed } => {
                self.seed = *seed;
                self.disk.power_off_after(*after);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.power_came_back(&error);
        }
    }

    /// Releases what a durable snapshot covers, as an owner would.
    fn release(&mut self) -> Result<(), WalError> {
        self.opened().writer.sync()?;
        self.history.all_synced();
        let Some(mark) = self.history.now().snapshot else {
            return Ok(());
        };
        self.history.released = self.history.released.max(mark.index);
        let released = self.opened().writer.release(mark.index)?;
        assert!(released.first_index <= mark.index + 1);
        // Truncations and snapshots from here on stay inside of what is left.
        let first = released.first_index;
        for state in &mut self.history.states {
            if state.first < first && first <= mark.index + 1 {
                state.entries.retain(|index, _| *index >= first);
                state.first = first;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_log_is_always_a_prefix_of_its_history_with_everything_that_was_synced(
        ops in prop::collection::vec(op(), 1..80),
        block_bytes in prop_oneof![Just(512_u64), Just(4096)],
    ) {
        let mut life = Life::new(block_bytes);
        for op in &ops {
            life.step(op);
        }
        life.crash(0);
        check_recovery(&life.disk, &life.history);
    }

    /// In any life: whichever sector is damaged, and however many, an open names exactly what it
    /// cannot read, or refuses (a single damage only if a cut was lost); what is repaired is as it was.
    #[test]
    fn damage_after_any_life_is_named_exactly_and_repaired(
        ops in prop::collection::vec(op(), 1..60),
        picks in prop::collection::vec((any::<usize>(), any::<u64>()), 1..5),
    ) {
        let mut life = Life::new(512);
        for op in &ops {
            life.step(op);
        }
        life.crash(0);
        life.opened().writer.cover().unwrap();
        life.opened = None;
        let disk = life.disk;
        let clean = quorate_wal::open(disk.fork(), small()).unwrap();
        let all = observe(&clean.recovered, &clean.reader);
        for pick in &picks {
            damage_a_sector(&disk, *pick);
        }
        let tolerant = Options { tolerate_damage: true, ..small() };
        match quorate_wal::open(disk.clone(), tolerant) {
            Ok(mut opened) => {
                let named = assert_named_or_there(&opened, &all);
                let lost = lost_entries(&all, &named);
                if !lost.is_empty() {
                    prop_assert_eq!(opened.writer.repair(&lost), Ok(vec![]));
                }
                let found = opened.reader.clone();
                for (index, expected) in &all.entries {
                    let read = found.read(*index, *index, 1);
                    prop_assert_eq!(read, Ok(vec![expected.clone()]));
                }
                disk.crash(Crash::LoseUnsynced);
                let healed = quorate_wal::open(disk, small()).unwrap();
                prop_assert_eq!(observe(&healed.recovered, &healed.reader), all);
            }
            Err(refused) => {
                // With the header of a batch that cut the log its cut is lost too: refused, since what
                // it cut would come back.
                let damaged = matches!(refused, WalError::Damaged { .. });
                let lost_cut = refused.to_string().contains("a cut of the log is lost with it");
                prop_assert!(damaged && (lost_cut || picks.len() > 1), "{}", refused);
            }
        }
    }
}

/// Overwrites one sector of one segment.
fn damage_a_sector(disk: &SimDisk, pick: (usize, u64)) {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.ends_with(".wal"));
    let name = &names[pick.0 % names.len()];
    let sectors = disk.contents(name).unwrap().len() as u64 / 512;
    let file = disk.open(name).unwrap();
    file.write_at(pick.1 % sectors * 512, &[0xA5; 512]).unwrap();
    file.sync().unwrap();
}
