//! Three machines on one: a network namespace for each node, all on one bridge, and rules that
//! lose packets between them.
//!
//! Rules drop what arrives, never what is sent: a sender that is told "not permitted" knows more
//! than one whose packets are lost on the way. Clients are outside, on the bridge, and reach every
//! node at all times.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use crate::cluster::{Place, run};

/// What it is made with.
pub(crate) const PROGRAMS: [&str; 3] = ["ip", "nft", "nsenter"];

/// The names of namespaces and links begin with this, and go on with the process id.
const PREFIX: &str = "quo";
const NAMESPACES: &str = "/run/netns";
const LINKS: &str = "/sys/class/net";

/// Addresses for tests of networks (RFC 2544).
const FIRST_BYTES: [u8; 2] = [198, 18];

/// Every namespace has all its ports to itself.
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// What happens on the way from one node to another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Nothing arrives: no messages, and no acknowledgements by TCP of those the other way.
    All,
    /// What the first says to the second does not arrive; what the second says to the first does,
    /// as each says what it has to say on a connection that it dialled.
    Messages,
    /// So many of 100 packets do not arrive.
    Percent(u64),
}

/// A fault of the way `from` → `to`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) loss: Loss,
}

/// The network; gone when dropped.
pub(crate) struct Network {
    bridge: String,
    namespaces: Vec<String>,
    third_byte: u8,
}

impl Network {
    /// With room for so many nodes.
    pub(crate) fn make(nodes: usize) -> Network {
        let process = std::process::id();
        let bridge = format!("{PREFIX}{process}");
        let mut network = Network {
            bridge: bridge.clone(),
            namespaces: Vec::new(),
            third_byte: free_third_byte(),
        };
        ip(&format!("link add {bridge} type bridge"));
        let gateway = network.gateway();
        ip(&format!("addr add {gateway}/24 dev {bridge}"));
        ip(&format!("link set {bridge} up"));
        for node in 0..nodes {
            let namespace = format!("{bridge}-n{}", node + 1);
            let link = format!("{bridge}n{}", node + 1);
            ip(&format!("netns add {namespace}"));
            network.namespaces.push(namespace.clone());
            ip(&format!(
                "link add {link} type veth peer name eth0 netns {namespace}"
            ));
            ip(&format!("link set {link} master {bridge} up"));
            let address = network.address(node);
            ip(&format!("-n {namespace} addr add {address}/24 dev eth0"));
            ip(&format!("-n {namespace} link set lo up"));
            ip(&format!("-n {namespace} link set eth0 up"));
        }
        network
    }

    /// The address of a node.
    pub(crate) fn address(&self, node: usize) -> Ipv4Addr {
        let last = u8::try_from(node).expect("few nodes") + 1;
        Ipv4Addr::new(FIRST_BYTES[0], FIRST_BYTES[1], self.third_byte, last)
    }

    /// The address of what is outside.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(FIRST_BYTES[0], FIRST_BYTES[1], self.third_byte, 254)
    }

    /// Where its nodes listen.
    pub(crate) fn places(&self) -> Vec<Place> {
        (0..self.namespaces.len())
            .map(|node| Place::at(self.address(node), CLIENT_PORT, PEER_PORT))
            .collect()
    }

    /// Where its nodes listen, if their peers dial others in their stead.
    pub(crate) fn places_dialled_at(&self, dialled_at: &[SocketAddrV4]) -> Vec<Place> {
        let places = self.places().into_iter().zip(dialled_at);
        places
            .map(|(place, dialled_at)| Place {
                dialled_at: *dialled_at,
                ..place
            })
            .collect()
    }

    /// What puts a process into its node's namespace.
    pub(crate) fn launchers(&self) -> Vec<Vec<String>> {
        self.namespaces
            .iter()
            .map(|namespace| {
                vec![
                    "nsenter".to_owned(),
                    format!("--net={NAMESPACES}/{namespace}"),
                ]
            })
            .collect()
    }

    /// From now on these faults and no others. Gives how many packets the earlier ones lost.
    pub(crate) fn set(&self, faults: &[Way]) -> u64 {
        let lost = self.lost_packets();
        for to in 0..self.namespaces.len() {
            let mut rules = String::new();
            for way in faults.iter().filter(|way| way.to == to) {
                let from = self.address(way.from);
                let loss = match way.loss {
                    Loss::All => String::new(),
                    Loss::Messages => format!("tcp dport {PEER_PORT} "),
                    Loss::Percent(percent) => format!("numgen random mod 100 < {percent} "),
                };
                let _ = writeln!(rules, "ip saddr {from} {loss}counter drop");
            }
            let script = format!(
                "flush ruleset\ntable ip faults {{\nchain arriving {{\n\
                 type filter hook input priority 0\n{rules}}}\n}}\n"
            );
            self.nft(to, &["-f", "-"], &script);
        }
        lost
    }

    /// Packets that the present faults have lost so far.
    pub(crate) fn lost_packets(&self) -> u64 {
        let nodes = 0..self.namespaces.len();
        nodes
            .map(|node| {
                let rules = self.nft(node, &["list", "ruleset"], "");
                let counts = rules.split("packets ").skip(1);
                counts
                    .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok())
                    .sum::<u64>()
            })
            .sum()
    }

    fn nft(&self, node: usize, words: &[&str], input: &str) -> String {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={NAMESPACES}/{}", self.namespaces[node]))
            .arg("nft")
            .args(words);
        let ran = run(&mut command, input);
        assert_eq!(ran.code, Some(0), "{ran:?}: {input}");
        ran.out
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The links go with their namespaces.
        for namespace in &self.namespaces {
            try_ip(&format!("netns del {namespace}"));
        }
        try_ip(&format!("link del {}", self.bridge));
    }
}

/// Removes the networks of test processes that are gone.
pub(crate) fn clear_away(is_gone: impl Fn(u32) -> bool) {
    let is_left_behind = |name: &str| {
        let rest = name.strip_prefix(PREFIX);
        let process = rest.and_then(|rest| rest.split(['-', 'n']).next());
        process
            .and_then(|process| process.parse().ok())
            .is_some_and(&is_gone)
    };
    for (place, what) in [(LINKS, "link"), (NAMESPACES, "netns")] {
        for entry in fs::read_dir(Path::new(place))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_left_behind(&name) {
                try_ip(&format!("{what} del {name}"));
            }
        }
    }
}

/// Another run of these tests may have a network too.
fn free_third_byte() -> u8 {
    let [one, two] = FIRST_BYTES;
    let taken = ip("-4 -o addr show");
    (0..=255)
        .find(|three| !taken.contains(&format!(" {one}.{two}.{three}.")))
        .expect("fewer than 256 networks")
}

/// Runs `ip` with these words; gives what it prints.
fn ip(words: &str) -> String {
    let ran = run(Command::new("ip").args(words.split(' ')), "");
    assert_eq!(ran.code, Some(0), "ip {words}: {ran:?}");
    ran.out
}

/// What is not there any more needs nothing.
fn try_ip(words: &str) {
    let _ = Command::new("ip").args(words.split(' ')).output();
}
