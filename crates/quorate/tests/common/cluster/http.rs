//! `GET` a page of a node, over plain HTTP/1.1.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// A node that does not answer in this time does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The body of a page of the node at this port of the loopback address, if the answer has status 200.
pub(crate) fn get(port: u16, path: &str) -> io::Result<String> {
    get_at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), path)
}

/// The body of the page, if the answer has status 200.
pub(crate) fn get_at(address: SocketAddrV4, path: &str) -> io::Result<String> {
    let (status, body) = get_any(address, path)?;
    if status == "200" {
        Ok(body)
    } else {
        Err(io::Error::other(format!("{path} answers {status}: {body}")))
    }
}

/// Status and body.
fn get_any(address: SocketAddrV4, path: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&address.into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?;
        Some((status.to_owned(), body.to_owned()))
    });
    parts.ok_or_else(|| io::Error::other(format!("no HTTP answer: {answer:?}")))
}
