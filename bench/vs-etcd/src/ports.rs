//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// Below the range from which Linux takes ports for outgoing connections: a node that is started again
/// finds its port as it left it.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// So many different ports of 127.0.0.1 that were free a moment ago.
pub(crate) fn free(count: usize) -> anyhow::Result<Vec<u16>> {
    // Two of these programs at once begin their search apart.
    let span = u32::from(LAST - FIRST);
    let offset = std::process::id().wrapping_mul(97) % span;
    let mut held = Vec::new();
    for step in 0..span {
        let port = u32::from(FIRST) + (offset + step) % span;
        let port = u16::try_from(port).expect("FIRST + span is LAST, a u16");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
        if held.len() == count {
            return Ok(held.iter().map(|(port, _)| *port).collect());
        }
    }
    bail!("there are no {count} free ports from {FIRST} to {LAST}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_given() {
        let port = free(1).expect("a free port")[0];
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
        let ports = free(6).expect("free ports");
        assert!(!ports.contains(&port), "{port} in {ports:?}");
        let mut different = ports.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 6, "{ports:?}");
    }
}
