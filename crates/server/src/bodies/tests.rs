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
    take_bytes(sender, body, vec![0; bytes])
}

fn take_bytes(
    sender: &mpsc::UnboundedSender<Bytes>,
    body: &mut Received<Chunks>,
    bytes: Vec<u8>,
) -> Result<(), Status> {
    sender.send(bytes.into()).expect("it is read");
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(_))) => Ok(()),
        Poll::Ready(Some(Err(error))) => Err(Status::from_error(error)),
        other => panic!("{other:?}"),
    }
}

fn held(accounts: &Requests) -> Rule {
    Rule::Request(Arc::new(accounts.hold()))
}

fn stream(accounts: &Requests) -> Rule {
    stream_on(accounts, &ConnectionEnd::default())
}

fn stream_on(accounts: &Requests, end: &ConnectionEnd) -> Rule {
    Rule::Stream(Arc::new(accounts.hold()), Messages::new(accounts, end))
}

/// A frame of gRPC but for the last `missing` bytes of its message.
fn frame(bytes: usize, missing: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).expect("not so long").to_be_bytes();
    [&[0][..], &length, &vec![1; bytes - missing]].concat()
}

/// Asks for more while there is none: that is what gRPC does when it has decoded what came.
fn ask(body: &mut Received<Chunks>) {
    let mut context = Context::from_waker(Waker::noop());
    let poll = Pin::new(body).poll_frame(&mut context);
    assert!(poll.is_pending(), "{poll:?}");
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
    let held = Some(AnswerCharge::new(charge));
    let mut body = Sent::new(AnyBody::from("abc"), held);
    let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    let frame = frame.expect("a frame").expect("a sound one");
    drop(body);
    let bytes = frame.into_data().expect("data");
    assert_eq!((&bytes[..], budget.used_bytes()), (&b"abc"[..], 3));
    drop(bytes);
    assert_eq!(budget.used_bytes(), 0);
}

#[tokio::test]
async fn messages_of_streams_that_do_not_come_to_their_end_are_charged_and_ordinary_ones_go_on() {
    let accounts = Requests::new();
    let mut unfinished = Vec::new();
    let refused = loop {
        let (sender, mut body) = received(stream(&accounts));
        match take_bytes(&sender, &mut body, frame(2 * CHUNK, 1)) {
            Ok(()) => unfinished.push((sender, body)),
            Err(status) => break status,
        }
        assert!(unfinished.len() < 1_000, "memory without bound");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "etcdserver: too many requests");
    assert_eq!(unfinished.len(), LARGE_REQUESTS_BYTES / (2 * CHUNK));
    let (sender, mut body) = received(stream(&accounts));
    for _ in 0..50 {
        take_bytes(&sender, &mut body, frame(100, 0)).expect("an ordinary one has room");
    }
    let many: Vec<u8> = (0..160).flat_map(|_| frame(100, 0)).collect();
    take_bytes(&sender, &mut body, many).expect("so have many at once");
    drop((body, unfinished));
    assert_eq!(accounts.small.used_bytes() + accounts.large.used_bytes(), 0);
}

#[tokio::test]
async fn a_message_of_a_stream_is_charged_until_the_next_one_is_wanted() {
    let accounts = Requests::new();
    let used = || accounts.small.used_bytes() + accounts.large.used_bytes();
    let (sender, mut body) = received(stream(&accounts));
    take_bytes(&sender, &mut body, frame(CHUNK, 1)).expect("room");
    ask(&mut body);
    assert_eq!(used(), CHUNK + 4);
    // Its last byte, and the beginning of the next one.
    take_bytes(&sender, &mut body, [&[1][..], &frame(10, 3)].concat()).expect("room");
    assert_eq!(used(), CHUNK + 5 + 12);
    ask(&mut body);
    assert_eq!(used(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_stream_has_to_come_to_its_end_and_the_stream_may_be_quiet_between_messages()
{
    let accounts = Requests::new();
    let (sender, mut body) = received(stream(&accounts));
    let next = async |body: &mut Received<Chunks>| {
        std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
    };
    let quiet = REQUEST_BODY_TIMEOUT * 10;
    for _ in 0..2 {
        take_bytes(&sender, &mut body, frame(10, 0)).expect("room");
        let more = tokio::time::timeout(quiet, next(&mut body)).await;
        assert!(more.is_err(), "{more:?}");
    }
    // Nobody asks for a while, because the client does not read; then comes what it has sent meanwhile.
    take_bytes(&sender, &mut body, frame(10, 5)).expect("room");
    ask(&mut body);
    sleep(quiet).await;
    take_bytes(&sender, &mut body, vec![1; 2]).expect("the client is not late");
    ask(&mut body);
    let begun = Instant::now();
    let error = next(&mut body).await.expect("an error").expect_err("late");
    assert_eq!(Status::from_error(error).code(), Code::DeadlineExceeded);
    assert_eq!(begun.elapsed(), REQUEST_BODY_TIMEOUT);
}

#[tokio::test]
async fn each_piece_of_a_stream_of_answers_is_charged_until_its_bytes_are_gone() {
    let budget = Budget::new(5);
    let bell = Arc::default();
    let answers = StreamAnswers::new(&budget, &bell);
    let pieces = tokio_stream::iter(["abc", "de"].map(Ok::<_, Infallible>));
    let held = Some(AnswerCharge::Pieces(Arc::clone(&answers)));
    let mut body = Sent::new(AnyBody::from_stream(pieces), held);
    let mut unsent = Vec::new();
    for (text, used_bytes) in [("abc", 3), ("de", 5)] {
        assert!(answers.may_make(None, || false), "there is room");
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let bytes = frame.and_then(Result::ok).map(Frame::into_data);
        let bytes = bytes.and_then(Result::ok).expect("data");
        assert_eq!(
            (&bytes[..], budget.used_bytes()),
            (text.as_bytes(), used_bytes)
        );
        unsent.push(bytes);
    }
    assert!(!answers.may_make(None, || true), "nothing of it is sent");
    let other = StreamAnswers::new(&budget, &Arc::default());
    assert!(!other.may_make(None, || false), "it is large");
    assert!(other.may_make(None, || true), "one small piece goes");
    drop(unsent);
    assert_eq!(budget.used_bytes(), 0);
    tokio::sync::Notify::notified(&bell).await;
    budget.room().await;
}

/// Whoever serves a stream may not look at its requests while its client reads no answers.
#[tokio::test(start_paused = true)]
async fn messages_left_unfinished_on_streams_that_nobody_looks_at_are_cut_off_when_room_is_short() {
    for is_whole in [false, true] {
        let accounts = Requests::new();
        let mut streams = Vec::new();
        let mut unfinished = |count: usize| {
            for _ in 0..count {
                let end = ConnectionEnd::default();
                let (sender, mut body) = received(stream_on(&accounts, &end));
                let message = frame(2 * CHUNK, usize::from(!is_whole));
                take_bytes(&sender, &mut body, message).expect("there is room");
                streams.push((sender, body, end));
            }
        };
        let count = LARGE_REQUESTS_BYTES / (2 * CHUNK);
        unfinished(count / 2);
        let a_few = 100 * REQUEST_BODY_TIMEOUT;
        sleep(a_few).await;
        unfinished(1);
        let others = accounts.large.charge_always(LARGE_REQUESTS_BYTES / 2);
        // One goes on, when it is looked at again.
        let (_, body, going_on) = &mut streams[0];
        ask(body);
        if !is_whole {
            let ends = tokio::time::timeout(REQUEST_BODY_TIMEOUT, going_on.wanted()).await;
            assert!(ends.is_ok(), "it has had its time");
        }
        for (_, _, end) in &streams[1..] {
            let ends = tokio::time::timeout(2 * REQUEST_BODY_TIMEOUT, end.wanted()).await;
            assert!(ends.is_ok(), "others find no room");
        }
        if is_whole {
            let ends = tokio::time::timeout(a_few, streams[0].2.wanted()).await;
            assert!(ends.is_err(), "it holds nothing any more");
        }
        drop((streams, others));
        assert_eq!(accounts.large.used_bytes(), 0);
    }
}
