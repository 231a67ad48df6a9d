//! Whatever strangers send: the connection is closed, it is counted, the node serves on, and its memory stays bounded.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quorate_proto::etcdserverpb::PutRequest;

use crate::cluster::{Cluster, PATIENCE, Plan, kv, runtime};

/// How much a node's memory may grow under all that garbage: a few buffers of connections that come one by one.
const GROWTH_BYTES_MAX: u64 = 48 << 20;
/// Each kind of garbage comes this often: what one connection left behind would add up.
const TIMES: usize = 40;
/// A connection that says too little to be understood is cut off after ten seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that look like nothing, the same in each run (xorshift).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}

/// The beginning of a TLS handshake: a record of 512 bytes is announced, and a part of it comes.
fn half_a_tls_hello() -> Vec<u8> {
    let mut hello = vec![
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
    ];
    hello.extend(noise(64));
    hello
}

/// Garbage by name, each of which breaks the protocol at once.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let after_preface = |bytes: Vec<u8>| [HTTP2_PREFACE.to_vec(), bytes].concat();
    let mut huge_header = b"GET / HTTP/1.1\r\nX-Huge: ".to_vec();
    huge_header.resize(4 << 20, b'x');
    vec![
        ("noise", noise(64 << 10)),
        ("half a TLS hello", half_a_tls_hello()),
        (
            "an HTTP version that is none",
            b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        ),
        (
            "a header that is none",
            b"GET / HTTP/1.1\r\n\0\x01:\x02\r\n\r\n".to_vec(),
        ),
        ("a huge HTTP/1 header", huge_header),
        (
            "noise behind HTTP/2's preface",
            after_preface(noise(64 << 10)),
        ),
        // Length 0xffffff, type HEADERS, stream 1.
        (
            "a huge HTTP/2 frame",
            after_preface(b"\xff\xff\xff\x01\x04\0\0\0\x01".to_vec()),
        ),
    ]
}

/// Sends bytes, as far as they are taken, and waits until the other side closes.
fn send_and_wait_for_the_end(port: u16, bytes: &[u8], limit: Duration) -> Result<(), String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|e| e.to_string())?;
    // It may be closed before all of it is said.
    let _ = stream.write_all(bytes);
    stream
        .set_read_timeout(Some(limit))
        .map_err(|e| e.to_string())?;
    let started = Instant::now();
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return Ok(()),
            Ok(_) if started.elapsed() < limit => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            other => {
                return Err(format!(
                    "still open after {:?}: {other:?}",
                    started.elapsed()
                ));
            }
        }
    }
}

fn serves(cluster: &Cluster, i: usize) {
    let put = PutRequest {
        key: "k".into(),
        ..Default::default()
    };
    let put = async { kv(&cluster.endpoint(i)).put(put).await };
    runtime().block_on(put).expect("the node serves on");
}

/// Node 0's two ports.
fn ports(cluster: &Cluster) -> [(&'static str, u16); 2] {
    let node = &cluster.nodes[0];
    [("client", node.client_port), ("peer", node.peer_port)]
}

#[test]
fn garbage_on_either_port_is_cut_off_and_counted_and_costs_no_memory() {
    let cluster = Plan::of(3).start();
    let broken = || cluster.metric(0, "quorate_connections_broken_total");
    serves(&cluster, 0);
    let memory_before = cluster.nodes[0].resident_bytes();
    for (port_name, port) in ports(&cluster) {
        for (name, bytes) in garbage() {
            let before = broken();
            for _ in 0..TIMES {
                let ended = send_and_wait_for_the_end(port, &bytes, PATIENCE);
                ended.unwrap_or_else(|why| panic!("{name} on the {port_name} port: {why}"));
            }
            cluster.wait_for(
                &format!("{name} on the {port_name} port to be counted"),
                || (broken() >= before + TIMES as f64).then_some(()),
            );
            serves(&cluster, 0);
        }
    }
    let grown = cluster.nodes[0]
        .resident_bytes()
        .saturating_sub(memory_before);
    eprintln!("resident memory grew by {} KiB", grown >> 10);
    assert!(grown < GROWTH_BYTES_MAX, "it grew by {grown} bytes");
    cluster.wait_until_equal();
}

#[test]
fn a_connection_that_never_says_enough_is_cut_off_in_the_end() {
    let cluster = Plan::of(1).start();
    let beginnings: [(&str, &[u8]); 3] = [
        ("nothing", b""),
        ("a part of HTTP/2's preface", &HTTP2_PREFACE[..10]),
        ("a part of an HTTP/1 header", b"GET / HTTP/1.1\r\nX: "),
    ];
    // All at once, since each waits for its time to run out.
    let waiting: Vec<_> = ports(&cluster)
        .into_iter()
        .flat_map(|(port_name, port)| {
            beginnings.map(|(name, bytes)| (port_name, port, name, bytes))
        })
        .map(|(port_name, port, name, bytes)| {
            let what = format!("{name} on the {port_name} port");
            let end =
                std::thread::spawn(move || send_and_wait_for_the_end(port, bytes, SILENCE_MAX));
            (what, end)
        })
        .collect();
    for (what, end) in waiting {
        let ended = end.join().expect("it does not fail");
        ended.unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    serves(&cluster, 0);
}

#[test]
fn a_connection_that_breaks_off_in_the_middle_is_of_no_consequence() {
    let cluster = Plan::of(1).start();
    for (_, port) in ports(&cluster) {
        for (_, bytes) in garbage() {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            let _ = stream.write_all(&bytes[..bytes.len() / 2]);
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
    let open = "quorate_client_connections";
    cluster.wait_for("all connections but the one that asks to end", || {
        (cluster.metric(0, open) <= 1.0).then_some(())
    });
    serves(&cluster, 0);
}

#[test]
fn a_grpc_message_of_a_huge_announced_length_is_refused_and_costs_no_memory() {
    let cluster = Plan::of(1).start();
    serves(&cluster, 0);
    let memory_before = cluster.nodes[0].resident_bytes();
    // Not compressed, 4 GiB - 1 long, and then one byte.
    let announced = Bytes::from_static(b"\0\xff\xff\xff\xffx");
    for (port, path) in [
        (cluster.nodes[0].client_port, "/etcdserverpb.KV/Put"),
        (cluster.nodes[0].peer_port, "/quorate.peer.v1.Peer/Link"),
    ] {
        for _ in 0..TIMES {
            let status = runtime().block_on(post(port, path, announced.clone()));
            assert!(
                matches!(status.as_deref(), Some(code) if code != "0"),
                "{path}: {status:?}"
            );
        }
    }
    let grown = cluster.nodes[0]
        .resident_bytes()
        .saturating_sub(memory_before);
    assert!(grown < GROWTH_BYTES_MAX, "it grew by {grown} bytes");
    serves(&cluster, 0);
}

/// Posts a gRPC body as it is; gives the `grpc-status` of the answer.
async fn post(port: u16, path: &str, body: Bytes) -> Option<String> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .ok()?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .ok()?;
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://127.0.0.1:{port}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body))
        .expect("a request");
    let response = sender.send_request(request).await.ok()?;
    let in_headers = response.headers().get("grpc-status").cloned();
    let collected = response.into_body().collect().await.ok()?;
    let status = in_headers.or_else(|| collected.trailers()?.get("grpc-status").cloned());
    connection.abort();
    Some(status?.to_str().ok()?.to_owned())
}

/// A message of two mebibytes is announced on each of many streams, and all but its last byte comes.
#[test]
fn requests_that_never_come_to_their_end_hold_bounded_memory() {
    const STREAMS: usize = 300;
    const ANNOUNCED_BYTES: usize = 2 << 20;
    const RESIDENT_BYTES_MAX: u64 = 200 << 20;
    let cluster = Plan::of(1).start();
    let port = cluster.nodes[0].client_port;
    let length = u32::try_from(ANNOUNCED_BYTES).expect("it fits");
    let mut message = [&[0], &length.to_be_bytes()[..]].concat();
    message.resize(5 + ANNOUNCED_BYTES - 1, 0);
    let message = Bytes::from(message);
    let runtime = runtime();
    let refused = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        let io = TokioIo::new(stream.expect("a connection"));
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .expect("a connection");
        tokio::spawn(connection);
        let mut answers = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            let (first, mut sender) = (message.clone(), sender.clone());
            answers.spawn(async move {
                // The body stays open behind its first and only chunk.
                let first = tokio_stream::once(first);
                let chunks = tokio_stream::StreamExt::chain(first, tokio_stream::pending());
                let frames = tokio_stream::StreamExt::map(chunks, |chunk| {
                    Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(chunk))
                });
                let request =
                    http::Request::post(format!("http://127.0.0.1:{port}/etcdserverpb.KV/Put"))
                        .header("content-type", "application/grpc")
                        .header("te", "trailers")
                        .body(http_body_util::StreamBody::new(frames))
                        .expect("a request");
                sender.ready().await.expect("the connection lives");
                let response = sender.send_request(request).await.expect("an answer");
                response.headers()["grpc-status"].clone()
            });
        }
        // All that find no room are refused; the others are waited for as long as a request may take.
        let mut refused = 0;
        while let Ok(Some(status)) =
            tokio::time::timeout(Duration::from_secs(5), answers.join_next()).await
        {
            assert_eq!(status.expect("no panic"), "8", "RESOURCE_EXHAUSTED");
            refused += 1;
        }
        let resident = cluster.nodes[0].resident_bytes();
        eprintln!("{refused} refused; {} MiB resident", resident >> 20);
        assert!(
            resident < RESIDENT_BYTES_MAX,
            "{resident} bytes are resident"
        );
        refused
    });
    // The last ones are held still, and what is small has room beside them.
    serves(&cluster, 0);
    assert!(refused > STREAMS / 2, "only {refused} were refused");
}
