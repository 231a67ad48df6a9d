//! Errors as etcd 3.5's gateway writes them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};

use super::go_text::push_json_string;

/// A whole answer: `{"error":…,"code":…,"message":…}`, the text twice.
pub(super) fn answer(status: &Status) -> Response {
    let mut body = br#"{"error":"#.to_vec();
    push_json_string(&mut body, status.message());
    body.extend(format!(r#","code":{},"message":"#, status.code() as i32).as_bytes());
    push_json_string(&mut body, status.message());
    body.push(b'}');
    let mut response = (http_status(status.code()), body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, super::JSON);
    if status.code() == Code::Unauthenticated
        && let Ok(message) = HeaderValue::from_str(status.message())
    {
        headers.insert(header::WWW_AUTHENTICATE, message);
    }
    response
}

/// The end of a stream; nothing stands behind it, not even the end of the line.
pub(super) fn last_of_stream(status: &Status) -> Vec<u8> {
    let code = status.code();
    let http = http_status(code);
    let (grpc_code, http_code) = (code as i32, http.as_u16());
    let begin =
        format!(r#"{{"error":{{"grpc_code":{grpc_code},"http_code":{http_code},"message":"#);
    let mut line = begin.into_bytes();
    push_json_string(&mut line, status.message());
    line.extend(br#","http_status":"#);
    push_json_string(&mut line, http.canonical_reason().unwrap_or_default());
    line.extend(b"}}");
    line
}

/// The HTTP status of a gRPC code, as grpc-gateway 1 has it.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error that never reached a method, in the plain words of Go's `http.Error`.
pub(super) fn plain(status: StatusCode) -> Response {
    let text = format!("{}\n", status.canonical_reason().unwrap_or_default());
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text).into_response()
}
