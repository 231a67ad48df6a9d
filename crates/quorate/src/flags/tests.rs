//! Precedence, spellings, refusals; and that documents and table agree.

use std::collections::BTreeSet;
use std::path::Path;

use super::kind::Kind;
use super::table::{self, Disposition, FileKey, Group, Known};
use super::{Asked, FlagError, Given, document, full_help, read, short_help};

/// Reads words and variables, where no file is named.
fn given(words: &[&str], variables: &[(&str, &str)]) -> Result<Given, FlagError> {
    with_file(words, variables, |path| {
        panic!("nobody named the file {path}")
    })
}

fn with_file(
    words: &[&str],
    variables: &[(&str, &str)],
    read_file: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Given, FlagError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    match read(&words, &variables, read_file)? {
        Asked::Serve(given) => Ok(given),
        other => panic!("not asked to serve: {other:?}"),
    }
}

/// Reads the text as the file named by --config-file.
fn from_file(text: &str) -> Result<Given, FlagError> {
    with_file(&["--config-file=conf.yml"], &[], |_| Ok(text.to_owned()))
}

fn refusal(result: Result<Given, FlagError>) -> String {
    result.expect_err("should be refused").to_string()
}

#[test]
fn a_flag_has_one_dash_or_two_and_its_value_behind_a_sign_or_as_the_next_word() {
    for words in [
        &["--name=a"][..],
        &["-name=a"],
        &["--name", "a"],
        &["-name", "a"],
    ] {
        assert_eq!(
            given(words, &[]).expect("fine").value("name"),
            Some("a"),
            "{words:?}"
        );
    }
    let given = given(&["--initial-cluster=a=http://h:1,b=http://i:2"], &[]).expect("fine");
    assert_eq!(
        given.value("initial-cluster"),
        Some("a=http://h:1,b=http://i:2")
    );
}

#[test]
fn a_boolean_takes_its_value_only_behind_an_equals_sign() {
    assert_eq!(
        given(&["--pre-vote"], &[]).expect("fine").value("pre-vote"),
        Some("true")
    );
    assert_eq!(
        given(&["--pre-vote=F"], &[])
            .expect("fine")
            .value("pre-vote"),
        Some("F")
    );
    assert_eq!(
        refusal(given(&["--pre-vote", "false"], &[])),
        "`false` is not a flag: a boolean takes its value behind an equals sign: --pre-vote=false"
    );
}

#[test]
fn the_last_of_several_flags_counts() {
    assert_eq!(
        given(&["--name=a", "-name", "b"], &[])
            .expect("fine")
            .value("name"),
        Some("b")
    );
}

#[test]
fn an_unknown_flag_is_named_with_the_nearest_known_one() {
    assert_eq!(
        refusal(given(&["--data-dri=/x"], &[])),
        "unknown flag --data-dri (did you mean --data-dir?); `quorate serve --help-all` lists every flag"
    );
    assert_eq!(
        refusal(given(&["--zzzzzzzzzzzz"], &[])),
        "unknown flag --zzzzzzzzzzzz; `quorate serve --help-all` lists every flag"
    );
}

#[test]
fn words_that_are_no_flags_are_refused() {
    assert_eq!(
        refusal(given(&["start"], &[])),
        "`start` is not a flag: `serve` takes flags only, written --name=value"
    );
    assert_eq!(
        refusal(given(&["--", "x"], &[])),
        "`x` is not a flag: `serve` takes flags only, written --name=value"
    );
    assert!(refusal(given(&["grpc-proxy"], &[])).contains("no such mode"));
    assert!(given(&["--name=a", "--"], &[]).is_ok());
}

#[test]
fn a_value_must_be_there_and_of_the_right_form_even_where_it_has_no_effect() {
    assert_eq!(
        refusal(given(&["--name"], &[])),
        "--name needs a value: --name=TEXT"
    );
    assert_eq!(
        refusal(given(&["--snapshot-count=many"], &[])),
        "--snapshot-count=many: it must be a whole number from 0, in digits"
    );
    assert_eq!(
        refusal(given(&[], &[("ETCD_PRE_VOTE", "maybe")])),
        "--pre-vote=maybe (from ETCD_PRE_VOTE): it must be true or false"
    );
    assert_eq!(
        refusal(given(&["--log-level=loud"], &[])),
        "--log-level=loud: it must be one of debug, info, warn, error, panic, fatal"
    );
    for time in ["5", "5x", "s", "-", "1.2.3s", ""] {
        let result = given(&[&format!("--grpc-keepalive-timeout={time}")], &[]);
        assert_eq!(result.is_ok(), time.is_empty(), "{time}");
    }
    for time in ["0", "1h30m", "1.5s", "100ms", "-1s", "2µs"] {
        assert!(
            given(&[&format!("--grpc-keepalive-timeout={time}")], &[]).is_ok(),
            "{time}"
        );
    }
}

#[test]
fn the_environment_is_read_under_both_prefixes_and_quorates_own_wins() {
    assert_eq!(
        given(&[], &[("ETCD_NAME", "a")])
            .expect("fine")
            .value("name"),
        Some("a")
    );
    assert_eq!(
        given(&[], &[("QUORATE_NAME", "b")])
            .expect("fine")
            .value("name"),
        Some("b")
    );
    let both = given(&[], &[("QUORATE_NAME", "b"), ("ETCD_NAME", "a")]).expect("fine");
    assert_eq!(both.value("name"), Some("b"));
    assert_eq!(
        both.notes,
        ["ETCD_NAME=a is ignored, because QUORATE_NAME=b is set too"]
    );
    let empty = given(&[], &[("QUORATE_NAME", ""), ("ETCD_NAME", "a")]).expect("fine");
    assert_eq!(
        (empty.value("name"), empty.notes.len()),
        (Some("a"), 0),
        "an empty variable is unset"
    );
}

#[test]
fn the_command_line_goes_before_the_environment_and_the_log_says_so() {
    let given = given(&["--name=flag"], &[("ETCD_NAME", "variable")]).expect("fine");
    assert_eq!(given.value("name"), Some("flag"));
    assert_eq!(
        given.notes,
        ["ETCD_NAME is ignored, because --name is on the command line"]
    );
}

#[test]
fn a_variable_that_is_no_flag_is_told_and_ignored() {
    let given = given(
        &[],
        &[
            ("ETCD_NAMES", "a"),
            ("ETCD_PORT", "tcp://10.0.0.1:80"),
            ("HOME", "/"),
        ],
    )
    .expect("fine");
    assert_eq!(
        given.notes,
        [
            "the environment variable ETCD_NAMES is no flag and is ignored (did you mean ETCD_NAME?)",
            "the environment variable ETCD_PORT is no flag and is ignored",
        ]
    );
}

#[test]
fn a_configuration_file_is_the_only_source() {
    let words = [
        "--config-file=conf.yml",
        "--name=flag",
        "--exit-with-parent=7",
    ];
    let variables = [("ETCD_DATA_DIR", "/variable")];
    let given = with_file(&words, &variables, |path| {
        assert_eq!(path, "conf.yml");
        Ok("initial-cluster-token: file\n".to_owned())
    })
    .expect("fine");
    assert_eq!(given.value("initial-cluster-token"), Some("file"));
    assert_eq!((given.value("name"), given.value("data-dir")), (None, None));
    assert_eq!(
        given.value("exit-with-parent"),
        Some("7"),
        "who started us is no configuration"
    );
    assert_eq!(given.file.as_deref(), Some("conf.yml"));
    assert_eq!(
        given.notes,
        [
            "--name, ETCD_DATA_DIR ignored, because the configuration file conf.yml is the only source"
        ]
    );
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let read_file = |_: &str| Ok("name: file".to_owned());
    let given = with_file(&[], &[("ETCD_CONFIG_FILE", "conf.yml")], read_file).expect("fine");
    assert_eq!((given.value("name"), given.notes.len()), (Some("file"), 0));
}

#[test]
fn an_unreadable_or_senseless_file_is_named_with_its_fault() {
    let missing = with_file(&["--config-file=c"], &[], |_| {
        Err("No such file or directory".to_owned())
    });
    assert_eq!(
        refusal(missing),
        "configuration file c: No such file or directory"
    );
    assert!(refusal(from_file("name: [a: {")).starts_with("configuration file conf.yml: "));
    assert_eq!(
        refusal(from_file("- a\n")),
        "configuration file conf.yml: expected lines of the form `key: value`"
    );
    assert!(refusal(from_file("name: {a: b}")).contains("name: the value must be"));
    assert_eq!(
        refusal(from_file("heartbeat-interval: soon")),
        "--heartbeat-interval=soon (from conf.yml): it must be a whole number from 0, in digits"
    );
}

#[test]
fn etcds_sample_keys_lists_sections_and_empty_values_are_read_from_a_file() {
    let given = from_file(
        "name: 'a'\ndata-dir:\nheartbeat-interval: 50\nlog-outputs: [stderr, /x/log]\nenable-pprof: yes\n\
         grpc-keepalive-timeout: 5000000000\nexperimental-snapshot-catch-up-entries: 1\n\
         client-transport-security:\n  cert-file:\n  client-cert-auth: false\npeer-transport-security:\n",
    )
    .expect("fine");
    assert_eq!(given.value("data-dir"), None);
    assert_eq!(given.value("heartbeat-interval"), Some("50"));
    assert_eq!(given.value("log-outputs"), Some("stderr,/x/log"));
    assert_eq!(given.value("enable-pprof"), Some("true"));
    assert_eq!(given.value("grpc-keepalive-timeout"), Some("5000000000ns"));
    assert_eq!(
        given.value("experimental-snapshot-catchup-entries"),
        Some("1")
    );
    assert!(from_file("").is_ok(), "an empty file is all defaults");
}

#[test]
fn unknown_keys_of_a_file_are_ignored_with_a_line() {
    let given = from_file("nmae: a\nproxy-read-timeout: 5\n").expect("fine");
    assert_eq!(
        given.notes,
        [
            "conf.yml: the unknown key nmae is ignored (did you mean name?)",
            "conf.yml: proxy-read-timeout is ignored, since etcd reads it from the command line only",
        ]
    );
}

#[test]
fn tls_is_refused_wherever_it_is_asked_for() {
    let why = "is refused: TLS comes in a later version; Quorate refuses to start rather than to serve in the clear. \
               To serve in the clear on a network you trust, leave it out and write http:// in the URLs.";
    assert_eq!(
        refusal(given(&["--cert-file=/c.pem"], &[])),
        format!("--cert-file=/c.pem {why}")
    );
    assert_eq!(
        refusal(given(&[], &[("ETCD_CLIENT_CERT_AUTH", "true")])),
        format!("--client-cert-auth=true (from ETCD_CLIENT_CERT_AUTH) {why}")
    );
    let section = from_file("peer-transport-security:\n  cert-file: /p.pem\n");
    assert_eq!(
        refusal(section),
        format!("--peer-cert-file=/p.pem (from conf.yml) {why}")
    );
    let misplaced = from_file("cert-file: /c.pem\n");
    assert_eq!(
        refusal(misplaced),
        format!("--cert-file=/c.pem (from conf.yml) {why}")
    );
}

#[test]
fn other_refusals_say_why_and_what_to_do() {
    for (word, must_say) in [
        ("--wal-dir=/fast", "Put --data-dir itself on the fast disk"),
        (
            "--discovery=https://d",
            "List all members with --initial-cluster",
        ),
        (
            "--discovery-srv=example.org",
            "List all members with --initial-cluster",
        ),
        (
            "--force-new-cluster",
            "Bring a majority of the members back",
        ),
        ("--unsafe-no-fsync", "put --data-dir on a tmpfs"),
        ("--proxy=on", "any member takes any request"),
        (
            "--auth-token=jwt,sign-method=RS256",
            "only `simple` tokens are planned",
        ),
        (
            "--host-whitelist=example.org",
            "listen only on addresses that you trust",
        ),
        ("--enable-log-rotation", "logrotate"),
        ("--experimental-enable-v2v3=/v2", "move the clients to v3"),
        ("--listen-client-http-urls=http://127.0.0.1:1", "one port"),
    ] {
        let line = refusal(given(&[word], &[]));
        assert!(
            line.starts_with(word) && line.contains(" is refused: ") && line.contains(must_say),
            "{line}"
        );
    }
}

#[test]
fn the_default_of_a_refused_flag_and_an_empty_value_ask_for_nothing() {
    for flag in table::all() {
        if let Disposition::Refused { .. } = flag.disposition {
            for value in ["", flag.default] {
                let word = format!("--{}={value}", flag.name);
                assert!(given(&[&word], &[]).is_ok(), "{word}");
            }
        }
    }
}

#[test]
fn every_accepted_flag_gets_one_line() {
    for flag in table::all() {
        if let Disposition::Accepted(why) = flag.disposition {
            let value = if flag.default.is_empty() {
                "x"
            } else {
                flag.default
            };
            let word = format!("--{}={value}", flag.name);
            let notes = given(&[&word], &[]).expect("accepted").notes;
            assert_eq!(notes, [format!("{word} has no effect: {why}")]);
        }
    }
}

#[test]
fn help_and_version_go_before_everything_else() {
    let asked = |word: &str| read(&[word.to_owned()], &[], |_| Err(String::new())).expect("fine");
    assert!(matches!(asked("--help"), Asked::Help));
    assert!(matches!(asked("-h"), Asked::Help));
    assert!(matches!(asked("--help-all"), Asked::FullHelp));
    assert!(matches!(asked("-version"), Asked::Version));
    assert!(matches!(asked("--version=false"), Asked::Serve(_)));
}

#[test]
fn the_short_help_lists_what_is_built_and_the_full_help_everything() {
    for flag in table::all() {
        let end = if flag.kind == Kind::Bool { "[=" } else { "=" };
        let line = format!("  --{}{end}", flag.name);
        assert_eq!(
            short_help().contains(&line),
            flag.disposition == Disposition::Built,
            "{}",
            flag.name
        );
        assert!(full_help().contains(&line), "{}", flag.name);
    }
}

/// The flags of etcd 3.4 and 3.5, one per line, as those servers' own sources register them.
const ETCD_FLAGS: &str = include_str!("tests/etcd_flags.txt");

#[test]
fn every_flag_of_etcd_is_in_the_table_once_and_its_versions_are_right() {
    let names: Vec<&str> = table::all().map(|flag| flag.name).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), distinct.len(), "a flag is in the table twice");
    let mut listed = BTreeSet::new();
    for line in ETCD_FLAGS.lines().filter(|line| !line.starts_with('#')) {
        let (versions, name) = line.split_once(' ').expect("versions and a name");
        let known = match versions {
            "3.4,3.5" => Known::Both,
            "3.4" => Known::Only34,
            "3.5" => Known::Only35,
            other => panic!("unknown versions {other}"),
        };
        let flag = table::find(name).unwrap_or_else(|| panic!("--{name} is missing"));
        assert_eq!(flag.known, known, "--{name}");
        listed.insert(name);
    }
    for flag in table::all().filter(|flag| flag.known != Known::Quorate && flag.name != "help") {
        assert!(
            listed.contains(flag.name),
            "--{} is no flag of etcd",
            flag.name
        );
    }
}

#[test]
fn each_row_is_whole() {
    for flag in table::all() {
        assert!(Group::ALL.contains(&flag.group));
        assert!(
            flag.default.is_empty() || flag.kind.check(flag.default).is_ok(),
            "--{}",
            flag.name
        );
        assert!(
            flag.help.ends_with(['.', ';']) && !flag.help.contains('|'),
            "--{}: {}",
            flag.name,
            flag.help
        );
        if let FileKey::In(section, _) = flag.file_key {
            assert!(
                table::find(section).is_none(),
                "a section cannot be a flag too: {section}"
            );
        }
    }
}

#[test]
fn the_document_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/flags.md");
    let rendered = document::render();
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("docs can be made");
        std::fs::write(&path, &rendered).expect("docs/flags.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == rendered,
        "docs/flags.md differs from the table; run `REGENERATE=1 cargo test -p quorate flags` and read the change"
    );
}
