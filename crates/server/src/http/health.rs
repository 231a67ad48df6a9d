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
