//! What is replicated beside the store, as a snapshot holds it.
//!
//! Everything that applying an entry can change must be in a snapshot, or members that loaded one
//! would go on otherwise than those that applied the log. For the applier that is: where it stands, the
//! log time, the cluster version, and the windows that keep a request from being applied twice
//! (Raft dissertation, section 6.3: sessions are part of the state machine). The membership in force
//! goes with it, and who the members are.
//!
//! Like the store's part the encoding has one form for each state, so that members make the same
//! file each for themselves. A window is written as runs, since nearly all of it was applied: a few
//! bytes instead of eight thousand. The bytes are described in `docs/format-snapshot.md`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{decode_varint, encode_varint};
use quorate_raft::limits::MAX_NUMBER;
use quorate_raft::{LogIndex, Membership, SnapshotMeta, Term};

use crate::duplicates::{Boots, Duplicates, Window};
use crate::entry_format::{decode_membership, encode_membership};
use crate::limits::{
    DUPLICATE_BOOTS_PER_MEMBER, DUPLICATE_MEMBERS, DUPLICATE_WINDOW, MAX_SNAPSHOT_HEAD_BYTES,
};
use crate::members::MemberTable;

/// The version written today.
const VERSION: u8 = 1;

/// The node's own part of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The index of the last entry that the snapshot contains.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
    /// The membership in force there.
    pub membership: Membership,
    /// The log time there, milliseconds since 1970.
    pub log_time_ms: u64,
    /// The cluster version in force there; 0 if none had been agreed.
    pub cluster_version: u32,
    /// Who the members are there.
    pub members: MemberTable,
    pub(crate) duplicates: Duplicates,
}

/// Why bytes are no head of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotHeadError {
    /// Written by a program of another time.
    #[error(
        "the head of the snapshot has version {found}, this program knows {VERSION}: start the \
         quorate that wrote it, or a newer one"
    )]
    UnknownVersion {
        /// The version it has.
        found: u8,
    },
    /// The bytes are not what a node writes, or end too early.
    #[error(
        "the head of the snapshot is damaged at byte {offset}: {what}. Use an older snapshot, or \
         fetch it again"
    )]
    Damaged {
        /// Where that was seen.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl SnapshotHead {
    /// What the snapshot stands for.
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            index: LogIndex(self.applied_index),
            term: Term(self.applied_term),
            membership: self.membership.clone(),
        }
    }

    /// The bytes. They do not tell where they end.
    pub fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::new();
        buffer.put_u8(VERSION);
        encode_varint(self.applied_index, &mut buffer);
        encode_varint(self.applied_term, &mut buffer);
        encode_varint(self.log_time_ms, &mut buffer);
        encode_varint(u64::from(self.cluster_version), &mut buffer);
        let membership = encode_membership(&self.membership, Bytes::new());
        encode_varint(membership.len() as u64, &mut buffer);
        buffer.put_slice(&membership);
        let members = self.members.encode();
        encode_varint(members.len() as u64, &mut buffer);
        buffer.put_slice(&members);
        encode_varint(self.duplicates.members.len() as u64, &mut buffer);
        for (member, boots) in &self.duplicates.members {
            buffer.put_u64_le(*member);
            encode_varint(boots.last_index, &mut buffer);
            encode_varint(boots.windows.len() as u64, &mut buffer);
            for window in &boots.windows {
                encode_window(window, &mut buffer);
            }
        }
        buffer.freeze()
    }

    /// Reads what [`SnapshotHead::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotHead, SnapshotHeadError> {
        let mut fields = Fields {
            rest: bytes,
            length: bytes.len(),
        };
        if bytes.len() > MAX_SNAPSHOT_HEAD_BYTES {
            return Err(fields.damaged("more bytes than any head has"));
        }
        let found = fields.byte()?;
        if found != VERSION {
            return Err(SnapshotHeadError::UnknownVersion { found });
        }
        let mut head = SnapshotHead {
            applied_index: fields.number(MAX_NUMBER)?,
            applied_term: fields.number(MAX_NUMBER)?,
            log_time_ms: fields.number(u64::MAX)?,
            cluster_version: fields.number(u64::from(u32::MAX))? as u32,
            ..SnapshotHead::default()
        };
        let length = fields.number(MAX_SNAPSHOT_HEAD_BYTES as u64)?;
        let membership = Bytes::copy_from_slice(fields.slice(length as usize)?);
        head.membership = match decode_membership(membership) {
            Ok((membership, _)) => membership,
            Err(_) => return Err(fields.damaged("no membership")),
        };
        let length = fields.number(MAX_SNAPSHOT_HEAD_BYTES as u64)?;
        let members = MemberTable::decode(fields.slice(length as usize)?);
        head.members = members.ok_or_else(|| fields.damaged("no table of members"))?;
        for _ in 0..fields.number(DUPLICATE_MEMBERS as u64)? {
            let member = fields.slice(8)?.get_u64_le();
            let boots = fields.boots(head.applied_index)?;
            let last = head.duplicates.members.last_key_value();
            if last.is_some_and(|(last, _)| *last >= member) {
                return Err(fields.damaged("members out of order"));
            }
            head.duplicates.members.insert(member, boots);
        }
        if !fields.rest.is_empty() {
            return Err(fields.damaged("bytes after the end"));
        }
        // Numbers have longer forms than the one that is written.
        if head.encode() != bytes {
            return Err(fields.damaged("a number in more bytes than it needs"));
        }
        Ok(head)
    }
}

fn encode_window(window: &Window, buffer: &mut BytesMut) {
    let runs = window.runs();
    buffer.put_u32_le(window.boot_nonce);
    encode_varint(window.greatest, buffer);
    encode_varint(runs.len() as u64, buffer);
    for run in runs {
        encode_varint(run, buffer);
    }
}

/// Bytes that are read from the front.
struct Fields<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Fields<'a> {
    fn damaged(&self, what: &'static str) -> SnapshotHeadError {
        let offset = self.length - self.rest.len();
        SnapshotHeadError::Damaged { offset, what }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], SnapshotHeadError> {
        let Some((slice, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.damaged("it breaks off"));
        };
        self.rest = rest;
        Ok(slice)
    }

    fn byte(&mut self) -> Result<u8, SnapshotHeadError> {
        Ok(self.slice(1)?[0])
    }

    fn number(&mut self, most: u64) -> Result<u64, SnapshotHeadError> {
        let mut rest = self.rest;
        match decode_varint(&mut rest) {
            Ok(number) if number <= most => {
                self.rest = rest;
                Ok(number)
            }
            Ok(_) => Err(self.damaged("a number greater than it can be")),
            Err(_) => Err(self.damaged("no number")),
        }
    }

    fn boots(&mut self, applied_index: u64) -> Result<Boots, SnapshotHeadError> {
        let mut boots = Boots {
            last_index: self.number(applied_index)?,
            windows: Vec::new(),
        };
        let count = self.number(DUPLICATE_BOOTS_PER_MEMBER as u64)?;
        for _ in 0..count {
            let window = self.window()?;
            let nonce = window.boot_nonce;
            if boots.windows.iter().any(|other| other.boot_nonce == nonce) {
                return Err(self.damaged("two windows of one boot"));
            }
            boots.windows.push(window);
        }
        if boots.windows.is_empty() {
            return Err(self.damaged("a member without a window"));
        }
        Ok(boots)
    }

    fn window(&mut self) -> Result<Window, SnapshotHeadError> {
        let boot_nonce = self.slice(4)?.get_u32_le();
        let greatest = self.number(u64::MAX)?;
        let mut runs = Vec::new();
        for _ in 0..self.number(DUPLICATE_WINDOW)? {
            runs.push(self.number(DUPLICATE_WINDOW)?);
        }
        Window::from_runs(boot_nonce, greatest, &runs)
            .ok_or_else(|| self.damaged("a window that cannot be"))
    }
}

#[cfg(test)]
mod tests;
