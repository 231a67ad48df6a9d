//! Between messages and the bytes that peers exchange.
//!
//! A frame is the unit on a link: a checksum over a payload of messages. The same bytes go over
//! sockets and through the simulator. What comes from a peer is input from outside: it is
//! checked and refused with a reason, never trusted to be well-formed.

mod lease_messages;
mod raft_messages;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::peer;
use quorate_proto::peer::forward_refused::Reason;
use quorate_proto::peer::peer_message::Body;
use quorate_raft::Message;
use quorate_raft::limits::MAX_NUMBER;

use crate::entry_format::EntryError;
use crate::lease_questions::{LeaseOutcome, LeaseQuestion};
use crate::limits::{
    MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES, MAX_INCOMING_FRAME_BYTES, MAX_MESSAGES_PER_FRAME,
};
use crate::members::MemberError;
use lease_messages::{answers_from_wire, answers_to_wire, questions_from_wire, questions_to_wire};
use raft_messages::{raft_from_wire, raft_to_wire};

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
    /// What clients of the speaker ask about leases, for the leader.
    LeaseQuestions {
        /// The speaker's boot.
        boot_nonce: u32,
        /// At most [`MAX_LEASES_PER_MESSAGE`](crate::limits::MAX_LEASES_PER_MESSAGE).
        questions: Vec<LeaseQuestion>,
    },
    /// The leader's answers.
    LeaseAnswers {
        /// The boot of the receiver that has asked.
        boot_nonce: u32,
        /// By the sequences of the questions; as many at most.
        answers: Vec<(u64, LeaseOutcome)>,
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
    /// Some member may not know such a command.
    NotCapable,
    /// A change of the members that is not made.
    Members(MemberError),
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
        } => Body::ForwardRefused(peer::ForwardRefused {
            reason: reason_to_wire(reason).into(),
            boot_nonce,
            sequences,
        }),
        PeerMessage::LeaseQuestions {
            boot_nonce,
            questions,
        } => questions_to_wire(boot_nonce, questions),
        PeerMessage::LeaseAnswers {
            boot_nonce,
            answers,
        } => answers_to_wire(boot_nonce, answers),
    };
    peer::PeerMessage {
        group_id: GROUP_ID,
        body: Some(body),
    }
}

fn reason_to_wire(reason: RefusalReason) -> Reason {
    match reason {
        RefusalReason::NotLeader => Reason::NotLeader,
        RefusalReason::Overloaded => Reason::Overloaded,
        RefusalReason::Illegal => Reason::Illegal,
        RefusalReason::NotCapable => Reason::NotCapable,
        RefusalReason::Members(error) => match error {
            MemberError::NotFound => Reason::MemberNotFound,
            MemberError::Exists => Reason::MemberExists,
            MemberError::PeerUrlsExist => Reason::PeerUrlsExist,
            MemberError::LearnerNotReady => Reason::LearnerNotReady,
            MemberError::NotLearner => Reason::MemberNotLearner,
            MemberError::TooManyLearners => Reason::TooManyLearners,
            MemberError::TooManyMembers => Reason::TooManyMembers,
            MemberError::NotEnoughStarted => Reason::NotEnoughStarted,
            MemberError::Unhealthy => Reason::Unhealthy,
            MemberError::UnderWay => Reason::ChangeUnderWay,
        },
    }
}

fn reason_from_wire(reason: Reason) -> RefusalReason {
    RefusalReason::Members(match reason {
        Reason::NotLeader => return RefusalReason::NotLeader,
        Reason::Overloaded => return RefusalReason::Overloaded,
        Reason::Illegal => return RefusalReason::Illegal,
        Reason::NotCapable => return RefusalReason::NotCapable,
        Reason::MemberNotFound => MemberError::NotFound,
        Reason::MemberExists => MemberError::Exists,
        Reason::PeerUrlsExist => MemberError::PeerUrlsExist,
        Reason::LearnerNotReady => MemberError::LearnerNotReady,
        Reason::MemberNotLearner => MemberError::NotLearner,
        Reason::TooManyLearners => MemberError::TooManyLearners,
        Reason::TooManyMembers => MemberError::TooManyMembers,
        Reason::NotEnoughStarted => MemberError::NotEnoughStarted,
        Reason::Unhealthy => MemberError::Unhealthy,
        Reason::ChangeUnderWay => MemberError::UnderWay,
    })
}

fn forwarded_to_wire(proposal: ForwardedProposal) -> peer::ForwardedProposal {
    peer::ForwardedProposal {
        boot_nonce: proposal.boot_nonce,
        sequence: proposal.sequence,
        kind: proposal.kind as u32,
        body: proposal.body,
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
            reason: reason_from_wire(refused.reason()),
            boot_nonce: refused.boot_nonce,
            sequences: refused.sequences,
        },
        Body::LeaseQuestions(questions) => questions_from_wire(questions)?,
        Body::LeaseAnswers(answers) => answers_from_wire(answers)?,
        body => PeerMessage::Raft(raft_from_wire(body)?),
    })
}

fn forwarded_from_wire(proposal: peer::ForwardedProposal) -> Result<ForwardedProposal, WireError> {
    let kind = CommandKind::from_number(proposal.kind).ok_or(WireError::Illegal)?;
    // Sequence 0, the cluster version and the members' table are a leader's own: none is ever
    // forwarded, and the first would get past the windows that keep a request from being applied
    // twice.
    let is_leaders_own = matches!(kind, CommandKind::ClusterVersion | CommandKind::MemberTable);
    if is_leaders_own || proposal.sequence == 0 {
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

#[cfg(test)]
mod tests;
