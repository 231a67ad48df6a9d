//! `make-mirror`: copies keys to another cluster, and goes on copying what happens to them.
//!
//! First all keys are copied as they are at one revision, then every change after it, a transaction for each revision, so
//! that the mirror shows states that the source has had (a revision with more operations than `--max-txn-ops` comes in
//! parts). Leases and revisions are not copied. The mirror is the copier's alone: what others write to it stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::{ArgAction, Args};
use quorate_client::{Client, Watcher, prefix_end};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
use quorate_proto::mvccpb::event::EventType;
use quorate_proto::mvccpb::{Event, KeyValue};
use tokio::sync::watch;
use tokio::time::timeout;

use super::connect::ConnectArgs;
use super::duration;
use super::failure::Failure;

/// Keys read at once: with the largest values there may be, some 150 MiB.
const KEYS_PER_READ: i64 = 100;

/// Bytes of keys and values after which a transaction is sent; servers take 1.5 MiB at least.
const TXN_BYTES: usize = 1 << 20;

/// A source that has not answered for so long is told of: it may be an election, or the next endpoint.
const SILENT_FOR: Duration = Duration::from_secs(5);

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

const AFTER_HELP: &str = "\
Examples:
  quorate ctl make-mirror 10.0.0.9:2379
  quorate ctl make-mirror --prefix app/ 10.0.0.9:2379
  quorate ctl make-mirror --prefix app/ --dest-prefix copy/ 10.0.0.9:2379
  quorate ctl make-mirror --rev 4711 10.0.0.9:2379       what has changed since

Every 30 seconds it prints how many puts and deletes it has copied. It ends when the destination cannot be reached, or
the source while it copies what is there, and when what it has yet to copy is compacted at the source. A source that is
lost later is tried again and again, which a line on standard error tells.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl make-mirror [OPTIONS] <DESTINATION>")]
pub(super) struct MakeMirrorArgs {
    #[arg(value_name = "DESTINATION", hide = true)]
    arguments: Vec<String>,
    /// Only keys that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// What stands there instead of the prefix
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_prefix: String,
    /// Nothing stands there instead of the prefix
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        value_name = "BOOL",
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    no_dest_prefix: bool,
    /// Operations in one transaction at the destination
    #[arg(long, default_value_t = 128)]
    max_txn_ops: usize,
    /// Copy only what has happened from this revision on
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    rev: i64,
    #[arg(long, hide = true, value_parser = duration::parse, default_value = "30s")]
    report_interval: Duration,
    #[command(flatten)]
    not_yet: DestinationArgs,
}

/// Flags of etcdctl about a secured destination.
#[derive(Args, Debug)]
struct DestinationArgs {
    #[arg(long, hide = true)]
    dest_cert: Option<String>,
    #[arg(long, hide = true)]
    dest_key: Option<String>,
    #[arg(long, hide = true)]
    dest_cacert: Option<String>,
    #[arg(long, hide = true)]
    dest_user: Option<String>,
    #[arg(long, hide = true)]
    dest_password: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    dest_insecure_transport: Option<bool>,
}

impl DestinationArgs {
    fn check(&self) -> Result<(), Failure> {
        let tls = "connections by TLS are not built yet";
        let auth = "users and passwords are not built yet";
        let refused = [
            ("--dest-cert", &self.dest_cert, tls),
            ("--dest-key", &self.dest_key, tls),
            ("--dest-cacert", &self.dest_cacert, tls),
            ("--dest-user", &self.dest_user, auth),
            ("--dest-password", &self.dest_password, auth),
        ];
        for (flag, value, reason) in refused {
            if value.is_some() {
                return Err(Failure::bad_feature(format!("{flag}: {reason}")));
            }
        }
        Ok(())
    }
}

pub(super) async fn run(args: &MakeMirrorArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let [destination] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "make-mirror takes one destination argument",
        ));
    };
    args.not_yet.check()?;
    if args.no_dest_prefix && !args.dest_prefix.is_empty() {
        return Err(Failure::bad_arguments(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
        ));
    }
    if args.max_txn_ops == 0 {
        return Err(Failure::bad_arguments("--max-txn-ops must be at least 1"));
    }
    let copied = Arc::new(AtomicU64::new(0));
    let mirror = Mirror {
        source: connect.client()?,
        destination: connect.client_of(vec![destination.clone()])?,
        prefix: args.prefix.clone().into(),
        destination_prefix: match (args.no_dest_prefix, args.dest_prefix.is_empty()) {
            (false, true) => args.prefix.clone().into(),
            _ => args.dest_prefix.clone().into(),
        },
        operations_max: args.max_txn_ops,
        copied: Arc::clone(&copied),
    };
    tokio::select! {
        ended = mirror.run(args.rev) => ended,
        ended = report(&copied, args.report_interval) => ended,
    }
}

async fn report(copied: &AtomicU64, interval: Duration) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(interval).await;
        let count = copied.load(Ordering::Relaxed);
        super::print(format!("{count}\n").as_bytes())?;
    }
}

/// Tells whenever the source is cut off for long.
async fn tell_of_silence(mut is_answered: watch::Receiver<bool>) {
    // It ends with the watch.
    while is_answered.wait_for(|is| !is).await.is_ok() {
        if timeout(SILENT_FOR, is_answered.wait_for(|is| *is))
            .await
            .is_err()
        {
            eprintln!(
                "The source has not answered for {} seconds; trying again",
                SILENT_FOR.as_secs()
            );
            let _ = is_answered.wait_for(|is| *is).await;
        }
    }
}

struct Mirror {
    source: Client,
    destination: Client,
    prefix: Bytes,
    destination_prefix: Bytes,
    operations_max: usize,
    copied: Arc<AtomicU64>,
}

impl Mirror {
    /// As in etcdctl, a revision of 1 or less means everything.
    async fn run(&self, rev: i64) -> Result<(), Failure> {
        let next = match rev {
            ..=1 => self.copy_all().await? + 1,
            rev => rev,
        };
        self.follow(next).await
    }

    /// All keys, as they are at one revision, which it gives.
    async fn copy_all(&self) -> Result<i64, Failure> {
        let (mut key, range_end) = self.range();
        let mut revision = 0;
        loop {
            let request = RangeRequest {
                key,
                range_end: range_end.clone(),
                limit: KEYS_PER_READ,
                revision,
                ..Default::default()
            };
            let read = self.source.range(request).await?;
            if revision == 0 {
                revision = read.header.map_or(0, |header| header.revision);
            }
            let last = read.kvs.last().map(|kv| kv.key.clone());
            let puts = read.kvs.into_iter().map(|kv| self.put(kv));
            self.write(puts.collect()).await?;
            match last {
                Some(last) if read.more => key = [&last[..], &[0]].concat().into(),
                _ => return Ok(revision),
            }
        }
    }

    /// Everything that happens from a revision on.
    async fn follow(&self, start_revision: i64) -> Result<(), Failure> {
        let (key, range_end) = self.range();
        let mut watcher = self.source.watch(WatchCreateRequest {
            key,
            range_end,
            start_revision,
            // Or nothing would be known of a quiet prefix but what is compacted by the time that a connection breaks.
            progress_notify: true,
            ..Default::default()
        });
        let silence = tell_of_silence(watcher.is_answered());
        tokio::select! {
            ended = self.copy_changes(&mut watcher) => ended,
            () = silence => Ok(()),
        }
    }

    async fn copy_changes(&self, watcher: &mut Watcher) -> Result<(), Failure> {
        while let Some(told) = watcher.next().await? {
            if told.canceled {
                let reason = match told.cancel_reason.as_str() {
                    "" => COMPACTED,
                    reason => reason,
                };
                return Err(Failure::error(reason));
            }
            let revision_of = |event: &Event| event.kv.as_ref().map(|kv| kv.mod_revision);
            let same = |a: &Event, b: &Event| revision_of(a) == revision_of(b);
            for events in told.events.chunk_by(same) {
                let operations = events.iter().cloned().map(|event| self.change(event));
                self.write(operations.collect()).await?;
            }
        }
        Err(Failure::error("the watch at the source has ended"))
    }

    fn range(&self) -> (Bytes, Bytes) {
        match self.prefix.is_empty() {
            true => (Bytes::from_static(&[0]), Bytes::from_static(&[0])),
            false => (self.prefix.clone(), prefix_end(&self.prefix)),
        }
    }

    /// In one transaction, or in several if one would be too large.
    async fn write(&self, operations: Vec<RequestOp>) -> Result<(), Failure> {
        let mut waiting = Vec::new();
        let mut waiting_bytes = 0;
        for operation in operations {
            let bytes = bytes_of(&operation);
            let is_full = waiting.len() == self.operations_max || waiting_bytes + bytes > TXN_BYTES;
            if is_full && !waiting.is_empty() {
                self.send(std::mem::take(&mut waiting)).await?;
                waiting_bytes = 0;
            }
            waiting_bytes += bytes;
            waiting.push(operation);
        }
        if !waiting.is_empty() {
            self.send(waiting).await?;
        }
        Ok(())
    }

    async fn send(&self, success: Vec<RequestOp>) -> Result<(), Failure> {
        let count = success.len();
        let request = TxnRequest {
            success,
            ..Default::default()
        };
        self.destination.txn(request).await?;
        self.copied.fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
    }

    fn change(&self, event: Event) -> RequestOp {
        let is_delete = event.r#type == i32::from(EventType::Delete);
        let kv = event.kv.unwrap_or_default();
        if !is_delete {
            return self.put(kv);
        }
        RequestOp {
            request: Some(Request::RequestDeleteRange(DeleteRangeRequest {
                key: self.renamed(&kv.key),
                ..Default::default()
            })),
        }
    }

    fn put(&self, kv: KeyValue) -> RequestOp {
        RequestOp {
            request: Some(Request::RequestPut(PutRequest {
                key: self.renamed(&kv.key),
                value: kv.value,
                ..Default::default()
            })),
        }
    }

    fn renamed(&self, key: &Bytes) -> Bytes {
        let rest = key.strip_prefix(&*self.prefix).unwrap_or(key);
        [&self.destination_prefix[..], rest].concat().into()
    }
}

fn bytes_of(operation: &RequestOp) -> usize {
    match &operation.request {
        Some(Request::RequestPut(put)) => put.key.len() + put.value.len(),
        Some(Request::RequestDeleteRange(delete)) => delete.key.len(),
        _ => 0,
    }
}
