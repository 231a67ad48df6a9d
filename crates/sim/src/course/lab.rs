//! What a scenario works with: the course's helpers, by their names.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::executor::{Executor, Joined};
use super::server::Started;

/// The election timeout that the course's scenarios wait for.
pub(crate) const T: Duration = Duration::from_secs(1);

/// How long `one` tries before it gives up.
const ONE_GIVES_UP: Duration = Duration::from_secs(10);
/// How long `one` waits for a command that was taken.
const ONE_WAITS: Duration = Duration::from_secs(2);

/// What a scenario demanded and did not get.
#[derive(Clone, Debug)]
pub(crate) struct Failed(pub(crate) String);

pub(crate) type Verdict<T = ()> = Result<T, Failed>;

/// Fails the scenario unless the condition holds.
macro_rules! demand {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::course::lab::Failed(format!($($words)+)));
        }
    };
}
pub(crate) use demand;

/// Whether `one` may propose its command again when it is not agreed upon in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Yes,
    No,
}

/// A handle to a scenario's servers; clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Lab {
    executor: Rc<Executor>,
}

impl Lab {
    pub(crate) fn new(executor: Rc<Executor>) -> Lab {
        Lab { executor }
    }

    /// How many servers there are.
    pub(crate) fn servers(&self) -> usize {
        self.executor.cluster.borrow().servers.len()
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.executor.sleep(time).await;
    }

    pub(crate) async fn sleep_ms(&self, millis: u64) {
        self.sleep(Duration::from_millis(millis)).await;
    }

    /// Begins something that goes on at the same time.
    pub(crate) fn spawn<R: 'static>(&self, work: impl Future<Output = R> + 'static) -> Joined<R> {
        self.executor.spawn(work)
    }

    pub(crate) async fn join<R>(&self, joined: Joined<R>) -> R {
        self.executor.join(joined).await
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.executor.cluster.borrow_mut().random.below(bound)
    }

    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A command that no one proposed before, as far as chance can tell.
    pub(crate) fn random_command(&self) -> Bytes {
        command(self.executor.cluster.borrow_mut().random.next() >> 1)
    }

    /// A server of chance.
    pub(crate) fn any_server(&self) -> usize {
        self.below(self.servers() as u64) as usize
    }

    /// Cuts all links from and to a server.
    pub(crate) fn disconnect(&self, server: usize) {
        self.set_connected(server, false);
    }

    /// Joins a server with all that are connected.
    pub(crate) fn connect(&self, server: usize) {
        self.set_connected(server, true);
    }

    fn set_connected(&self, server: usize, is_connected: bool) {
        let mut cluster = self.executor.cluster.borrow_mut();
        cluster.servers[server].is_connected = is_connected;
        cluster.draw_connection(server);
    }

    pub(crate) fn is_connected(&self, server: usize) -> bool {
        self.executor.cluster.borrow().servers[server].is_connected
    }

    pub(crate) fn is_up(&self, server: usize) -> bool {
        let cluster = self.executor.cluster.borrow();
        cluster.servers[server].process.is_some()
    }

    pub(crate) fn crash(&self, server: usize) {
        self.executor.cluster.borrow_mut().crash_server(server);
    }

    /// A server that is down loses all that its disk holds.
    #[cfg(test)]
    pub(crate) fn empty_disk(&self, server: usize) {
        let mut cluster = self.executor.cluster.borrow_mut();
        cluster.servers[server].disk = quorate_disk::SimDisk::new();
    }

    /// Starts a server anew on what its disk holds, after a crash if it runs; not yet connected.
    pub(crate) fn start(&self, server: usize) {
        let mut cluster = self.executor.cluster.borrow_mut();
        if cluster.servers[server].process.is_some() {
            cluster.crash_server(server);
        }
        cluster.start_server(server);
    }

    pub(crate) fn restart_and_connect(&self, server: usize) {
        self.start(server);
        self.connect(server);
    }

    pub(crate) fn set_unreliable(&self, is_unreliable: bool) {
        let mut cluster = self.executor.cluster.borrow_mut();
        cluster.network.is_unreliable = is_unreliable;
        cluster.draw_note(match is_unreliable {
            true => "the network is unreliable: it delays, and loses a tenth",
            false => "the network is reliable",
        });
    }

    pub(crate) fn set_long_reordering(&self, reorders: bool) {
        self.executor
            .cluster
            .borrow_mut()
            .network
            .has_long_reordering = reorders;
    }

    /// RPCs that have reached a server, all servers together.
    pub(crate) fn received_rpcs(&self) -> u64 {
        self.executor.cluster.borrow().network.received.iter().sum()
    }

    /// Bytes that have passed through the network.
    pub(crate) fn bytes(&self) -> u64 {
        self.executor.cluster.borrow().network.bytes
    }

    /// Proposes a command to one server; none if it does not lead.
    pub(crate) fn propose(&self, server: usize, command: Bytes) -> Option<Started> {
        self.executor.cluster.borrow_mut().propose(server, command)
    }

    /// Proposes, where that must be accepted.
    pub(crate) fn propose_to_leader(&self, leader: usize, command: Bytes) -> Verdict<Started> {
        self.propose(leader, command)
            .ok_or_else(|| Failed(format!("leader {leader} rejected a proposal")))
    }

    /// A server's term and whether it thinks that it leads; none if it is down.
    pub(crate) fn state(&self, server: usize) -> Option<(u64, bool)> {
        let cluster = self.executor.cluster.borrow();
        Some(cluster.servers[server].process.as_ref()?.state())
    }

    fn connected_states(&self) -> Vec<(usize, (u64, bool))> {
        (0..self.servers())
            .filter(|server| self.is_connected(*server))
            .filter_map(|server| Some((server, self.state(server)?)))
            .collect()
    }

    /// The leader of the highest term among the connected servers, within about five seconds.
    pub(crate) async fn check_one_leader(&self) -> Verdict<usize> {
        for _ in 0..10 {
            self.sleep_ms(450 + self.below(100)).await;
            let states = self.connected_states();
            let leading = states.iter().filter(|(_, (_, leads))| *leads);
            let mut leaders: Vec<(u64, usize)> = leading
                .map(|(server, (term, _))| (*term, *server))
                .collect();
            leaders.sort_unstable();
            for pair in leaders.windows(2) {
                demand!(pair[0].0 != pair[1].0, "term {} has two leaders", pair[0].0);
            }
            if let Some((_, leader)) = leaders.last() {
                return Ok(*leader);
            }
        }
        Err(Failed("expected one leader, got none".to_owned()))
    }

    /// The term that all connected servers are in.
    pub(crate) fn check_terms(&self) -> Verdict<u64> {
        let states = self.connected_states();
        let terms: Vec<u64> = states.iter().map(|(_, (term, _))| *term).collect();
        demand!(
            terms.windows(2).all(|pair| pair[0] == pair[1]),
            "servers disagree on the term: {terms:?}"
        );
        Ok(terms.first().copied().unwrap_or_default())
    }

    pub(crate) fn check_no_leader(&self) -> Verdict {
        for (server, (_, leads)) in self.connected_states() {
            demand!(
                !leads,
                "expected no leader, but server {server} claims to be it"
            );
        }
        Ok(())
    }

    /// How many servers have applied the command of this ordinal, and which it is.
    pub(crate) fn n_committed(&self, ordinal: u64) -> (usize, Option<Bytes>) {
        let cluster = self.executor.cluster.borrow();
        cluster.recorder.count_ordinal(ordinal)
    }

    /// The command at an index of the log, if anyone applied one there.
    pub(crate) fn applied_at(&self, started: Started) -> Option<Bytes> {
        let cluster = self.executor.cluster.borrow();
        cluster.recorder.command_at(started.index).cloned()
    }

    fn count(&self, started: Started, command: &Bytes) -> usize {
        let cluster = self.executor.cluster.borrow();
        cluster.recorder.count(started.index, command)
    }

    /// Gets a command agreed upon by at least so many servers; gives its ordinal.
    pub(crate) async fn one(&self, command: Bytes, servers: usize, retry: Retry) -> Verdict<u64> {
        let begun = self.executor.cluster.borrow().now;
        let since = || self.executor.cluster.borrow().now.since(begun);
        let mut next = 0;
        while since() < ONE_GIVES_UP {
            let mut taken = None;
            for _ in 0..self.servers() {
                next = (next + 1) % self.servers();
                if self.is_connected(next) {
                    taken = self.propose(next, command.clone());
                }
                if taken.is_some() {
                    break;
                }
            }
            let Some(started) = taken else {
                self.sleep_ms(50).await;
                continue;
            };
            let taken_at = since();
            while since() < taken_at + ONE_WAITS {
                if self.count(started, &command) >= servers {
                    let cluster = self.executor.cluster.borrow();
                    let ordinal = cluster.recorder.ordinal_of(started.index);
                    return Ok(ordinal.expect("a command that was applied has one"));
                }
                self.sleep_ms(20).await;
            }
            demand!(
                retry == Retry::Yes,
                "one({command:?}) failed to reach agreement in {ONE_WAITS:?}"
            );
        }
        Err(Failed(format!(
            "one({command:?}) failed to reach agreement in {ONE_GIVES_UP:?}"
        )))
    }

    /// [`Lab::one`], where the ordinal must be this one.
    pub(crate) async fn one_at(
        &self,
        ordinal: u64,
        command: Bytes,
        servers: usize,
        retry: Retry,
    ) -> Verdict {
        let got = self.one(command, servers, retry).await?;
        demand!(got == ordinal, "got index {got} but expected {ordinal}");
        Ok(())
    }

    /// Waits until so many servers have applied the command of this ordinal, and gives it; none as
    /// soon as some server is beyond `start_term`, if one is given.
    pub(crate) async fn wait(
        &self,
        ordinal: u64,
        servers: usize,
        start_term: Option<u64>,
    ) -> Verdict<Option<Bytes>> {
        let mut pause_ms = 10;
        for _ in 0..30 {
            if self.n_committed(ordinal).0 >= servers {
                break;
            }
            self.sleep_ms(pause_ms).await;
            if pause_ms < 1_000 {
                pause_ms *= 2;
            }
            let states = (0..self.servers()).filter_map(|server| self.state(server));
            if start_term.is_some_and(|start| states.map(|state| state.0).any(|term| term > start))
            {
                return Ok(None);
            }
        }
        let (count, command) = self.n_committed(ordinal);
        demand!(
            count >= servers,
            "only {count} decided for index {ordinal}; wanted {servers}"
        );
        Ok(command)
    }
}

/// A number as a command.
pub(crate) fn command(number: u64) -> Bytes {
    number.to_string().into()
}
