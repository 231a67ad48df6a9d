use std::time::Duration;

use quorate_kv::{Answer, Command, Store};
use quorate_proto::etcdserverpb::{AlarmMember, PutRequest, RangeRequest};

use super::*;
use crate::start::Server;
use crate::test_servers::{cores, put, start, wait_until};

const PAIRS: [(&str, &str); 3] = [("a", "1"), ("b", "2"), ("c", "3")];

/// Three members that hold [`PAIRS`].
async fn three(
    directory: &std::path::Path,
    every: Option<Duration>,
) -> (Vec<Server>, Vec<Arc<Core>>) {
    let servers = start(3, directory, |settings| {
        settings.corrupt_check_interval = every;
    })
    .await;
    let cores = cores(&servers);
    // Alarms are for clusters whose members have agreed that they know them; so says the log by then.
    wait_until("the members have agreed on a version", || {
        cores
            .iter()
            .all(|core| core.cluster_knows(quorate_replica::LEASES_FROM_VERSION))
    })
    .await;
    for (key, value) in PAIRS {
        put(&cores[0], key, value).await;
    }
    wait_until("all have it", || {
        cores.iter().all(|core| core.store().revision() == 4)
    })
    .await;
    (servers, cores)
}

/// Gives a member a store in which one value is another, as a bit that fell over would.
fn corrupt(core: &Core) {
    let mut store = core.store_mut();
    let mut forged = Store::new();
    for (index, (key, value)) in PAIRS.into_iter().enumerate() {
        let value = if key == "b" { "X" } else { value };
        let put = PutRequest {
            key: key.into(),
            value: value.into(),
            ..Default::default()
        };
        let applied = forged.apply(index as u64 + 1, &Command::Put(put), Answer::Discard);
        applied.expect("a put of a key");
    }
    forged.skip(core.applied_index());
    assert_eq!(forged.revision(), store.revision());
    *store = forged;
}

fn followers(cores: &[Arc<Core>]) -> Vec<&Arc<Core>> {
    let is_follower = |core: &&Arc<Core>| core.leadership().role != Role::Leader;
    cores.iter().filter(is_follower).collect()
}

fn alarms(core: &Core) -> Vec<AlarmMember> {
    core.store().alarms(None)
}

async fn stop(servers: Vec<Server>) {
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_differs_raises_the_alarm_for_itself_and_nothing_is_read_any_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let (servers, cores) = three(directory.path(), Some(Duration::from_millis(100))).await;
    // As long as several comparisons of equal members: none may raise anything.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(cores.iter().all(|core| alarms(core).is_empty()));
    let wrong = followers(&cores)[0];
    corrupt(wrong);
    wait_until("all know that it is corrupt", || {
        let expected = AlarmMember {
            member_id: wrong.identity.member_id,
            alarm: AlarmType::Corrupt.into(),
        };
        cores.iter().all(|core| alarms(core) == [expected])
    })
    .await;
    let get = RangeRequest {
        key: "a".into(),
        ..Default::default()
    };
    for core in &cores {
        let refused = core
            .store()
            .range(&get)
            .expect_err("nothing is to be believed");
        assert_eq!(refused.to_string(), "etcdserver: corrupt cluster");
    }
    stop(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_differs_is_not_to_serve_and_one_that_does_not_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (servers, cores) = three(directory.path(), None).await;
    for core in &cores {
        assert!(check_before_serving(core).await.is_ok());
    }
    let wrong = followers(&cores)[0];
    corrupt(wrong);
    let refused = check_before_serving(wrong).await.expect_err("it differs");
    let said = refused.to_string();
    assert!(said.starts_with("this member differs from n"), "{said}");
    stop(servers).await;
}
