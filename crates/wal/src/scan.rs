//! Finding batches in a segment: where one should be, and beyond damage.

use quorate_disk::{DiskError, File};

use crate::HardState;
use crate::batch_format::{BATCH_HEADER_BYTES, BatchHeader, Place, Seed};
use crate::limits::SECTOR_BYTES;
use crate::window::Window;

/// What stands where a batch should begin.
pub(crate) enum Found {
    /// Its header; entries are not verified yet.
    Header(BatchHeader),
    /// No header there, but its echo further on.
    Echo(BatchHeader),
    /// Nothing that can be used.
    Nothing {
        /// Why not.
        what: String,
        /// What lies beyond.
        beyond: Beyond,
    },
}

/// What a scan found beyond a place where the row of batches breaks off.
#[derive(Debug, Default)]
pub(crate) struct Beyond {
    /// The greatest `synced_through` in any header.
    pub(crate) synced_through: u64,
    /// The greatest batch number, with the term and vote in force after that batch.
    pub(crate) newest: Option<(u64, HardState)>,
    /// Where the last trace of a batch ends.
    pub(crate) end: u64,
    /// The echo of the batch that should begin where the scan was asked about.
    echo: Option<BatchHeader>,
}

/// Looks for batch `number` at `offset`; for any batch if `number` is `None`.
pub(crate) fn find<F: File>(
    window: &mut Window<F>,
    seed: Seed,
    offset: u64,
    number: Option<u64>,
) -> Result<Found, DiskError> {
    let length = window.length();
    let fits = |header: &BatchHeader| {
        header.offset() == offset
            && number.is_none_or(|number| number == header.number)
            && offset + header.extent() <= length
    };
    let bytes = window.get(offset, BATCH_HEADER_BYTES as u64)?;
    let what = match BatchHeader::decode(bytes, seed) {
        Some((Place::Header, header)) if fits(&header) => return Ok(Found::Header(header)),
        Some((Place::Header, header)) => {
            format!("the header of batch {} stands in its place", header.number)
        }
        Some((Place::Echo, _)) => "an echo stands in place of its header".to_owned(),
        None => "its header is missing or fails its checksum".to_owned(),
    };
    let mut beyond = scan(window, seed, offset, offset + SECTOR_BYTES)?;
    match beyond.echo.take() {
        Some(echo) if fits(&echo) => Ok(Found::Echo(echo)),
        _ => Ok(Found::Nothing { what, beyond }),
    }
}

/// Looks at every sector from `from` on for headers and echoes of this life of the segment. Intact
/// batches are stepped over, so that what clients stored in them is not looked at.
pub(crate) fn scan<F: File>(
    window: &mut Window<F>,
    seed: Seed,
    broken: u64,
    from: u64,
) -> Result<Beyond, DiskError> {
    let mut beyond = Beyond::default();
    let mut offset = from;
    while offset < window.length() {
        let bytes = window.get(offset, BATCH_HEADER_BYTES as u64)?;
        let Some((place, header)) = BatchHeader::decode(bytes, seed) else {
            offset += SECTOR_BYTES;
            continue;
        };
        let at_home = match place {
            Place::Header => header.offset() == offset,
            Place::Echo => header.offset() + header.extent() == offset + SECTOR_BYTES,
        };
        if !at_home {
            offset += SECTOR_BYTES;
            continue;
        }
        beyond.synced_through = beyond.synced_through.max(header.synced_through);
        if beyond
            .newest
            .is_none_or(|(newest, _)| header.number > newest)
        {
            beyond.newest = Some((header.number, header.hard_state));
        }
        let end = header.offset() + header.extent();
        beyond.end = end.min(window.length());
        if place == Place::Echo && header.offset() == broken && beyond.echo.is_none() {
            beyond.echo = Some(header);
        }
        offset = end;
    }
    Ok(beyond)
}
