//! A message beyond what gRPC lets in, refused in grpc-go's words.
//!
//! tonic says OUT_OF_RANGE, which in etcd's API means that a revision is compacted or in the future. etcd is built on
//! grpc-go, which says RESOURCE_EXHAUSTED ("grpc: received message larger than max"), and that is what clients know.

use axum::http::{HeaderValue, Response};
use tonic::Code;

const TONICS_WORDS: &str = "Error, decoded message length too large: found ";

/// Puts tonic's refusal into grpc-go's words; all other answers stay as they are.
pub(super) fn reworded<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    // An answer with a body has its status in the trailers, so that for most this is all.
    let Some(message) = headers.get("grpc-message") else {
        return response;
    };
    let message = message.to_str().unwrap_or_default().replace("%20", " ");
    let Some(numbers) = message.strip_prefix(TONICS_WORDS) else {
        return response;
    };
    let numbers: Vec<&str> = numbers
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .collect();
    if let [found, limit] = numbers[..]
        && let Ok(message) = HeaderValue::from_str(&format!(
            "grpc: received message larger than max ({found} vs. {limit})"
        ))
    {
        headers.insert(
            "grpc-status",
            HeaderValue::from(Code::ResourceExhausted as i32),
        );
        headers.insert("grpc-message", message);
    }
    response
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn told(status: Status) -> Status {
        let response = reworded(status.into_http::<()>());
        Status::from_header_map(response.headers()).expect("a status")
    }

    #[test]
    fn tonics_refusal_is_put_into_grpc_gos_words() {
        let tonics = format!("{TONICS_WORDS}2097160 bytes, the limit is: 2097152 bytes");
        let status = told(Status::out_of_range(tonics));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.message(),
            "grpc: received message larger than max (2097160 vs. 2097152)"
        );
    }

    #[test]
    fn other_refusals_stay_as_they_are() {
        let text = "etcdserver: mvcc: required revision has been compacted";
        let status = told(Status::out_of_range(text));
        assert_eq!((status.code(), status.message()), (Code::OutOfRange, text));
    }
}
