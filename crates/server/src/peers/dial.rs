//! Dials one peer for ever, with growing pauses while it does not answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_proto::peer::MembersRequest;
use quorate_raft::NodeId;
use quorate_replica::limits::MAX_INCOMING_FRAME_BYTES;
use quorate_replica::wire;
use tokio::time::MissedTickBehavior;
use tonic::transport::{Channel, Endpoint};

use super::refusals::shortened;
use super::{PeerQueue, handshake};
use crate::core::{ConsensusInput, Core};
use crate::limits::{
    PEER_DIAL_TIMEOUT, PEER_KEEPALIVE, PEER_RETRY_FIRST, PEER_RETRY_LONGEST,
    PEER_ROUND_TRIP_INTERVAL, PEER_WINDOW_BYTES,
};
use crate::stubs::peer_client::PeerClient;

/// Keeps a link to `peer` up, at one of `urls` after the other, until the task is dropped.
pub(crate) async fn dial(core: Arc<Core>, peer: NodeId, queue: Arc<PeerQueue>, urls: Vec<String>) {
    let mut pause = PEER_RETRY_FIRST;
    let mut told = String::new();
    for url in urls.iter().cycle() {
        let name = core.member_name(peer);
        let ended = link(&core, peer, &queue, url, &name).await;
        queue.link_lost();
        if ended.was_up {
            core.consensus.push(ConsensusInput::LinkLost { peer });
            core.metrics.peers.disconnected(&core, peer);
            pause = PEER_RETRY_FIRST;
            told.clear();
            tracing::warn!(
                peer = name,
                url,
                reason = ended.reason,
                "lost the link to a peer"
            );
        } else if told != ended.reason {
            tracing::info!(
                peer = name,
                url,
                reason = ended.reason,
                "cannot reach a peer yet"
            );
            told = ended.reason;
        }
        tokio::time::sleep(jittered(pause, &core)).await;
        pause = (pause * 2).min(PEER_RETRY_LONGEST);
    }
}

struct Ended {
    was_up: bool,
    reason: String,
}

/// Dials once and holds the link while it lasts.
async fn link(core: &Core, peer: NodeId, queue: &Arc<PeerQueue>, url: &str, name: &str) -> Ended {
    let down = |reason: String| Ended {
        was_up: false,
        reason,
    };
    let endpoint = match Endpoint::from_shared(url.to_owned()) {
        Ok(endpoint) => endpoint
            .connect_timeout(PEER_DIAL_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PEER_KEEPALIVE)
            .keep_alive_timeout(PEER_KEEPALIVE)
            .initial_stream_window_size(PEER_WINDOW_BYTES)
            .initial_connection_window_size(PEER_WINDOW_BYTES),
        Err(error) => return down(error.to_string()),
    };
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return down(describe(&error)),
    };
    let mut client = PeerClient::new(channel)
        .max_decoding_message_size(MAX_INCOMING_FRAME_BYTES)
        .max_encoding_message_size(MAX_INCOMING_FRAME_BYTES);
    let urls = &core.settings.advertise_client_urls;
    let ours = handshake::ours(
        &core.identity,
        core.version_in_force(),
        urls,
        peer.0,
        String::new(),
    );
    let (number, outgoing) = queue.open(ours);
    let mut answers = match tokio::time::timeout(PEER_DIAL_TIMEOUT, client.link(outgoing)).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return down(shortened(status.message()).to_owned()),
        Err(_) => return down("the peer does not answer the handshake".to_owned()),
    };
    let first = match tokio::time::timeout(PEER_DIAL_TIMEOUT, answers.message()).await {
        Ok(Ok(Some(frame))) => frame,
        Ok(Ok(None)) => return down("the peer closed the link at the handshake".to_owned()),
        Ok(Err(status)) => return down(shortened(status.message()).to_owned()),
        Err(_) => return down("the peer does not answer the handshake".to_owned()),
    };
    let theirs = match wire::decode_handshake(&first) {
        Ok(theirs) => theirs,
        Err(error) => return down(error.to_string()),
    };
    if theirs.refusal == handshake::REMOVED && theirs.cluster_id == core.identity.cluster_id {
        core.removed.send_replace(true);
    }
    if let Some(too_new) = handshake::outgrows(&core.identity, &theirs) {
        core.outgrown.send_replace(Some(too_new));
    }
    let version = core.version_in_force();
    match handshake::check(&core.identity, version, &core.members, &theirs) {
        Ok(member) if member == peer => {}
        Ok(_) => return down("another member answers at this address".to_owned()),
        Err(reason) => return down(reason),
    }
    queue.set_client_urls(theirs.client_urls);
    queue.link_up(number);
    core.consensus.push(ConsensusInput::LinkUp {
        peer,
        highest_protocol_version: theirs.highest_protocol_version,
    });
    tracing::info!(peer = name, url, "linked to a peer");
    // Nothing more is said on this side: the next word, or its absence, is the end.
    let last_word = tokio::select! {
        last_word = answers.message() => last_word,
        never = ask_now_and_then(core, peer, client) => match never {},
    };
    let reason = match last_word {
        Ok(Some(_)) => "the peer broke the protocol".to_owned(),
        Ok(None) => "the peer closed the link".to_owned(),
        Err(status) => shortened(status.message()).to_owned(),
    };
    Ended {
        was_up: true,
        reason,
    }
}

/// Measures how long a small question to the peer takes on the link's connection, as etcd's members do. No answer, or a
/// refusal, is no measurement; that the link is lost is for others to notice.
async fn ask_now_and_then(
    core: &Core,
    peer: NodeId,
    mut client: PeerClient<Channel>,
) -> Infallible {
    let mut ticks = tokio::time::interval(PEER_ROUND_TRIP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let question = client.members(MembersRequest {
            linearizable: false,
        });
        if let Ok(Ok(_)) = tokio::time::timeout(PEER_KEEPALIVE, question).await {
            core.metrics.peers.round_trip(peer, asked.elapsed());
        }
    }
}

/// The innermost reason, which is what a person can act on ("connection refused").
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Up to a half more, so that members that lost each other do not dial in step.
fn jittered(pause: Duration, core: &Core) -> Duration {
    let nanos = core.clock.now().as_nanos() ^ core.identity.member_id;
    pause + pause.mul_f64((nanos % 512) as f64 / 1024.0)
}
