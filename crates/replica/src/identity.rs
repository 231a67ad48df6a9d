//! Who a cluster and its first members are: ids computed from what every member was told.
//!
//! As in etcd, members that start a cluster together agree on its id and on each other's ids
//! without talking, because both are hashes of the same configuration: a member's of its peer
//! URLs and the cluster's token, the cluster's of its members' ids. Two clusters with different
//! tokens therefore refuse each other even when an operator mixes up their addresses.

/// One member as the initial configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeed {
    /// Its name, for people; not part of its identity.
    pub name: String,
    /// Where peers reach it, in any order.
    pub peer_urls: Vec<String>,
}

/// The ids that follow from an initial configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// The cluster's.
    pub cluster_id: u64,
    /// The members', in the order of the seeds.
    pub member_ids: Vec<u64>,
}

/// Computes the ids. Neither the order of the members nor that of their URLs matters.
pub fn identify(token: &str, seeds: &[MemberSeed]) -> ClusterIdentity {
    let member_ids: Vec<u64> = seeds.iter().map(|seed| member_id(token, seed)).collect();
    let mut sorted = member_ids.clone();
    sorted.sort_unstable();
    let mut hash = Hash::new("cluster");
    for id in sorted {
        hash.field(&id.to_le_bytes());
    }
    ClusterIdentity {
        cluster_id: hash.finish(),
        member_ids,
    }
}

fn member_id(token: &str, seed: &MemberSeed) -> u64 {
    let mut urls = seed.peer_urls.clone();
    urls.sort();
    let mut hash = Hash::new("member");
    hash.field(token.as_bytes());
    for url in &urls {
        hash.field(url.as_bytes());
    }
    hash.finish()
}

/// FNV-1a over length-prefixed fields, its result mixed so that near inputs differ everywhere.
struct Hash(u64);

impl Hash {
    fn new(domain: &str) -> Hash {
        let mut hash = Hash(0xcbf2_9ce4_8422_2325);
        hash.field(domain.as_bytes());
        hash
    }

    fn field(&mut self, bytes: &[u8]) {
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Never zero: zero is no one.
    fn finish(self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str, urls: &[&str]) -> MemberSeed {
        MemberSeed {
            name: name.to_owned(),
            peer_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        }
    }

    #[test]
    fn order_and_names_do_not_matter() {
        let one = identify(
            "t",
            &[
                seed("a", &["http://a:1", "http://a:2"]),
                seed("b", &["http://b:1"]),
            ],
        );
        let two = identify(
            "t",
            &[
                seed("x", &["http://b:1"]),
                seed("y", &["http://a:2", "http://a:1"]),
            ],
        );
        assert_eq!(one.cluster_id, two.cluster_id);
        assert_eq!(one.member_ids, [two.member_ids[1], two.member_ids[0]]);
    }

    #[test]
    fn another_token_is_another_cluster_with_other_members() {
        let seeds = [seed("a", &["http://a:1"]), seed("b", &["http://b:1"])];
        let (one, two) = (identify("t", &seeds), identify("u", &seeds));
        assert_ne!(one.cluster_id, two.cluster_id);
        assert_ne!(one.member_ids, two.member_ids);
        assert_ne!(one.member_ids[0], one.member_ids[1]);
    }
}
