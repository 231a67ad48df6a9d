//! Requests whose HTTP/2 authority is a whole URL, as etcd's clients up to 3.4 make them.
//!
//! etcdctl 3.4 dials a member by what `MemberList` told it and names `http://10.0.0.1:2379` as the `:authority` of each
//! request to it (`endpoint status --cluster`, `defrag`, `hashkv`). RFC 9113 (§8.3.1) has no scheme there, so hyper
//! ends such a stream with PROTOCOL_ERROR before anybody is asked; servers in Go take it. Nothing here goes by the
//! authority, so on its way in such a value is overwritten by one that says nothing.
//!
//! A value is overwritten in place, byte for byte: neither the frame's length nor the header block's changes. HPACK
//! (RFC 7541) may put it into the table that later requests refer to, by how recent it is. The new value is as long as
//! the encoded one. That is not longer than the URL which it stands for as long as the URL is made of what URLs are made
//! of: then the table may only keep more entries than the client counts on, and places from the recent end stay the
//! same. A value with many bytes whose code is long (30 bits for a line feed) is longer in code than it is, so the table
//! may drop what the client counts on, and the next reference to that ends the connection with COMPRESSION_ERROR. It is
//! the connection of the one client that sent what no URL has in it.
//!
//! So that it can be overwritten, a HEADERS frame is handed on when all of it has come. All else passes as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// RFC 9113, §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// A larger frame is refused by hyper, so that it may pass.
const FRAME_BYTES_MAX: usize = 16_384;
/// The place of `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;

/// What an authority with a scheme begins with: bytes, and the bits of the byte after them (a mask, and what is
/// under it).
const SCHEMES: [(&[u8], u8, u8); 2] = [(b"http://", 0, 0), (b"https://", 0, 0)];
/// The same in Huffman's code.
const SCHEMES_IN_CODE: [(&[u8], u8, u8); 2] = [
    (&[0x9d, 0x29, 0xae, 0xe3, 0x0c], 0x80, 0x00),
    (&[0x9d, 0x29, 0xad, 0x17, 0x18], 0xfc, 0x60),
];

/// A connection of clients, in which such authorities are overwritten.
pub(crate) struct PlainAuthority<S> {
    stream: S,
    at: Place,
    /// What has come and cannot be handed on yet: the beginning of a frame.
    held: Vec<u8>,
    /// What can be handed on and found no room yet, from `.1` on.
    ready: (Vec<u8>, usize),
}

/// What comes next.
#[derive(Clone, Copy)]
enum Place {
    /// The preface, of which so much has come.
    Preface(usize),
    /// No HTTP/2: all of it passes.
    Other,
    /// A frame.
    Frame,
    /// So much of a frame that passes.
    Passing(usize),
}

impl<S> PlainAuthority<S> {
    pub(crate) fn of(stream: S) -> PlainAuthority<S> {
        PlainAuthority {
            stream,
            at: Place::Preface(0),
            held: Vec::new(),
            ready: (Vec::new(), 0),
        }
    }

    /// Hands on as much of what was held as there is room for.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let (bytes, from) = &mut self.ready;
        let count = buffer.remaining().min(bytes.len() - *from);
        buffer.put_slice(&bytes[*from..*from + count]);
        *from += count;
        if *from == bytes.len() {
            bytes.clear();
            *from = 0;
        }
        count > 0
    }
}

impl Place {
    /// Goes through `bytes`, overwriting what is to be, and returns how many of them may be handed on.
    fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &mut bytes[done..];
            match self {
                Place::Other => return bytes.len(),
                Place::Preface(heard) => {
                    let count = rest.len().min(PREFACE.len() - *heard);
                    if rest[..count] != PREFACE[*heard..*heard + count] {
                        *self = Place::Other;
                        return bytes.len();
                    }
                    *heard += count;
                    done += count;
                    if *heard == PREFACE.len() {
                        *self = Place::Frame;
                    }
                }
                Place::Passing(left) => {
                    let count = rest.len().min(*left);
                    *left -= count;
                    done += count;
                    if *left == 0 {
                        *self = Place::Frame;
                    }
                }
                Place::Frame => {
                    if rest.len() < FRAME_HEADER_BYTES {
                        return done;
                    }
                    let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
                    let whole = FRAME_HEADER_BYTES + length;
                    if rest[3] != HEADERS || length > FRAME_BYTES_MAX {
                        *self = Place::Passing(whole);
                    } else if rest.len() < whole {
                        return done;
                    } else {
                        let flags = rest[4];
                        overwrite_in_frame(flags, &mut rest[FRAME_HEADER_BYTES..whole]);
                        done += whole;
                    }
                }
            }
        }
        done
    }
}

/// A frame that is none is left to hyper, which says so.
fn overwrite_in_frame(flags: u8, payload: &mut [u8]) {
    let mut from = 0;
    let mut to = payload.len();
    if flags & PADDED != 0 {
        let padding = payload.first().map_or(0, |bytes| usize::from(*bytes));
        from += 1;
        to = to.saturating_sub(padding);
    }
    if flags & PRIORITY != 0 {
        from += 5;
    }
    if let Some(block) = payload.get_mut(from..to) {
        // None: it ends in the middle of a field, which may go on in the next frame.
        let _ = overwrite_in_block(block);
    }
}

/// Goes through the fields of a header block (RFC 7541, §6).
fn overwrite_in_block(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while at < block.len() {
        let first = block[at];
        let prefix_bits = match first {
            // An indexed field.
            0x80.. => 7,
            // A literal that is put into the table.
            0x40..0x80 => 6,
            // A new size of the table.
            0x20..0x40 => 5,
            // A literal that is not.
            _ => 4,
        };
        let name = integer(block, &mut at, prefix_bits)?;
        if prefix_bits == 7 || prefix_bits == 5 {
            continue;
        }
        if name == 0 {
            let length = integer(block, &mut at, 7)?;
            at = at.checked_add(length)?;
        }
        let is_in_code = *block.get(at)? & 0x80 != 0;
        let length_at = at;
        let length = integer(block, &mut at, 7)?;
        let value = block.get_mut(at..at.checked_add(length)?)?;
        if name == AUTHORITY && has_scheme(value, is_in_code) {
            value.fill(b'x');
            block[length_at] &= 0x7f;
        }
        at += length;
    }
    Some(())
}

fn has_scheme(value: &[u8], is_in_code: bool) -> bool {
    let schemes = match is_in_code {
        true => &SCHEMES_IN_CODE,
        false => &SCHEMES,
    };
    schemes.iter().any(|(bytes, mask, under)| {
        let next = value.get(bytes.len()).copied().unwrap_or_default();
        value.starts_with(bytes) && next & mask == *under
    })
}

/// An integer of HPACK (§5.1). None if it ends behind the block, or is larger than anything there can be.
fn integer(block: &[u8], at: &mut usize, prefix_bits: u32) -> Option<usize> {
    let limit = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(*block.get(*at)?) & limit;
    *at += 1;
    if value < limit {
        return Some(value);
    }
    for shift in [0, 7, 14] {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl<S: AsyncRead + Unpin> AsyncRead for PlainAuthority<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.hand_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            let filled = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let come = &mut buffer.filled_mut()[filled..];
            if come.is_empty() {
                // The end: what was begun is not finished any more.
                std::mem::swap(&mut this.ready.0, &mut this.held);
                this.hand_on(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let passed = this.at.pass(come);
                this.held.extend_from_slice(&come[passed..]);
                buffer.set_filled(filled + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend_from_slice(come);
                buffer.set_filled(filled);
                let passed = this.at.pass(&mut this.held);
                this.ready.0.extend(this.held.drain(..passed));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PlainAuthority<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
