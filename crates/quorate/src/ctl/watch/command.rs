//! Runs a command for an event, as etcdctl does: to its end, with the event in its environment.

use std::ffi::OsString;

use quorate_proto::mvccpb::Event;
use quorate_proto::mvccpb::event::EventType;
use tokio::process::Command;

use super::super::failure::Failure;
use super::super::output::go_quote;

/// Runs it, and ends the watch when it fails.
pub(super) async fn run(words: &[OsString], revision: i64, event: &Event) -> Result<(), Failure> {
    let [program, arguments @ ..] = words else {
        return Ok(());
    };
    let kind = match event.r#type() {
        EventType::Put => "PUT",
        EventType::Delete => "DELETE",
    };
    let kv = event.kv.clone().unwrap_or_default();
    let status = Command::new(program)
        .args(arguments)
        .env("ETCD_WATCH_REVISION", revision.to_string())
        .env("ETCD_WATCH_EVENT_TYPE", go_quote(kind.as_bytes()))
        .env("ETCD_WATCH_KEY", go_quote(&kv.key))
        .env("ETCD_WATCH_VALUE", go_quote(&kv.value))
        .status()
        .await;
    let failed = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let words: Vec<String> = words
        .iter()
        .map(|word| go_quote(word.as_encoded_bytes()))
        .collect();
    let words = words.join(" ");
    Err(Failure::error(format!(
        "command [{words}] error ({failed})"
    )))
}
