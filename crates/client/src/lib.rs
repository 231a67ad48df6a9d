//! A thin async client of the etcd v3 API, for any server that speaks it.
//!
//! A [`Client`] knows several endpoints and holds one HTTP/2 connection to each, opened when first needed and reopened
//! when lost. Calls go round the endpoints. What happens when one fails follows etcd's client
//! (<https://etcd.io/docs/v3.5/learning/design-client/>):
//!
//! - a **read** that meets `Unavailable`, or a connection that breaks, is tried again elsewhere;
//! - a **write** is tried again only while nothing of it has been sent, that is, when no connection could be made. Once
//!   it may have been applied, the caller is told and decides ([`Error::may_have_been_applied`]): a silent second
//!   try could apply it twice, or undo what another client wrote in between.
//!
//! All tries of a call share one command timeout. A [`Connection`] is the layer below: one endpoint, no second tries.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod connection;
mod contest;
mod endpoint;
mod error;
mod options;
mod session;
pub mod stubs;
mod watch;

pub use client::Client;
pub use connection::{Connection, KeepAlive, SnapshotStream};
pub use contest::{Observer, Place};
pub use endpoint::Endpoint;
pub use error::Error;
pub use options::Options;
pub use session::Session;
pub use tonic::Code;
pub use watch::{WatchStream, Watcher};

use bytes::Bytes;

/// The `range_end` that takes in every key beginning with `prefix`: the prefix with its last byte below 0xff raised
/// by one and the rest cut off. A prefix of nothing but 0xff bytes, or an empty one, has no such end: then it is a
/// single zero byte, which means "to the last key" (etcd's `RangeRequest.range_end`).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let Some(last) = prefix.iter().rposition(|&byte| byte < 0xff) else {
        return Bytes::from_static(&[0]);
    };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end.into()
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn the_end_of_a_prefix_carries_over_0xff() {
        assert_eq!(prefix_end(b"foo"), "fop");
        assert_eq!(prefix_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_end(b"\xff"), "\0");
        assert_eq!(prefix_end(b""), "\0");
    }
}
