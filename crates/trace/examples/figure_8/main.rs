//! Figure 8 of the Raft paper, played by five real nodes in memory, as a page and as text.
//!
//! Why may a leader not commit an entry of an earlier term by counting who has it? Because a
//! majority may have it and it can still be overwritten. Two endings of one story:
//!
//! ```text
//! cargo run -p quorate-trace --example figure_8 -- overwritten figure-8-d.html
//! cargo run -p quorate-trace --example figure_8 -- committed figure-8-e.html
//! cargo run -p quorate-trace --example figure_8 -- overwritten -
//! ```
//!
//! With `-` the story comes as columns of text, 140 wide.
#![allow(clippy::disallowed_methods)] // A program of its own: it has arguments and writes a file.

mod cluster;
mod words;

use std::time::Duration;

use cluster::Cluster;
use quorate_trace::{Trace, render_html, render_text};

/// How the story ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Figure 8 (d): the entry that a majority has is overwritten.
    Overwritten,
    /// Figure 8 (e): the leader commits an entry of its own term first, and nothing is lost.
    Committed,
}

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(120);
const LONG: Duration = Duration::from_millis(3_000);
/// Positions of the five servers of the figure.
const S1: usize = 0;
const S2: usize = 1;
const S3: usize = 2;
const S4: usize = 3;
const S5: usize = 4;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (ending, path) = match words[..] {
        ["overwritten", path] => (Ending::Overwritten, path),
        ["committed", path] => (Ending::Committed, path),
        _ => {
            eprintln!("usage: figure_8 overwritten|committed FILE.html|-");
            std::process::exit(2);
        }
    };
    let trace = story(ending);
    match path {
        "-" => print!("{}", render_text(&trace, 140, true)),
        path => std::fs::write(path, render_html(&trace))?,
    }
    Ok(())
}

fn story(ending: Ending) -> Trace {
    let title = match ending {
        Ending::Overwritten => "Figure 8 (d): a majority has the entry, and it is overwritten",
        Ending::Committed => "Figure 8 (e): an entry of the leader's own term makes it safe",
    };
    let mut cluster = Cluster::new(title, [2 * SHORT, SHORT, LONG, LONG, 6 * SHORT]);
    before_the_figure(&mut cluster);
    part_a(&mut cluster);
    part_b(&mut cluster);
    part_c(&mut cluster);
    match ending {
        Ending::Overwritten => part_d(&mut cluster),
        Ending::Committed => part_e(&mut cluster),
    }
    cluster.finish()
}

/// All five agree on a first entry, of term 1.
fn before_the_figure(cluster: &mut Cluster) {
    cluster.note("Before the figure: S2 wins term 1, and all five agree on x = 1.");
    cluster.run_until("S2 leads", |c| c.leads(S2));
    cluster.propose(S2, "x = 1");
    cluster.run_until("all commit entry 1", |c| {
        (0..5).all(|one| c.commit(one) == 1)
    });
}

/// S1 leads in term 2 and hands entry 2 to S2 only.
fn part_a(cluster: &mut Cluster) {
    cluster.note("(a) S1 leads in term 2. Its entry 2 reaches S2 alone.");
    cluster.crash(S2, "killed");
    cluster.run_until("S1 leads", |c| c.leads(S1));
    cluster.start(S2, LONG);
    cluster.run_for(Duration::from_millis(130));
    cluster.cut(&[&[S1, S2], &[S3, S4, S5]], "S1 and S2 are alone");
    cluster.propose(S1, "x = 2");
    cluster.run_until("S2 has entry 2", |c| c.durable(S2) == 2);
    cluster.run_for(Duration::from_millis(5));
}

/// S1 dies; S5 leads in term 3 and appends another entry 2, for itself alone.
fn part_b(cluster: &mut Cluster) {
    cluster.note("(b) S1 dies. S5 wins term 3 with votes of S3 and S4, and takes another entry 2.");
    cluster.crash(S1, "killed");
    cluster.run_until("S5 leads", |c| c.leads(S5));
    cluster.mend();
    cluster.cut(&[&[S5], &[S1, S2, S3, S4]], "S5 is alone");
    cluster.propose(S5, "x = 3");
    cluster.run_until("S5 has entry 2", |c| c.durable(S5) == 2);
    cluster.run_for(Duration::from_millis(60));
}

/// S5 dies; S1 comes back, leads in term 4, and brings its entry 2 to a majority.
fn part_c(cluster: &mut Cluster) {
    cluster.note("(c) S5 dies. S1 is back, wins term 4, and brings its old entry 2 to S3 as well.");
    cluster.crash(S5, "killed");
    cluster.mend();
    cluster.pause(S4);
    cluster.start(S1, SHORT);
    cluster.run_until("S3 has entry 2", |c| c.durable(S3) == 2);
    cluster.run_for(Duration::from_millis(120));
    let commits: Vec<u64> = [S1, S2, S3]
        .iter()
        .map(|one| cluster.commit(*one))
        .collect();
    assert!(
        commits.iter().all(|commit| *commit < 2),
        "{commits:?}: committed by counting"
    );
    cluster.note(
        "S1, S2 and S3 have entry 2: a majority. Still S1 does not call it committed, since it is \
         of term 2 and not of S1's own term 4.",
    );
}

/// S1 dies; S5 wins with the later last term and overwrites entry 2 on all.
fn part_d(cluster: &mut Cluster) {
    cluster.note(
        "(d) S1 dies. S5's log ends with term 3, later than term 2: S2, S3 and S4 vote for it.",
    );
    cluster.crash(S1, "killed");
    cluster.resume(S4);
    cluster.start(S5, SHORT);
    cluster.run_until("S5 leads", |c| c.leads(S5));
    cluster.propose(S5, "x = 5");
    cluster.run_until("S5's log is everywhere", |c| {
        [S2, S3, S4, S5].iter().all(|one| c.commit(*one) == 3)
    });
    cluster.start(S1, LONG);
    cluster.run_until("S1 has it too", |c| c.commit(S1) == 3);
    cluster.run_for(Duration::from_millis(60));
    cluster.note(
        "Entry 2 of term 2 is gone everywhere, though a majority once had it. Had S1 called it \
         committed, an acknowledged write would be lost.",
    );
}

/// S1 replicates an entry of its own term: S5 can no longer win.
fn part_e(cluster: &mut Cluster) {
    cluster.note("(e) S1 takes an entry of its own term 4, and a majority has it: now both count.");
    cluster.propose(S1, "x = 4");
    cluster.run_until("S1, S2 and S3 commit", |c| {
        [S1, S2, S3].iter().all(|one| c.commit(*one) == 3)
    });
    cluster.note("S1 dies. S5 asks for votes, and S2 and S3 refuse: their logs end with term 4.");
    cluster.crash(S1, "killed");
    cluster.cut(&[&[S4], &[S1, S2, S3, S5]], "S4 is alone");
    cluster.resume(S4);
    cluster.start(S5, SECOND / 2);
    cluster.run_for(SECOND);
    assert!(!cluster.leads(S5), "S5 lacks a committed entry");
    cluster
        .note("S2's log has it all, so it can win; its first entry of its own commits everything.");
    cluster.mend();
    cluster.crash(S2, "started anew");
    cluster.start(S2, SHORT);
    cluster.run_until("S2 leads", |c| c.leads(S2));
    cluster.propose(S2, "x = 6");
    cluster.run_until("all but S1 commit", |c| {
        [S2, S3, S4, S5].iter().all(|one| c.commit(*one) == 4)
    });
    cluster.note("Entries 2 and 3 are everywhere, and S5's own entry 2 is overwritten: nobody was told of it.");
}
