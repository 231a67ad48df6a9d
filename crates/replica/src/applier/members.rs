//! What entries do to the members: changes of who they are, and of what is known of them.

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::envelope::{CommandEnvelope, CommandKind, EnvelopeError};
use quorate_proto::peer;

use super::{Answer, Applier, Progress};
use crate::error::{ApplyError, ApplyFault, RequestError};
use crate::members::MemberTable;

impl Applier {
    /// A change of the members begins with an entry that carries their new table, and ends with
    /// one that carries nothing, unless one entry is all it takes.
    pub(super) fn change_members(
        &mut self,
        context: &Bytes,
        progress: &mut Progress,
    ) -> Result<(), ApplyError> {
        if !context.is_empty() {
            let index = self.applied;
            let refused = |reason| ApplyError {
                index,
                reason: ApplyFault::Envelope(reason),
            };
            let envelope = CommandEnvelope::decode(context).map_err(refused)?;
            if envelope.kind != CommandKind::MemberTable {
                return Err(refused(EnvelopeError::UnknownKind(envelope.kind as u8)));
            }
            let table = MemberTable::decode(&envelope.body);
            let table = table.ok_or_else(|| refused(EnvelopeError::Damaged))?;
            self.log_time_ms = self.log_time_ms.max(envelope.log_time_ms);
            self.members = Arc::new(table);
            if !self.duplicates.admit(envelope.request_id, index) {
                self.duplicate_count += 1;
            }
            self.settling = self.answer_to(envelope.request_id);
        }
        if !self.membership.is_joint()
            && let Some(sequence) = self.settling.take()
        {
            progress.changes.push((sequence, Arc::clone(&self.members)));
        }
        Ok(())
    }

    pub(super) fn update_members(
        &mut self,
        update: peer::MemberUpdate,
        answer_to: Option<u64>,
        progress: &mut Progress,
    ) {
        let mut table = (*self.members).clone();
        let result = table.update(update);
        if result.is_ok() && table != *self.members {
            self.members = Arc::new(table);
        }
        let Some(sequence) = answer_to else { return };
        match result {
            Ok(()) => progress.changes.push((sequence, Arc::clone(&self.members))),
            Err(error) => progress.answers.push(Answer {
                sequence,
                result: Err(RequestError::Members(error)),
            }),
        }
    }
}
