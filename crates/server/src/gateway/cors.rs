//! Whose pages browsers let read answers: the headers of CORS, as etcd writes them.
//!
//! etcd allows every origin unless told otherwise; here none is, unless `--cors` names it. So a page that someone
//! happens to open cannot read a store that their machine reaches. CORS is no lock, though: a browser sends some
//! requests before it asks, and only then keeps the answer from the page.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

/// Adds the headers for `origins`, if there are any; `*` stands for all.
pub(crate) fn allow(router: Router, origins: &[String]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let origins: std::sync::Arc<[String]> = origins.into();
    router.layer(from_fn(move |request: Request, next: Next| {
        let origins = std::sync::Arc::clone(&origins);
        async move {
            let allowed = allowed_origin(&origins, request.headers());
            let mut response = match *request.method() {
                Method::OPTIONS => StatusCode::OK.into_response(),
                _ => next.run(request).await,
            };
            if let Some(origin) = allowed {
                add_headers(&mut response, origin);
            }
            response
        }
    }))
}

fn allowed_origin(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    if origins.iter().any(|origin| origin == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = headers.get(header::ORIGIN)?;
    let is_it = |allowed: &String| allowed.as_bytes() == origin.as_bytes();
    origins.iter().any(is_it).then(|| origin.clone())
}

fn add_headers(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
    let names = HeaderValue::from_static("accept, content-type, authorization");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
}
