//! What a member does when it was removed, and what it tells of itself while it is one.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::peer::{MemberPublication, MemberUpdate};
use quorate_raft::Role;

use crate::core::Core;
use crate::error::ServerError;
use crate::limits::REMOVED_GRACE;
use crate::threads::Fatal;

/// Between two attempts to publish.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// Ends the server when this member has been removed: not before those who wait have their
/// answers, nor while it leads, since then others wait to hear from it that the change is done.
pub(crate) async fn stop_when_removed(core: Arc<Core>, fatal: Fatal) {
    let mut removed = core.removed.subscribe();
    if removed.wait_for(|removed| *removed).await.is_err() {
        return;
    }
    let mut leadership = core.watch_leadership();
    let in_office = leadership.wait_for(|state| state.role != Role::Leader);
    let _ = tokio::time::timeout(2 * core.settings.election_timeout, in_office).await;
    tokio::time::sleep(REMOVED_GRACE).await;
    fatal.report(ServerError::Removed);
}

/// Tells the cluster this member's name and client URLs, unless it knows them.
pub(crate) async fn publish(core: Arc<Core>) {
    let mut changes = core.members.watch();
    loop {
        changes.mark_unchanged();
        let table = core.members.applied();
        let Some(known) = table.get(core.identity.member_id) else {
            // Its addition has not been applied here yet.
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        };
        let urls = &core.settings.advertise_client_urls;
        if known.name == core.settings.name && known.client_urls == *urls {
            return;
        }
        let publication = MemberPublication {
            name: core.settings.name.clone(),
            client_urls: urls.clone(),
        };
        let update = MemberUpdate {
            id: core.identity.member_id,
            peer_urls: Vec::new(),
            publication: Some(publication),
        };
        let body = update.encode_to_vec().into();
        match core.change_members(CommandKind::MemberUpdate, body).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "could not publish this member's URLs yet"),
        }
        tokio::time::sleep(PUBLISH_PAUSE).await;
    }
}
