//! Names of files. Everything else in the directory is somebody else's and is left alone.

/// What a file of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A segment of the log, by its sequence.
    Segment(u64),
    /// A segment ready for use, by a number of its own.
    Spare(u64),
    /// A spare that is not finished.
    Part(u64),
}

const SEGMENT: &str = "wal";
const SPARE: &str = "spare";
const PART: &str = "part";

impl Name {
    /// The file's name, for example `00000000-000000000000002a.wal`: group, number, kind.
    pub(crate) fn of_group(self, group_id: u32) -> String {
        let (number, suffix) = match self {
            Name::Segment(number) => (number, SEGMENT),
            Name::Spare(number) => (number, SPARE),
            Name::Part(number) => (number, PART),
        };
        format!("{group_id:08x}-{number:016x}.{suffix}")
    }

    /// What `file` is, if it is one of ours and of this group.
    pub(crate) fn parse(file: &str, group_id: u32) -> Option<Name> {
        let (stem, suffix) = file.split_once('.')?;
        let (_, number) = stem.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let name = match suffix {
            SEGMENT => Name::Segment(number),
            SPARE => Name::Spare(number),
            PART => Name::Part(number),
            _ => return None,
        };
        // Only the one spelling that we write: a copy made by hand is not ours.
        (name.of_group(group_id) == file).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_spelling_is_ours() {
        for name in [Name::Segment(42), Name::Spare(0), Name::Part(u64::MAX)] {
            assert_eq!(Name::parse(&name.of_group(3), 3), Some(name));
            assert_eq!(Name::parse(&name.of_group(3), 4), None);
        }
        for other in [
            "",
            ".",
            "wal",
            "lost+found",
            "00000003-2a.wal",
            "00000003-000000000000002A.wal",
            "00000003-000000000000002a.wal.bak",
            "00000003-+00000000000002a.wal",
        ] {
            assert_eq!(Name::parse(other, 3), None, "{other}");
        }
    }
}
