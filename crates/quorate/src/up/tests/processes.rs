//! `up` with real processes. The nodes are this very test program, started again with one test
//! alone, which then listens on its client port and says who leads, namely the first node that runs.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::sync::mpsc;

use super::super::plan;
use super::super::report::{Event, Reporter};
use super::super::status;
use super::super::supervisor::{Launch, Supervisor};

/// No event takes longer than this, unless something hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A test, and with a node's flags the program of a node: then it never returns.
#[test]
fn a_node_is_asked_by_plain_http() {
    let flag = |name: &str| {
        let start = format!("--{name}=");
        std::env::args().find_map(|word| word.strip_prefix(&start).map(str::to_owned))
    };
    if let (Some(name), Some(cluster)) = (flag("name"), flag("initial-cluster")) {
        println!("fake {name} is here");
        let data = PathBuf::from(flag("data-dir").expect("up gives each node a directory"));
        if data.with_file_name("broken").exists() {
            println!("fake {name} is broken");
            std::process::exit(1);
        }
        if data.with_file_name("removed").exists() {
            println!("quorate: {}", quorate_server::ServerError::Removed);
            std::process::exit(1);
        }
        let port = |url: &str| -> u16 {
            url.rsplit(':')
                .next()
                .and_then(|port| port.parse().ok())
                .expect("a port")
        };
        let own = port(&flag("listen-client-urls").expect("up gives each node a port"));
        let ports: Vec<u16> = cluster.split(',').map(|member| port(member) - 1).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, own)).expect("a free port");
        fake_node(&name, &listener, &ports);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || fake_node("n1", &listener, &[port]));
    on_one_thread(async move {
        let status = status::ask(port).await.expect("an answer");
        assert_eq!(status, super::status("n1", "leader", "n1", 1));
    });
}

/// Answers as a node does; of the nodes with these client ports the first that runs leads.
fn fake_node(name: &str, listener: &TcpListener, ports: &[u16]) -> ! {
    let own = listener.local_addr().expect("bound").port();
    loop {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 1024];
        // A neighbour that only looks whether we are here sends nothing.
        if !matches!(stream.read(&mut request), Ok(length) if length > 0) {
            continue;
        }
        let runs =
            |port: u16| port == own || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let leader = ports
            .iter()
            .position(|port| runs(*port))
            .expect("we run ourselves")
            + 1;
        let role = if name == format!("n{leader}") {
            "leader"
        } else {
            "follower"
        };
        let body = format!(
            r#"{{"member":"{name}","role":"{role}","leader":"n{leader}","term":{leader},"applied":1}}"#
        );
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
        );
    }
}

fn launch() -> Launch {
    let words = [
        "--exact",
        "up::tests::processes::a_node_is_asked_by_plain_http",
        "--nocapture",
        "--",
    ];
    Launch {
        program: std::env::current_exe().expect("this program has a file"),
        first_words: words.iter().map(OsString::from).collect(),
    }
}

/// The base of six ports that are free at this moment and given to no other test of this run; below
/// those that the kernel gives to outgoing connections.
fn free_ports() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 15_000 + u16::try_from(std::process::id() % 1000).expect("small") * 12;
    std::iter::repeat_with(|| first + 6 * TAKEN.fetch_add(1, Ordering::Relaxed))
        .take(100)
        .find(|base| (0..6).all(|i| TcpListener::bind((Ipv4Addr::LOCALHOST, base + i)).is_ok()))
        .expect("free ports")
}

/// A cluster of fake nodes, watched.
struct Watched {
    events: mpsc::UnboundedReceiver<Event>,
    stop: mpsc::Sender<()>,
    outcome: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Watched {
    fn start(directory: &Path, restart: bool, base_port: u16) -> Watched {
        let mut plan = plan::look(directory, Some(3), Some(base_port)).expect("planned");
        let lock = plan::lock(directory).expect("nobody else's");
        plan.found().expect("founded");
        let (sender, events) = mpsc::unbounded_channel();
        let reporter = Reporter::new(move |event| {
            let _ = sender.send(event.clone());
        });
        let supervisor = Supervisor::new(plan, launch(), restart, reporter);
        let (stop, stops) = mpsc::channel(1);
        let outcome = tokio::task::spawn_local(async move {
            let outcome = supervisor.run(stops).await;
            drop(lock);
            outcome
        });
        Watched {
            events,
            stop,
            outcome,
        }
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(DEADLINE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("an event")
    }

    async fn stopped(mut self) -> (anyhow::Result<()>, Vec<Event>) {
        let _ = self.stop.send(()).await;
        let outcome = tokio::time::timeout(DEADLINE, self.outcome)
            .await
            .expect("an end in time")
            .expect("no panic");
        let mut rest = Vec::new();
        while let Some(event) = self.events.recv().await {
            rest.push(event);
        }
        (outcome, rest)
    }
}

fn pids(started: &Event) -> Vec<u32> {
    let Event::Started { nodes, .. } = started else {
        panic!("first it tells the start, not {started:?}")
    };
    nodes.iter().map(|node| node.pid).collect()
}

fn pid(id: u32) -> Pid {
    i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id")
}

/// Runs a test on one thread, as `up` does.
fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_cluster_becomes_ready_loses_its_leader_and_stops() {
    on_one_thread(async {
        let temp = tempfile::tempdir().expect("temp dir");
        let base = free_ports();
        let mut up = Watched::start(temp.path(), false, base);
        let pids = pids(&up.next().await);
        let ready = up.next().await;
        assert!(
            matches!(&ready, Event::Ready { leader, .. } if leader == "n1"),
            "{ready:?}"
        );

        kill_process(pid(pids[0]), Signal::KILL).expect("killed");
        let died = up.next().await;
        let Event::Died {
            node,
            how,
            led: true,
            running: 2,
            last_lines,
            ..
        } = &died
        else {
            panic!("{died:?}")
        };
        assert_eq!(
            (node.as_str(), how.as_str()),
            ("n1", "was killed (SIGKILL)")
        );
        assert!(
            last_lines
                .iter()
                .any(|line| line.contains("fake n1 is here")),
            "{last_lines:?}"
        );
        let leader = up.next().await;
        assert_eq!(
            leader,
            Event::Leader {
                leader: "n2".to_owned(),
                term: 2,
                elsewhere: false
            }
        );

        let (outcome, rest) = up.stopped().await;
        outcome.expect("stopped as asked");
        assert_eq!(rest, [Event::Stopping { nodes: 2 }, Event::Stopped]);
        assert!(
            pids.iter().all(|id| test_kill_process(pid(*id)).is_err()),
            "no node is left"
        );

        let mut again = Watched::start(temp.path(), false, base);
        assert!(matches!(again.next().await, Event::Started { .. }));
        assert!(
            matches!(again.next().await, Event::Ready { .. }),
            "run again, it is ready again"
        );
        again.stopped().await.0.expect("stopped as asked");
    });
}

#[test]
fn a_dead_node_is_brought_back_when_that_is_asked_for() {
    on_one_thread(async {
        let temp = tempfile::tempdir().expect("temp dir");
        let mut up = Watched::start(temp.path(), true, free_ports());
        let pids = pids(&up.next().await);
        assert!(matches!(up.next().await, Event::Ready { .. }));
        kill_process(pid(pids[2]), Signal::KILL).expect("killed");
        let died = up.next().await;
        assert!(
            matches!(&died, Event::Died { node, led: false, leader: Some(leader), .. } if node == "n3" && leader == "n1"),
            "{died:?}"
        );
        assert_eq!(
            up.next().await,
            Event::Restarting {
                node: "n3".to_owned(),
                after_ms: 500
            }
        );
        let restarted = up.next().await;
        assert!(
            matches!(&restarted, Event::Restarted { node, .. } if node == "n3"),
            "{restarted:?}"
        );
        up.stopped().await.0.expect("stopped as asked");
    });
}

#[test]
fn a_node_that_was_removed_is_not_brought_back_not_even_by_the_next_up() {
    on_one_thread(async {
        let temp = tempfile::tempdir().expect("temp dir");
        let base = free_ports();
        drop(super::prepare(temp.path(), Some(3), Some(base)).expect("founded"));
        std::fs::write(temp.path().join("n1").join("removed"), "").expect("written");
        let mut up = Watched::start(temp.path(), true, base);
        let first = pids(&up.next().await);
        assert_eq!(first.len(), 3);
        let removed = Event::Removed {
            node: "n1".to_owned(),
            pid: first[0],
        };
        let mut seen = vec![up.next().await, up.next().await];
        seen.sort_by_key(|event| *event != removed);
        assert!(
            seen[0] == removed && matches!(seen[1], Event::Ready { .. }),
            "{seen:?}"
        );
        let (_, rest) = up.stopped().await;
        assert_eq!(rest, [Event::Stopping { nodes: 2 }, Event::Stopped]);

        let mut again = Watched::start(temp.path(), true, base);
        let started = again.next().await;
        let Event::Started { nodes, removed, .. } = &started else {
            panic!("{started:?}")
        };
        let names: Vec<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
        assert_eq!(
            (names.as_slice(), removed.as_slice()),
            (&["n2", "n3"][..], &["n1".to_owned()][..])
        );
        assert!(matches!(again.next().await, Event::Ready { .. }));
        again.stopped().await.0.expect("stopped as asked");
    });
}

#[test]
fn a_cluster_that_cannot_become_ready_ends_with_an_error() {
    on_one_thread(async {
        let temp = tempfile::tempdir().expect("temp dir");
        let base = free_ports();
        drop(super::prepare(temp.path(), Some(3), Some(base)).expect("founded"));
        for node in ["n1", "n3"] {
            std::fs::write(temp.path().join(node).join("broken"), "").expect("written");
        }
        let mut up = Watched::start(temp.path(), false, base);
        let mut seen = Vec::new();
        while !matches!(seen.last(), Some(Event::Stopped)) {
            seen.push(up.next().await);
        }
        let error = up
            .stopped()
            .await
            .0
            .expect_err("it cannot become ready")
            .to_string();
        assert!(
            error.contains("2 needed") || error.contains("all nodes have ended"),
            "{error}"
        );
        let told = seen.iter().any(|event| {
            matches!(event, Event::Died { last_lines, .. } if last_lines.iter().any(|line| line.contains("is broken")))
        });
        assert!(told, "{seen:?}");
    });
}
