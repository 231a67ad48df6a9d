//! The pure parts, one by one; and the whole with real processes in `processes`.

mod processes;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::leadership::{Leadership, News};
use super::log_tail::last_lines;
use super::plan::{self, Plan};
use super::report::{Event, sentence};
use super::restarts::{QUICK_DEATH, QUICK_DEATHS_MAX, Restarts};
use super::status::{NodeStatus, parse};

fn prepare(directory: &Path, nodes: Option<u16>, base_port: Option<u16>) -> anyhow::Result<Plan> {
    let mut plan = plan::look(directory, nodes, base_port)?;
    let _lock = plan::lock(directory)?;
    plan.found()?;
    Ok(plan)
}

fn refusal(directory: &Path, nodes: Option<u16>, base_port: Option<u16>) -> String {
    format!(
        "{:#}",
        prepare(directory, nodes, base_port).expect_err("should be refused")
    )
}

#[test]
fn three_nodes_have_ports_in_pairs_from_the_base_and_directories_of_their_own() {
    let temp = tempfile::tempdir().expect("temp dir");
    let plan = prepare(&temp.path().join("up"), None, None).expect("planned");
    let nodes: Vec<(&str, u16, u16)> = plan
        .nodes()
        .map(|node| (node.name.as_str(), node.client_port, node.peer_port))
        .collect();
    assert_eq!(
        nodes,
        [("n1", 2379, 2380), ("n2", 2381, 2382), ("n3", 2383, 2384)]
    );
    assert_eq!(
        (plan.needed(None), plan.endpoints().as_str()),
        (2, "127.0.0.1:2379,127.0.0.1:2381,127.0.0.1:2383")
    );
    assert!(plan.nodes().all(|node| node.directory.is_dir()));
    let flags = plan.flags(plan.nodes().nth(1).expect("n2"));
    for flag in [
        "--name=n2",
        "--listen-client-urls=http://127.0.0.1:2381",
        "--listen-peer-urls=http://127.0.0.1:2382",
        "--initial-cluster=n1=http://127.0.0.1:2380,n2=http://127.0.0.1:2382,n3=http://127.0.0.1:2384",
    ] {
        assert!(
            flags.iter().any(|given| given == flag),
            "{flag} in {flags:?}"
        );
    }
}

#[test]
fn the_flags_of_a_node_are_flags_of_serve() {
    let temp = tempfile::tempdir().expect("temp dir");
    let plan = prepare(&temp.path().join("up"), Some(2), None).expect("planned");
    let words = plan.flags(plan.nodes().next().expect("n1"));
    let crate::flags::Asked::Serve(given) =
        crate::flags::read(&words, &[], |_| Err(String::new())).expect("flags of serve")
    else {
        panic!("not asked to serve");
    };
    let settings = crate::serve::ServeSettings::from_given(&given).expect("settings of serve");
    assert_eq!((settings.name.as_str(), settings.notes.len()), ("n1", 0));
    assert_eq!(settings.initial_cluster.len(), 2);
}

#[test]
fn run_again_it_finds_what_it_founded() {
    let temp = tempfile::tempdir().expect("temp dir");
    let first = prepare(temp.path(), Some(5), Some(4000)).expect("founded");
    assert_eq!(prepare(temp.path(), None, None).expect("found"), first);
    assert_eq!(
        prepare(temp.path(), Some(5), Some(4000)).expect("found"),
        first
    );
}

#[test]
fn other_nodes_or_ports_than_founded_are_refused() {
    let temp = tempfile::tempdir().expect("temp dir");
    prepare(temp.path(), Some(5), Some(4000)).expect("founded");
    let line = refusal(temp.path(), Some(3), None);
    assert!(line.ends_with("it holds a cluster of 5, so --nodes 3 does not fit; leave --nodes out, or name another directory with --data-dir"), "{line}");
    let line = refusal(temp.path(), None, Some(2379));
    assert!(
        line.contains("its cluster was founded with --base-port 4000, so 2379 does not fit"),
        "{line}"
    );
}

#[test]
fn two_directories_have_two_tokens() {
    let temp = tempfile::tempdir().expect("temp dir");
    let token = |name: &str| {
        let plan = prepare(&temp.path().join(name), None, None).expect("founded");
        plan.flags(plan.nodes().next().expect("n1"))
            .into_iter()
            .find(|flag| flag.starts_with("--initial-cluster-token="))
    };
    assert_ne!(token("a"), token("b"));
}

#[test]
fn a_directory_that_holds_something_else_is_refused_untouched() {
    let temp = tempfile::tempdir().expect("temp dir");
    std::fs::write(temp.path().join("letter.txt"), "dear").expect("written");
    assert!(
        refusal(temp.path(), None, None).contains("holds files that `quorate up` did not make")
    );
    assert_eq!(std::fs::read_dir(temp.path()).expect("readable").count(), 1);
}

#[test]
fn a_damaged_record_or_one_from_the_future_is_refused() {
    let temp = tempfile::tempdir().expect("temp dir");
    let record = temp.path().join("up.json");
    std::fs::write(&record, "{").expect("written");
    assert!(refusal(temp.path(), None, None).contains("up.json is damaged"));
    std::fs::write(
        &record,
        r#"{"version":1,"nodes":0,"base_port":1,"token":"t"}"#,
    )
    .expect("written");
    assert!(refusal(temp.path(), None, None).contains("is damaged: it speaks of 0 nodes"));
    std::fs::write(
        &record,
        r#"{"version":2,"nodes":3,"base_port":1,"token":"t"}"#,
    )
    .expect("written");
    assert!(refusal(temp.path(), None, None).contains("has version 2"));
}

#[test]
fn one_up_at_a_time_in_a_directory() {
    let temp = tempfile::tempdir().expect("temp dir");
    let held = plan::lock(temp.path()).expect("free");
    assert!(refusal(temp.path(), None, None).contains("another `quorate up` runs there"));
    drop(held);
    assert!(prepare(temp.path(), None, None).is_ok());
}

#[test]
fn ports_end_at_65535() {
    let temp = tempfile::tempdir().expect("temp dir");
    assert!(refusal(temp.path(), Some(3), Some(65_531)).contains("need ports up to 65536"));
    assert!(prepare(temp.path(), Some(3), Some(65_530)).is_ok());
}

#[test]
fn a_port_in_use_is_an_error_that_says_whose_and_founds_nothing() {
    let temp = tempfile::tempdir().expect("temp dir");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let plan = plan::look(temp.path(), Some(1), Some(port)).expect("planned");
    let line = plan.check_ports().expect_err("in use").to_string();
    assert!(
        line.starts_with(&format!(
            "port {port} (for clients of n1) is in use by process "
        )),
        "{line}"
    );
    assert!(line.contains(&std::process::id().to_string()), "{line}");
    assert!(line.ends_with("choose another --base-port"), "{line}");
    assert!(
        prepare(temp.path(), Some(3), Some(4000)).is_ok(),
        "other ports may be chosen"
    );
}

#[test]
fn a_node_that_dies_at_once_is_restarted_ever_later_and_then_given_up() {
    let mut restarts = Restarts::default();
    let quick = Duration::from_millis(10);
    let delays: Vec<Option<u64>> = (0..QUICK_DEATHS_MAX)
        .map(|_| {
            restarts
                .died(quick)
                .map(|delay| u64::try_from(delay.as_millis()).expect("short"))
        })
        .collect();
    assert_eq!(
        delays,
        [
            Some(500),
            Some(1000),
            Some(2000),
            Some(4000),
            Some(8000),
            None
        ]
    );
}

#[test]
fn a_long_life_forgives_quick_deaths() {
    let mut restarts = Restarts::default();
    for _ in 0..QUICK_DEATHS_MAX - 1 {
        assert!(restarts.died(Duration::ZERO).is_some());
    }
    assert_eq!(restarts.died(QUICK_DEATH), Some(Duration::from_millis(500)));
    assert_eq!(
        restarts.died(Duration::ZERO),
        Some(Duration::from_millis(500))
    );
}

#[test]
fn a_node_that_was_removed_is_never_started_again_but_the_others_are_told_of_it() {
    let temp = tempfile::tempdir().expect("temp dir");
    let mut plan = prepare(temp.path(), None, Some(4000)).expect("founded");
    let founded = plan.flags(plan.nodes().nth(1).expect("n2"));
    plan.remove("n1").expect("noted");
    for plan in [&plan, &prepare(temp.path(), None, None).expect("found")] {
        let names: Vec<&str> = plan.nodes().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["n2", "n3"]);
        assert_eq!(plan.removed(), ["n1"]);
        assert_eq!(plan.endpoints(), "127.0.0.1:4002,127.0.0.1:4004");
        assert_eq!(plan.flags(plan.nodes().next().expect("n2")), founded);
    }
}

#[test]
fn members_elsewhere_count_for_the_majority() {
    let temp = tempfile::tempdir().expect("temp dir");
    let plan = prepare(temp.path(), None, None).expect("founded");
    let needed: Vec<usize> = [3, 4, 5, 6, 7]
        .map(|voters| plan.needed(Some(voters)))
        .to_vec();
    assert_eq!(needed, [2, 2, 1, 1, 1]);
}

fn status(member: &str, role: &str, leader: &str, term: u64) -> NodeStatus {
    NodeStatus {
        member: member.to_owned(),
        role: role.to_owned(),
        leader: leader.to_owned(),
        term,
        voters: None,
    }
}

#[test]
fn a_status_is_read_from_a_plain_http_answer() {
    let body = r#"{"member":"n1","role":"leader","leader":"n1","term":3,"applied":7}"#;
    let answer =
        |line: &str| format!("{line}\r\ncontent-type: application/json\r\n\r\n{body}").into_bytes();
    assert_eq!(
        parse(&answer("HTTP/1.1 200 OK")),
        Some(status("n1", "leader", "n1", 3))
    );
    assert_eq!(parse(&answer("HTTP/1.1 503 Service Unavailable")), None);
    assert_eq!(parse(&answer("SSH-2.0 200")), None);
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n[]"), None);
    assert_eq!(parse(b""), None);
}

fn three(now: Instant) -> Leadership {
    Leadership::new(["n1", "n2", "n3"].into_iter(), now)
}

#[test]
fn a_leader_is_told_once_all_running_nodes_know_it() {
    let now = Instant::now();
    let mut leadership = three(now);
    let leads = status("n1", "leader", "n1", 2);
    let follows = |name| Some(status(name, "follower", "n1", 2));
    assert_eq!(leadership.observe(&[None, None, None], now), None);
    assert_eq!(
        leadership.observe(&[Some(leads.clone()), None, None], now),
        None,
        "no majority knows it"
    );
    assert_eq!(
        leadership.observe(&[Some(leads.clone()), follows("n2"), None], now),
        None,
        "n3 may still answer"
    );
    let all = [Some(leads), follows("n2"), follows("n3")];
    assert_eq!(
        leadership.observe(&all, now),
        Some(News::Leads("n1".to_owned(), 2))
    );
    assert_eq!(leadership.observe(&all, now), None, "told once");
    assert_eq!(leadership.current(), Some("n1"));
}

#[test]
fn a_leader_that_was_started_elsewhere_is_told_when_the_nodes_name_it() {
    let now = Instant::now();
    let mut leadership = three(now);
    let follows = |name, leader| Some(status(name, "follower", leader, 4));
    let all = [
        follows("n1", "n4"),
        follows("n2", "n4"),
        follows("n3", "n4"),
    ];
    let news = leadership.observe(&all, now);
    assert_eq!(news, Some(News::Leads("n4".to_owned(), 4)));
    assert!(!leadership.is_own("n4"));
    let mut leadership = three(now);
    let unsure = [follows("n1", ""), follows("n2", ""), follows("n3", "")];
    assert_eq!(leadership.observe(&unsure, now), None);
    let of_our_own = [follows("n2", "n1"), follows("n3", "n1")];
    assert_eq!(
        leadership.observe(&of_our_own, now),
        None,
        "n1 would say so itself"
    );
}

#[test]
fn a_silent_node_is_waited_for_but_not_for_ever() {
    let now = Instant::now();
    let mut leadership = three(now);
    let answers = [
        Some(status("n1", "leader", "n1", 2)),
        Some(status("n2", "follower", "n1", 2)),
        None,
    ];
    assert_eq!(leadership.observe(&answers, now), None);
    assert_eq!(
        leadership.observe(&answers, now + Duration::from_millis(1999)),
        None
    );
    let news = leadership.observe(&answers, now + Duration::from_secs(2));
    assert_eq!(news, Some(News::Leads("n1".to_owned(), 2)));
}

#[test]
fn a_leader_of_an_older_term_is_none() {
    let now = Instant::now();
    let mut leadership = three(now);
    let answers = [
        Some(status("n1", "leader", "n1", 2)),
        Some(status("n2", "leader", "n2", 3)),
        Some(status("n3", "follower", "n2", 3)),
    ];
    let later = now + Duration::from_secs(2);
    assert_eq!(leadership.observe(&answers, now), None);
    assert_eq!(
        leadership.observe(&answers, later),
        Some(News::Leads("n2".to_owned(), 3))
    );
}

#[test]
fn the_next_leader_is_news_and_so_is_a_long_time_without() {
    let now = Instant::now();
    let mut leadership = three(now);
    let two = |leader: &str, other: &str, term| {
        [
            Some(status(leader, "leader", leader, term)),
            Some(status(other, "follower", leader, term)),
        ]
    };
    assert!(leadership.observe(&two("n1", "n2", 2), now).is_some());
    let orphans = [
        Some(status("n2", "follower", "n1", 2)),
        Some(status("n3", "follower", "n1", 2)),
    ];
    assert_eq!(leadership.observe(&orphans, now), None);
    assert_eq!(
        leadership.current(),
        None,
        "it is not believed to lead, though it is named"
    );
    let news = leadership.observe(&two("n2", "n3", 3), now);
    assert_eq!(news, Some(News::Leads("n2".to_owned(), 3)));
    assert_eq!(leadership.observe(&[None, None], now), None);
    let later = now + Duration::from_secs(5);
    assert_eq!(
        leadership.observe(&[None, None], later),
        Some(News::NobodyLeads)
    );
    assert_eq!(leadership.observe(&[None, None], later), None, "told once");
    let news = leadership.observe(&two("n2", "n3", 3), later);
    assert_eq!(news, Some(News::Leads("n2".to_owned(), 3)), "it is back");
}

#[test]
fn the_last_lines_of_this_life_are_shown() {
    let temp = tempfile::tempdir().expect("temp dir");
    let log = temp.path().join("node.log");
    let old = "old life\n";
    std::fs::write(&log, format!("{old}one\n\n\u{1b}[31mtwo\nthree\n")).expect("written");
    let from = u64::try_from(old.len()).expect("short");
    assert_eq!(last_lines(&log, from, 2), ["[31mtwo", "three"]);
    assert_eq!(last_lines(&log, from, 9), ["one", "[31mtwo", "three"]);
    assert!(last_lines(&log, 10_000, 9).is_empty());
    assert!(last_lines(&temp.path().join("missing"), 0, 9).is_empty());
}

#[test]
fn a_death_is_told_with_its_cause_and_what_it_means() {
    let died = |led, leader: Option<&str>, running| Event::Died {
        node: "n2".to_owned(),
        pid: 7,
        how: "was killed (SIGKILL)".to_owned(),
        led,
        leader: leader.map(str::to_owned),
        running,
        needed: 2,
        log: PathBuf::from("n2/node.log"),
        last_lines: vec!["bye".to_owned()],
    };
    assert_eq!(
        sentence(&died(true, None, 1)),
        "n2, the leader, (pid 7) was killed (SIGKILL); 1 still running, 2 needed: no write or linearizable read until \
         one is back\n  the end of n2/node.log:\n  | bye"
    );
    assert!(
        sentence(&died(false, Some("n1"), 2))
            .starts_with("n2 (pid 7) was killed (SIGKILL); 2 still running; n1 leads\n")
    );
    let json = serde_json::to_value(died(true, None, 1)).expect("JSON");
    assert_eq!(
        (json["event"].as_str(), json["node"].as_str()),
        (Some("died"), Some("n2"))
    );
}
