//! Taking stock of the directory: which files are ours, and what to do with leftovers.

use std::collections::VecDeque;

use quorate_disk::{Disk, File};

use crate::names::Name;
use crate::segment_header::{HEADER_BLOCK_BYTES, SegmentHeader};
use crate::window::Window;
use crate::{Note, Options, WalError};

/// What the directory holds.
pub(crate) struct Directory {
    /// Sequences of the segments, rising.
    pub(crate) segments: Vec<u64>,
    /// Names of spares that can be used.
    pub(crate) spares: VecDeque<String>,
    /// The greatest epoch in any spare's header. No segment may have it again: even if someone
    /// removed the log and left the spares, what these hold must not come to life.
    pub(crate) spare_epoch: u64,
    /// The first number that no spare or part has had.
    pub(crate) next_number: u64,
    pub(crate) notes: Vec<Note>,
}

/// Lists the directory and removes what earlier runs left unfinished. None of this need be durable
/// at once: the first segment that is begun syncs the directory.
pub(crate) fn take_stock<D: Disk>(disk: &D, options: &Options) -> Result<Directory, WalError> {
    let mut directory = Directory {
        segments: Vec::new(),
        spares: VecDeque::new(),
        spare_epoch: 0,
        next_number: 0,
        notes: Vec::new(),
    };
    for file in disk.list()? {
        match Name::parse(&file, options.identity.group_id) {
            None => {}
            Some(Name::Segment(sequence)) => directory.segments.push(sequence),
            Some(Name::Part(number)) => {
                directory.next_number = directory.next_number.max(number.saturating_add(1));
                disk.remove(&file)?;
                directory.notes.push(Note::LeftoverRemoved { file });
            }
            Some(Name::Spare(number)) => {
                directory.next_number = directory.next_number.max(number.saturating_add(1));
                directory.take_spare(disk, options, file)?;
            }
        }
    }
    directory.segments.sort_unstable();
    Ok(directory)
}

impl Directory {
    fn take_spare<D: Disk>(
        &mut self,
        disk: &D,
        options: &Options,
        name: String,
    ) -> Result<(), WalError> {
        let file = disk.open(&name)?;
        let length = file.length()?;
        let mut window = Window::new(file, &name, length, HEADER_BLOCK_BYTES);
        let block = window.get(0, HEADER_BLOCK_BYTES as u64)?;
        if let Ok(decoded) = SegmentHeader::decode(block) {
            self.spare_epoch = self.spare_epoch.max(decoded.header.epoch);
        }
        if length == options.segment_bytes && self.spares.len() < options.max_spare_segments {
            self.spares.push_back(name);
        } else {
            disk.remove(&name)?;
            self.notes.push(Note::LeftoverRemoved { file: name });
        }
        Ok(())
    }
}
