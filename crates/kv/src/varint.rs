//! Numbers in as few bytes as they need: seven bits to a byte, the lowest first; the top bit says that
//! more follow. The store's list of changes and its snapshots are made of them.

/// Ten times seven bits hold any number of 64.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
