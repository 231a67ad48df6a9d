//! How a member that was added to a running cluster finds out who it is.
//!
//! It has nothing yet but `--initial-cluster`. It asks the other members for the table, finds the
//! one in it that has its own peer URLs (as etcd does), and is that member from then on: the data
//! directory says so. It votes by nothing that it was told here, only by what the log says.

use std::time::Duration;

use quorate_replica::MemberTable;

use crate::error::ServerError;
use crate::limits::JOIN_PATIENCE;
use crate::peers::ask_members;
use crate::settings::ServerSettings;

/// What a member that joins was told.
pub(crate) struct Joined {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) founders: MemberTable,
    pub(crate) members: MemberTable,
}

const PAUSE: Duration = Duration::from_millis(200);

/// Asks until one that was asked knows this member.
pub(crate) async fn join(settings: &ServerSettings) -> Result<Joined, ServerError> {
    let is_own = |name: &String| *name == settings.name;
    let own = settings.members.iter().find(|m| is_own(&m.name));
    let mut own_urls = own.map_or_else(Vec::new, |member| member.peer_urls.clone());
    own_urls.sort();
    let deadline = tokio::time::Instant::now() + JOIN_PATIENCE;
    loop {
        let mut answered = false;
        for other in settings.members.iter().filter(|m| !is_own(&m.name)) {
            let Some((cluster_id, founders, members)) = ask_members(&other.peer_urls).await else {
                continue;
            };
            answered = true;
            let mut found = members.iter().filter(|(_, m)| m.peer_urls == own_urls);
            if let Some(member_id) = found.next().map(|(id, _)| id) {
                return Ok(Joined {
                    cluster_id,
                    member_id,
                    founders,
                    members,
                });
            }
        }
        if tokio::time::Instant::now() >= deadline {
            let own = own_urls.join(",");
            return Err(ServerError::Settings(match answered {
                true => format!(
                    "cannot join: no member of the cluster has the peer URLs {own}. Add this one \
                     first (`etcdctl member add {} --peer-urls={own}`), and give it the very \
                     same --initial-advertise-peer-urls",
                    settings.name
                ),
                false => "cannot join: none of the other members in --initial-cluster answers at \
                          its peer URLs"
                    .to_owned(),
            }));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
