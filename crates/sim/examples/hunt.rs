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
    let limit: u64 = a[1].parse().unwrap();
    let starts: u64 = a[2].parse().unwrap();
    let only = &a[3..];
    if only.first().is_some_and(|x| x == "none") {
        let next = AtomicU64::new(0);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= limit {
                            break;
                        }
                        if let Err(f) = quorate_sim::run_seed(starts + n) {
                            println!("BASE {} {}", f.seed, f.what.lines().next().unwrap());
                        }
                    }
                });
            }
        });
        println!("base done");
        return;
    }
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
                    let t = std::time::Instant::now();
                    let mut found = vec![];
                    let mut what = String::new();
                    for start in 0..starts {
                        let from = start * 1_000_000;
                        let mut got = None;
                        for seed in from..from + limit {
                            if let Err(f) = quorate_sim::run_seed_with_bug(seed, b.name) {
                                got = Some(seed - from + 1);
                                what = f.what.lines().next().unwrap().chars().take(110).collect();
                                break;
                            }
                        }
                        found.push(got.unwrap_or(u64::MAX));
                    }
                    let mut sorted = found.clone();
                    sorted.sort();
                    let show: Vec<String> = found
                        .iter()
                        .map(|x| {
                            if *x == u64::MAX {
                                "-".into()
                            } else {
                                x.to_string()
                            }
                        })
                        .collect();
                    println!(
                        "{:>6} {:<45} {} [{}] {:.1}s {}",
                        if sorted[sorted.len() / 2] == u64::MAX {
                            "-".into()
                        } else {
                            sorted[sorted.len() / 2].to_string()
                        },
                        b.name,
                        b.crate_name,
                        show.join(","),
                        t.elapsed().as_secs_f64(),
                        what
                    );
                }
            });
        }
    });
}
