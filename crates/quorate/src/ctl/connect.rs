//! The flags that every command has: which cluster, how long to wait, how to print.

use std::time::Duration;

use clap::{ArgAction, Args};
use quorate_client::{Client, Options};

use super::duration;
use super::failure::Failure;
use super::output::Format;

#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(super) struct ConnectArgs {
    /// gRPC endpoints, separated by commas
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_ENDPOINTS",
        hide_env = true,
        value_delimiter = ',',
        default_value = "127.0.0.1:2379",
        value_name = "LIST"
    )]
    pub(super) endpoints: Vec<String>,
    /// Output form: simple, json, table, fields or protobuf
    #[arg(
        short = 'w',
        long,
        global = true,
        env = "ETCDCTL_WRITE_OUT",
        hide_env = true,
        default_value = "simple",
        value_name = "FORM"
    )]
    write_out: String,
    /// Print bytes as hexadecimal (simple form)
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true, value_name = "BOOL", env = "ETCDCTL_HEX", hide_env = true)]
    pub(super) hex: bool,
    /// Longest wait for a connection
    #[arg(long, global = true, env = "ETCDCTL_DIAL_TIMEOUT", hide_env = true,
        value_name = "TIME", value_parser = duration::parse, default_value = "2s")]
    dial_timeout: Duration,
    /// Longest wait for an answer
    #[arg(long, global = true, env = "ETCDCTL_COMMAND_TIMEOUT", hide_env = true,
        value_name = "TIME", value_parser = duration::parse, default_value = "5s")]
    command_timeout: Duration,
    /// Idle time before a connection is pinged; less than 10s counts as 10s
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIME",
        hide_env = true, value_name = "TIME", value_parser = duration::parse, default_value = "10s")]
    keepalive_time: Duration,
    /// Longest wait for the answer to a ping
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIMEOUT",
        hide_env = true, value_name = "TIME", value_parser = duration::parse, default_value = "6s")]
    keepalive_timeout: Duration,
    #[command(flatten)]
    not_yet: NotYetArgs,
}

/// Flags of etcdctl that are known here: without effect on a plain connection, or refused with the reason.
#[derive(Args, Debug)]
struct NotYetArgs {
    #[arg(
        long,
        global = true,
        hide = true,
        env = "ETCDCTL_CACERT",
        hide_env_values = true
    )]
    cacert: Option<String>,
    #[arg(
        long,
        global = true,
        hide = true,
        env = "ETCDCTL_CERT",
        hide_env_values = true
    )]
    cert: Option<String>,
    #[arg(
        long,
        global = true,
        hide = true,
        env = "ETCDCTL_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    #[arg(
        long,
        global = true,
        hide = true,
        env = "ETCDCTL_USER",
        hide_env_values = true
    )]
    user: Option<String>,
    #[arg(
        long,
        global = true,
        hide = true,
        env = "ETCDCTL_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
    #[arg(short = 'd', long, global = true, hide = true)]
    discovery_srv: Option<String>,
    #[arg(long, global = true, hide = true)]
    discovery_srv_name: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    insecure_discovery: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    insecure_skip_tls_verify: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    insecure_transport: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    debug: Option<bool>,
}

impl ConnectArgs {
    /// Refuses what cannot be done, before anything is sent.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let flags = &self.not_yet;
        let tls = "connections by TLS are not built yet";
        let auth = "users and passwords are not built yet";
        let refused = [
            ("--cacert", &flags.cacert, tls),
            ("--cert", &flags.cert, tls),
            ("--key", &flags.key, tls),
            ("--user", &flags.user, auth),
            ("--password", &flags.password, auth),
            (
                "--discovery-srv",
                &flags.discovery_srv,
                "name the members with --endpoints",
            ),
        ];
        for (flag, value, reason) in refused {
            if value.is_some() {
                return Err(Failure::bad_feature(format!("{flag}: {reason}")));
            }
        }
        self.format().map(|_| ())
    }

    pub(super) fn format(&self) -> Result<Format, Failure> {
        self.write_out.parse()
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        self.client_of(self.endpoints.clone())
    }

    pub(super) fn client_of(&self, endpoints: Vec<String>) -> Result<Client, Failure> {
        let options = Options {
            endpoints,
            dial_timeout: self.dial_timeout,
            command_timeout: self.command_timeout,
            keep_alive_interval: self.keepalive_time,
            keep_alive_timeout: self.keepalive_timeout,
        };
        Ok(Client::new(&options)?)
    }
}
