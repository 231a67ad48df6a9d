//! Asks a node how it is: `GET /quorate/status`, plain HTTP/1.1 on the client port.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A node that does not answer in this time counts as silent.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A status is a few hundred bytes; what is longer is none.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct NodeStatus {
    /// Its name.
    pub(super) member: String,
    /// `leader`, `follower`, …
    pub(super) role: String,
    /// The name of the leader it knows, or nothing.
    pub(super) leader: String,
    /// Its term.
    pub(super) term: u64,
    /// How many members vote, as far as it knows.
    #[serde(default)]
    pub(super) voters: Option<usize>,
}

/// Asks the node on this client port; nothing if it gives no sensible answer in time.
pub(super) async fn ask(port: u16) -> Option<NodeStatus> {
    let answer = tokio::time::timeout(TIMEOUT, exchange(port))
        .await
        .ok()?
        .ok()?;
    parse(&answer)
}

async fn exchange(port: u16) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!(
        "GET /quorate/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

/// Reads an HTTP answer with status 200 whose body, to the end of the connection, is a status.
pub(super) fn parse(answer: &[u8]) -> Option<NodeStatus> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut words = head.lines().next()?.split_whitespace();
    let is_http = words.next()?.starts_with("HTTP/1.");
    if !is_http || words.next()? != "200" {
        return None;
    }
    serde_json::from_slice(&answer[end + 4..]).ok()
}
