//! A client of the JSON gateway: HTTP/1.1 by hand, so that a test sees every byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Far above what an answer takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By name in small letters, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A request whose answer may come in lines.
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    is_chunked: bool,
    length: Option<usize>,
}

impl Stream {
    /// Sends a request with a whole body and reads the answer's headers.
    pub(crate) fn open(
        endpoint: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Stream {
        let stream = TcpStream::connect(endpoint).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let request = [head.as_bytes(), b"\r\n", body].concat();
        // A server that has answered already may not take all of it.
        let _ = (&stream).write_all(&request);
        Stream::begin(stream)
    }

    fn begin(stream: TcpStream) -> Stream {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status line");
        let status = line.split(' ').nth(1).expect("a status");
        let status = status.parse().expect("a number");
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let value = |name: &str| {
            let found = headers.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone())
        };
        Stream {
            is_chunked: value("transfer-encoding").is_some_and(|value| value == "chunked"),
            length: value("content-length").and_then(|length| length.parse().ok()),
            reader,
            status,
            headers,
        }
    }

    /// The next chunk; none at the end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        assert!(self.is_chunked, "{:?}", self.headers);
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a chunk's length");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk).expect("a chunk");
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    /// The next line of a stream of messages, as JSON.
    pub(crate) fn message(&mut self) -> Value {
        let chunk = self.chunk().expect("a message");
        assert_eq!(chunk.last(), Some(&b'\n'), "one line a message");
        serde_json::from_slice(&chunk).expect("JSON")
    }

    fn rest(mut self) -> Answer {
        let mut body = Vec::new();
        if self.is_chunked {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        } else if let Some(length) = self.length {
            body.resize(length, 0);
            self.reader.read_exact(&mut body).expect("a body");
        } else {
            self.reader.read_to_end(&mut body).expect("a body");
        }
        Answer {
            status: self.status,
            headers: self.headers,
            body,
        }
    }
}

/// Sends a request and reads the answer to its end.
pub(crate) fn ask(
    endpoint: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    Stream::open(endpoint, method, path, headers, body).rest()
}

/// Posts a body.
pub(crate) fn post(endpoint: &str, path: &str, body: &[u8]) -> Answer {
    ask(endpoint, "POST", path, &[], body)
}
