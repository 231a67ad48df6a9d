//! Where the messages of a gRPC stream begin and end (gRPC over HTTP/2, "Length-Prefixed-Message").
//!
//! A message may come in many pieces, and one piece may have many messages. Nothing of them is kept here but where in
//! a message the stream is.

use crate::limits::SMALL_REQUEST_BYTES;

/// A flag, and the length in four bytes.
const HEADER_BYTES: usize = 5;

/// The place in a stream of messages.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Of the message that has not come to its end, with its header.
    part_bytes: usize,
    /// Of its payload, once its header is whole.
    missing_bytes: usize,
}

/// What a piece brings: its bytes that belong to the beginnings of messages, its others, and whether a message ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) small_bytes: usize,
    pub(super) large_bytes: usize,
    pub(super) has_end: bool,
}

impl Frames {
    /// Goes on by a piece.
    pub(super) fn read(&mut self, mut piece: &[u8]) -> Piece {
        let (small_before, large_before) = self.part();
        let (mut small_bytes, mut large_bytes, mut has_end) = (0, 0, false);
        while !piece.is_empty() {
            piece = &piece[self.read_part(piece)..];
            if self.part_bytes >= HEADER_BYTES && self.missing_bytes == 0 {
                let (small, large) = self.part();
                small_bytes += small;
                large_bytes += large;
                has_end = true;
                self.part_bytes = 0;
            }
        }
        let (small, large) = self.part();
        Piece {
            small_bytes: small_bytes + small - small_before,
            large_bytes: large_bytes + large - large_before,
            has_end,
        }
    }

    /// What has come of the message that has not come to its end: its beginning, and the rest.
    pub(super) fn part(&self) -> (usize, usize) {
        let small = self.part_bytes.min(SMALL_REQUEST_BYTES);
        (small, self.part_bytes - small)
    }

    /// Goes on as far as the end of the header or of the payload; by how much.
    fn read_part(&mut self, piece: &[u8]) -> usize {
        let have = self.part_bytes;
        let taken = if have < HEADER_BYTES {
            let taken = piece.len().min(HEADER_BYTES - have);
            self.header[have..have + taken].copy_from_slice(&piece[..taken]);
            if have + taken == HEADER_BYTES {
                let [_, length @ ..] = self.header;
                self.missing_bytes = u32::from_be_bytes(length) as usize;
            }
            taken
        } else {
            let taken = piece.len().min(self.missing_bytes);
            self.missing_bytes -= taken;
            taken
        };
        self.part_bytes += taken;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes).expect("not so long").to_be_bytes();
        [&[0][..], &length, &vec![1; bytes]].concat()
    }

    #[test]
    fn the_same_is_counted_whatever_the_pieces() {
        let lengths = [0, 1, 0, SMALL_REQUEST_BYTES - HEADER_BYTES, 10_000, 3];
        let stream: Vec<u8> = lengths.into_iter().flat_map(message).collect();
        for piece_bytes in [1, 3, 5, 6, 1_000, 4_096, stream.len()] {
            let mut frames = Frames::default();
            let (mut small, mut large) = (0, 0);
            for piece in stream.chunks(piece_bytes) {
                let read = frames.read(piece);
                small += read.small_bytes;
                large += read.large_bytes;
            }
            let beyond = HEADER_BYTES + 10_000 - SMALL_REQUEST_BYTES;
            assert_eq!((small, large), (stream.len() - beyond, beyond));
            assert_eq!(frames.part(), (0, 0), "in pieces of {piece_bytes}");
        }
    }

    #[test]
    fn a_message_ends_with_its_last_byte_and_not_before() {
        let mut frames = Frames::default();
        let bytes = message(10_000);
        let (last, but_one) = bytes.split_last().expect("bytes");
        assert!(!frames.read(but_one).has_end);
        let held = but_one.len() - SMALL_REQUEST_BYTES;
        assert_eq!(frames.part(), (SMALL_REQUEST_BYTES, held));
        assert!(frames.read(&[*last]).has_end);
        assert_eq!(frames.part(), (0, 0));
    }
}
