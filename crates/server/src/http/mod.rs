//! What the client port serves besides gRPC: version, health, metrics, and this node's status.

mod health;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use quorate_raft::Role;
use serde_json::json;

use crate::core::Core;
use crate::gateway;
use crate::metrics::Format;
use crate::settings::{ETCD_CLUSTER_VERSION, ETCD_VERSION, QUORATE_VERSION};

/// The pages for monitoring alone.
pub(crate) fn monitoring(core: Arc<Core>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(&core))
        .merge(health::pages(core))
        .fallback(unknown)
}

/// Adds the pages and the JSON gateway to `services`, which has the gRPC services.
pub(crate) fn add_pages(services: Router, core: Arc<Core>) -> Router {
    let origins = core.settings.cors.clone();
    let mut router = services.clone();
    if core.settings.json_gateway {
        router = router.merge(gateway::router(
            services.fallback(unknown),
            Arc::clone(&core),
        ));
    }
    let router = router
        .route("/version", get(version))
        .merge(
            Router::new()
                .route("/metrics", get(metrics))
                .route("/quorate/status", get(status))
                .with_state(Arc::clone(&core)),
        )
        .merge(health::pages(core))
        .fallback(unknown);
    gateway::cors::allow(router, &origins)
}

async fn version() -> Response {
    // The names in etcd's order.
    let body =
        format!(r#"{{"etcdserver":"{ETCD_VERSION}","etcdcluster":"{ETCD_CLUSTER_VERSION}"}}"#);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State(core): State<Arc<Core>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|of| of.to_str().ok());
    let format = Format::asked_for(accept.unwrap_or_default());
    let page = format.of(core.metrics.encode(&core));
    ([(header::CONTENT_TYPE, format.content_type())], page).into_response()
}

/// This node in one object, for `quorate up` and scripts.
async fn status(State(core): State<Arc<Core>>) -> Response {
    let leadership = core.leadership();
    let role = match leadership.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
    };
    let leader = leadership
        .leader
        .map_or_else(String::new, |leader| core.member_name(leader));
    // One moment: equal applied indexes mean equal hashes.
    let (applied, revision, state_hash) = match core.readable_store() {
        Ok((store, _)) => (core.applied_index(), store.revision(), store.state_hash()),
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    Json(json!({
        "member": core.settings.name,
        "member_id": format!("{:x}", core.identity.member_id),
        "cluster_id": format!("{:x}", core.identity.cluster_id),
        "role": role,
        "leader": leader,
        "term": leadership.term.0,
        "applied": applied,
        "revision": revision,
        "state_hash": format!("{state_hash:016x}"),
        "learner": core.is_learner(),
        "voters": core.members.applied().iter().filter(|(_, member)| !member.is_learner).count(),
        "version": QUORATE_VERSION,
    }))
    .into_response()
}

/// What a gRPC path is about, in a word that a person uses.
fn plain_name(path: &str) -> &str {
    match path.split('/').nth(1) {
        Some("etcdserverpb.Lease") => "leases",
        Some("etcdserverpb.Auth") => "users and roles",
        _ => path,
    }
}

/// A path that nothing serves: in gRPC's terms for its callers, as a plain page for others.
async fn unknown(uri: Uri, headers: HeaderMap) -> Response {
    let is_grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        let what = plain_name(uri.path());
        let message = format!("quorate {QUORATE_VERSION} does not serve {what} yet");
        let status = tonic::Status::unimplemented(message);
        return status.into_http::<axum::body::Body>();
    }
    let body = format!(
        "404: quorate {QUORATE_VERSION} does not serve {}\n",
        uri.path()
    );
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, plain)], body).into_response()
}
