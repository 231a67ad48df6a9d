//! Which members differ: what is made of the hashes that members have of one revision.
//!
//! Pure. Members are compared by [`quorate_kv::KvHash`], which is made anew from what each holds in memory, so
//! that a bit that fell over is seen as well as a wrong step. Hashes are of use only where revision and compacted
//! revision are equal; whoever has compacted further, or not so far, is compared at another time.
//!
//! Who is wrong is what a majority of the voters says (etcd 3.5.5: `server/etcdserver/corrupt.go`). If none has a
//! majority, members differ and nobody can say who is wrong: the alarm goes to member 0.

/// What one member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberHash {
    /// Who says it.
    pub member: u64,
    /// Whether it votes: learners are judged, and do not judge.
    pub votes: bool,
    /// The hash.
    pub hash: u32,
    /// Up to which revision was hashed.
    pub hash_revision: i64,
    /// From which on.
    pub compact_revision: i64,
}

/// Stands for the members that differ when nobody can say which of them is wrong.
pub const UNKNOWN_MEMBER: u64 = 0;

/// The members that are corrupt, ascending: those whose hash differs from that of a majority of all `voters`;
/// [`UNKNOWN_MEMBER`] where no hash has one; none where all that can be compared with the first are equal.
pub fn corrupt_members(hashes: &[MemberHash], voters: usize) -> Vec<u64> {
    let Some(first) = hashes.first() else {
        return Vec::new();
    };
    let is_comparable = |other: &&MemberHash| {
        other.hash_revision == first.hash_revision
            && other.compact_revision == first.compact_revision
    };
    let comparable: Vec<&MemberHash> = hashes.iter().filter(is_comparable).collect();
    if comparable.iter().all(|other| other.hash == first.hash) {
        return Vec::new();
    }
    let votes_for = |hash| {
        let votes = comparable.iter();
        votes
            .filter(|other| other.votes && other.hash == hash)
            .count()
    };
    let right = comparable
        .iter()
        .find(|other| votes_for(other.hash) > voters / 2);
    let Some(right) = right else {
        return vec![UNKNOWN_MEMBER];
    };
    let wrong = comparable.iter().filter(|other| other.hash != right.hash);
    let mut wrong: Vec<u64> = wrong.map(|other| other.member).collect();
    wrong.sort_unstable();
    wrong
}

#[cfg(test)]
mod tests;
