//! `/health`, in etcd's form: can this member serve a read?

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::core::Core;

/// Healthy when there is a leader and a linearizable read gets leave; `?serializable=true` asks
/// only this member.
pub(super) async fn health(
    State(core): State<Arc<Core>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if query
        .get("serializable")
        .is_some_and(|value| value == "true")
    {
        let behind = !core.has_caught_up();
        return answer(behind.then(|| "RANGE ERROR:not caught up since the start".to_owned()));
    }
    if core.leadership().leader.is_none() {
        return answer(Some("RAFT NO LEADER".to_owned()));
    }
    match core.read_barrier().await {
        Ok(()) => answer(None),
        Err(error) => answer(Some(format!("RANGE ERROR:{error}"))),
    }
}

/// `/livez`: whether this member serves its own state.
pub(super) async fn livez(State(core): State<Arc<Core>>) -> Response {
    checks(&[("serializable_read", core.has_caught_up())])
}

/// `/readyz`: whether it is also worth sending clients to.
pub(super) async fn readyz(State(core): State<Arc<Core>>) -> Response {
    let linearizable = core.leadership().leader.is_some() && core.read_barrier().await.is_ok();
    checks(&[
        ("serializable_read", core.has_caught_up()),
        ("linearizable_read", linearizable),
    ])
}

/// One line a check, as etcd prints them.
fn checks(checks: &[(&str, bool)]) -> Response {
    let line = |(name, passed): &(&str, bool)| {
        let (sign, word) = if *passed {
            ('+', "ok")
        } else {
            ('-', "failed")
        };
        format!("[{sign}]{name} {word}\n")
    };
    let passed = checks.iter().all(|(_, passed)| *passed);
    let code = if passed {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let text: String = checks.iter().map(line).collect();
    (code, text + if passed { "ok\n" } else { "check failed\n" }).into_response()
}

fn answer(fault: Option<String>) -> Response {
    let code = if fault.is_some() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let health = if fault.is_some() { "false" } else { "true" };
    let body = json!({ "health": health, "reason": fault.unwrap_or_default() });
    (code, Json(body)).into_response()
}
