//! The protocol version that the cluster goes by: noted in the data directory when it is agreed, so that
//! no older program ever opens the directory; and the end of a member that speaks less.
//!
//! The log and the snapshots say the version too, and a program that knows of them refuses to start by
//! that. The directory says it for those that do not: the first thing that any program of ours reads is
//! its format version.

use std::sync::Arc;
use std::time::Duration;

use quorate_replica::LOWEST_PROTOCOL_VERSION;

use crate::core::Core;
use crate::data_dir;
use crate::error::ServerError;
use crate::threads::Fatal;

/// Between two attempts to note a version on a disk that has no room.
const NOTE_PAUSE: Duration = Duration::from_secs(5);

/// Notes each version in the data directory as it is agreed.
pub(crate) async fn note_versions(core: Arc<Core>) {
    let mut agreed = core.cluster_version.subscribe();
    let mut noted = LOWEST_PROTOCOL_VERSION;
    loop {
        let Ok(version) = agreed.wait_for(|version| *version > 0).await.map(|it| *it) else {
            return;
        };
        tracing::info!(version, "the cluster goes by this protocol version");
        while version > noted {
            let path = core.settings.data_dir.clone();
            let note = move || data_dir::note_version(&path, version);
            match tokio::task::spawn_blocking(note).await {
                Ok(Ok(())) => noted = version,
                Ok(Err(error)) => {
                    tracing::warn!(%error, version, "cannot note the protocol version in the data directory");
                    tokio::time::sleep(NOTE_PAUSE).await;
                }
                // The runtime ends.
                Err(_) => return,
            }
        }
        if agreed.wait_for(|now| *now > version).await.is_err() {
            return;
        }
    }
}

/// Ends the server when a peer has told that the cluster goes by a version that it does not speak.
pub(crate) async fn stop_when_outgrown(core: Arc<Core>, fatal: Fatal) {
    let mut outgrown = core.outgrown.subscribe();
    let Ok(told) = outgrown.wait_for(Option::is_some).await.map(|it| *it) else {
        return;
    };
    if let Some(too_new) = told {
        fatal.report(ServerError::Outgrown(too_new));
    }
}
