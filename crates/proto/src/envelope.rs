//! The command envelope: what every command carries through the log, and its exact bytes.
//!
//! A command is enveloped once, by the leader that proposes it, and the same bytes travel to
//! every disk and every state machine; the checksum at the end is made with them and checked
//! before the command is applied, so damage anywhere on the way is seen. The layout, version 1:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version of the envelope: [`VERSION`] |
//! | 1 | [`CommandKind`] |
//! | 8 | request id: the member that took the request, little-endian |
//! | 4 | request id: that member's boot nonce, little-endian |
//! | 1-10 | request id: sequence, varint |
//! | 1-10 | log time, milliseconds since 1970, varint |
//! | 1-10 | auth revision, varint |
//! | 1-10 | session, varint |
//! | 1-10 | sequence within the session, varint |
//! | 1- | length of the user's name, varint, and the name |
//! | any | the body: the command's own encoded message |
//! | 4 | CRC-32C of everything before it, little-endian |
//!
//! A small command from an anonymous user has 31 bytes of envelope. A reader that meets a
//! version or a kind it does not know must stop before applying: guessing would make it differ
//! from its peers.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

/// The version written today.
pub const VERSION: u8 = 1;

/// The longest user name that fits; etcd sets no limit, the log does.
pub const MAX_USER_BYTES: usize = 1024;

const CHECKSUM_BYTES: usize = 4;
const FIXED_BYTES: usize = 1 + 1 + 8 + 4;

/// What the body of a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum CommandKind {
    /// `etcdserverpb.PutRequest`.
    Put = 1,
    /// `etcdserverpb.DeleteRangeRequest`.
    DeleteRange = 2,
    /// `etcdserverpb.TxnRequest`.
    Txn = 3,
    /// `etcdserverpb.CompactionRequest`.
    Compact = 4,
    /// The cluster's new version: four bytes, little-endian.
    ClusterVersion = 5,
    /// `quorate.peer.v1.MemberChange`: asked of the leader, never in the log.
    MemberChange = 6,
    /// `quorate.peer.v1.MemberTable`: in the context of a membership entry, nowhere else.
    MemberTable = 7,
    /// `quorate.peer.v1.MemberUpdate`.
    MemberUpdate = 8,
    /// `etcdserverpb.LeaseGrantRequest`, its id and time chosen before it was proposed.
    LeaseGrant = 9,
    /// `etcdserverpb.LeaseRevokeRequest`: asked for by a client, or due because its time is over.
    LeaseRevoke = 10,
    /// `etcdserverpb.LeaseCheckpointRequest`.
    LeaseCheckpoint = 11,
    /// `etcdserverpb.AlarmRequest`.
    Alarm = 12,
}

impl CommandKind {
    /// The kind with this number, if there is one.
    pub fn from_number(number: u32) -> Option<CommandKind> {
        Some(match number {
            1 => CommandKind::Put,
            2 => CommandKind::DeleteRange,
            3 => CommandKind::Txn,
            4 => CommandKind::Compact,
            5 => CommandKind::ClusterVersion,
            6 => CommandKind::MemberChange,
            7 => CommandKind::MemberTable,
            8 => CommandKind::MemberUpdate,
            9 => CommandKind::LeaseGrant,
            10 => CommandKind::LeaseRevoke,
            11 => CommandKind::LeaseCheckpoint,
            12 => CommandKind::Alarm,
            _ => return None,
        })
    }

    /// The protocol version from which on members know this kind: the log may hold it once the cluster
    /// has agreed on that version, not before. A member that met it without knowing it would have to stop.
    pub const fn since_version(self) -> u32 {
        match self {
            CommandKind::Put
            | CommandKind::DeleteRange
            | CommandKind::Txn
            | CommandKind::Compact
            | CommandKind::ClusterVersion
            | CommandKind::MemberChange
            | CommandKind::MemberTable
            | CommandKind::MemberUpdate => 1,
            CommandKind::LeaseGrant
            | CommandKind::LeaseRevoke
            | CommandKind::LeaseCheckpoint
            | CommandKind::Alarm => 2,
        }
    }
}

/// Names one request for ever: no request id is ever applied twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The member that took the request from its client.
    pub member: u64,
    /// That member's boot nonce.
    pub boot_nonce: u32,
    /// Rises with each request of that boot.
    pub sequence: u64,
}

/// A command with all that its application may depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEnvelope {
    /// Who asked.
    pub request_id: RequestId,
    /// What the body is.
    pub kind: CommandKind,
    /// The proposing leader's wall clock, milliseconds since 1970, never below the last one's.
    pub log_time_ms: u64,
    /// The authenticated user; empty for none.
    pub user: String,
    /// The revision of the users and roles under which the request was allowed; 0 for none.
    pub auth_revision: u64,
    /// The client session, 0 for none.
    pub session: u64,
    /// The request's number within the session.
    pub session_sequence: u64,
    /// The encoded command.
    pub body: Bytes,
}

/// Why bytes are no envelope that this version can apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The checksum is wrong, or the bytes end early.
    Damaged,
    /// A version that this binary does not know.
    UnknownVersion(u8),
    /// A kind of command that this binary does not know.
    UnknownKind(u8),
}

impl std::fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EnvelopeError::Damaged => f.write_str("a command's checksum does not match its bytes"),
            EnvelopeError::UnknownVersion(version) => write!(
                f,
                "a command has envelope version {version}, this binary knows {VERSION}: start a newer quorate"
            ),
            EnvelopeError::UnknownKind(kind) => write!(
                f,
                "a command has kind {kind}, which this binary does not know: start a newer quorate"
            ),
        }
    }
}

impl std::error::Error for EnvelopeError {}

impl CommandEnvelope {
    /// The bytes, checksum included.
    pub fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(self.encoded_len());
        buffer.put_u8(VERSION);
        buffer.put_u8(self.kind as u8);
        buffer.put_u64_le(self.request_id.member);
        buffer.put_u32_le(self.request_id.boot_nonce);
        encode_varint(self.request_id.sequence, &mut buffer);
        encode_varint(self.log_time_ms, &mut buffer);
        encode_varint(self.auth_revision, &mut buffer);
        encode_varint(self.session, &mut buffer);
        encode_varint(self.session_sequence, &mut buffer);
        encode_varint(self.user.len() as u64, &mut buffer);
        buffer.put_slice(self.user.as_bytes());
        buffer.put_slice(&self.body);
        let checksum = crc32c::crc32c(&buffer);
        buffer.put_u32_le(checksum);
        buffer.freeze()
    }

    /// How many bytes [`CommandEnvelope::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        FIXED_BYTES
            + encoded_len_varint(self.request_id.sequence)
            + encoded_len_varint(self.log_time_ms)
            + encoded_len_varint(self.auth_revision)
            + encoded_len_varint(self.session)
            + encoded_len_varint(self.session_sequence)
            + encoded_len_varint(self.user.len() as u64)
            + self.user.len()
            + self.body.len()
            + CHECKSUM_BYTES
    }

    /// Reads an envelope back; the body shares `bytes`.
    ///
    /// # Errors
    /// When the checksum does not match, or the version or kind is unknown.
    pub fn decode(bytes: &Bytes) -> Result<CommandEnvelope, EnvelopeError> {
        let content_len = bytes
            .len()
            .checked_sub(CHECKSUM_BYTES)
            .ok_or(EnvelopeError::Damaged)?;
        let (content, checksum) = bytes.split_at(content_len);
        if checksum != crc32c::crc32c(content).to_le_bytes() {
            return Err(EnvelopeError::Damaged);
        }
        let request_id = peek_request_id(bytes)?;
        let kind = CommandKind::from_number(u32::from(content[1]))
            .ok_or(EnvelopeError::UnknownKind(content[1]))?;
        let mut rest = &content[FIXED_BYTES..];
        let mut varint = || decode_varint(&mut rest).map_err(|_| EnvelopeError::Damaged);
        varint()?; // the sequence, which `peek_request_id` has read
        let log_time_ms = varint()?;
        let auth_revision = varint()?;
        let session = varint()?;
        let session_sequence = varint()?;
        let user_len = usize::try_from(varint()?).map_err(|_| EnvelopeError::Damaged)?;
        let user = rest.get(..user_len).ok_or(EnvelopeError::Damaged)?;
        let user = std::str::from_utf8(user)
            .map_err(|_| EnvelopeError::Damaged)?
            .to_owned();
        let body_start = content_len - (rest.len() - user_len);
        Ok(CommandEnvelope {
            request_id,
            kind,
            log_time_ms,
            user,
            auth_revision,
            session,
            session_sequence,
            body: bytes.slice(body_start..content_len),
        })
    }
}

/// The kind of a command, if it is one that this binary knows; the checksum is not looked at, so it is
/// for whoever decides nothing by it that damage could make worse.
pub fn peek_kind(bytes: &[u8]) -> Option<CommandKind> {
    match bytes {
        [VERSION, kind, ..] => CommandKind::from_number(u32::from(*kind)),
        _ => None,
    }
}

/// Reads only the request id, without checking the checksum: for a node that looks for its own
/// requests among entries whose bytes it has checked elsewhere.
///
/// # Errors
/// When the bytes end early or the version is unknown.
pub fn peek_request_id(bytes: &[u8]) -> Result<RequestId, EnvelopeError> {
    let fixed = bytes.get(..FIXED_BYTES).ok_or(EnvelopeError::Damaged)?;
    if fixed[0] != VERSION {
        return Err(EnvelopeError::UnknownVersion(fixed[0]));
    }
    let member = u64::from_le_bytes(
        fixed[2..10]
            .try_into()
            .map_err(|_| EnvelopeError::Damaged)?,
    );
    let nonce = u32::from_le_bytes(
        fixed[10..14]
            .try_into()
            .map_err(|_| EnvelopeError::Damaged)?,
    );
    let sequence = decode_varint(&mut &bytes[FIXED_BYTES..]).map_err(|_| EnvelopeError::Damaged)?;
    Ok(RequestId {
        member,
        boot_nonce: nonce,
        sequence,
    })
}

#[cfg(test)]
mod tests;
