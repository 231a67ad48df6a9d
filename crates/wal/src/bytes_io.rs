//! Little-endian fields at fixed places, and numbers of variable length.

/// Writes `value` at `at`.
pub(crate) fn put_u32(block: &mut [u8], at: usize, value: u32) {
    block[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes `value` at `at`.
pub(crate) fn put_u64(block: &mut [u8], at: usize, value: u64) {
    block[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Reads the number at `at`; the caller has checked that the block reaches that far.
pub(crate) fn get_u32(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(
        block[at..at + 4]
            .try_into()
            .expect("four bytes were sliced"),
    )
}

/// Reads the number at `at`; the caller has checked that the block reaches that far.
pub(crate) fn get_u64(block: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        block[at..at + 8]
            .try_into()
            .expect("eight bytes were sliced"),
    )
}

/// Appends `value`, seven bits to a byte, the lowest first (LEB128, as Protocol Buffers do).
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// How many bytes [`put_varint`] takes for `value`.
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = (64 - value.leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(7)).expect("at most ten")
}

/// Takes a number off the front; `None` if it does not end or does not fit.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7F);
        if (part << shift) >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_as_many_bytes_as_announced() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            1 << 35,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "of {value}");
            let mut rest = out.as_slice();
            assert_eq!(take_varint(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(take_varint(&mut &out[..out.len() - 1]), None);
        }
        assert_eq!(take_varint(&mut [0xFF_u8; 11].as_slice()), None);
    }
}
