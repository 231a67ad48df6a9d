//! The payload of a log entry as bytes: the same on the wire and in the log.
//!
//! An entry is a kind and data. Both come back from a peer or a disk, so both are checked before
//! they become a [`Payload`]: what is not understood is refused, never passed on as something
//! else.

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer;
use quorate_raft::{Membership, NodeId, Payload};

/// The number of an empty entry on the wire and in the log.
const ENTRY_KIND_EMPTY: u8 = 0;

/// The number of an entry that carries a command.
const ENTRY_KIND_COMMAND: u8 = 1;

/// The number of an entry that carries a membership.
const ENTRY_KIND_MEMBERSHIP: u8 = 2;

/// Why the bytes of an entry are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A kind that this version does not know: a newer one wrote it.
    #[error("an entry of unknown kind {kind}")]
    UnknownKind {
        /// The kind.
        kind: u32,
    },
    /// An empty entry that is not empty.
    #[error("an empty entry with data")]
    NotEmpty,
    /// The bytes of a membership are none.
    #[error("a membership that cannot be decoded")]
    UndecodableMembership,
    /// A membership that may not stand in a log.
    #[error("{what}")]
    IllegalMembership {
        /// What is wrong with it.
        what: &'static str,
    },
}

/// An entry's payload as kind and bytes.
pub(crate) fn entry_parts(payload: Payload) -> (u8, Bytes) {
    match payload {
        Payload::Empty => (ENTRY_KIND_EMPTY, Bytes::new()),
        Payload::Command(bytes) => (ENTRY_KIND_COMMAND, bytes),
        Payload::Membership {
            membership,
            context,
        } => {
            let bytes = encode_membership(&membership, context);
            (ENTRY_KIND_MEMBERSHIP, bytes.into())
        }
    }
}

/// A membership and the context of its entry, as they stand in a log and in a snapshot's head.
pub(crate) fn encode_membership(membership: &Membership, context: Bytes) -> Vec<u8> {
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
    let entry = peer::MembershipEntry {
        voters: numbers(&membership.voters),
        voters_outgoing: numbers(&membership.voters_outgoing),
        learners: numbers(&membership.learners),
        context,
    };
    entry.encode_to_vec()
}

/// The payload of that kind with those bytes.
///
/// # Errors
/// When there is none.
pub(crate) fn entry_payload(kind: u32, data: Bytes) -> Result<Payload, EntryError> {
    match u8::try_from(kind) {
        Ok(ENTRY_KIND_EMPTY) if data.is_empty() => Ok(Payload::Empty),
        Ok(ENTRY_KIND_EMPTY) => Err(EntryError::NotEmpty),
        Ok(ENTRY_KIND_COMMAND) => Ok(Payload::Command(data)),
        Ok(ENTRY_KIND_MEMBERSHIP) => membership_payload(data),
        _ => Err(EntryError::UnknownKind { kind }),
    }
}

fn membership_payload(data: Bytes) -> Result<Payload, EntryError> {
    let (membership, context) = decode_membership(data)?;
    Ok(Payload::Membership {
        membership: Box::new(membership),
        context,
    })
}

/// What [`encode_membership`] wrote.
pub(crate) fn decode_membership(data: Bytes) -> Result<(Membership, Bytes), EntryError> {
    let entry =
        peer::MembershipEntry::decode(data).map_err(|_| EntryError::UndecodableMembership)?;
    let ids = |numbers: Vec<u64>| numbers.into_iter().map(NodeId).collect();
    let membership = Membership {
        voters: ids(entry.voters),
        voters_outgoing: ids(entry.voters_outgoing),
        learners: ids(entry.learners),
    };
    membership
        .check()
        .map_err(|what| EntryError::IllegalMembership { what })?;
    // A copy, so that a few bytes do not keep the whole frame that they came in.
    Ok((membership, Bytes::copy_from_slice(&entry.context)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    fn joint() -> Payload {
        Payload::Membership {
            membership: Box::new(Membership {
                voters: ids(&[1, 2, u64::MAX]),
                voters_outgoing: ids(&[1, 2, 3]),
                learners: ids(&[9]),
            }),
            context: Bytes::from_static(b"who asked"),
        }
    }

    fn encoded(change: fn(&mut peer::MembershipEntry)) -> Bytes {
        let mut entry = peer::MembershipEntry {
            voters: vec![1, 2],
            ..Default::default()
        };
        change(&mut entry);
        entry.encode_to_vec().into()
    }

    #[test]
    fn every_kind_of_payload_comes_back_as_it_was() {
        let payloads = [
            Payload::Empty,
            Payload::Command(Bytes::new()),
            Payload::Command(Bytes::from_static(b"put")),
            joint(),
            Payload::Membership {
                membership: Box::new(Membership::new(ids(&[7]), Vec::new())),
                context: Bytes::new(),
            },
        ];
        for payload in payloads {
            let (kind, data) = entry_parts(payload.clone());
            assert_eq!(entry_payload(u32::from(kind), data), Ok(payload));
        }
    }

    #[test]
    fn a_membership_cut_short_or_flipped_is_refused_or_sound_and_never_panics() {
        let (_, data) = entry_parts(joint());
        let mut refused = 0;
        for length in 0..data.len() {
            let result = entry_payload(2, data.slice(..length));
            refused += usize::from(result.is_err());
        }
        // It is not refused where a field ends: checksums are for that.
        assert!(refused > data.len() / 2, "{refused} of {}", data.len());
        for bit in 0..data.len() * 8 {
            let mut flipped = data.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Payload::Membership { membership, .. }) = entry_payload(2, flipped.into()) {
                assert_eq!(membership.check(), Ok(()));
            }
        }
    }

    #[test]
    fn what_may_not_stand_in_a_log_is_refused_by_name() {
        let what = |data| match entry_payload(2, data) {
            Err(EntryError::IllegalMembership { what }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(what(Bytes::new()), "a membership without voters");
        assert_eq!(
            what(encoded(|m| m.voters = vec![2, 1])),
            "a membership out of order"
        );
        assert_eq!(
            what(encoded(|m| m.voters = vec![0, 1])),
            "a membership with node 0"
        );
        assert_eq!(
            what(encoded(|m| m.learners = vec![2])),
            "a membership with a learner that votes"
        );
        assert_eq!(
            what(encoded(|m| m.voters = (1..1000).collect())),
            "a membership of too many nodes"
        );
        assert_eq!(
            entry_payload(2, Bytes::from_static(b"\xff")),
            Err(EntryError::UndecodableMembership)
        );
        assert_eq!(
            entry_payload(0, Bytes::from_static(b"x")),
            Err(EntryError::NotEmpty)
        );
        for kind in [3, 255, 256, 258, u32::MAX] {
            assert_eq!(
                entry_payload(kind, Bytes::new()),
                Err(EntryError::UnknownKind { kind })
            );
        }
    }
}
