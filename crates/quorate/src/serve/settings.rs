//! What `quorate serve` shall do: the flags' values, typed and checked against each other.
//!
//! Pure: no file, socket, clock or name server is asked. The rules are etcd's (`Config.Validate` and
//! `ServerConfig.VerifyBootstrap`); the sentences are ours.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quorate_server::{AutoCompaction, HIGHEST_PROTOCOL_VERSION, LOWEST_PROTOCOL_VERSION};

use super::urls::{self, Url};

use crate::flags::{self, FlagError, Given, parse_nanoseconds};

mod founders;
#[cfg(test)]
mod tests;
mod upkeep;

/// etcd's upper bound for --election-timeout, in milliseconds: beyond it a cluster without a leader
/// looks dead.
const ELECTION_TIMEOUT_MAX_MS: u64 = 50_000;
/// Heartbeats that must fit into an election timeout, as in etcd: so that one that is late or lost
/// brings no leader down.
const HEARTBEATS_PER_ELECTION_MIN: u64 = 5;
/// The largest value of --max-request-bytes: what a command in the log may have
/// (`quorate_replica::limits::MAX_COMMAND_BYTES`). etcd advises against more than 10 MiB too.
const MAX_REQUEST_BYTES_MAX: u64 = 10 << 20;
/// Above this we warn (etcd from 10 MiB on): such requests delay everybody's heartbeats.
const MAX_REQUEST_BYTES_ADVISED: u64 = 4 << 20;
/// The least value of --snapshot-log-bytes: below it a node would write snapshots rather than log.
const SNAPSHOT_LOG_BYTES_MIN: u64 = 64 << 10;

/// The largest: a start reads so much of the log, and more would take minutes.
const SNAPSHOT_LOG_BYTES_MAX: u64 = 64 << 30;

/// The largest value of --max-txn-ops; all operations of one transaction are applied in one step.
const MAX_TXN_OPS_MAX: u64 = 100_000;

/// How often etcd tells watchers of their progress unless it is said, and at the most.
const WATCH_PROGRESS_INTERVAL: Duration = Duration::from_secs(600);
/// See [`WATCH_PROGRESS_INTERVAL`].
const WATCH_PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How much to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What went wrong (etcd's `error`, `panic` and `fatal`).
    Error,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// One member's settings; see [`ServeSettings::from_given`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServeSettings {
    /// This member's name; one of those in `initial_cluster`.
    pub(crate) name: String,
    /// Where the member keeps its data; it may not exist yet.
    pub(crate) data_dir: PathBuf,
    /// Where to listen for clients; at least one address.
    pub(crate) listen_client: Vec<SocketAddr>,
    /// Where to listen for peers; at least one address.
    pub(crate) listen_peer: Vec<SocketAddr>,
    /// Where to serve `/metrics` and `/health` besides the client port; often empty.
    pub(crate) listen_metrics: Vec<SocketAddr>,
    /// URLs under which clients find this member.
    pub(crate) advertise_client: Vec<String>,
    /// URLs under which peers find this member.
    pub(crate) advertise_peer: Vec<String>,
    /// All founding members by name, this one among them, with their peer URLs; ordered by name.
    pub(crate) initial_cluster: Vec<(String, Vec<String>)>,
    /// The word that keeps clusters apart.
    pub(crate) cluster_token: String,
    /// `--initial-cluster-state=existing`: this member joins a cluster that others founded, or
    /// has joined it.
    pub(crate) join_existing: bool,
    /// Time between two heartbeats of a leader; at least 1 ms.
    pub(crate) heartbeat: Duration,
    /// Time without a leader before an election; at least five heartbeats, at most 50 s.
    pub(crate) election_timeout: Duration,
    /// The largest request of a client, in bytes.
    pub(crate) max_request_bytes: usize,
    /// The most operations in one transaction.
    pub(crate) max_txn_ops: usize,
    /// Bytes of memory that the store may take; 0 is the default, less is no limit.
    pub(crate) quota_backend_bytes: i64,
    /// What is compacted without being asked.
    pub(crate) auto_compaction: AutoCompaction,
    /// Whether the data is compared with the other members' before clients are served.
    pub(crate) initial_corrupt_check: bool,
    /// How often the leader compares the members, if ever.
    pub(crate) corrupt_check_interval: Option<Duration>,
    /// Origins whose pages browsers let read answers; `*` is all of them.
    pub(crate) cors: Vec<String>,
    /// Whether the JSON gateway is served.
    pub(crate) json_gateway: bool,
    /// How often watchers that ask for it are told of their progress.
    pub(crate) watch_progress_interval: Duration,
    /// Bytes of log after which a snapshot is taken, at the least.
    pub(crate) snapshot_log_bytes: usize,
    /// Whether candidates ask for pre-votes first.
    pub(crate) pre_vote: bool,
    /// Whether a leader serves reads on a lease.
    pub(crate) lease_reads: bool,
    /// Whether a leader has the log say now and then how much of leases is left.
    pub(crate) lease_checkpoints: bool,
    /// The highest protocol version to speak.
    pub(crate) protocol_version: u32,
    /// Whether to start with the data as it is, whatever other members remember of it.
    pub(crate) accepts_old_disk: bool,
    /// How much to log.
    pub(crate) log_level: LogLevel,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Where log lines go; at least one place.
    pub(crate) log_outputs: Vec<LogOutput>,
    /// The process that must not be outlived.
    pub(crate) exit_with_parent: Option<u32>,
    /// Lines for the log: what was given and has no effect.
    pub(crate) notes: Vec<String>,
}

impl ServeSettings {
    /// Types and checks the values given; what is not given has its default.
    pub(crate) fn from_given(given: &Given) -> Result<ServeSettings, FlagError> {
        let reader = Reader(given);
        let mut notes = given.notes.clone();
        let name = reader.text("name");
        if name.is_empty() {
            return Err(reader.bad("name", "a member needs a name"));
        }
        let (heartbeat, election_timeout) = timing(&reader)?;
        let advertise_peer = reader.advertised("initial-advertise-peer-urls")?;
        let initial_cluster =
            founders::initial_cluster(&reader, &name, &advertise_peer, &mut notes)?;
        let listen_client = reader.listen("listen-client-urls")?;
        let listen_peer = reader.listen("listen-peer-urls")?;
        let listen_metrics = reader.listen("listen-metrics-urls")?;
        distinct(&[&listen_client, &listen_peer, &listen_metrics])?;
        Ok(ServeSettings {
            data_dir: data_dir(&reader, &name),
            listen_client,
            listen_peer,
            listen_metrics,
            advertise_client: advertise_client(&reader)?,
            advertise_peer: texts(&advertise_peer),
            initial_cluster,
            cluster_token: reader.text("initial-cluster-token"),
            join_existing: reader.text("initial-cluster-state") == "existing",
            heartbeat,
            election_timeout,
            max_request_bytes: max_request_bytes(&reader, &mut notes)?,
            max_txn_ops: reader.number_within("max-txn-ops", 1, MAX_TXN_OPS_MAX)?,
            quota_backend_bytes: upkeep::quota_backend_bytes(&reader)?,
            auto_compaction: upkeep::auto_compaction(&reader)?,
            initial_corrupt_check: reader.boolean("experimental-initial-corrupt-check"),
            corrupt_check_interval: upkeep::corrupt_check_interval(&reader)?,
            cors: words(&reader.text("cors")),
            json_gateway: reader.boolean("enable-grpc-gateway"),
            watch_progress_interval: watch_progress_interval(&reader, &mut notes),
            snapshot_log_bytes: reader.number_within(
                "snapshot-log-bytes",
                SNAPSHOT_LOG_BYTES_MIN,
                SNAPSHOT_LOG_BYTES_MAX,
            )?,
            pre_vote: reader.boolean("pre-vote"),
            lease_reads: reader.boolean("lease-reads"),
            lease_checkpoints: reader.boolean("experimental-enable-lease-checkpoint"),
            protocol_version: protocol_version(&reader)?,
            accepts_old_disk: reader.boolean("accept-old-disk"),
            log_level: log_level(&reader),
            log_format: log_format(&reader),
            log_outputs: log_outputs(&reader),
            exit_with_parent: reader.process("exit-with-parent")?,
            notes,
            name,
        })
    }

    /// The settings in effect, as lines for the log.
    pub(crate) fn describe(&self) -> Vec<String> {
        let members: Vec<String> = self
            .initial_cluster
            .iter()
            .map(|(name, urls)| format!("{name} at {}", urls.join(" and ")))
            .collect();
        vec![
            format!(
                "member {} of {} ({}), token {}, cluster {}",
                self.name,
                self.initial_cluster.len(),
                members.join(", "),
                self.cluster_token,
                if self.join_existing {
                    "existing"
                } else {
                    "new or known"
                },
            ),
            format!(
                "clients at {:?} (advertised as {}), peers at {:?} (advertised as {}), metrics also at {:?}",
                self.listen_client,
                self.advertise_client.join(", "),
                self.listen_peer,
                self.advertise_peer.join(", "),
                self.listen_metrics,
            ),
            format!(
                "heartbeat {:?}, election timeout {:?}, pre-vote {}, lease reads {}, requests up to {} bytes, transactions \
                 up to {} operations",
                self.heartbeat,
                self.election_timeout,
                self.pre_vote,
                self.lease_reads,
                self.max_request_bytes,
                self.max_txn_ops,
            ),
        ]
    }
}

/// Values by flag name, the default where none was given.
struct Reader<'a>(&'a Given);

impl Reader<'_> {
    fn text(&self, name: &'static str) -> String {
        let default = flags::find(name).map_or("", |flag| flag.default);
        self.0.value(name).unwrap_or(default).to_owned()
    }

    fn is_given(&self, name: &str) -> bool {
        self.0.value(name).is_some_and(|value| !value.is_empty())
    }

    fn bad(&self, name: &'static str, why: impl Into<String>) -> FlagError {
        FlagError::BadValue {
            asked: self.0.asked(name),
            why: why.into(),
        }
    }

    fn boolean(&self, name: &'static str) -> bool {
        matches!(
            self.text(name).as_str(),
            "1" | "t" | "T" | "true" | "TRUE" | "True"
        )
    }

    /// A number; an empty value has been let through by the parser and is none.
    fn number(&self, name: &'static str) -> Result<u64, FlagError> {
        self.text(name)
            .parse()
            .map_err(|_| self.bad(name, "it must be a whole number from 0, in digits"))
    }

    fn number_within(&self, name: &'static str, least: u64, most: u64) -> Result<usize, FlagError> {
        let number = self.number(name)?;
        if !(least..=most).contains(&number) {
            return Err(self.bad(name, format!("it must be from {least} to {most}")));
        }
        usize::try_from(number).map_err(|_| self.bad(name, "it is too large for this machine"))
    }

    fn process(&self, name: &'static str) -> Result<Option<u32>, FlagError> {
        match u32::try_from(self.number(name)?) {
            Ok(0) => Ok(None),
            Ok(process) => Ok(Some(process)),
            Err(_) => Err(self.bad(name, "no process has this id")),
        }
    }

    /// The URLs of a flag; none where the value and the default are empty.
    fn urls(&self, name: &'static str) -> Result<Vec<Url>, FlagError> {
        let list = self.text(name);
        if list.is_empty() && flags::find(name).is_some_and(|flag| flag.default.is_empty()) {
            return Ok(Vec::new());
        }
        urls::parse_list(&list).map_err(|why| self.bad(name, why))
    }

    fn listen(&self, name: &'static str) -> Result<Vec<SocketAddr>, FlagError> {
        let addresses: Result<Vec<SocketAddr>, String> =
            self.urls(name)?.iter().map(Url::listen_address).collect();
        let mut addresses = addresses.map_err(|why| self.bad(name, why))?;
        // `localhost` and 127.0.0.1 may both be written, and are one address.
        let mut seen = Vec::new();
        addresses.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        Ok(addresses)
    }

    fn advertised(&self, name: &'static str) -> Result<Vec<Url>, FlagError> {
        let urls = self.urls(name)?;
        urls.iter()
            .try_for_each(Url::check_advertised)
            .map_err(|why| self.bad(name, why))?;
        Ok(urls)
    }
}

/// The words of a list with commas.
fn words(list: &str) -> Vec<String> {
    let words = list.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.text.clone()).collect()
}

fn data_dir(reader: &Reader<'_>, name: &str) -> PathBuf {
    let given = reader.text("data-dir");
    if given.is_empty() {
        PathBuf::from(format!("{name}.quorate"))
    } else {
        PathBuf::from(given)
    }
}

fn timing(reader: &Reader<'_>) -> Result<(Duration, Duration), FlagError> {
    let heartbeat = reader.number("heartbeat-interval")?;
    let election = reader.number("election-timeout")?;
    if heartbeat == 0 {
        return Err(reader.bad("heartbeat-interval", "it must be at least 1 (millisecond)"));
    }
    if election > ELECTION_TIMEOUT_MAX_MS {
        return Err(reader.bad(
            "election-timeout",
            format!("it must be at most {ELECTION_TIMEOUT_MAX_MS} (milliseconds)"),
        ));
    }
    if heartbeat.saturating_mul(HEARTBEATS_PER_ELECTION_MIN) > election {
        return Err(FlagError::Inconsistent(format!(
            "--election-timeout={election} must be at least {HEARTBEATS_PER_ELECTION_MIN} times \
             --heartbeat-interval={heartbeat} (both in milliseconds)"
        )));
    }
    Ok((
        Duration::from_millis(heartbeat),
        Duration::from_millis(election),
    ))
}

fn advertise_client(reader: &Reader<'_>) -> Result<Vec<String>, FlagError> {
    // A file's defaults stay as they are, in etcd too; only the command line is held to this.
    let must_be_told = reader.0.file.is_none() && reader.is_given("listen-client-urls");
    if must_be_told && !reader.is_given("advertise-client-urls") {
        return Err(FlagError::Inconsistent(
            "--advertise-client-urls is required when --listen-client-urls is given: clients are told these URLs"
                .to_owned(),
        ));
    }
    Ok(texts(&reader.advertised("advertise-client-urls")?))
}

fn protocol_version(reader: &Reader<'_>) -> Result<u32, FlagError> {
    let name = "experimental-protocol-version";
    let (least, most) = (LOWEST_PROTOCOL_VERSION, HIGHEST_PROTOCOL_VERSION);
    let number = reader.number_within(name, least.into(), most.into())?;
    Ok(u32::try_from(number).unwrap_or(most))
}

fn max_request_bytes(reader: &Reader<'_>, notes: &mut Vec<String>) -> Result<usize, FlagError> {
    if reader.number("max-request-bytes")? > MAX_REQUEST_BYTES_ADVISED {
        notes.push(format!(
            "{}: requests above {MAX_REQUEST_BYTES_ADVISED} bytes delay everybody's",
            reader.0.asked("max-request-bytes")
        ));
    }
    reader.number_within("max-request-bytes", 1, MAX_REQUEST_BYTES_MAX)
}

/// etcd's rules: not above zero is the default, and too short is a tenth of a second.
fn watch_progress_interval(reader: &Reader<'_>, notes: &mut Vec<String>) -> Duration {
    const FLAG: &str = "experimental-watch-progress-notify-interval";
    let nanoseconds = parse_nanoseconds(&reader.text(FLAG)).unwrap_or(0);
    if nanoseconds <= 0 {
        return WATCH_PROGRESS_INTERVAL;
    }
    let interval = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    if interval < WATCH_PROGRESS_INTERVAL_MIN {
        notes.push(format!(
            "{}: shorter than {WATCH_PROGRESS_INTERVAL_MIN:?}, which is taken instead",
            reader.0.asked(FLAG)
        ));
    }
    interval.max(WATCH_PROGRESS_INTERVAL_MIN)
}

fn distinct(lists: &[&Vec<SocketAddr>]) -> Result<(), FlagError> {
    let mut seen = Vec::new();
    for address in lists.iter().copied().flatten() {
        if address.port() != 0 && seen.contains(&address) {
            return Err(FlagError::Inconsistent(format!(
                "{address} is given twice to listen on; clients, peers and metrics need addresses of their own"
            )));
        }
        seen.push(address);
    }
    Ok(())
}

fn log_level(reader: &Reader<'_>) -> LogLevel {
    if reader.boolean("debug") && !reader.is_given("log-level") {
        return LogLevel::Debug;
    }
    match reader.text("log-level").as_str() {
        "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" | "panic" | "fatal" => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

fn log_format(reader: &Reader<'_>) -> LogFormat {
    match (
        reader.text("log-format").as_str(),
        reader.text("logger").as_str(),
    ) {
        ("json", _) | ("", "zap") => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

fn log_outputs(reader: &Reader<'_>) -> Vec<LogOutput> {
    let name = if reader.is_given("log-outputs") {
        "log-outputs"
    } else {
        "log-output"
    };
    let mut outputs = Vec::new();
    for word in reader
        .text(name)
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let output = match word {
            "default" | "stderr" | "systemd/journal" => LogOutput::Stderr,
            "stdout" => LogOutput::Stdout,
            path => LogOutput::File(PathBuf::from(path)),
        };
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    if outputs.is_empty() {
        outputs.push(LogOutput::Stderr);
    }
    outputs
}
