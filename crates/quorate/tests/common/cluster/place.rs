//! Where a node listens, and where the others dial it.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The addresses of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// For clients and peers.
    pub(crate) address: Ipv4Addr,
    pub(crate) client_port: u16,
    pub(crate) peer_port: u16,
    /// What the others are told of its peer port; something else may listen there and pass it on.
    pub(crate) dialled_at: SocketAddrV4,
}

impl Place {
    /// Ports of `address`, dialled directly.
    pub(crate) fn at(address: Ipv4Addr, client_port: u16, peer_port: u16) -> Place {
        Place {
            address,
            client_port,
            peer_port,
            dialled_at: SocketAddrV4::new(address, peer_port),
        }
    }
}
