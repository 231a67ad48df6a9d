use bytes::Bytes;
use quorate_proto::envelope::CommandKind;
use quorate_replica::ForwardedProposal;
use tokio_stream::StreamExt;

use super::*;

fn forward(bytes: usize) -> PeerMessage {
    PeerMessage::Forward(vec![ForwardedProposal {
        boot_nonce: 1,
        sequence: 1,
        kind: CommandKind::Put,
        body: Bytes::from(vec![0; bytes]),
    }])
}

fn poll(stream: &mut Outgoing) -> Poll<Option<Frame>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_link_that_is_down_takes_nothing() {
    let queue = Arc::new(PeerQueue::new());
    queue.push(forward(1));
    let (link, mut stream) = queue.open(Frame::default());
    queue.push(forward(1));
    assert_eq!(queue.dropped(), 2);
    assert!(
        matches!(poll(&mut stream), Poll::Ready(Some(_))),
        "the handshake"
    );
    assert!(matches!(poll(&mut stream), Poll::Pending));
    queue.link_up(link);
    queue.push(forward(1));
    assert!(matches!(poll(&mut stream), Poll::Ready(Some(_))));
}

#[test]
fn a_lost_link_ends_its_stream_and_forgets_what_waited() {
    let queue = Arc::new(PeerQueue::new());
    let (link, mut stream) = queue.open(Frame::default());
    queue.link_up(link);
    queue.push(forward(1));
    queue.link_lost();
    assert!(
        matches!(poll(&mut stream), Poll::Ready(Some(_))),
        "the handshake"
    );
    assert!(matches!(poll(&mut stream), Poll::Ready(None)));
    let (_, mut next) = queue.open(Frame::default());
    assert!(
        matches!(poll(&mut next), Poll::Ready(Some(_))),
        "the handshake"
    );
    assert!(matches!(poll(&mut next), Poll::Pending));
    queue.link_up(link);
    assert!(
        !queue.is_up(),
        "a late word of the old link changes nothing"
    );
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let queue = Arc::new(PeerQueue::new());
    let (link, _stream) = queue.open(Frame::default());
    queue.link_up(link);
    let mebibyte = forward(1 << 20);
    for _ in 0..2 * (MAX_PEER_QUEUE_BYTES >> 20) {
        queue.push(mebibyte.clone());
    }
    assert!(queue.lock().bytes <= MAX_PEER_QUEUE_BYTES);
    assert!(queue.dropped() >= (MAX_PEER_QUEUE_BYTES >> 20) as u64);
}

#[tokio::test]
async fn what_waits_together_becomes_one_frame() {
    let queue = Arc::new(PeerQueue::new());
    let (link, mut stream) = queue.open(Frame::default());
    queue.link_up(link);
    for _ in 0..10 {
        queue.push(forward(100));
    }
    stream.next().await.expect("the handshake");
    let frame = stream.next().await.expect("the messages");
    assert_eq!(wire::decode_frame(&frame).expect("sound").1.len(), 10);
}
