use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A store whose revision rises by ten each minute, with a leader that does what it is told.
struct Course {
    compactor: AutoCompactor,
    level: StoreLevel,
    minute: u64,
    done: Vec<(u64, i64)>,
}

impl Course {
    fn of(rule: AutoCompaction) -> Course {
        Course {
            compactor: AutoCompactor::new(rule, Instant::ZERO),
            level: StoreLevel {
                revision: 1,
                compacted_revision: -1,
                used_bytes: 0,
                quota_bytes: Some(1_000),
            },
            minute: 0,
            done: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + MINUTE * u32::try_from(self.minute).expect("few")
    }

    /// Goes on for so many minutes; gives the minutes at which was compacted, and to which revision.
    fn run(&mut self, minutes: u64) -> Vec<(u64, i64)> {
        self.done.clear();
        for _ in 0..minutes {
            let now = self.now();
            if let Some(revision) = self.compactor.look(now, &self.level) {
                assert!(revision > self.level.compacted_revision);
                self.level.compacted_revision = revision;
                self.compactor.compacted(now);
                self.done.push((self.minute, revision));
            }
            self.minute += 1;
            self.level.revision += 10;
        }
        std::mem::take(&mut self.done)
    }
}

/// etcd's documentation: with 10 hours, the first compaction comes after 10 hours, then one every hour.
#[test]
fn a_period_above_an_hour_is_compacted_each_hour_once_it_has_passed() {
    let mut course = Course::of(AutoCompaction::Periodic {
        retention: 10 * HOUR,
    });
    assert_eq!(course.run(600), []);
    let done = course.run(121);
    assert_eq!(done, [(600, 1), (660, 601), (720, 1201)]);
}

/// etcd's documentation: with 30 minutes, one every 30 minutes.
#[test]
fn a_period_below_an_hour_is_compacted_once_a_period() {
    let retention = 30 * MINUTE;
    let mut course = Course::of(AutoCompaction::Periodic { retention });
    let done = course.run(91);
    assert_eq!(done, [(30, 1), (60, 301), (90, 601)]);
}

#[test]
fn a_follower_that_comes_to_lead_compacts_to_what_it_has_seen_meanwhile() {
    let mut course = Course::of(AutoCompaction::Periodic { retention: HOUR });
    for _ in 0..90 {
        let now = course.now();
        let _ = course.compactor.look(now, &course.level);
        course.minute += 1;
        course.level.revision += 10;
    }
    assert_eq!(course.run(1), [(90, 301)]);
}

#[test]
fn what_could_not_be_done_comes_again_at_the_next_look() {
    let retention = 10 * MINUTE;
    let mut course = Course::of(AutoCompaction::Periodic { retention });
    course.run(10);
    let at = |minute: u32| Instant::ZERO + MINUTE * minute;
    let level = course.level;
    assert_eq!(course.compactor.look(at(10), &level), Some(1));
    assert_eq!(course.compactor.look(at(10), &level), None, "not yet");
    assert_eq!(course.compactor.look(at(11), &level), Some(11));
    course.compactor.compacted(at(11));
    assert_eq!(course.compactor.look(at(12), &level), None, "done");
}

#[test]
fn all_but_the_newest_revisions_go_every_five_minutes() {
    let mut course = Course::of(AutoCompaction::revisions(100));
    let done = course.run(21);
    assert_eq!(done, [(10, 1), (15, 51), (20, 101)]);
}

#[test]
fn nothing_goes_without_being_asked_below_four_fifths_of_the_quota() {
    let mut course = Course::of(AutoCompaction::when_full());
    course.level.used_bytes = 799;
    assert_eq!(course.run(200), []);
    course.level.used_bytes = 800;
    // At minute 200: what was there at minute 140.
    assert_eq!(course.run(2), [(200, 1401), (201, 1411)]);
    course.level.used_bytes = 799;
    assert_eq!(course.run(100), []);
}

#[test]
fn a_store_without_a_quota_is_never_full() {
    let mut course = Course::of(AutoCompaction::when_full());
    course.level.quota_bytes = None;
    course.level.used_bytes = u64::MAX;
    assert_eq!(course.run(200), []);
}

#[test]
fn switched_off_it_never_wants_to_be_asked() {
    let mut course = Course::of(AutoCompaction::Off);
    assert_eq!(course.compactor.deadline(), None);
    course.level.used_bytes = 1_000;
    assert_eq!(course.run(200), []);
}

#[test]
fn a_store_that_stands_still_is_compacted_once() {
    let mut course = Course::of(AutoCompaction::Periodic { retention: MINUTE });
    for minute in 0..100 {
        let now = Instant::ZERO + MINUTE * minute;
        if let Some(revision) = course.compactor.look(now, &course.level) {
            course.level.compacted_revision = revision;
            course.compactor.compacted(now);
            course.done.push((u64::from(minute), revision));
        }
    }
    assert_eq!(course.done, [(1, 1)]);
}

#[test]
fn a_store_that_went_back_is_not_compacted_by_what_was_known_of_the_one_before() {
    let mut course = Course::of(AutoCompaction::Periodic { retention: HOUR });
    course.run(59);
    course.level.revision = 5;
    // The new one's own hour has to pass.
    assert_eq!(course.run(60), []);
    assert!(!course.run(12).is_empty());
}

#[test]
fn however_long_history_is_kept_what_is_remembered_of_it_is_bounded_and_never_too_young() {
    let year = 365 * 24 * HOUR;
    let mut course = Course::of(AutoCompaction::Periodic { retention: year });
    for hour in 0..3 * 365 * 24_u32 {
        let now = Instant::ZERO + HOUR * hour;
        course.level.revision = 1 + i64::from(hour);
        if let Some(revision) = course.compactor.look(now, &course.level) {
            assert!(i64::from(hour) + 1 - revision >= 365 * 24, "too young");
            course.level.compacted_revision = revision;
            course.compactor.compacted(now);
        }
        assert!(course.compactor.samples.len() <= SAMPLES_MAX);
    }
    assert!(course.level.compacted_revision > 365 * 24);
}
