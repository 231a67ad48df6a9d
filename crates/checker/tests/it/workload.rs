//! Histories at random, the same for the same seed.

use quorate_checker::{History, OpId, Outcome, RegisterCall};

/// A generator whose draws depend on the seed alone: SplitMix64.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Draw(seed)
    }

    /// Less than `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// An operation under way: its name, its key, and its answer once it took effect.
type UnderWay = (OpId, usize, RegisterCall, Option<Outcome>);

/// A right history in which `clients` clients work at once; one write in a hundred stays open.
pub(crate) fn right(operations: usize, keys: usize, clients: usize) -> History {
    let mut draw = Draw::new(7);
    let mut history = History::new();
    let mut values: Vec<Option<u64>> = vec![None; keys];
    let mut busy: Vec<Option<UnderWay>> = (0..clients).map(|_| None).collect();
    let mut time = 0;
    while history.operations().len() < operations {
        time += 1;
        let client = draw.below(clients as u64) as usize;
        busy[client] = match busy[client].take() {
            None => {
                let key = draw.below(keys as u64) as usize;
                let call = match draw.below(2) {
                    0 => RegisterCall::Read,
                    _ => RegisterCall::Write(Some(time.to_string().into())),
                };
                let op = history.invoke(client as u64, format!("{key:04}"), call.clone(), time);
                Some((op, key, call, None))
            }
            Some((op, key, RegisterCall::Read, None)) => {
                let value = values[key].map(|value| value.to_string().into());
                Some((op, key, RegisterCall::Read, Some(Outcome::Read(value))))
            }
            Some((op, key, call, None)) => {
                let RegisterCall::Write(Some(value)) = &call else {
                    unreachable!("reads and writes only");
                };
                values[key] = std::str::from_utf8(value.as_bytes()).unwrap().parse().ok();
                let lost = draw.below(100) == 0;
                let outcome = if lost {
                    Outcome::Unknown
                } else {
                    Outcome::Written
                };
                Some((op, key, call, Some(outcome)))
            }
            Some((op, _, _, Some(outcome))) => {
                history.complete(op, outcome, time).unwrap();
                None
            }
        };
    }
    history
}
