use bytes::Bytes;
use quorate_kv::WatchHub;

use super::*;

/// Asks for a watcher of a key, or of a range, of `bytes` bytes; whether it is there.
fn create(hub: &mut WatchHub, id: StreamId, number: usize, bytes: usize, is_range: bool) -> bool {
    let mut key = vec![b'k'; bytes];
    key[..8].copy_from_slice(&number.to_be_bytes());
    let (key, range_end) = match is_range {
        true => {
            let end = key.split_off(bytes / 2);
            (key, [&[0xff; 8], &end[..]].concat())
        }
        false => (key, Vec::new()),
    };
    let request = WatchCreateRequest {
        key: Bytes::from(key),
        range_end: Bytes::from(range_end),
        ..Default::default()
    };
    create_in(hub, id, &request, 1);
    let taken = hub.take(id, usize::MAX);
    match &taken[..] {
        [WatchMessage::Created { .. }] => true,
        [WatchMessage::Refused { reason, .. }] => {
            assert_eq!(reason.to_string(), "etcdserver: too many requests");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn watchers_of_long_keys_are_refused_when_all_keys_together_are_too_long() {
    const KEY_BYTES: usize = 1 << 20;
    for is_range in [false, true] {
        let mut hub = WatchHub::new(1);
        let id = hub.open_stream(0, 1);
        let mut created = 0;
        while create(&mut hub, id, created, KEY_BYTES, is_range) {
            created += 1;
            assert!(created * KEY_BYTES <= WATCHED_KEYS_BYTES, "{created}");
        }
        assert!(created >= WATCHED_KEYS_BYTES / KEY_BYTES - 1, "{created}");
        assert!(!create(&mut hub, id, created, KEY_BYTES, is_range));
        // One that goes makes room for one.
        hub.cancel(id, 0);
        hub.take(id, usize::MAX);
        assert!(create(&mut hub, id, created, KEY_BYTES, is_range));
        assert!(!create(&mut hub, id, created + 1, KEY_BYTES, is_range));
        hub.close_stream(id);
        assert_eq!(hub.span_bytes(), 0);
    }
}
