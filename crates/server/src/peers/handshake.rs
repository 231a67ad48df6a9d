//! The first words on a link: who is speaking, to whom, and in which versions.

use quorate_proto::peer::{Frame, Handshake};
use quorate_raft::NodeId;
use quorate_replica::{LOWEST_PROTOCOL_VERSION, TooNew, wire};

use super::refusals::shortened;
use crate::core::MemberIdentity;
use crate::members::{Members, Standing};

/// What a member that was removed hears, and stops at.
pub(super) const REMOVED: &str = "the member has been permanently removed from the cluster";

/// Our handshake, for a link to `receiver`.
pub(super) fn ours(
    identity: &MemberIdentity,
    cluster_version: u32,
    client_urls: &[String],
    receiver: u64,
    refusal: String,
) -> Frame {
    wire::encode_handshake(of(
        identity,
        cluster_version,
        client_urls,
        receiver,
        refusal,
    ))
}

/// The same as a message.
pub(super) fn of(
    identity: &MemberIdentity,
    cluster_version: u32,
    client_urls: &[String],
    receiver: u64,
    refusal: String,
) -> Handshake {
    Handshake {
        cluster_id: identity.cluster_id,
        member_id: identity.member_id,
        boot_nonce: identity.boot_nonce,
        lowest_protocol_version: LOWEST_PROTOCOL_VERSION,
        highest_protocol_version: identity.highest_version,
        refusal,
        receiver_id: receiver,
        client_urls: client_urls.to_vec(),
        cluster_version,
        began_with: identity.began_with,
    }
}

/// Whether a peer of this cluster goes by a version that this member does not speak.
pub(super) fn outgrows(identity: &MemberIdentity, theirs: &Handshake) -> Option<TooNew> {
    let (needed, highest) = (theirs.cluster_version, identity.highest_version);
    let is_ours = theirs.cluster_id == identity.cluster_id;
    (is_ours && needed > highest).then_some(TooNew { needed, highest })
}

/// Checks the other side's handshake: which member it is, or why it is refused. The version in force here
/// is what it must speak: it would be given what it does not know, in the log or as a snapshot.
pub(super) fn check(
    identity: &MemberIdentity,
    cluster_version: u32,
    members: &Members,
    theirs: &Handshake,
) -> Result<NodeId, String> {
    if !theirs.refusal.is_empty() {
        return Err(format!("the peer refuses: {}", shortened(&theirs.refusal)));
    }
    if theirs.cluster_id != identity.cluster_id {
        return Err(format!(
            "cluster ID mismatch: {:x} is not our cluster {:x}; compare --initial-cluster and \
             --initial-cluster-token of both",
            theirs.cluster_id, identity.cluster_id
        ));
    }
    if theirs.receiver_id != identity.member_id {
        return Err(format!(
            "it wants member {:x}, this is member {:x}; compare the peer URLs of both",
            theirs.receiver_id, identity.member_id
        ));
    }
    let standing = members.standing(NodeId(theirs.member_id));
    if standing == Standing::Removed {
        return Err(REMOVED.to_owned());
    }
    if standing == Standing::Stranger || theirs.member_id == identity.member_id {
        return Err(format!(
            "member {:x} is not one of our peers",
            theirs.member_id
        ));
    }
    let (began, others) = (identity.began_with, theirs.began_with);
    if began != others && began != 0 && others != 0 {
        return Err(format!(
            "member {:x} did not begin with what this one began with: all members of a restored cluster must be \
             restored from one backup with the same flags; stop it, and restore it from that backup, or remove it and \
             add it anew",
            theirs.member_id
        ));
    }
    let highest = identity.highest_version;
    let versions_meet = theirs.lowest_protocol_version <= highest
        && theirs.highest_protocol_version >= LOWEST_PROTOCOL_VERSION;
    if !versions_meet {
        return Err(format!(
            "it speaks protocol versions {} to {}, this node {LOWEST_PROTOCOL_VERSION} to \
             {highest}; upgrade one version at a time",
            theirs.lowest_protocol_version, theirs.highest_protocol_version
        ));
    }
    if theirs.highest_protocol_version < cluster_version {
        return Err(format!(
            "the cluster goes by protocol version {cluster_version}, and member {:x} speaks at most \
             {}: start a newer quorate there (docs/upgrading.md)",
            theirs.member_id, theirs.highest_protocol_version
        ));
    }
    if let Some(too_new) = outgrows(identity, theirs) {
        return Err(format!("the cluster needs {too_new}"));
    }
    Ok(NodeId(theirs.member_id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quorate_replica::MemberTable;

    use super::*;

    fn identity(member_id: u64) -> MemberIdentity {
        MemberIdentity {
            cluster_id: 9,
            member_id,
            boot_nonce: 1,
            highest_version: 2,
            began_with: 7,
        }
    }

    fn theirs(change: impl Fn(&mut Handshake)) -> Result<NodeId, String> {
        let frame = ours(&identity(2), 2, &[], 1, String::new());
        let mut handshake = wire::decode_handshake(&frame).expect("sound");
        change(&mut handshake);
        let three = MemberTable::of_voters([1, 2, 3, 4]);
        let (mut removed, founders) = (three.to_wire(), MemberTable::of_voters([1, 2]));
        removed
            .members
            .retain(|member| member.id == 1 || member.id == 2);
        removed.removed.push(4);
        let table = MemberTable::from_wire(&removed).expect("sound");
        let members = Members::new(1, founders, MemberTable::default());
        let membership = table.membership();
        members.set_applied(&Arc::new(table), &membership);
        check(&identity(1), 2, &members, &handshake)
    }

    #[test]
    fn a_peer_is_known_by_its_handshake_and_anyone_else_is_told_why_not() {
        assert_eq!(theirs(|_| {}), Ok(NodeId(2)));
        let refused = |change: fn(&mut Handshake)| theirs(change).expect_err("refused");
        assert!(refused(|h| h.cluster_id = 8).contains("cluster ID mismatch"));
        assert!(refused(|h| h.member_id = 3).contains("not one of our peers"));
        assert_eq!(refused(|h| h.member_id = 4), REMOVED);
        assert!(refused(|h| h.member_id = 1).contains("not one of our peers"));
        assert!(refused(|h| h.receiver_id = 2).contains("wants member 2"));
        assert!(refused(|h| h.began_with = 1).contains("restored from one backup"));
        assert_eq!(theirs(|h| h.began_with = 0), Ok(NodeId(2)), "it joined");
        assert!(refused(|h| h.lowest_protocol_version = 99).contains("versions 99"));
        assert!(refused(|h| h.highest_protocol_version = 0).contains("versions 1 to 0"));
        let too_old = refused(|h| h.highest_protocol_version = 1);
        assert!(too_old.contains("goes by protocol version 2, and member 2 speaks at most 1"));
        let too_new = refused(|h| h.cluster_version = 3);
        assert!(too_new.contains("needs protocol version 3, and this quorate speaks at most 2"));
        assert!(refused(|h| h.refusal = "no".to_owned()).contains("refuses: no"));
    }
}
