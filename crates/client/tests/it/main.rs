//! The retry rules against servers that count what reaches them.
// A test that cannot go on may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod refused_watches;
mod renewals;
mod scripted_server;

use std::time::Duration;

use quorate_client::{Client, Code, Error, Options};
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use scripted_server::{ScriptedServer, unused_address};
use tonic::Status;

fn client(endpoints: &[&str]) -> Client {
    let options = Options {
        endpoints: endpoints
            .iter()
            .map(|&endpoint| endpoint.to_owned())
            .collect(),
        command_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    Client::new(&options).unwrap()
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over_by_reads_and_writes() {
    let live = ScriptedServer::start(|_| Ok(())).await;
    let client = client(&[&unused_address().await, &live.address]);
    for _ in 0..6 {
        client.range(RangeRequest::default()).await.unwrap();
        client.put(PutRequest::default()).await.unwrap();
    }
    assert_eq!((live.ranges(), live.puts()), (6, 6));
}

#[tokio::test]
async fn a_read_answered_unavailable_is_tried_again_until_it_succeeds() {
    let server = ScriptedServer::start(|call| {
        if call < 3 {
            Err(Status::unavailable("etcdserver: no leader"))
        } else {
            Ok(())
        }
    })
    .await;
    client(&[&server.address])
        .range(RangeRequest::default())
        .await
        .unwrap();
    assert_eq!(server.ranges(), 4);
}

#[tokio::test]
async fn a_write_answered_unavailable_is_told_and_never_sent_twice() {
    let text = "etcdserver: request timed out, possibly due to previous leader failure";
    let servers = [
        ScriptedServer::start(move |_| Err(Status::unavailable(text))).await,
        ScriptedServer::start(move |_| Err(Status::unavailable(text))).await,
    ];
    let client = client(&[&servers[0].address, &servers[1].address]);
    let error = client.put(PutRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable));
    assert_eq!(error.to_string(), text);
    assert!(error.may_have_been_applied());
    assert_eq!(servers[0].puts() + servers[1].puts(), 1);
}

#[tokio::test]
async fn a_write_whose_connection_breaks_under_way_is_told_as_lost() {
    let address = scripted_server::start_hanging_up().await;
    let error = client(&[&address])
        .put(PutRequest::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    assert!(error.may_have_been_applied());
}

#[tokio::test]
async fn with_no_endpoint_alive_the_reason_is_in_the_text() {
    let address = unused_address().await;
    let error = client(&[&address])
        .put(PutRequest::default())
        .await
        .unwrap_err();
    assert!(!error.may_have_been_applied());
    let text = error.to_string();
    assert!(
        text.starts_with("context deadline exceeded (after 2s; "),
        "{text}"
    );
    assert!(
        text.contains(&address) && text.contains("refused"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_and_the_write_is_in_doubt() {
    let server = ScriptedServer::start_silent().await;
    let error = client(&[&server.address])
        .put(PutRequest::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { sent: true, .. }),
        "{error:?}"
    );
    assert_eq!(server.puts(), 1);
}

#[tokio::test]
async fn health_asks_one_member_and_takes_a_refusal_of_permission_for_health() {
    let allowed = ScriptedServer::start(|_| Ok(())).await;
    let refused =
        ScriptedServer::start(|_| Err(Status::permission_denied("etcdserver: permission denied")))
            .await;
    let sick = ScriptedServer::start(|_| Err(Status::unavailable("etcdserver: no leader"))).await;
    let client = client(&[&allowed.address, &refused.address, &sick.address]);
    let mut healthy = Vec::new();
    for connection in client.connections() {
        healthy.push(client.health(connection).await.is_ok());
    }
    assert_eq!(healthy, [true, true, false]);
    assert_eq!(sick.ranges(), 1);
}
