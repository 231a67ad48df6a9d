//! `/health`, `/livez` and `/readyz`, in etcd's forms: can this member serve a read?
//!
//! `/health` says it in one object; `?serializable=true` asks only this member, `?exclude=NOSPACE` overlooks an alarm.
//! The other two are made of checks with names: each has a path of its own (`/readyz/linearizable_read`), any can be
//! left out (`?exclude=`), and what each came to is listed when one fails, or with `?verbose`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use quorate_proto::etcdserverpb::{AlarmMember, AlarmType};
use serde_json::json;

use crate::core::Core;

/// Checks of `/livez`: is this member of any use, or better started anew?
const LIVE: [Check; 1] = [Check::SerializableRead];

/// Checks of `/readyz`: is it worth sending clients to?
const READY: [Check; 4] = [
    Check::DataCorruption,
    Check::SerializableRead,
    Check::LinearizableRead,
    Check::NonLearner,
];

pub(super) fn pages(core: Arc<Core>) -> Router {
    Router::new()
        .route("/health", any(health))
        .route("/livez", any(livez))
        .route("/livez/{check}", any(livez))
        .route("/readyz", any(readyz))
        .route("/readyz/{check}", any(readyz))
        .with_state(core)
}

/// What stands behind `?`.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: Option<&str>) -> Query {
        let pairs = query.unwrap_or_default().split('&').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        });
        Query(pairs.collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    fn excludes(&self, what: &str) -> bool {
        let excluded = |(name, value): &(String, String)| name == "exclude" && value == what;
        self.0.iter().any(excluded)
    }

    fn is_serializable(&self) -> bool {
        let first = self.0.iter().find(|(name, _)| name == "serializable");
        first.is_some_and(|(_, value)| value == "true")
    }
}

/// The kinds of the alarms that are on.
fn alarms(core: &Core) -> Vec<AlarmType> {
    let on = core.store().alarms(None);
    on.iter().map(AlarmMember::alarm).collect()
}

async fn health(
    State(core): State<Arc<Core>>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response {
    if method != Method::GET {
        return only_get();
    }
    let query = Query::read(query.as_deref());
    let fault = match alarm_told(&alarms(&core), &query) {
        Some(alarm) => Some(alarm),
        None => read_fault(&core, query.is_serializable()).await,
    };
    match &fault {
        None => core.metrics.health_successes.inc(),
        Some(_) => core.metrics.health_failures.inc(),
    };
    match fault {
        None => json!({ "health": "true", "reason": "" })
            .to_string()
            .into_response(),
        Some(reason) => {
            let body = json!({ "health": "false", "reason": reason });
            plain(StatusCode::SERVICE_UNAVAILABLE, format!("{body}\n"))
        }
    }
}

/// The first alarm that the query does not exclude.
fn alarm_told(alarms: &[AlarmType], query: &Query) -> Option<String> {
    let told = alarms
        .iter()
        .find(|alarm| !query.excludes(alarm.as_str_name()))?;
    Some(match told {
        AlarmType::None => "ALARM UNKNOWN".to_owned(),
        known => format!("ALARM {}", known.as_str_name()),
    })
}

async fn read_fault(core: &Core, is_serializable: bool) -> Option<String> {
    if !is_serializable && core.leadership().leader.is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    let check = if is_serializable {
        Check::SerializableRead
    } else {
        Check::LinearizableRead
    };
    let fault = check.run(core).await.err()?;
    Some(format!("RANGE ERROR:{fault}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, core: &Core) -> Result<(), String> {
        match self {
            Check::DataCorruption if alarms(core).contains(&AlarmType::Corrupt) => {
                Err("alarm activated: CORRUPT".to_owned())
            }
            Check::SerializableRead if !core.has_caught_up() => {
                Err("not caught up since the start".to_owned())
            }
            Check::LinearizableRead => {
                if core.leadership().leader.is_none() {
                    return Err("etcdserver: no leader".to_owned());
                }
                let barrier = core.read_barrier().await;
                barrier.map_err(|error| error.to_string())
            }
            Check::NonLearner if core.is_learner() => Err("not supported for learner".to_owned()),
            _ => Ok(()),
        }
    }
}

async fn livez(
    state: State<Arc<Core>>,
    method: Method,
    check: Option<Path<String>>,
    query: RawQuery,
) -> Response {
    run_checks(&state, &LIVE, &method, check, query).await
}

async fn readyz(
    state: State<Arc<Core>>,
    method: Method,
    check: Option<Path<String>>,
    query: RawQuery,
) -> Response {
    run_checks(&state, &READY, &method, check, query).await
}

async fn run_checks(
    core: &Core,
    checks: &[Check],
    method: &Method,
    only: Option<Path<String>>,
    RawQuery(query): RawQuery,
) -> Response {
    if method != Method::GET {
        return only_get();
    }
    let query = Query::read(query.as_deref());
    let is_wanted = |check: &&Check| match &only {
        Some(Path(name)) => check.name() == name,
        None => !query.excludes(check.name()),
    };
    let wanted: Vec<&Check> = checks.iter().filter(is_wanted).collect();
    if only.is_some() && wanted.is_empty() {
        return plain(StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
    }
    let mut lines = String::new();
    let mut all_passed = true;
    for check in wanted {
        let result = check.run(core).await;
        all_passed &= result.is_ok();
        lines.push_str(&match result {
            Ok(()) => format!("[+]{} ok\n", check.name()),
            Err(fault) => format!("[-]{} failed: {fault}\n", check.name()),
        });
    }
    match (all_passed, query.has("verbose")) {
        (false, _) => plain(StatusCode::SERVICE_UNAVAILABLE, lines + "\n"),
        (true, true) => plain(StatusCode::OK, lines + "ok\n"),
        (true, false) => plain(StatusCode::OK, "ok\n".to_owned()),
    }
}

/// As Go's `http.Error` and etcd's pages: plain text, whatever is in it.
fn plain(code: StatusCode, body: String) -> Response {
    (code, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response()
}

fn only_get() -> Response {
    let body = "Method Not Allowed\n".to_owned();
    let refused = plain(StatusCode::METHOD_NOT_ALLOWED, body);
    ([(header::ALLOW, "GET")], refused).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::without_threads;

    #[test]
    fn the_first_alarm_that_is_not_excluded_is_told() {
        let alarms = [AlarmType::Nospace, AlarmType::Corrupt];
        let told = |query| alarm_told(&alarms, &Query::read(query));
        assert_eq!(told(None).as_deref(), Some("ALARM NOSPACE"));
        let corrupt = told(Some("exclude=NOSPACE&exclude="));
        assert_eq!(corrupt.as_deref(), Some("ALARM CORRUPT"));
        assert_eq!(told(Some("exclude=CORRUPT&exclude=NOSPACE")), None);
    }

    async fn page(path: &str) -> (StatusCode, String) {
        use tower::ServiceExt as _;
        let request = axum::http::Request::get(path);
        let request = request.body(axum::body::Body::empty()).expect("a request");
        let Ok(response) = pages(without_threads()).oneshot(request).await;
        let code = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await;
        let body = body.expect("a body").to_vec();
        (code, String::from_utf8(body).expect("text"))
    }

    /// The member knows no leader and has not caught up.
    #[tokio::test]
    async fn what_fails_is_listed_and_can_be_left_out() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            page("/readyz").await,
            (
                unavailable,
                "[+]data_corruption ok\n\
                 [-]serializable_read failed: not caught up since the start\n\
                 [-]linearizable_read failed: etcdserver: no leader\n\
                 [+]non_learner ok\n\n"
                    .to_owned()
            )
        );
        let rest = "/readyz?verbose&exclude=serializable_read&exclude=linearizable_read";
        let passed = "[+]data_corruption ok\n[+]non_learner ok\nok\n".to_owned();
        assert_eq!(page(rest).await, (StatusCode::OK, passed));
        let one = page("/readyz/data_corruption").await;
        assert_eq!(one, (StatusCode::OK, "ok\n".to_owned()));
        assert_eq!(
            page("/livez/data_corruption").await.0,
            StatusCode::NOT_FOUND
        );
        assert_eq!(page("/livez").await.0, unavailable);
    }

    #[tokio::test]
    async fn health_says_why_not() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let said = |reason| format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n");
        assert_eq!(page("/health").await, (unavailable, said("RAFT NO LEADER")));
        assert_eq!(
            page("/health?serializable=true&exclude=NOSPACE").await,
            (
                unavailable,
                said("RANGE ERROR:not caught up since the start")
            )
        );
    }
}
