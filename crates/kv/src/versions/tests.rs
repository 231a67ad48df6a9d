use super::*;

fn version(revision: i64) -> Version {
    Version {
        mod_revision: NonZeroI64::new(revision).unwrap(),
        create_revision: 2,
        version: revision - 1,
        lease: 0,
        value: Some(Arc::from(revision.to_string().as_bytes())),
    }
}

#[test]
fn one_version_takes_six_words_and_a_history_no_more() {
    assert_eq!(size_of::<Version>(), 48);
    assert_eq!(size_of::<Versions>(), 48);
}

#[test]
fn every_revision_sees_the_newest_version_not_after_it() {
    let mut versions = Versions::One(version(2));
    for step in 1..500 {
        versions.push(version(2 + 3 * step));
    }
    assert!(versions.at(1).is_none());
    for revision in 2..1600 {
        let expected = (2 + (revision - 2) / 3 * 3).min(2 + 3 * 499);
        assert_eq!(
            versions.at(revision).unwrap().revision(),
            expected,
            "at {revision}"
        );
    }
    assert_eq!(versions.newest().revision(), 2 + 3 * 499);
}

#[test]
fn freed_from_the_front_down_to_one_it_lies_inline_again() {
    for count in [2, 3, 64, 65, 66, 128, 129, 300] {
        let mut versions = Versions::One(version(1));
        for revision in 2..=count {
            versions.push(version(revision));
        }
        for revision in 1..count {
            let (oldest, next) = versions.oldest();
            assert_eq!((oldest.revision(), next), (revision, Some(revision + 1)));
            assert_eq!(versions.pop_oldest().revision(), revision);
            assert_eq!(
                versions.revisions(),
                (revision + 1..=count).collect::<Vec<_>>()
            );
        }
        assert!(matches!(versions, Versions::One(_)));
        assert_eq!(versions.oldest().1, None);
    }
}

#[test]
#[should_panic(expected = "a version at revision 4 cannot follow one at 5")]
fn time_does_not_run_backwards() {
    Versions::One(version(5)).push(version(4));
}

#[test]
fn the_versions_since_a_revision_are_all_from_there_on() {
    for count in [1, 2, 64, 65, 200] {
        let mut versions = Versions::One(version(2));
        for step in 1..count {
            versions.push(version(2 + 2 * step));
        }
        for freed in 0..count.min(70) {
            if freed > 0 && freed < count {
                versions.pop_oldest();
            }
            for since in [i64::MIN, 2, 3, 64, 129, 130, 131, 399, 400, i64::MAX] {
                let found: Vec<i64> = versions.since(since).map(Version::revision).collect();
                let mut expected = versions.revisions();
                expected.retain(|revision| *revision >= since);
                assert_eq!(found, expected, "since {since} of {count} less {freed}");
            }
        }
    }
}
