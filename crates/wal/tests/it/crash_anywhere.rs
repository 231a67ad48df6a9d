//! The power fails at every operation in turn: in the middle of opening, of changing segments, of
//! preparing, releasing and recycling them, and of recovering from the crash before.

use quorate_disk::{Crash, SimDisk};
use quorate_wal::{Batch, Opened, SnapshotMark, WalError};

use crate::model::{
    History, State, check_recovery, entries_after, hard_state, observe, open, small,
};

/// States to visit at each point if they cannot all be.
const SAMPLES: u64 = 24;

fn crashed_states(disk: &SimDisk) -> Vec<SimDisk> {
    if disk.crash_state_bound() <= SAMPLES {
        return disk.crash_states().collect();
    }
    let sampled = (0..SAMPLES).map(Crash::Random);
    [Crash::LoseUnsynced, Crash::KeepAll]
        .into_iter()
        .chain(sampled)
        .map(|how| {
            let state = disk.fork();
            state.crash(how);
            state
        })
        .collect()
}

/// Appends and syncs what `batch` makes of the log's present state.
fn put(
    opened: &mut Opened<SimDisk>,
    history: &mut History,
    batch: impl Fn(&State) -> Batch,
) -> Result<(), WalError> {
    let batch = batch(history.now());
    // Before the call: a failed append may have left all of it.
    history.push(&batch);
    opened.writer.append(&batch)?;
    opened.writer.sync()?;
    history.all_synced();
    Ok(())
}

/// A life of a log that comes through everything; ends early when the power goes.
fn live(disk: &SimDisk, history: &mut History) -> Result<(), WalError> {
    let mut opened = quorate_wal::open(disk.clone(), small())?;
    let found = observe(&opened.recovered, &opened.reader);
    history.check(&found);
    *history = History {
        released: history.released,
        ..History::new(found)
    };
    let grow = |state: &State| entries_after(state.last(), state.hard_state.term, 3, 400);
    let vote = |state: &State| hard_state(state.hard_state.term + 1, 2);
    let cut = |state: &State| Batch {
        truncate_after: Some(state.last() - 1),
        ..entries_after(state.last() - 1, state.hard_state.term, 2, 100)
    };
    put(&mut opened, history, vote)?;
    opened.preparer.prepare()?;
    for _ in 0..2 {
        for _ in 0..3 {
            put(&mut opened, history, grow)?;
        }
        put(&mut opened, history, cut)?;
        put(&mut opened, history, vote)?;
    }
    let mark = history.now().entries.values().rev().nth(4).unwrap().clone();
    let mark = SnapshotMark {
        index: mark.index,
        term: mark.term,
    };
    put(&mut opened, history, |_| Batch {
        snapshot: Some(mark),
        ..Batch::default()
    })?;
    history.released = mark.index;
    opened.writer.release(mark.index)?;
    opened.preparer.prepare()?;
    for _ in 0..3 {
        put(&mut opened, history, grow)?;
    }
    opened.writer.cover()?;
    Ok(())
}

#[test]
fn the_power_may_fail_at_any_operation_of_a_whole_life() {
    let mut after = 0;
    loop {
        let disk = SimDisk::new();
        let mut history = History::new(State::new());
        disk.power_off_after(after);
        let lived = live(&disk, &mut history);
        if lived.is_err() {
            assert!(disk.power_is_off(), "only the power may end it: {lived:?}");
        }
        for state in crashed_states(&disk) {
            check_recovery(&state, &history);
        }
        if lived.is_ok() {
            break;
        }
        after += 1;
    }
    assert!(
        after > 60,
        "a life of only {after} operations proves little"
    );
}

#[test]
fn the_power_may_fail_again_while_recovering() {
    let disk = SimDisk::new();
    let mut history = History::new(State::new());
    live(&disk, &mut history).unwrap();
    let mut opened = open(&disk);
    let found = observe(&opened.recovered, &opened.reader);
    history = History {
        released: history.released,
        ..History::new(found)
    };
    for _ in 0..3 {
        let last = history.now().last();
        let batch = Batch {
            ..entries_after(last, 50, 2, 200)
        };
        opened.writer.append(&batch).unwrap();
        history.push(&batch);
    }
    for crashed in crashed_states(&disk) {
        for after in 0.. {
            let again = crashed.fork();
            again.power_off_after(after);
            let done = quorate_wal::open(again.clone(), small()).is_ok();
            for state in crashed_states(&again) {
                check_recovery(&state, &history);
            }
            if done {
                break;
            }
        }
    }
}
