#![allow(
    clippy::all,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs
)]
use std::sync::atomic::{AtomicU64, Ordering};
fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let a: Vec<String> = std::env::args().collect();
    let first: u64 = a[1].parse().unwrap();
    let limit: u64 = a[2].parse().unwrap();
    let only = &a[3..];
    let jobs: Vec<_> = quorate_sim::BUGS
        .iter()
        .filter(|b| only.is_empty() || only.iter().any(|o| o == b.name))
        .collect();
    let next = AtomicU64::new(0);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed) as usize;
                    if n >= jobs.len() {
                        break;
                    }
                    let b = jobs[n];
                    let mut runs: Vec<String> = vec![];
                    let mut what = String::new();
                    for start in 0..5 {
                        let from = start * 1_000_000_000;
                        let mut got = None;
                        for seed in from..from + if start == 0 { first } else { limit } {
                            if let Err(f) = quorate_sim::run_seed_with_bug(seed, b.name) {
                                if let Err(base) = quorate_sim::run_seed(seed) {
                                    println!("BASE {} {}", seed, base.what);
                                }
                                got = Some(seed - from + 1);
                                what = f.what.lines().next().unwrap().chars().take(110).collect();
                                break;
                            }
                        }
                        runs.push(got.map_or("null".into(), |g| g.to_string()));
                        if got.is_none() && start == 0 {
                            break;
                        }
                    }
                    println!(
                        "{{\"name\":{:?},\"runs\":[{}],\"symptom\":{:?}}}",
                        b.name,
                        runs.join(","),
                        what
                    );
                }
            });
        }
    });
}
