use std::convert::Infallible;
use std::task::Waker;

use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::UnboundedReceiverStream};
use tonic::Code;

use super::*;

const CHUNK: usize = 1 << 20;

/// A body whose chunks the test sends.
struct Chunks(UnboundedReceiverStream<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn received(rule: Rule) -> (mpsc::UnboundedSender<Bytes>, Received<Chunks>) {
    let (sender, chunks) = mpsc::unbounded_channel();
    let body = Received {
        body: Chunks(UnboundedReceiverStream::new(chunks)),
        rule,
        received_bytes: 0,
        time: None,
    };
    (sender, body)
}

/// Lets one chunk come in.
fn take(
    sender: &mpsc::UnboundedSender<Bytes>,
    body: &mut Received<Chunks>,
    bytes: usize,
) -> Result<(), Status> {
    sender.send(vec![0; bytes].into()).expect("it is read");
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(_))) => Ok(()),
        Poll::Ready(Some(Err(error))) => Err(Status::from_error(error)),
        other => panic!("{other:?}"),
    }
}

fn held(accounts: &Requests) -> Rule {
    Rule::Request(Arc::new(Held {
        small: accounts.small.open(),
        large: accounts.large.open(),
    }))
}

#[tokio::test]
async fn large_requests_beyond_the_budget_are_refused_and_small_ones_are_not() {
    let accounts = Requests::new();
    let mut unfinished = Vec::new();
    let refused = loop {
        let (sender, mut body) = received(held(&accounts));
        match take(&sender, &mut body, CHUNK) {
            Ok(()) => unfinished.push((sender, body)),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "etcdserver: too many requests");
    assert_eq!(
        unfinished.len(),
        LARGE_REQUESTS_BYTES / (CHUNK - SMALL_REQUEST_BYTES)
    );
    let (sender, mut small) = received(held(&accounts));
    take(&sender, &mut small, SMALL_REQUEST_BYTES).expect("small ones have room of their own");
    drop((small, unfinished));
    assert_eq!(accounts.small.used_bytes() + accounts.large.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_come_to_its_end_is_given_up() {
    let accounts = Requests::new();
    let (_sender, mut body) = received(held(&accounts));
    let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    let error = frame.expect("an error").expect_err("nothing came");
    assert_eq!(Status::from_error(error).code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_link_says_little_before_its_handshake_is_accepted_and_much_after_it() {
    let handshaken = Handshaken::default();
    let (sender, mut body) = received(Rule::Link(handshaken.clone()));
    take(&sender, &mut body, MAX_HANDSHAKE_BYTES).expect("a handshake fits");
    let refused = take(&sender, &mut body, 1).expect_err("a handshake does not take so much");
    assert_eq!(refused.code(), Code::PermissionDenied);
    handshaken.accept();
    take(&sender, &mut body, CHUNK).expect("a member may say what it has to");
}

#[tokio::test]
async fn an_answer_is_charged_until_its_bytes_are_gone() {
    let budget = Budget::new(10);
    let charge = budget.charge_or_alone(3).expect("there is room");
    let mut body = Sent {
        body: AnyBody::from("abc"),
        held: Some(AnswerCharge::new(charge)),
    };
    let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    let frame = frame.expect("a frame").expect("a sound one");
    drop(body);
    let bytes = frame.into_data().expect("data");
    assert_eq!((&bytes[..], budget.used_bytes()), (&b"abc"[..], 3));
    drop(bytes);
    assert_eq!(budget.used_bytes(), 0);
}
