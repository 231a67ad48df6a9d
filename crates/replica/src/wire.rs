//! Between messages and the bytes that peers exchange.
//!
//! A frame is the unit on a link: a checksum over a payload of messages. The same bytes go over
//! sockets and through the simulator. What comes from a peer is input from outside: it is
//! checked and refused with a reason, never trusted to be well-formed.

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::peer;
use quorate_proto::peer::forward_refused::Reason;
use quorate_proto::peer::peer_message::Body;
use quorate_raft::limits::MAX_NUMBER;
use quorate_raft::{Entry, LogIndex, Message, Term};

use crate::entry_format::{EntryError, entry_parts, entry_payload};
use crate::limits::{
    MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES, MAX_INCOMING_FRAME_BYTES, MAX_MESSAGES_PER_FRAME,
};

/// The Raft group that messages belong to; there is one.
pub const GROUP_ID: u32 = 0;

/// What one member says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// Consensus.
    Raft(Message),
    /// Proposals that a follower took, for the leader.
    Forward(Vec<ForwardedProposal>),
    /// Forwarded proposals that were not appended and never will be by the speaker.
    ForwardRefused {
        /// Why.
        reason: RefusalReason,
        /// The boot of the receiver that the proposals belong to.
        boot_nonce: u32,
        /// Which ones.
        sequences: Vec<u64>,
    },
}

/// A proposal on its way from a follower to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedProposal {
    /// The boot of the follower that took it.
    pub boot_nonce: u32,
    /// Its sequence in that boot.
    pub sequence: u64,
    /// What the body is.
    pub kind: CommandKind,
    /// The encoded command.
    pub body: Bytes,
}

/// Why a leader did not take forwarded proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// It is not leader.
    NotLeader,
    /// Its log takes no more for now.
    Overloaded,
    /// The log will never take it: too large.
    Illegal,
}

/// Why bytes from a peer were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The checksum does not match the payload.
    #[error("a frame's checksum does not match its bytes")]
    Checksum,
    /// The payload is not what the protocol says.
    #[error("a frame cannot be decoded")]
    Undecodable,
    /// A message without a body, with an unknown kind, or with numbers that cannot be.
    #[error("a frame holds an illegal message")]
    Illegal,
    /// An entry that cannot stand in a log.
    #[error("a frame holds an illegal entry: {0}")]
    Entry(#[from] EntryError),
    /// Larger than any frame may be.
    #[error(
        "a frame is larger than {MAX_INCOMING_FRAME_BYTES} bytes or has over {MAX_MESSAGES_PER_FRAME} messages"
    )]
    TooLarge,
    /// A link begins with something else.
    #[error("the first frame on a link is no handshake")]
    NoHandshake,
    /// For a Raft group that this node does not have.
    #[error("a message is for an unknown group")]
    UnknownGroup,
}

/// Packs messages into frames of at most [`MAX_FRAME_BYTES`], or of one message.
pub fn encode_messages(messages: Vec<PeerMessage>) -> Vec<peer::Frame> {
    let mut frames = Vec::new();
    let mut packed = Vec::new();
    let mut packed_bytes = 0;
    for message in messages {
        let message = to_wire(message);
        let bytes = message.encoded_len();
        let full = packed_bytes + bytes > MAX_FRAME_BYTES || packed.len() == MAX_MESSAGES_PER_FRAME;
        if !packed.is_empty() && full {
            frames.push(seal(None, std::mem::take(&mut packed)));
            packed_bytes = 0;
        }
        packed.push(message);
        packed_bytes += bytes;
    }
    if !packed.is_empty() {
        frames.push(seal(None, packed));
    }
    frames
}

/// The frame that opens a link.
pub fn encode_handshake(handshake: peer::Handshake) -> peer::Frame {
    seal(Some(handshake), Vec::new())
}

fn seal(handshake: Option<peer::Handshake>, messages: Vec<peer::PeerMessage>) -> peer::Frame {
    let payload = Bytes::from(
        peer::Payload {
            handshake,
            messages,
        }
        .encode_to_vec(),
    );
    peer::Frame {
        checksum: crc32c::crc32c(&payload),
        payload,
    }
}

/// Reads the frame that opens a link.
///
/// # Errors
/// When it is anything but a handshake.
pub fn decode_handshake(frame: &peer::Frame) -> Result<peer::Handshake, WireError> {
    if frame.payload.len() > MAX_HANDSHAKE_BYTES {
        return Err(WireError::TooLarge);
    }
    match decode_frame(frame)? {
        (Some(handshake), messages) if messages.is_empty() => Ok(handshake),
        _ => Err(WireError::NoHandshake),
    }
}

/// Reads a frame: the handshake if it carries one, and its messages.
///
/// # Errors
/// When anything in it is not as the protocol says; the link is then not to be trusted.
pub fn decode_frame(
    frame: &peer::Frame,
) -> Result<(Option<peer::Handshake>, Vec<PeerMessage>), WireError> {
    if frame.payload.len() > MAX_INCOMING_FRAME_BYTES {
        return Err(WireError::TooLarge);
    }
    if crc32c::crc32c(&frame.payload) != frame.checksum {
        return Err(WireError::Checksum);
    }
    let payload =
        peer::Payload::decode(frame.payload.clone()).map_err(|_| WireError::Undecodable)?;
    if payload.messages.len() > MAX_MESSAGES_PER_FRAME {
        return Err(WireError::TooLarge);
    }
    let messages = payload
        .messages
        .into_iter()
        .map(from_wire)
        .collect::<Result<_, _>>()?;
    Ok((payload.handshake, messages))
}

fn to_wire(message: PeerMessage) -> peer::PeerMessage {
    let body = match message {
        PeerMessage::Raft(message) => raft_to_wire(message),
        PeerMessage::Forward(proposals) => Body::Forward(peer::Forward {
            proposals: proposals.into_iter().map(forwarded_to_wire).collect(),
        }),
        PeerMessage::ForwardRefused {
            reason,
            boot_nonce,
            sequences,
        } => {
            let reason = match reason {
                RefusalReason::NotLeader => Reason::NotLeader,
                RefusalReason::Overloaded => Reason::Overloaded,
                RefusalReason::Illegal => Reason::Illegal,
            };
            Body::ForwardRefused(peer::ForwardRefused {
                reason: reason.into(),
                boot_nonce,
                sequences,
            })
        }
    };
    peer::PeerMessage {
        group_id: GROUP_ID,
        body: Some(body),
    }
}

fn forwarded_to_wire(proposal: ForwardedProposal) -> peer::ForwardedProposal {
    peer::ForwardedProposal {
        boot_nonce: proposal.boot_nonce,
        sequence: proposal.sequence,
        kind: proposal.kind as u32,
        body: proposal.body,
    }
}

fn raft_to_wire(message: Message) -> Body {
    match message {
        Message::RequestVote {
            term,
            last_index,
            last_term,
            pre,
            transfer,
        } => Body::RequestVote(peer::RequestVote {
            term: term.0,
            last_index: last_index.0,
            last_term: last_term.0,
            pre,
            transfer,
        }),
        Message::Vote { term, granted, pre } => Body::Vote(peer::Vote {
            term: term.0,
            granted,
            pre,
        }),
        Message::Append {
            term,
            previous_index,
            previous_term,
            commit,
            entries,
            round,
        } => Body::Append(peer::Append {
            term: term.0,
            previous_index: previous_index.0,
            previous_term: previous_term.0,
            commit: commit.0,
            entries: entries.into_iter().map(entry_to_wire).collect(),
            round,
        }),
        Message::AppendAccepted {
            term,
            matched,
            round,
        } => Body::AppendAccepted(peer::AppendAccepted {
            term: term.0,
            matched: matched.0,
            round,
        }),
        Message::AppendRejected {
            term,
            previous_index,
            hint_index,
            hint_term,
            round,
        } => Body::AppendRejected(peer::AppendRejected {
            term: term.0,
            previous_index: previous_index.0,
            hint_index: hint_index.0,
            hint_term: hint_term.0,
            round,
        }),
        Message::SnapshotOffer {
            term,
            index,
            snapshot_term,
            round,
        } => Body::SnapshotOffer(peer::SnapshotOffer {
            term: term.0,
            index: index.0,
            snapshot_term: snapshot_term.0,
            round,
        }),
        Message::TimeoutNow { term } => Body::TimeoutNow(peer::TimeoutNow { term: term.0 }),
        Message::ReadIndexRequest { term, sequence } => {
            Body::ReadIndexRequest(peer::ReadIndexRequest {
                term: term.0,
                sequence,
            })
        }
        Message::ReadIndexResponse {
            term,
            sequence,
            index,
        } => Body::ReadIndexResponse(peer::ReadIndexResponse {
            term: term.0,
            sequence,
            index: index.map(|index| index.0),
        }),
    }
}

fn entry_to_wire(entry: Entry) -> peer::Entry {
    let (kind, data) = entry_parts(entry.payload);
    peer::Entry {
        term: entry.term.0,
        kind: u32::from(kind),
        data,
    }
}

fn from_wire(message: peer::PeerMessage) -> Result<PeerMessage, WireError> {
    if message.group_id != GROUP_ID {
        return Err(WireError::UnknownGroup);
    }
    Ok(match message.body.ok_or(WireError::Illegal)? {
        Body::Forward(forward) => PeerMessage::Forward(
            forward
                .proposals
                .into_iter()
                .map(forwarded_from_wire)
                .collect::<Result<_, _>>()?,
        ),
        Body::ForwardRefused(refused) => PeerMessage::ForwardRefused {
            reason: match refused.reason() {
                Reason::NotLeader => RefusalReason::NotLeader,
                Reason::Overloaded => RefusalReason::Overloaded,
                Reason::Illegal => RefusalReason::Illegal,
            },
            boot_nonce: refused.boot_nonce,
            sequences: refused.sequences,
        },
        body => PeerMessage::Raft(raft_from_wire(body)?),
    })
}

fn forwarded_from_wire(proposal: peer::ForwardedProposal) -> Result<ForwardedProposal, WireError> {
    let kind = CommandKind::from_number(proposal.kind).ok_or(WireError::Illegal)?;
    // Sequence 0 and the cluster version are a leader's own: neither is ever forwarded, and the
    // first would get past the windows that keep a request from being applied twice.
    if kind == CommandKind::ClusterVersion || proposal.sequence == 0 {
        return Err(WireError::Illegal);
    }
    Ok(ForwardedProposal {
        boot_nonce: proposal.boot_nonce,
        sequence: number(proposal.sequence)?,
        kind,
        body: proposal.body,
    })
}

/// A number that may be counted on from without overflow. No cluster reaches a greater one, so
/// whoever sends one is broken or hostile.
fn number(value: u64) -> Result<u64, WireError> {
    if value > MAX_NUMBER {
        return Err(WireError::Illegal);
    }
    Ok(value)
}

fn index(value: u64) -> Result<LogIndex, WireError> {
    number(value).map(LogIndex)
}

fn term(value: u64) -> Result<Term, WireError> {
    number(value).map(Term)
}

fn raft_from_wire(body: Body) -> Result<Message, WireError> {
    Ok(match body {
        Body::RequestVote(m) => Message::RequestVote {
            term: term(m.term)?,
            last_index: index(m.last_index)?,
            last_term: term(m.last_term)?,
            pre: m.pre,
            transfer: m.transfer,
        },
        Body::Vote(m) => Message::Vote {
            term: term(m.term)?,
            granted: m.granted,
            pre: m.pre,
        },
        Body::Append(m) => append_from_wire(m)?,
        Body::AppendAccepted(m) => Message::AppendAccepted {
            term: term(m.term)?,
            matched: index(m.matched)?,
            round: number(m.round)?,
        },
        Body::AppendRejected(m) => Message::AppendRejected {
            term: term(m.term)?,
            previous_index: index(m.previous_index)?,
            hint_index: index(m.hint_index)?,
            hint_term: term(m.hint_term)?,
            round: number(m.round)?,
        },
        Body::SnapshotOffer(m) => Message::SnapshotOffer {
            term: term(m.term)?,
            index: index(m.index)?,
            snapshot_term: term(m.snapshot_term)?,
            round: number(m.round)?,
        },
        Body::TimeoutNow(m) => Message::TimeoutNow {
            term: term(m.term)?,
        },
        Body::ReadIndexRequest(m) => Message::ReadIndexRequest {
            term: term(m.term)?,
            sequence: m.sequence,
        },
        Body::ReadIndexResponse(m) => Message::ReadIndexResponse {
            term: term(m.term)?,
            sequence: m.sequence,
            index: m.index.map(index).transpose()?,
        },
        Body::Forward(_) | Body::ForwardRefused(_) => return Err(WireError::Illegal),
    })
}

fn append_from_wire(append: peer::Append) -> Result<Message, WireError> {
    let previous_index = index(append.previous_index)?;
    let count = append.entries.len() as u64;
    let indexes = (previous_index.0 + 1..).take(append.entries.len());
    number(previous_index.0 + count)?;
    let entries = indexes
        .zip(append.entries)
        .map(|(at, entry)| {
            let payload = entry_payload(entry.kind, entry.data)?;
            Ok(Entry {
                index: LogIndex(at),
                term: term(entry.term)?,
                payload,
            })
        })
        .collect::<Result<_, WireError>>()?;
    Ok(Message::Append {
        term: term(append.term)?,
        previous_index,
        previous_term: term(append.previous_term)?,
        commit: index(append.commit)?,
        entries,
        round: number(append.round)?,
    })
}

#[cfg(test)]
mod tests;
