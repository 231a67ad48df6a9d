//! What flags mean together, and every refusal's sentence.

use super::*;
use crate::flags::{Asked, read};

fn given(words: &[&str]) -> Result<Given, FlagError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    match read(&words, &[], |_| Err("no file".to_owned()))? {
        Asked::Serve(given) => Ok(given),
        other => panic!("not asked to serve: {other:?}"),
    }
}

fn settings(words: &[&str]) -> ServeSettings {
    given(words)
        .and_then(|given| ServeSettings::from_given(&given))
        .expect("these settings are fine")
}

fn refusal(words: &[&str]) -> String {
    given(words)
        .and_then(|given| ServeSettings::from_given(&given))
        .expect_err("should be refused")
        .to_string()
}

fn from_file(text: &str) -> Result<ServeSettings, FlagError> {
    let words = ["--config-file=conf.yml".to_owned()];
    match read(&words, &[], |_| Ok(text.to_owned()))? {
        Asked::Serve(given) => ServeSettings::from_given(&given),
        other => panic!("not asked to serve: {other:?}"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn without_flags_one_node_serves_on_this_machine_alone() {
    assert_eq!(
        settings(&[]),
        ServeSettings {
            name: "default".to_owned(),
            data_dir: PathBuf::from("default.quorate"),
            listen_client: vec![address("127.0.0.1:2379")],
            listen_peer: vec![address("127.0.0.1:2380")],
            listen_metrics: Vec::new(),
            advertise_client: vec!["http://localhost:2379".to_owned()],
            advertise_peer: vec!["http://localhost:2380".to_owned()],
            initial_cluster: vec![(
                "default".to_owned(),
                vec!["http://localhost:2380".to_owned()]
            )],
            cluster_token: "etcd-cluster".to_owned(),
            join_existing: false,
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            max_request_bytes: 1_572_864,
            max_txn_ops: 128,
            quota_backend_bytes: 0,
            auto_compaction: AutoCompaction::when_full(),
            initial_corrupt_check: false,
            corrupt_check_interval: None,
            cors: Vec::new(),
            json_gateway: true,
            watch_progress_interval: Duration::from_secs(600),
            snapshot_log_bytes: 64 << 20,
            pre_vote: true,
            lease_reads: false,
            lease_checkpoints: false,
            protocol_version: 2,
            accepts_old_disk: false,
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            log_outputs: vec![LogOutput::Stderr],
            exit_with_parent: None,
            notes: Vec::new(),
        }
    );
}

#[test]
fn how_much_history_is_kept_is_read_as_etcd_reads_it() {
    let rule = |words: &[&str]| settings(words).auto_compaction;
    let hours = |hours: u64| AutoCompaction::Periodic {
        retention: Duration::from_secs(3600 * hours),
    };
    assert_eq!(rule(&["--auto-compaction-retention=3"]), hours(3));
    assert_eq!(rule(&["--auto-compaction-retention=72h"]), hours(72));
    let mode = "--auto-compaction-mode=revision";
    assert_eq!(
        rule(&[mode, "--auto-compaction-retention=1000"]),
        AutoCompaction::revisions(1000)
    );
    assert_eq!(
        rule(&["--auto-compaction-retention=0"]),
        AutoCompaction::Off
    );
    assert_eq!(
        rule(&["--auto-compaction-retention=0s"]),
        AutoCompaction::Off
    );
    assert_eq!(
        rule(&[mode, "--auto-compaction-retention=0"]),
        AutoCompaction::Off
    );
    assert_eq!(rule(&[mode]), AutoCompaction::when_full());
    for (words, why) in [
        (
            vec!["--auto-compaction-retention=often"],
            "it must be hours, or a duration such as 30m",
        ),
        (
            vec!["--auto-compaction-retention=-1h"],
            "it must be hours, or a duration such as 30m",
        ),
        (
            vec![mode, "--auto-compaction-retention=1h"],
            "with --auto-compaction-mode=revision it must be a number of revisions",
        ),
    ] {
        let said = refusal(&words);
        assert!(said.contains(why), "{words:?}: {said}");
    }
}

#[test]
fn members_are_compared_when_a_time_is_given() {
    let every = |words: &[&str]| settings(words).corrupt_check_interval;
    assert_eq!(every(&["--experimental-corrupt-check-time=0s"]), None);
    let minute = Some(Duration::from_secs(60));
    assert_eq!(every(&["--experimental-corrupt-check-time=1m"]), minute);
    let said = refusal(&["--experimental-corrupt-check-time=-1s"]);
    assert!(said.contains("it must not be negative"), "{said}");
    assert!(settings(&["--experimental-initial-corrupt-check"]).initial_corrupt_check);
    assert_eq!(
        settings(&["--quota-backend-bytes=-1"]).quota_backend_bytes,
        -1
    );
}

#[test]
fn a_node_of_three_as_in_etcds_clustering_guide() {
    let settings = settings(&[
        "--name=b",
        "--data-dir=/var/lib/etcd",
        "--listen-peer-urls=http://10.0.0.2:2380",
        "--initial-advertise-peer-urls=http://10.0.0.2:2380",
        "--listen-client-urls=http://10.0.0.2:2379,http://127.0.0.1:2379",
        "--advertise-client-urls=http://10.0.0.2:2379",
        "--initial-cluster-token=t",
        "--initial-cluster=c=http://10.0.0.3:2380,b=http://10.0.0.2:2380,a=http://10.0.0.1:2380,a=http://10.1.0.1:2380",
        "--initial-cluster-state=new",
    ]);
    assert_eq!(settings.data_dir, PathBuf::from("/var/lib/etcd"));
    assert_eq!(
        settings.listen_client,
        [address("10.0.0.2:2379"), address("127.0.0.1:2379")]
    );
    let members: Vec<(&str, usize)> = settings
        .initial_cluster
        .iter()
        .map(|(name, urls)| (name.as_str(), urls.len()))
        .collect();
    assert_eq!(members, [("a", 2), ("b", 1), ("c", 1)], "ordered by name");
    assert_eq!(
        (settings.cluster_token.as_str(), settings.notes.len()),
        ("t", 0)
    );
}

#[test]
fn the_name_alone_names_directory_and_cluster() {
    let settings = settings(&["--name=x"]);
    assert_eq!(settings.data_dir, PathBuf::from("x.quorate"));
    assert_eq!(settings.initial_cluster[0].0, "x");
    assert_eq!(refusal(&["--name="]), "--name=: a member needs a name");
}

#[test]
fn timing_keeps_etcds_rules() {
    let fast = settings(&["--heartbeat-interval=10", "--election-timeout=50"]);
    assert_eq!(
        (fast.heartbeat, fast.election_timeout),
        (Duration::from_millis(10), Duration::from_millis(50))
    );
    assert_eq!(
        refusal(&["--heartbeat-interval=10", "--election-timeout=49"]),
        "--election-timeout=49 must be at least 5 times --heartbeat-interval=10 (both in milliseconds)"
    );
    assert_eq!(
        refusal(&["--election-timeout=50001"]),
        "--election-timeout=50001: it must be at most 50000 (milliseconds)"
    );
    assert_eq!(
        refusal(&["--heartbeat-interval=0"]),
        "--heartbeat-interval=0: it must be at least 1 (millisecond)"
    );
    let huge = u64::MAX.to_string();
    assert!(refusal(&[&format!("--heartbeat-interval={huge}")]).contains("at least 5 times"));
}

#[test]
fn pages_of_the_origins_that_are_named_may_read_answers() {
    let named = settings(&["--cors=http://a.example, https://b.example:8443"]);
    assert_eq!(named.cors, ["http://a.example", "https://b.example:8443"]);
    assert_eq!(settings(&["--cors=*"]).cors, ["*"]);
    assert!(settings(&["--cors="]).cors.is_empty());
    assert!(!settings(&["--enable-grpc-gateway=false"]).json_gateway);
}

#[test]
fn limits_have_limits() {
    assert_eq!(settings(&["--max-txn-ops=10000"]).max_txn_ops, 10_000);
    assert_eq!(
        refusal(&["--max-txn-ops=0"]),
        "--max-txn-ops=0: it must be from 1 to 100000"
    );
    assert_eq!(
        refusal(&["--max-request-bytes=99999999999"]),
        "--max-request-bytes=99999999999: it must be from 1 to 10485760"
    );
    let large = settings(&["--max-request-bytes=8000000"]);
    assert_eq!(
        large.notes,
        ["--max-request-bytes=8000000: requests above 4194304 bytes delay everybody's"]
    );
}

#[test]
fn urls_keep_etcds_rules() {
    let listen = |url: &str| refusal(&[&format!("--listen-peer-urls={url}")]);
    assert!(
        listen("https://127.0.0.1:1")
            .contains("refuses to start rather than to serve in the clear")
    );
    assert!(listen("unix://x:1").contains("Unix sockets are not there yet"));
    assert!(listen("ftp://127.0.0.1:1").contains("the scheme must be http"));
    assert!(listen("127.0.0.1:1").contains("not of the form http://host:port"));
    assert!(listen("http://127.0.0.1").contains("not of the form http://host:port"));
    assert!(listen("http://127.0.0.1:99999").contains("not of the form http://host:port"));
    assert!(listen("http://u@h:1").contains("not of the form http://host:port"));
    assert!(listen("http://127.0.0.1:1/").contains("must end behind the port"));
    assert_eq!(
        listen("http://example.org:1"),
        "--listen-peer-urls=http://example.org:1: `http://example.org:1`: to listen, the host must be an IP address \
         or localhost"
    );
    assert!(listen("").contains("no URL is given"));
    assert!(
        refusal(&["--initial-advertise-peer-urls=http://:2380"]).contains("nobody could reach it")
    );
    let six = settings(&[
        "--listen-peer-urls=http://[::1]:2380,http://localhost:2380,http://127.0.0.1:2380",
    ]);
    assert_eq!(
        six.listen_peer,
        [address("[::1]:2380"), address("127.0.0.1:2380")],
        "each address once"
    );
}

#[test]
fn an_address_is_listened_on_once() {
    assert_eq!(
        refusal(&["--listen-peer-urls=http://127.0.0.1:2379"]),
        "127.0.0.1:2379 is given twice to listen on; clients, peers and metrics need addresses of their own"
    );
    let metrics = settings(&["--listen-metrics-urls=http://127.0.0.1:2381"]);
    assert_eq!(metrics.listen_metrics, [address("127.0.0.1:2381")]);
}

#[test]
fn who_listens_elsewhere_must_say_where_clients_find_it() {
    let listen = "--listen-client-urls=http://0.0.0.0:2379";
    assert_eq!(
        refusal(&[listen]),
        "--advertise-client-urls is required when --listen-client-urls is given: clients are told these URLs"
    );
    assert!(
        settings(&[listen, "--advertise-client-urls=http://db:2379"]).advertise_client
            == ["http://db:2379"]
    );
    assert!(
        from_file("listen-client-urls: http://0.0.0.0:2379").is_ok(),
        "etcd asks it of flags only"
    );
}

#[test]
fn the_name_must_be_in_the_cluster() {
    assert_eq!(
        refusal(&["--name=x", "--initial-cluster=a=http://h:1,b=http://h:2"]),
        "--name=x is not in --initial-cluster, which lists a, b: the name must be one of them"
    );
    assert!(
        refusal(&["--initial-cluster=http://h:1"])
            .contains("not of the form name=http://host:port")
    );
    assert!(
        refusal(&["--initial-cluster=a=http://h"]).contains("not of the form http://host:port")
    );
}

#[test]
fn a_url_belongs_to_one_member() {
    assert_eq!(
        refusal(&["--initial-cluster=default=http://localhost:2380,b=http://127.0.0.1:2380"]),
        "--initial-cluster=default=http://localhost:2380,b=http://127.0.0.1:2380: `http://127.0.0.1:2380` is listed \
         twice: each URL belongs to one member"
    );
}

#[test]
fn what_is_advertised_must_be_what_is_listed() {
    let cluster = "--initial-cluster=default=http://10.0.0.1:2380";
    assert_eq!(
        refusal(&[cluster]),
        "--initial-cluster lists default at http://10.0.0.1:2380, but --initial-advertise-peer-urls says \
         http://localhost:2380: they must be the same"
    );
    assert!(
        settings(&[
            cluster,
            "--initial-advertise-peer-urls=http://10.0.0.1:2380"
        ])
        .notes
        .is_empty()
    );
    let local = settings(&["--initial-cluster=default=http://127.0.0.1:2380"]);
    assert!(local.notes.is_empty(), "localhost is 127.0.0.1");
    let by_name = settings(&[
        "--initial-cluster=default=http://db:2380",
        "--initial-advertise-peer-urls=http://10.0.0.1:2380",
    ]);
    assert_eq!(
        by_name.notes.len(),
        2,
        "a name may well mean that address: {:?}",
        by_name.notes
    );
    let more = refusal(&[
        cluster,
        "--initial-advertise-peer-urls=http://10.0.0.1:2380,http://10.0.0.1:9",
    ]);
    assert!(more.ends_with("they must be the same"), "{more}");
}

#[test]
fn pre_vote_can_be_turned_off_and_existing_is_passed_on() {
    assert!(!settings(&["--pre-vote=false"]).pre_vote);
    assert!(settings(&["--lease-reads"]).lease_reads);
    assert!(settings(&["--accept-old-disk"]).accepts_old_disk);
    assert!(settings(&["--initial-cluster-state=existing"]).join_existing);
    assert_eq!(
        refusal(&["--initial-cluster-state=old"]),
        "--initial-cluster-state=old: it must be one of new, existing"
    );
}

#[test]
fn logs_go_where_and_as_they_are_asked_to() {
    assert_eq!(settings(&["--log-level=fatal"]).log_level, LogLevel::Error);
    assert_eq!(settings(&["--debug"]).log_level, LogLevel::Debug);
    assert_eq!(
        settings(&["--debug", "--log-level=warn"]).log_level,
        LogLevel::Warn
    );
    assert_eq!(settings(&["--logger=zap"]).log_format, LogFormat::Json);
    assert_eq!(settings(&["--logger=capnslog"]).log_format, LogFormat::Text);
    assert_eq!(
        settings(&["--logger=zap", "--log-format=text"]).log_format,
        LogFormat::Text
    );
    let file = LogOutput::File(PathBuf::from("/x"));
    assert_eq!(
        settings(&["--log-outputs=stderr,default,/x,stdout"]).log_outputs,
        [LogOutput::Stderr, file.clone(), LogOutput::Stdout]
    );
    assert_eq!(
        settings(&["--log-output=/x"]).log_outputs,
        [file],
        "3.4's old name"
    );
    assert_eq!(
        settings(&["--log-outputs="]).log_outputs,
        [LogOutput::Stderr]
    );
}

#[test]
fn the_parent_is_a_process() {
    assert_eq!(
        settings(&["--exit-with-parent=12"]).exit_with_parent,
        Some(12)
    );
    assert!(refusal(&["--exit-with-parent=99999999999"]).contains("no process has this id"));
}

#[test]
fn etcds_sample_file_says_what_the_defaults_say_but_for_what_it_sets() {
    let sample = "name: 'default'\ndata-dir:\nwal-dir:\nsnapshot-count: 10000\nheartbeat-interval: 100\n\
        election-timeout: 1000\nlisten-peer-urls: http://localhost:2380\nlisten-client-urls: http://localhost:2379\n\
        cors:\ninitial-advertise-peer-urls: http://localhost:2380\nadvertise-client-urls: http://localhost:2379\n\
        discovery:\ndiscovery-fallback: 'proxy'\ninitial-cluster:\ninitial-cluster-token: 'etcd-cluster'\n\
        initial-cluster-state: 'new'\nstrict-reconfig-check: false\nenable-pprof: true\nproxy: 'off'\n\
        client-transport-security:\n  cert-file:\n  client-cert-auth: false\n  auto-tls: false\n\
        log-level: debug\nlogger: zap\nlog-outputs: [stderr]\nforce-new-cluster: false\n";
    let read = from_file(sample).expect("fine");
    let expected = ServeSettings {
        log_level: LogLevel::Debug,
        log_format: LogFormat::Json,
        notes: read.notes.clone(),
        ..settings(&[])
    };
    assert_eq!(read, expected);
    assert!(
        read.notes
            .iter()
            .any(|note| note.contains("--strict-reconfig-check=false")),
        "{:?}",
        read.notes
    );
}
