//! Connections that are ended because others wait for what they hold.
//!
//! What streams hold is bounded over the whole node ([`crate::budget`]), so that who does not go on with what was begun
//! could keep all of it: a client that does not read its answers, or leaves a message of its own unfinished. An account
//! with room is nobody's loss, and such a client is left alone. When there is little room its time is over.
//!
//! Ending the stream is not enough. HTTP/2 keeps what it has taken of an answer until the client's window lets it out,
//! and a client that does not read may leave that shut for ever. So its connection is ended, and others of its streams
//! with it; clients open another one, and go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::budget::Budget;
use crate::limits::OVERDUE_LOOKED_FOR_EVERY;

/// By which a connection is ended from anywhere; in the extensions of its requests.
#[derive(Clone, Default)]
pub(crate) struct ConnectionEnd(Arc<Notify>);

impl ConnectionEnd {
    /// Ends the connection, at once.
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody ends it.
    pub(crate) async fn wanted(&self) {
        self.0.notified().await;
    }
}

/// Ends a connection after some time, once an account is short; unless this is dropped before.
pub(crate) struct Overdue(AbortHandle);

impl Overdue {
    pub(crate) fn after(limit: Duration, account: &Arc<Budget>, end: &ConnectionEnd) -> Overdue {
        let (account, end) = (Arc::clone(account), end.clone());
        let task = async move {
            sleep(limit).await;
            while !account.is_short() {
                sleep(OVERDUE_LOOKED_FOR_EVERY).await;
            }
            end.now();
        };
        Overdue(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Overdue {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_its_time_is_over_and_an_account_is_short() {
        let (account, end) = (Budget::new(10), ConnectionEnd::default());
        let began = Instant::now();
        let overdue = Overdue::after(LIMIT, &account, &end);
        let waits = timeout(10 * LIMIT, end.wanted()).await;
        assert!(waits.is_err(), "there is room");
        let _full = account.charge_always(6);
        end.wanted().await;
        assert!(began.elapsed() <= 10 * LIMIT + OVERDUE_LOOKED_FOR_EVERY);
        drop(overdue);
        let began = Instant::now();
        let _overdue = Overdue::after(LIMIT, &account, &end);
        end.wanted().await;
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_goes_on_in_time_does_not_end() {
        let (account, end) = (Budget::new(10), ConnectionEnd::default());
        let _full = account.charge_always(10);
        drop(Overdue::after(LIMIT, &account, &end));
        assert!(timeout(10 * LIMIT, end.wanted()).await.is_err());
    }
}
