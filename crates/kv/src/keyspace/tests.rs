use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::span::End;

fn at(revision: i64) -> NonZeroI64 {
    NonZeroI64::new(revision).unwrap()
}

fn put(keyspace: &mut Keyspace, key: &[u8], revision: i64) {
    keyspace.write(key, |_| Version {
        mod_revision: at(revision),
        create_revision: revision,
        version: 1,
        lease: 0,
        value: Some(Arc::from(key)),
    });
}

fn everything() -> Span {
    Span {
        start: Bytes::from_static(b"\0"),
        end: End::Never,
    }
}

fn keys(keyspace: &Keyspace, revision: i64) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let end = keyspace.scan_step(
        b"",
        &everything(),
        revision,
        &mut usize::MAX.clone(),
        |key, _| {
            found.push(key.as_slice().to_vec());
            true
        },
    );
    assert!(end.is_none());
    found
}

/// Keys in an order that is neither sorted nor the reverse, without repetition.
fn shuffled(count: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |n| format!("{:06}", u64::from(n) * 7919 % u64::from(count)).into_bytes())
}

#[test]
fn keys_that_arrive_in_order_fill_their_leaves() {
    let mut keyspace = Keyspace::new();
    for n in 0..6400_i64 {
        put(&mut keyspace, format!("{n:06}").as_bytes(), n + 2);
    }
    keyspace.check();
    assert_eq!(keyspace.leaves.len(), 100);
}

#[test]
fn keys_in_any_order_are_found_and_come_back_sorted() {
    let mut keyspace = Keyspace::new();
    for (n, key) in shuffled(5000).enumerate() {
        put(&mut keyspace, &key, n as i64 + 2);
        if n % 500 == 0 {
            keyspace.check();
        }
    }
    keyspace.check();
    let sorted: Vec<Vec<u8>> = (0..5000).map(|n| format!("{n:06}").into_bytes()).collect();
    assert_eq!(keys(&keyspace, i64::MAX), sorted);
    assert!(sorted.iter().all(|key| keyspace.get(key).is_some()));
    assert!(keyspace.get(b"000000x").is_none());
    assert!(
        keyspace.leaves.len() < 2 * 5000 / 64,
        "{} leaves",
        keyspace.leaves.len()
    );
}

#[test]
fn when_all_is_deleted_and_freed_one_empty_leaf_remains_and_no_byte_is_on_the_books() {
    let mut keyspace = Keyspace::new();
    for (n, key) in shuffled(3000).enumerate() {
        put(&mut keyspace, &key, n as i64 + 2);
    }
    let mut budget = usize::MAX;
    let rest = keyspace.delete_step(
        b"",
        &everything(),
        at(4000),
        &mut budget,
        |_, newest, tombstone| {
            assert!(newest.is_live() && !tombstone.is_live());
        },
    );
    assert!(rest.is_none());
    keyspace.check();
    assert_eq!((keyspace.live_keys(), keys(&keyspace, 4000).len()), (0, 0));
    assert_eq!(keys(&keyspace, 3999).len(), 3000);
    for (n, key) in shuffled(3000).enumerate() {
        keyspace.free(&key, 4000, 4001);
        if n % 100 == 0 {
            keyspace.check();
        }
    }
    keyspace.check();
    assert_eq!((keyspace.leaves.len(), keyspace.bytes), (1, 0));
}

#[test]
fn a_thinned_out_keyspace_joins_its_leaves() {
    let mut keyspace = Keyspace::new();
    let all: Vec<Vec<u8>> = shuffled(6400).collect();
    for (n, key) in all.iter().enumerate() {
        put(&mut keyspace, key, n as i64 + 2);
    }
    let gone = || all.iter().filter(|key| !key.ends_with(b"00")).zip(7000..);
    for (key, revision) in gone() {
        keyspace.write(key, |_| Version::tombstone(at(revision)));
    }
    for (key, revision) in gone() {
        keyspace.free(key, revision, 20_000);
        if revision % 100 == 0 {
            keyspace.check();
        }
    }
    keyspace.check();
    assert_eq!(keys(&keyspace, 20_000).len(), 64);
    assert!(
        keyspace.leaves.len() <= 8,
        "{} leaves",
        keyspace.leaves.len()
    );
}

/// Every way of walking, in steps of one key, from every start to every end, against a plain map.
#[test]
fn walks_in_steps_of_one_key_agree_with_a_plain_map() {
    let mut keyspace = Keyspace::new();
    let mut plain = BTreeMap::new();
    for (n, key) in shuffled(200).enumerate() {
        put(&mut keyspace, &key, n as i64 + 2);
        plain.insert(key, n as i64 + 2);
    }
    let bounds: Vec<Bytes> = [0, 1, 63, 64, 65, 100, 199]
        .map(|n: u32| Bytes::from(format!("{n:06}")))
        .to_vec();
    for revision in [1, 50, 201] {
        for start in &bounds {
            let ends = bounds
                .iter()
                .map(|end| End::Before(end.clone()))
                .chain([End::Never]);
            for end in ends {
                let span = Span {
                    start: start.clone(),
                    end,
                };
                let expected: Vec<&Vec<u8>> = plain
                    .iter()
                    .filter(|(key, written)| {
                        **written <= revision && key.as_slice() >= start && span.ends_after(key)
                    })
                    .map(|(key, _)| key)
                    .collect();
                check_walks(&keyspace, &span, revision, &expected);
            }
        }
    }
}

fn check_walks(keyspace: &Keyspace, span: &Span, revision: i64, expected: &[&Vec<u8>]) {
    let (mut count, mut from) = (0, Some(Key::new(&span.start)));
    while let Some(at) = from {
        from = keyspace.count_step(at.as_slice(), span, revision, &mut 1, &mut count);
    }
    assert_eq!(count, expected.len(), "counting {span:?} at {revision}");

    let (mut found, mut from) = (Vec::new(), Some(Key::new(&span.start)));
    while let Some(at) = from {
        from = keyspace.scan_step(at.as_slice(), span, revision, &mut 1, |key, _| {
            found.push(key.as_slice().to_vec());
            true
        });
    }
    assert!(
        found.iter().eq(expected.iter().copied()),
        "scanning {span:?} at {revision}"
    );

    let mut found = Vec::new();
    let mut visit = |key: &Key, _: &Version| {
        found.push(key.as_slice().to_vec());
        true
    };
    let mut before = keyspace.scan_back_step(None, span, revision, &mut 1, &mut visit);
    while before.is_some() {
        before = keyspace.scan_back_step(before.as_ref(), span, revision, &mut 1, &mut visit);
    }
    assert!(
        found.iter().rev().eq(expected.iter().copied()),
        "scanning {span:?} back"
    );
}

#[test]
fn a_map_built_in_order_is_the_map_that_was_written_in_order() {
    for count in [0, 1, 63, 64, 65, 128, 1000] {
        let (mut written, mut builder) = (Keyspace::new(), KeyspaceBuilder::default());
        for n in 0..count {
            let key = format!("{n:06}").repeat(1 + n as usize % 5);
            put(&mut written, key.as_bytes(), n + 2);
            let version = written.get(key.as_bytes()).unwrap().newest().clone();
            let mut versions = Versions::One(version.clone());
            for revision in n + 3..n + 3 + n % 3 {
                put(&mut written, key.as_bytes(), revision);
                let newest = written.get(key.as_bytes()).unwrap().newest().clone();
                versions.push(newest);
            }
            builder.push(key.as_bytes(), versions);
        }
        let built = builder.finish();
        built.check();
        assert_eq!(keys(&built, i64::MAX), keys(&written, i64::MAX));
        assert_eq!(keys(&built, 20), keys(&written, 20));
        assert_eq!(built.live_keys(), written.live_keys());
        assert_eq!(built.heap_bytes(), written.heap_bytes());
    }
}
