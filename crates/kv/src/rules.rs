//! Which of the rules that changed from one protocol version to the next a command is applied by.
//!
//! What a command does to the state must be the same on all members, whatever program they run. A program may do something
//! in another way than the one before only for commands that come in the log after the version from which on it does so
//! is in force: up to there every member goes by the old way, and none that knows only that way is among them afterwards.

/// The version from which on a range at a revision below zero is refused in a transaction, as etcd refuses it. Before
/// it was taken for one at the newest revision.
const BELOW_ZERO_IS_COMPACTED_FROM: u32 = 2;

/// The rules in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub(crate) below_zero_is_compacted: bool,
}

impl Rules {
    /// Those that commands are applied by while this protocol version is in force.
    pub fn of_version(version: u32) -> Rules {
        Rules {
            below_zero_is_compacted: version >= BELOW_ZERO_IS_COMPACTED_FROM,
        }
    }
}

impl Default for Rules {
    /// The newest.
    fn default() -> Rules {
        Rules::of_version(u32::MAX)
    }
}
