//! Tells systemd how far the service is (`sd_notify(3)`): a unit of `Type=notify`, as etcd's
//! packages have it, waits for the word.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service serves: a leader is known.
pub(super) const READY: &str = "READY=1";
/// The service is about to end.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Says `state` to whoever started the process, if it wants to know.
pub(super) fn notify(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let socket = socket.to_string_lossy();
    let told = address(&socket)
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(%error, %socket, "cannot tell systemd {state}");
    }
}

/// A path, or with a leading `@` a name in Linux's abstract namespace.
fn address(socket: &str) -> std::io::Result<SocketAddr> {
    match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}
