use super::*;

#[test]
fn every_site_has_a_name_of_its_own() {
    for (place, site) in SITES.iter().enumerate() {
        assert_eq!(position(site.name), place, "{}", site.name);
    }
}

#[test]
fn without_a_world_no_path_is_taken() {
    assert!(!chaos!("append-of-one-entry", 100));
}

#[cfg(feature = "sites")]
mod with_sites {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const OPEN: u32 = 1 << position("append-of-one-entry");

    #[test]
    fn a_world_takes_the_paths_of_its_open_sites_and_counts_them() {
        let mut chaos = Chaos::new(1, OPEN);
        let (open, shut) = within(&mut chaos, || {
            (
                chaos!("append-of-one-entry", 100),
                chaos!("leader-steps-down", 100),
            )
        });
        assert!(open && !shut);
        assert_eq!(chaos.taken(position("append-of-one-entry")), 1);
        assert!(!chaos!("append-of-one-entry", 100), "the world is over");
    }

    #[test]
    fn who_only_looks_takes_no_path_and_no_chance() {
        let answers = |looks: bool| {
            let mut chaos = Chaos::new(7, OPEN);
            within(&mut chaos, || {
                if looks {
                    let seen = without(|| chaos!("append-of-one-entry", 100));
                    assert!(!seen);
                }
                let ask = |_| chaos!("append-of-one-entry", 50);
                (0..64).map(ask).collect::<Vec<bool>>()
            })
        };
        assert_eq!(answers(true), answers(false));
    }

    #[test]
    fn equal_seeds_answer_alike() {
        let answers = |seed| {
            let mut chaos = Chaos::new(seed, OPEN);
            let ask = |_| within(&mut chaos, || chaos!("append-of-one-entry", 50));
            (0..64).map(ask).collect::<Vec<bool>>()
        };
        assert_eq!(answers(7), answers(7));
        assert_ne!(answers(7), answers(8));
    }

    #[test]
    fn a_panic_takes_its_world_with_it() {
        let mut chaos = Chaos::new(1, OPEN);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            within(&mut chaos, || panic!("on purpose"))
        }));
        assert!(ran.is_err());
        assert!(!chaos!("append-of-one-entry", 100));
    }
}
