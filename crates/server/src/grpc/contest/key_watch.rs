//! A watch of some keys, on a stream of the hub of its own, for one who waits.

use std::sync::Arc;

use bytes::Bytes;
use quorate_kv::{WatchMessage, WatchRefusal};
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_replica::RequestError;
use tonic::Status;

use super::super::status;
use super::super::watch::{Opened, create_in};
use super::Contests;
use crate::core::Core;
use crate::limits::WATCH_ANSWERS_BYTES;

/// Opened before the store is looked at, so that nothing that happens after the look is missed, and kept for as long as
/// somebody waits: while there are as many streams as there may be nobody who gives his up gets another one.
pub(in super::super) struct KeyWatch {
    opened: Opened,
    /// The watchers listened to have numbers from the one to before the other.
    numbers: (i64, i64),
}

impl KeyWatch {
    pub(in super::super) fn open(core: &Arc<Core>) -> Result<KeyWatch, Status> {
        Ok(KeyWatch {
            opened: Opened::open(core)?,
            numbers: (1, 1),
        })
    }

    /// Watches nothing any more: what is told from now on is news of what is added from now on.
    pub(in super::super) fn clear(&mut self) {
        let (first, next) = self.numbers;
        for number in first..next {
            // Nobody is told of the revision.
            self.watches()
                .with(|hub| hub.cancel(self.opened.id, number, 0));
        }
        self.numbers = (next, next);
    }

    /// Watches from `start_revision` on for what `but_not` leaves.
    pub(in super::super) async fn add(
        &mut self,
        contests: &Contests,
        keys: (Bytes, Bytes),
        start_revision: i64,
        but_not: Option<FilterType>,
    ) -> Result<(), Status> {
        let create = WatchCreateRequest {
            key: keys.0,
            range_end: keys.1,
            start_revision,
            filters: but_not.into_iter().map(i32::from).collect(),
            watch_id: self.numbers.1,
            ..Default::default()
        };
        self.numbers.1 += 1;
        let store_revision = contests.revision_here().await?;
        self.watches()
            .with(|hub| create_in(hub, self.opened.id, &create, store_revision));
        self.watches().wake();
        Ok(())
    }

    /// What there is to tell, as soon as there is something.
    pub(in super::super) async fn next(&self) -> Result<Vec<WatchMessage>, Status> {
        let watches = self.watches();
        loop {
            if watches.is_stopping() {
                return Err(status::of_request(&RequestError::Stopped));
            }
            let (messages, is_any_behind) = watches.with(|hub| {
                let messages = hub.take(self.opened.id, WATCH_ANSWERS_BYTES);
                (messages, hub.behind_count() > 0)
            });
            if !messages.is_empty() && is_any_behind {
                // There may be room again for what this stream has yet to read.
                watches.wake();
            }
            let news: Vec<_> = (messages.into_iter())
                .filter(|message| self.is_news(message))
                .collect();
            if !news.is_empty() {
                return Ok(news);
            }
            self.opened.bell.notified().await;
        }
    }

    /// Whether it is of a watcher that is listened to. One that was refused is not named.
    fn is_news(&self, message: &WatchMessage) -> bool {
        let (first, next) = self.numbers;
        match message {
            WatchMessage::Events { watch_id, .. } | WatchMessage::Compacted { watch_id, .. } => {
                (first..next).contains(watch_id)
            }
            WatchMessage::Refused { .. } => true,
            WatchMessage::Created { .. }
            | WatchMessage::Canceled { .. }
            | WatchMessage::Progress { .. } => false,
        }
    }

    fn watches(&self) -> &crate::watches::Watches {
        &self.opened.core.watches
    }
}

/// Why a watcher was refused, for a caller. That there are too many is worth another try.
pub(in super::super) fn refusal(reason: WatchRefusal) -> Status {
    match reason {
        WatchRefusal::TooManyWatchers => status::of_request(&RequestError::TooManyRequests),
        other => Status::unknown(other.to_string()),
    }
}
