//! What a message is on the wire.

use prost::Message as _;
use quorate_kv::{WatchMessage, WatchRefusal};
use quorate_proto::etcdserverpb::WatchCreateRequest;

use crate::support::*;
use crate::watches::{Watched, watch};

/// The fields of each kind of answer, as etcd sets them.
#[test]
fn each_message_has_the_fields_that_etcd_sets() {
    let (watch_id, revision) = (3, 9);
    let refused = WatchMessage::Refused {
        reason: WatchRefusal::EmptyRange,
        revision,
    };
    let flags = |message: WatchMessage| {
        let response = message.to_response();
        assert!(response.encoded_len() <= message.response_bytes());
        let reason = response.cancel_reason;
        (
            response.header.unwrap().revision,
            response.watch_id,
            (response.created, response.canceled),
            (response.compact_revision, reason.is_empty()),
        )
    };
    assert_eq!(flags(refused), (9, -1, (true, true), (0, false)));
    let created = WatchMessage::Created { watch_id, revision };
    assert_eq!(flags(created), (9, 3, (true, false), (0, true)));
    let canceled = WatchMessage::Canceled { watch_id, revision };
    assert_eq!(flags(canceled), (9, 3, (false, true), (0, true)));
    let compacted = WatchMessage::Compacted {
        watch_id,
        compact_revision: 7,
    };
    assert_eq!(flags(compacted), (0, 3, (false, true), (7, true)));
    for (watch_id, expected) in [(Some(3), 3), (None, -1)] {
        let progress = WatchMessage::Progress { watch_id, revision };
        assert_eq!(flags(progress), (9, expected, (false, false), (0, true)));
    }
}

/// "All events of one revision in one response unless fragment=true (fragments flagged fragment=true
/// except the last; threshold max-request-bytes)."
#[test]
fn a_large_message_is_split_for_who_allows_it() {
    for fragment in [false, true] {
        let mut watched = Watched::with_keys(&[]);
        let stream = watched.open();
        let request = WatchCreateRequest {
            fragment,
            prev_kv: true,
            ..watch("\0", "\0")
        };
        watched.create(stream, &request);
        watched.hub.take(stream, usize::MAX);
        let value = "v".repeat(1000);
        for round in 0..2 {
            let puts = (0..10).map(|n| op(put(&format!("{n}{}", "k".repeat(n * round)), &value)));
            watched.member.txn(all(puts)).unwrap();
            watched.publish();
        }
        let large = put("large", &value.repeat(9));
        watched
            .member
            .txn(all([op(put("k", "")), op(large)]))
            .unwrap();
        watched.publish();
        for message in watched.hub.take(stream, usize::MAX) {
            let whole = message.to_response();
            let parts = message.into_fragments(5000);
            assert_eq!(parts.len() > 1, fragment, "{}", whole.encoded_len());
            let last = parts.len() - 1;
            let mut events = Vec::new();
            for (index, part) in parts.into_iter().enumerate() {
                let response = part.to_response();
                assert_eq!(response.fragment, fragment && index < last);
                assert_eq!((response.watch_id, &response.header), (0, &whole.header));
                let is_small = response.encoded_len() < 5000 || response.events.len() == 1;
                assert!(is_small || !fragment);
                assert!(!response.events.is_empty());
                events.extend(response.events);
            }
            assert_eq!(events, whole.events);
        }
    }
}
