//! Free ports, below the range that the kernel hands out.
//!
//! A node that is killed must find its ports free again when it comes back. A port from the kernel's own range
//! (what binding port 0 gives) may meanwhile be the near end of anyone's connection; one from below only goes to
//! who asks for it. Other test processes ask too, so each begins at a place of its own, and who loses a race
//! founds the cluster on other ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 12_000;
/// Linux hands out ports from 32768 on unless told otherwise.
const COUNT: u16 = 20_000;

static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// Holds `count` free ports until the listeners are dropped.
pub(crate) fn hold_ports(count: usize) -> Vec<TcpListener> {
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut offset = next.unwrap_or_else(|| (std::process::id() % 300 * 64) as u16 % COUNT);
    let mut held = Vec::new();
    for _ in 0..COUNT {
        if held.len() == count {
            break;
        }
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)));
        offset = (offset + 1) % COUNT;
    }
    *next = Some(offset);
    assert_eq!(held.len(), count, "this machine has no free ports");
    held
}

/// The port that is held.
pub(crate) fn port(held: &TcpListener) -> u16 {
    held.local_addr().expect("it is bound").port()
}

/// `count` ports in a row that are free now.
pub(crate) fn free_ports(count: u16) -> u16 {
    loop {
        let held = hold_ports(usize::from(count));
        let ports: Vec<u16> = held.iter().map(port).collect();
        if ports[ports.len() - 1] - ports[0] == count - 1 {
            return ports[0];
        }
    }
}
