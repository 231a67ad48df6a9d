//! What a client is told when it is made; the defaults are etcdctl's.

use std::time::Duration;

/// How to reach a cluster, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` or `http://host:port`, one per member. Default: `127.0.0.1:2379`.
    pub endpoints: Vec<String>,
    /// Longest wait for one connection to be made. Default: 2 s.
    pub dial_timeout: Duration,
    /// Longest wait for one call, all its tries together. Default: 5 s.
    pub command_timeout: Duration,
    /// An idle connection is pinged this often while a call is open. Not below 10 s, since servers hang up on clients
    /// that ping more often; shorter values are raised. Default: 10 s.
    pub keep_alive_interval: Duration,
    /// A ping unanswered for so long means that the connection is lost. Default: 6 s.
    pub keep_alive_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoints: vec!["127.0.0.1:2379".to_owned()],
            dial_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(6),
        }
    }
}
