//! What an entry asks for: the body of its envelope, by its kind.

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::Command;
use quorate_proto::envelope::CommandKind;
use quorate_proto::peer;

/// What the body of an envelope is.
pub(super) enum Decoded {
    Store(Command),
    ClusterVersion(u32),
    MemberUpdate(peer::MemberUpdate),
    /// A sound envelope around a body that no version of its kind can be. It is passed over, on
    /// every member alike.
    Illegal,
}

/// Decodes the body of an envelope.
pub(super) fn decode_command(kind: CommandKind, body: &Bytes) -> Decoded {
    use quorate_proto::etcdserverpb as pb;
    let body = body.clone();
    let command = match kind {
        CommandKind::Put => pb::PutRequest::decode(body).map(Command::Put),
        CommandKind::DeleteRange => pb::DeleteRangeRequest::decode(body).map(Command::DeleteRange),
        CommandKind::Txn => pb::TxnRequest::decode(body).map(Command::Txn),
        CommandKind::Compact => pb::CompactionRequest::decode(body).map(Command::Compact),
        CommandKind::LeaseGrant => pb::LeaseGrantRequest::decode(body).map(Command::LeaseGrant),
        CommandKind::LeaseRevoke => pb::LeaseRevokeRequest::decode(body).map(Command::LeaseRevoke),
        CommandKind::LeaseCheckpoint => {
            pb::LeaseCheckpointRequest::decode(body).map(Command::LeaseCheckpoint)
        }
        CommandKind::Alarm => pb::AlarmRequest::decode(body).map(Command::Alarm),
        CommandKind::MemberUpdate => {
            let update = peer::MemberUpdate::decode(body);
            return update.map_or(Decoded::Illegal, Decoded::MemberUpdate);
        }
        // Neither stands in the log by itself.
        CommandKind::MemberChange | CommandKind::MemberTable => return Decoded::Illegal,
        CommandKind::ClusterVersion => {
            return match <[u8; 4]>::try_from(&body[..]) {
                Ok(bytes) => Decoded::ClusterVersion(u32::from_le_bytes(bytes)),
                Err(_) => Decoded::Illegal,
            };
        }
    };
    command.map_or(Decoded::Illegal, Decoded::Store)
}
