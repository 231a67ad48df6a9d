//! How a member that was added to a running cluster finds out who it is.
//!
//! It has nothing yet but `--initial-cluster`. It asks the other members for the table, finds the
//! one in it that has its own peer URLs (as etcd does), and is that member from then on: the data
//! directory says so. It votes by nothing that it was told here, only by what the log says.
//!
//! # An emptied directory
//!
//! A member that joined before and comes back with nothing has forgotten what it voted and
//! acknowledged; it must not go on as the same. It is known by its name: a member publishes that, by
//! a command in the log, once its data directory is durable. A single member that is asked may not
//! have heard of it yet. So whoever is asked asks the leader first (a read index), and if none is
//! known, this node waits, and gives up in the end: the answer holds all that was committed before
//! the question. (The only voter of a cluster of one that takes its second in has no leader to ask,
//! since nothing is committed before that one has come; what it has durably is all there is.)
//!
//! What that catches, and what not:
//! - A **learner**'s acknowledgements count for nothing, and it is not promoted before its name is
//!   in the table (`MemberTable::changed`). So whoever became a voter by promotion is caught always.
//! - One that was **added as a voter** counts from the entry on that adds it, which it acknowledges
//!   before it can publish anything. If its directory is emptied between that and its publication,
//!   a few round trips later, it is not caught here: to order the two, it would have to be a learner
//!   first. Where that matters, add a learner and promote it.
//! - A directory that was put back to an **earlier state**, and that of a **founder**, are not
//!   looked at here.

use std::time::Duration;

use quorate_replica::{Member, MemberTable, TooNew};

use crate::error::ServerError;
use crate::limits::JOIN_PATIENCE;
use crate::peers::{Told, ask_members};
use crate::settings::ServerSettings;

/// What a member that joins was told.
pub(crate) struct Joined {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) founders: MemberTable,
    pub(crate) members: MemberTable,
}

/// Between two rounds of asking.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks until one that was asked knows this member.
pub(crate) async fn join(settings: &ServerSettings) -> Result<Joined, ServerError> {
    let (own, others): (Vec<_>, Vec<_>) = settings
        .members
        .iter()
        .partition(|member| member.name == settings.name);
    let mut own_urls = own.first().map_or_else(Vec::new, |m| m.peer_urls.clone());
    own_urls.sort();
    let deadline = tokio::time::Instant::now() + JOIN_PATIENCE;
    loop {
        let mut told = None;
        for other in &others {
            told = ask_members(&other.peer_urls, true).await;
            if told.is_some() {
                break;
            }
        }
        check_speaks(settings.protocol_version, told.as_ref())?;
        let problem = match find(told, settings, &own_urls) {
            Ok(joined) => return Ok(joined),
            Err(problem) => problem,
        };
        // It may be added any moment, or a leader elected.
        if tokio::time::Instant::now() >= deadline {
            return Err(ServerError::Settings(format!("cannot join: {problem}")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a cluster that answered goes by a version that this program speaks. That does not change by
/// waiting.
fn check_speaks(highest: u32, told: Option<&Told>) -> Result<(), ServerError> {
    let needed = told.map_or(0, |told| told.cluster_version);
    if needed <= highest {
        return Ok(());
    }
    let too_new = TooNew { needed, highest };
    Err(ServerError::Settings(format!(
        "cannot join: the cluster needs {too_new}"
    )))
}

/// The member of these URLs in what was told, or why this node cannot be it.
fn find(
    told: Option<Told>,
    settings: &ServerSettings,
    own_urls: &[String],
) -> Result<Joined, String> {
    let Some(told) = told else {
        return Err(
            "none of the other members in --initial-cluster answers at its peer URLs and reaches \
             the leader; a member that joins takes nobody else's word"
                .into(),
        );
    };
    let found = told.members.iter().find(|(_, m)| m.peer_urls == own_urls);
    let Some((member_id, member)) = found else {
        let (name, own) = (&settings.name, own_urls.join(","));
        return Err(format!(
            "no member of the cluster has the peer URLs {own}. Add this one first \
             (`etcdctl member add {name} --peer-urls={own}`), and give it the very same \
             --initial-advertise-peer-urls"
        ));
    };
    check_never_started(member_id, member)?;
    Ok(Joined {
        cluster_id: told.cluster_id,
        member_id,
        founders: told.founders,
        members: told.members,
    })
}

/// A member publishes its name once its data directory is durable. See the essay above.
fn check_never_started(member_id: u64, member: &Member) -> Result<(), String> {
    if member.name.is_empty() {
        return Ok(());
    }
    Err(format!(
        "member {member_id:x} ({}) has started before, but --data-dir holds nothing of \
         it. Put its data back; or remove it and add it anew (`etcdctl member remove \
         {member_id:x}`, `etcdctl member add`)",
        member.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_lost_its_data_does_not_come_back_as_the_same() {
        let mut member = Member::default();
        check_never_started(7, &member).expect("it is new");
        member.name = "n4".to_owned();
        let refusal = check_never_started(7, &member).expect_err("refused");
        assert!(refusal.contains("member remove 7"), "{refusal}");
    }
}
