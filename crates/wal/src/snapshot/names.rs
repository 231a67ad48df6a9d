//! Names of snapshot files. Everything else in the directory is left alone.

use crate::SnapshotMark;

/// What a file of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotName {
    /// A whole snapshot.
    Whole(SnapshotMark),
    /// One of our own making, not finished: worth nothing after a restart.
    Part(SnapshotMark),
    /// One that is being received: what it holds is kept over a restart.
    ReceivedPart(SnapshotMark),
}

const PART: &str = ".part";
const RECEIVED_PART: &str = ".received.part";

impl SnapshotName {
    /// The file's name: kind, group, index, term, and what is not finished says so at the end.
    pub(crate) fn of_group(self, group_id: u32) -> String {
        let (mark, suffix) = match self {
            SnapshotName::Whole(mark) => (mark, ""),
            SnapshotName::Part(mark) => (mark, PART),
            SnapshotName::ReceivedPart(mark) => (mark, RECEIVED_PART),
        };
        let (index, term) = (mark.index, mark.term);
        format!("snapshot-{group_id:08x}-{index:016x}-{term:016x}{suffix}")
    }

    /// What `file` is, if it is one of ours and of this group.
    pub(crate) fn parse(file: &str, group_id: u32) -> Option<SnapshotName> {
        let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
        let mut numbers = stem.strip_prefix("snapshot-")?.split('-').skip(1);
        let mut number = || u64::from_str_radix(numbers.next()?, 16).ok();
        let mark = SnapshotMark {
            index: number()?,
            term: number()?,
        };
        // Only the spellings that we write: a copy made by hand is not ours.
        [
            SnapshotName::Whole(mark),
            SnapshotName::Part(mark),
            SnapshotName::ReceivedPart(mark),
        ]
        .into_iter()
        .find(|name| name.of_group(group_id) == file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_spelling_is_ours() {
        let mark = SnapshotMark {
            index: 42,
            term: u64::MAX,
        };
        for name in [
            SnapshotName::Whole(mark),
            SnapshotName::Part(mark),
            SnapshotName::ReceivedPart(mark),
        ] {
            assert_eq!(SnapshotName::parse(&name.of_group(3), 3), Some(name));
            assert_eq!(SnapshotName::parse(&name.of_group(3), 4), None);
            let copy = format!("{}.bak", name.of_group(3));
            assert_eq!(SnapshotName::parse(&copy, 3), None);
        }
        for other in ["", "snapshot-", "snapshot-3-2a-1", "00000003-2a.wal"] {
            assert_eq!(SnapshotName::parse(other, 3), None, "{other}");
        }
    }
}
