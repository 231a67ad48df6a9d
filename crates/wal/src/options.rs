//! What an owner may choose.

use crate::limits::{
    DEFAULT_BLOCK_BYTES, DEFAULT_MAX_SPARE_SEGMENTS, DEFAULT_SEGMENT_BYTES, MAX_SEGMENT_BYTES,
    MAX_SPARE_SEGMENTS, MIN_SEGMENT_BYTES, SECTOR_BYTES,
};
use crate::{Identity, WalError};

/// How to open a log.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whose log it is.
    pub identity: Identity,
    /// Bytes of a segment, a multiple of 4096. May differ from one start to the next.
    pub segment_bytes: u64,
    /// Unused segments that are kept for reuse, at most.
    pub max_spare_segments: usize,
    /// Writes are padded with zeros to a multiple of this: 512 or a multiple of it. 4096 suits
    /// page caches; tests that enumerate crashes take 512.
    pub block_bytes: u64,
    /// Mixed into every checksum of the segments made from now on. A number that clients cannot
    /// guess (a boot nonce) keeps a value they store from ever passing for a batch header.
    pub salt: u64,
    /// Whether the owner can deal with acknowledged entries that cannot be read back. If so,
    /// [`open`](crate::open) names them in [`Recovered::damaged`](crate::Recovered::damaged); if
    /// not, it refuses such a log.
    pub tolerate_damage: bool,
}

impl Options {
    /// The usual choices for this identity; `salt` is 0, damage is refused.
    pub fn new(identity: Identity) -> Options {
        Options {
            identity,
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            max_spare_segments: DEFAULT_MAX_SPARE_SEGMENTS,
            block_bytes: DEFAULT_BLOCK_BYTES,
            salt: 0,
            tolerate_damage: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), WalError> {
        let segment = self.segment_bytes;
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&segment)
            || !segment.is_multiple_of(4096)
        {
            return Err(WalError::BadOptions {
                what: format!(
                    "segment_bytes is {segment}; it must be a multiple of 4096 between \
                     {MIN_SEGMENT_BYTES} and {MAX_SEGMENT_BYTES}"
                ),
            });
        }
        let block = self.block_bytes;
        if block == 0 || !block.is_multiple_of(SECTOR_BYTES) || block > 1 << 20 {
            return Err(WalError::BadOptions {
                what: format!("block_bytes is {block}; it must be a small multiple of 512"),
            });
        }
        if self.max_spare_segments > MAX_SPARE_SEGMENTS {
            return Err(WalError::BadOptions {
                what: format!(
                    "max_spare_segments is {}; it must be at most {MAX_SPARE_SEGMENTS}",
                    self.max_spare_segments
                ),
            });
        }
        Ok(())
    }
}
