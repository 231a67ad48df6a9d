//! Which sequences are tried, and what is said of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::client::Answer;
use crate::cluster::parent_of_directories;
use crate::differences::{NOT_ASKED, RULES};
use crate::etcdctl;
use crate::generate;
use crate::operation::{Operation, parse_all, print_all};
use crate::servers::Etcd;
use crate::shrink::shrink;
use crate::trial::{self, Count, Difference, Distortion};

const HELP: &str = "\
Quorate beside etcd, which is at $QUORATE_TEST_ETCD or on the path.

  cargo test -p quorate --test differential -- [OPTIONS]

  --seeds N         sequences of so many seeds (3)
  --first SEED      the first of the seeds (1)
  --operations N    operations in each sequence (3000)
  --replay FILE     the sequence in this file instead
  --shrink-seconds N  how long a sequence that fails is shrunk (300)
  --differences     says what is not compared, or not asked, and why
  --list            names the tests";

/// The tests: the words after the options choose those whose names contain one of them.
const TESTS: [&str; 4] = [
    "a_wrong_answer_is_found_and_shrunk",
    "scripts_of_differences_found_once",
    "every_subcommand_of_etcdctl",
    "random_sequences",
];

#[derive(Debug)]
struct Settings {
    seeds: u64,
    first: u64,
    operations: usize,
    replay: Option<PathBuf>,
    shrink: Duration,
    words: Vec<String>,
}

/// Words as of Rust's test harness; options that are not known are none of ours.
pub(crate) fn main() -> ExitCode {
    let mut settings = Settings {
        seeds: 3,
        first: 1,
        operations: 3000,
        replay: None,
        shrink: Duration::from_secs(300),
        words: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().unwrap_or_default();
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{argument} takes a number, not {text:?}"))
        };
        match &argument[..] {
            "--help" => return say(HELP),
            "--list" => return say(&TESTS.map(|name| format!("{name}: test")).join("\n")),
            "--differences" => return say(&differences()),
            "--seeds" => settings.seeds = number(),
            "--first" => settings.first = number(),
            "--operations" => settings.operations = number() as usize,
            "--shrink-seconds" => settings.shrink = Duration::from_secs(number()),
            "--replay" => settings.replay = arguments.next().map(PathBuf::from),
            option if option.starts_with("--") => {}
            _ => settings.words.push(argument),
        }
    }
    run(&settings)
}

fn say(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn differences() -> String {
    let rules = RULES.iter().map(|rule| (rule.what, rule.why));
    let lines = rules.chain(NOT_ASKED);
    lines
        .map(|(what, why)| format!("{what}\n    {why}\n"))
        .collect()
}

fn run(settings: &Settings) -> ExitCode {
    let is_wanted = |name: &&str| {
        let words = &settings.words;
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    };
    let tests: Vec<&str> = TESTS.into_iter().filter(is_wanted).collect();
    println!("\nrunning {} tests beside etcd", tests.len());
    if tests.is_empty() {
        return ExitCode::SUCCESS;
    }
    let Some(etcd) = Etcd::find() else {
        return ExitCode::SUCCESS;
    };
    println!("the oracle is etcd {}", etcd.version);
    let test = Test {
        etcd: &etcd,
        settings,
    };
    if let Some(file) = &settings.replay {
        return code(test.replay(file));
    }
    let passed = tests.iter().map(|name| {
        let passed = match *name {
            "a_wrong_answer_is_found_and_shrunk" => test.finds_what_is_wrong(),
            "scripts_of_differences_found_once" => test.scripts(),
            "every_subcommand_of_etcdctl" => etcdctl::compare(&etcd),
            _ => test.seeds(),
        };
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        passed
    });
    // All of them, also behind one that fails.
    let failed = passed.filter(|passed| !passed).count();
    code(failed == 0)
}

fn code(passed: bool) -> ExitCode {
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

struct Test<'a> {
    etcd: &'a Etcd,
    settings: &'a Settings,
}

impl Test<'_> {
    fn seeds(&self) -> bool {
        let Settings { seeds, first, .. } = *self.settings;
        let mut failed = Vec::new();
        for seed in first..first + seeds {
            let operations = generate::sequence(seed, self.settings.operations);
            if !self.passes(&format!("seed-{seed}"), &operations) {
                failed.push(seed);
            }
        }
        if !failed.is_empty() {
            println!("{} of {seeds} seeds failed: {failed:?}", failed.len());
        }
        failed.is_empty()
    }

    fn scripts(&self) -> bool {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/scripts");
        let entries = std::fs::read_dir(&directory).expect("the scripts");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "there are no scripts");
        // Each is done, also behind one that fails.
        let failed = files.iter().filter(|file| !self.replay(file)).count();
        failed == 0
    }

    fn replay(&self, file: &Path) -> bool {
        let text = std::fs::read_to_string(file);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let operations = parse_all(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        self.passes(&name, &operations)
    }

    fn passes(&self, name: &str, operations: &[Operation]) -> bool {
        let began = Instant::now();
        match trial::run(self.etcd, operations, None) {
            Ok(count) => {
                println!(
                    "{name}: {} in {:.1} s",
                    counted(count),
                    began.elapsed().as_secs_f64()
                );
                true
            }
            Err(difference) => {
                let at = difference.at;
                println!(
                    "{name}: operation {at} of {} differs; shrinking",
                    operations.len()
                );
                let (left, how) = self.shrunk(operations, difference, None);
                self.tell(name, operations.len(), &left, &how);
                false
            }
        }
    }

    fn shrunk(
        &self,
        operations: &[Operation],
        difference: Difference,
        distortion: Option<Distortion>,
    ) -> (Vec<Operation>, Difference) {
        let first = (difference.at, difference);
        shrink(operations, first, self.settings.shrink, |shorter| {
            let difference = trial::run(self.etcd, shorter, distortion).err()?;
            Some((difference.at, difference))
        })
    }

    fn tell(&self, name: &str, all: usize, left: &[Operation], how: &Difference) {
        let file = parent_of_directories().join(format!("differential-{name}.txt"));
        let text = print_all(left);
        println!(
            "\n{name}: {} operations of {all} are left:\n{text}",
            left.len()
        );
        println!("differs: {how}\n");
        match std::fs::write(&file, text) {
            Ok(()) => println!(
                "repeat it: cargo test -p quorate --test differential -- --replay {}",
                file.display()
            ),
            Err(error) => println!("{} cannot be written: {error}", file.display()),
        }
        if let Some(seed) = name.strip_prefix("seed-") {
            println!(
                "the whole: cargo test -p quorate --test differential -- --seeds 1 --first {seed} --operations {all}"
            );
        }
    }

    /// The test itself is tested: answers of Quorate's that are made wrong have to be found, and the sequence has to
    /// shrink to what it takes. A put, so that there is something to delete, and the delete.
    fn finds_what_is_wrong(&self) -> bool {
        let distort: Distortion = |operation, answer: &mut Answer| {
            if matches!(operation, Operation::Call(method, _) if method.word == "delete") {
                answer.text = answer.text.replace("deleted:1", "deleted:2");
            }
        };
        let operations = generate::sequence(self.settings.first, 400);
        let Err(difference) = trial::run(self.etcd, &operations, Some(distort)) else {
            println!("an answer was made wrong, and nothing was found");
            return false;
        };
        let (left, how) = self.shrunk(&operations, difference, Some(distort));
        let is_delete = |operation: &Operation| operation.to_string().starts_with("delete ");
        let is_short = left.len() == 2 && left.last().is_some_and(is_delete);
        if !is_short || !how.quorate.contains("deleted:2") {
            println!(
                "two operations should be left, not:\n{}\n{how}",
                print_all(&left)
            );
            return false;
        }
        true
    }
}

fn counted(count: Count) -> String {
    let Count {
        operations,
        errors,
        events,
        revision,
    } = count;
    format!(
        "{operations} operations ({errors} refused alike) to revision {revision}, {events} events told"
    )
}
