//! Whether a member serves: `GET /health`, which Quorate and etcd answer alike.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A member that needs longer is not ready.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Whether the member on this port answers that it is healthy, which both do only with a leader.
pub(crate) fn is_healthy(port: u16) -> bool {
    ask(port).is_ok_and(|answer| says_healthy(&answer))
}

fn ask(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_DEADLINE)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    write!(
        stream,
        "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn says_healthy(answer: &str) -> bool {
    let is_ok = answer
        .split(' ')
        .nth(1)
        .is_some_and(|status| status == "200");
    is_ok && answer.contains(r#""health":"true""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_member_with_a_leader_is_healthy() {
        let with = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"health\":\"true\"}";
        let without =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 18\r\n\r\n{\"health\":\"false\"}";
        assert!(says_healthy(with));
        assert!(!says_healthy(without));
        assert!(!says_healthy(""));
    }
}
