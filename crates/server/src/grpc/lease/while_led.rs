//! A stream of answers that ends when there is no leader.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tonic::Status;

/// Answers for one who requires a leader: without waiting for those that are under way they end with what `leaderless`
/// gives, if it gives that before they end by themselves.
pub(super) struct WhileLed<S> {
    answers: S,
    /// None when it is over.
    leaderless: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
}

impl<S> WhileLed<S> {
    pub(super) fn new(
        answers: S,
        leaderless: impl Future<Output = Status> + Send + 'static,
    ) -> WhileLed<S> {
        WhileLed {
            answers,
            leaderless: Some(Box::pin(leaderless)),
        }
    }
}

impl<S, T> Stream for WhileLed<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(leaderless) = &mut self.leaderless else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(end) = leaderless.as_mut().poll(context) {
            self.leaderless = None;
            return Poll::Ready(Some(Err(end)));
        }
        Pin::new(&mut self.answers).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::core::tests::without_threads;
    use crate::grpc::watch::without_leader;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_requires_a_leader_ends_after_three_election_timeouts_without_one() {
        let core = without_threads();
        let begun = Instant::now();
        let answers = tokio_stream::pending::<Result<(), Status>>();
        let mut led = WhileLed::new(answers, async move { without_leader(&core).await });
        let end = led.next().await.expect("it is told why");
        let end = end.expect_err("it ends");
        assert_eq!(end.code(), tonic::Code::Unavailable);
        assert_eq!(end.message(), "etcdserver: no leader");
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        assert!(led.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn until_then_the_answers_come_and_their_end_is_the_end() {
        let answers = tokio_stream::iter([Ok(1), Ok(2)]);
        let led = WhileLed::new(answers, std::future::pending());
        let told = timeout(Duration::from_secs(1), led.collect::<Vec<_>>());
        let told = told.await.expect("at once");
        let told: Vec<i32> = told
            .into_iter()
            .map(|one| one.expect("an answer"))
            .collect();
        assert_eq!(told, [1, 2]);
    }
}
