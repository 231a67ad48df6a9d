use super::*;
use crate::core::tests::without_threads;

#[tokio::test]
async fn one_contender_too_many_is_refused_until_another_has_left() {
    let contests = Contests::new(&without_threads());
    let mut entered: Vec<_> = (0..CONTENDERS).map(|_| contests.enter()).collect();
    let refused = contests.contend(b"name", 1, Prize::Lock).await;
    let refused = refused.expect_err("it is one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "etcdserver: too many requests");
    drop(entered.pop());
    assert!(contests.enter().is_ok());
}

#[test]
fn a_line_holds_the_keys_under_its_name_and_no_others() {
    let (start, end) = range_in(&line_of(b"name"));
    let is_in = |key: &[u8]| start.as_ref() <= key && key < end.as_ref();
    assert!(is_in(b"name/1f") && is_in(b"name/"));
    assert!(!is_in(b"name") && !is_in(b"name0") && !is_in(b"name2/1f"));
    assert_eq!(line_of(b""), "/");
}

#[test]
fn a_refusal_is_unknown_as_in_etcd_and_what_passes_stays_worth_another_try() {
    let not_found = Status::not_found("etcdserver: requested lease not found");
    let refused = as_etcds(not_found);
    assert_eq!(refused.code(), Code::Unknown);
    assert_eq!(refused.message(), "etcdserver: requested lease not found");
    let stopped = as_etcds(status::of_request(&RequestError::Stopped));
    assert_eq!(stopped.code(), Code::Unavailable);
}
