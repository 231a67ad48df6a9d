//! A session: a lease that is kept alive for as long as somebody holds it, and what hangs on it with it.

use std::time::Duration;

use quorate_proto::etcdserverpb::LeaseGrantRequest;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::BACKOFF_MAX;
use crate::{Client, Error};

/// A lease that a task of its own keeps alive until the session is closed or dropped.
///
/// One that is dropped leaves its lease to end by itself; [`close`](Self::close) ends it at once.
#[derive(Debug)]
pub struct Session {
    client: Client,
    lease: i64,
    is_over: watch::Receiver<bool>,
    renewing: JoinHandle<()>,
}

impl Session {
    /// Grants a lease of so many seconds and keeps it alive.
    ///
    /// # Errors
    /// As for [`Client::lease_grant`].
    pub async fn open(client: &Client, ttl_seconds: i64) -> Result<Session, Error> {
        let request = LeaseGrantRequest {
            ttl: ttl_seconds,
            id: 0,
        };
        let asked = Instant::now();
        let granted = client.lease_grant(request).await?;
        let (over, is_over) = watch::channel(false);
        let renewer = client.clone();
        let renewing = tokio::spawn(async move {
            keep_alive(&renewer, granted.id, granted.ttl, asked).await;
            over.send_replace(true);
        });
        Ok(Session {
            client: client.clone(),
            lease: granted.id,
            is_over,
            renewing,
        })
    }

    /// The lease's id.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.lease
    }

    /// The client that it was opened with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until the lease has ended, or must be taken to have: what hung on it may belong to another by then.
    pub async fn ended(&self) {
        // The task that tells lives as long as this.
        let _ = self.is_over.clone().wait_for(|is_over| *is_over).await;
    }

    /// Ends the lease, and the keys that hang on it.
    ///
    /// # Errors
    /// As for [`Client::lease_revoke`].
    pub async fn close(self) -> Result<(), Error> {
        self.renewing.abort();
        self.client.lease_revoke(self.lease).await.map(|_| ())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Renews a lease whenever a third of its time is over, until it has ended, or until nobody has renewed it for all
/// the time that it had. The time counts from the question: the server's count may have begun then.
async fn keep_alive(client: &Client, lease: i64, granted_seconds: i64, granted: Instant) {
    let time_of = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let mut ends = granted + time_of(granted_seconds);
    let mut time_to_live = time_of(granted_seconds);
    loop {
        let asked = Instant::now();
        match timeout_at(ends, client.renew(lease, time_to_live)).await {
            Ok(Ok(answer)) if answer.ttl > 0 => {
                time_to_live = time_of(answer.ttl);
                ends = asked + time_to_live;
                sleep_until(asked + time_to_live / 3).await;
            }
            Ok(Err(_)) => sleep(BACKOFF_MAX).await,
            Ok(Ok(_)) | Err(_) => return,
        }
    }
}
