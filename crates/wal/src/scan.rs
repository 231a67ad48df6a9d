//! Finding batches in a segment: where one should be, and beyond damage.

use quorate_disk::{DiskError, File};

use crate::batch_format::{BATCH_HEADER_BYTES, BatchHeader, Place, Seed};
use crate::limits::SECTOR_BYTES;
use crate::window::Window;

/// A header or an echo that was found beyond a place where the row of batches breaks off.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) place: Place,
    pub(crate) header: BatchHeader,
}

impl Trace {
    /// Whether it is the echo of the batch that begins at `offset`.
    pub(crate) fn echoes(&self, offset: u64) -> bool {
        self.place == Place::Echo && self.header.offset() == offset
    }
}

/// Where a header was found.
pub(crate) enum Found {
    /// In its place.
    Header(BatchHeader),
    /// No header there, but its echo further on.
    Echo(BatchHeader),
    /// Nowhere; why not.
    Nothing(String),
}

/// The header of batch `number` at `offset`; of any batch if `number` is `None`. Otherwise what
/// stands there instead.
pub(crate) fn header_at<F: File>(
    window: &mut Window<F>,
    seed: Seed,
    offset: u64,
    number: Option<u64>,
) -> Result<Result<BatchHeader, String>, DiskError> {
    let length = window.length();
    let bytes = window.get(offset, BATCH_HEADER_BYTES as u64)?;
    Ok(match BatchHeader::decode(bytes, seed) {
        Some((Place::Header, header)) if fits(&header, offset, number, length) => Ok(header),
        Some((Place::Header, header)) => Err(format!(
            "the header of batch {} stands in its place",
            header.number
        )),
        Some((Place::Echo, _)) => Err("an echo stands in place of its header".to_owned()),
        None => Err("its header is missing or fails its checksum".to_owned()),
    })
}

/// Whether a header or echo is that of batch `number` at `offset`, in a file of `length` bytes.
pub(crate) fn fits(header: &BatchHeader, offset: u64, number: Option<u64>, length: u64) -> bool {
    header.offset() == offset
        && number.is_none_or(|number| number == header.number)
        && offset + header.extent() <= length
}

/// Looks for any batch at `offset`, in its header's place or in that of its echo.
pub(crate) fn find<F: File>(
    window: &mut Window<F>,
    seed: Seed,
    offset: u64,
) -> Result<Found, DiskError> {
    let what = match header_at(window, seed, offset, None)? {
        Ok(header) => return Ok(Found::Header(header)),
        Err(what) => what,
    };
    let length = window.length();
    let traces = survey(window, seed, offset + SECTOR_BYTES)?;
    let echo = traces.into_iter().find(|trace| trace.echoes(offset));
    Ok(match echo {
        Some(echo) if fits(&echo.header, offset, None, length) => Found::Echo(echo.header),
        _ => Found::Nothing(what),
    })
}

/// Looks at every sector from `from` on for headers and echoes of this life of the segment. Intact
/// batches are stepped over, so that what clients stored in them is not looked at.
pub(crate) fn survey<F: File>(
    window: &mut Window<F>,
    seed: Seed,
    from: u64,
) -> Result<Vec<Trace>, DiskError> {
    let mut traces = Vec::new();
    let mut offset = from;
    while offset < window.length() {
        let bytes = window.get(offset, BATCH_HEADER_BYTES as u64)?;
        let decoded = BatchHeader::decode(bytes, seed);
        let at_home = decoded.filter(|(place, header)| match place {
            Place::Header => header.offset() == offset,
            Place::Echo => header.offset() + header.extent() == offset + SECTOR_BYTES,
        });
        offset = match &at_home {
            Some((_, header)) => header.offset() + header.extent(),
            None => offset + SECTOR_BYTES,
        };
        traces.extend(at_home.map(|(place, header)| Trace { place, header }));
    }
    Ok(traces)
}
