//! The peer port speaks with members of this cluster alone, and only as long as what they say is sound.

use prost::Message as _;
use quorate_proto::peer::{Frame, Handshake, Payload};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::cluster::{Cluster, Plan, get, runtime};

fn sealed(payload: &Payload) -> Frame {
    let payload = payload.encode_to_vec();
    Frame {
        checksum: crc32c::crc32c(&payload),
        payload: payload.into(),
    }
}

fn id(cluster: &Cluster, i: usize, field: &str) -> u64 {
    let page = get(cluster.nodes[i].client_port, "/quorate/status").expect("a status");
    let status: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    u64::from_str_radix(status[field].as_str().expect("an id"), 16).expect("in hex")
}

/// Makes a sound handshake one that is not.
type Change = fn(&mut Handshake);

/// What node 1 would say to node 0.
fn handshake(cluster: &Cluster) -> Handshake {
    Handshake {
        cluster_id: id(cluster, 0, "cluster_id"),
        member_id: id(cluster, 1, "member_id"),
        receiver_id: id(cluster, 0, "member_id"),
        boot_nonce: 7,
        lowest_protocol_version: 1,
        highest_protocol_version: 2,
        ..Default::default()
    }
}

fn opening(handshake: Handshake) -> Frame {
    sealed(&Payload {
        handshake: Some(handshake),
        messages: Vec::new(),
    })
}

/// Says these frames on a link to node 0.
async fn link(cluster: &Cluster, frames: Vec<Frame>) -> Result<Streaming<Frame>, Status> {
    let address = format!("http://127.0.0.1:{}", cluster.nodes[0].peer_port);
    let endpoint = Endpoint::from_shared(address).expect("an address");
    let channel: Channel = endpoint.connect().await.expect("the port is open");
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("the connection is up");
    // The stream stays open behind the last frame.
    let frames = tokio_stream::StreamExt::chain(
        tokio_stream::iter(frames),
        tokio_stream::pending::<Frame>(),
    );
    let path = http::uri::PathAndQuery::from_static("/quorate.peer.v1.Peer/Link");
    let codec: ProstCodec<Frame, Frame> = ProstCodec::default();
    let answer = grpc.streaming(Request::new(frames), path, codec).await?;
    Ok(answer.into_inner())
}

/// What the answering handshake says against us.
async fn refusal(cluster: &Cluster, ours: Handshake) -> String {
    let mut answers = link(cluster, vec![opening(ours)]).await.expect("an answer");
    let frame = answers.message().await.expect("sound").expect("a frame");
    let payload = Payload::decode(frame.payload).expect("sound");
    assert!(
        matches!(answers.message().await, Ok(None)),
        "the link stays open"
    );
    payload.handshake.expect("a handshake").refusal
}

#[test]
fn a_handshake_that_does_not_fit_is_refused_with_the_reason_and_counted() {
    let cluster = Plan::of(3).start();
    let refused = || cluster.metric(0, "quorate_peer_handshakes_refused_total");
    let before = refused();
    let changes: [(&str, Change); 5] = [
        ("cluster ID mismatch", |h| h.cluster_id ^= 1),
        ("is not one of our peers", |h| h.member_id ^= 1),
        ("it wants member", |h| h.receiver_id ^= 1),
        ("protocol versions 99", |h| {
            h.lowest_protocol_version = 99;
            h.highest_protocol_version = 99;
        }),
        ("protocol versions 0", |h| {
            h.lowest_protocol_version = 0;
            h.highest_protocol_version = 0;
        }),
    ];
    for (reason, change) in &changes {
        let mut ours = handshake(&cluster);
        change(&mut ours);
        let told = runtime().block_on(refusal(&cluster, ours));
        assert!(told.contains(reason), "{reason}: {told}");
    }
    let bad_beginnings = [
        Frame {
            checksum: 1,
            ..opening(handshake(&cluster))
        },
        Frame {
            checksum: crc32c::crc32c(b"\xff\xff\xff"),
            payload: (&b"\xff\xff\xff"[..]).into(),
        },
        sealed(&Payload::default()),
    ];
    let times = changes.len() + bad_beginnings.len();
    for frame in bad_beginnings {
        let answer = runtime().block_on(async { link(&cluster, vec![frame]).await.map(drop) });
        let status = answer.expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    assert_eq!(refused(), before + times as f64);
    cluster.wait_until_equal();
}

#[test]
fn a_damaged_frame_ends_the_link_and_is_counted_and_the_true_peer_comes_back() {
    let cluster = Plan::of(3).start();
    let refused = || cluster.metric(0, "quorate_peer_frames_refused_total");
    let before = refused();
    let damaged = Frame {
        checksum: 1,
        payload: Payload::default().encode_to_vec().into(),
    };
    let second_handshake = opening(handshake(&cluster));
    for (times, frame) in [damaged, second_handshake].into_iter().enumerate() {
        let frames = vec![opening(handshake(&cluster)), frame];
        runtime().block_on(async {
            let mut answers = link(&cluster, frames).await.expect("an answer");
            let first = answers.message().await.expect("sound").expect("a frame");
            let payload = Payload::decode(first.payload).expect("sound");
            assert_eq!(payload.handshake.expect("a handshake").refusal, "");
            // It ends, well or badly.
            while let Ok(Some(_)) = answers.message().await {}
        });
        assert_eq!(refused(), before + (times + 1) as f64);
    }
    // The impostor took the true node 1's place for a moment; it dials again.
    cluster.wait_for_leader();
    for i in 0..cluster.len() {
        cluster.wait_until_healthy(i);
    }
    cluster.wait_until_equal();
}
