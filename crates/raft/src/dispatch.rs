//! Which message is for whom: by kind, and by how its term stands to ours (Raft §5.1).
//!
//! A higher term is adopted before the message is looked at, and a lower one makes it void, though
//! whoever still acts on it may be told of ours. Some messages say nothing of the sender's term that
//! counts, and stand outside of that order: pre-votes, and what nodes ask each other about their
//! disks.

use crate::doubt::Question;
use crate::election::VoteRequest;
use crate::error::MessageError;
use crate::message::Message;
use crate::raft::Raft;
use crate::types::NodeId;
use crate::validate::term_of;

impl Raft {
    /// Acts on a message that a correct peer may have sent.
    pub(crate) fn dispatch(&mut self, from: NodeId, message: Message) -> Result<(), MessageError> {
        if let Message::RecordWanted { .. } | Message::RecordFound { .. } = message {
            return self.on_question_of_a_start(from, message);
        }
        if self.asking.is_some() {
            self.on_message_while_asking(from, &message);
            return Ok(());
        }
        if let Message::RequestVote {
            term,
            last_index,
            last_term,
            pre: true,
            ..
        } = message
        {
            // Says what would be, not what is: no term is adopted from it.
            self.on_pre_vote_request(
                from,
                VoteRequest {
                    term,
                    last_index,
                    last_term,
                    transfer: false,
                },
            );
            return Ok(());
        }
        if let Message::EntryWanted { .. } | Message::EntryFound { .. } = message {
            // Of logs, not of terms: from whomever, whenever.
            return self.on_damage_message(from, message);
        }
        let promised = matches!(
            message,
            Message::Vote {
                granted: true,
                pre: true,
                ..
            }
        );
        if term_of(&message) > self.persistent.term() && !promised {
            let disturbs = matches!(
                message,
                Message::RequestVote {
                    transfer: false,
                    ..
                }
            );
            if disturbs && self.config.check_quorum && self.leader_is_well() {
                return Ok(()); // Raft thesis §4.2.3. If it cannot follow, it will say so.
            }
            let leads = matches!(
                message,
                Message::Append { .. }
                    | Message::SnapshotOffer { .. }
                    | Message::Records { .. }
                    | Message::TimeoutNow { .. }
            );
            let leader = leads.then_some(from);
            self.become_follower(term_of(&message), leader);
        }
        if term_of(&message) < self.persistent.term() {
            self.on_older_term(from, &message);
            return Ok(());
        }
        self.dispatch_current(from, message)
    }

    fn on_question_of_a_start(
        &mut self,
        from: NodeId,
        message: Message,
    ) -> Result<(), MessageError> {
        match message {
            Message::RecordWanted { life, .. } => {
                self.on_record_wanted(from, life);
                Ok(())
            }
            Message::RecordFound {
                term,
                life,
                record,
                membership,
                membership_index,
            } => {
                let told = (membership_index, &membership);
                self.on_record_found(from, (term, life), record, told)
            }
            _ => Ok(()),
        }
    }

    fn on_damage_message(&mut self, from: NodeId, message: Message) -> Result<(), MessageError> {
        match message {
            Message::EntryWanted {
                term,
                first,
                last,
                anchor_index,
                anchor_term,
            } => {
                let anchor = (anchor_index, anchor_term);
                let question = Question {
                    term,
                    first,
                    last,
                    anchor,
                };
                self.on_entry_wanted(from, question);
                Ok(())
            }
            Message::EntryFound {
                term,
                anchor_index,
                anchor_term,
                entries,
                ..
            } => self.on_entry_found(from, term, (anchor_index, anchor_term), &entries),
            _ => Ok(()),
        }
    }

    /// Handles a message of this node's term.
    fn dispatch_current(&mut self, from: NodeId, message: Message) -> Result<(), MessageError> {
        match message {
            Message::RequestVote {
                term,
                last_index,
                last_term,
                transfer,
                ..
            } => {
                self.on_vote_request(
                    from,
                    VoteRequest {
                        term,
                        last_index,
                        last_term,
                        transfer,
                    },
                );
            }
            Message::Vote { term, granted, pre } => self.on_vote(from, term, granted, pre),
            Message::Append {
                term,
                previous_index,
                previous_term,
                commit,
                entries,
                round,
            } => {
                let previous = (previous_index, previous_term);
                return self.on_append(from, term, previous, commit, entries, round);
            }
            Message::AppendAccepted { matched, round, .. } => {
                return self.on_append_accepted(from, matched, round);
            }
            Message::AppendRejected {
                previous_index,
                hint_index,
                hint_term,
                round,
                ..
            } => {
                self.on_append_rejected(from, previous_index, (hint_index, hint_term), round);
            }
            Message::SnapshotOffer {
                term,
                index,
                snapshot_term,
                round,
            } => return self.on_snapshot_offer(from, term, (index, snapshot_term), round),
            Message::TimeoutNow { term } => return self.on_timeout_now(from, term),
            Message::EntryWanted { .. }
            | Message::EntryFound { .. }
            | Message::RecordWanted { .. }
            | Message::RecordFound { .. } => {}
            Message::Records { records, .. } => self.on_records(from, records),
            Message::Refill {
                life,
                matched,
                round,
                rejected,
                ..
            } => return self.on_refill(from, life, (matched, round), rejected),
            Message::Refilled { life, through, .. } => self.on_refilled(from, life, through),
            Message::ReadIndexRequest { sequence, .. } => self.on_read_request(from, sequence),
            Message::ReadIndexResponse {
                sequence, index, ..
            } => {
                self.on_read_response(from, sequence, index);
            }
        }
        Ok(())
    }

    /// Handles a message of an earlier term: whoever still acts on that term is told of ours, and
    /// what was sent to an earlier self is dropped.
    fn on_older_term(&mut self, from: NodeId, message: &Message) {
        let term = self.persistent.term();
        match message {
            Message::RequestVote {
                last_index,
                last_term,
                ..
            } => {
                self.make_way_for(*last_index, *last_term);
                self.say(
                    from,
                    Message::Vote {
                        term,
                        granted: false,
                        pre: false,
                    },
                );
            }
            Message::Append {
                previous_index,
                previous_term,
                ..
            }
            | Message::SnapshotOffer {
                index: previous_index,
                snapshot_term: previous_term,
                ..
            } => {
                // The nudge that frees a node whose term is ahead of a working leader's: the
                // leader steps down, and a term that suits both is elected.
                let rejection = self.rejection((*previous_index, *previous_term), 0);
                self.say(from, rejection);
            }
            Message::ReadIndexRequest { sequence, .. } => {
                let sequence = *sequence;
                self.say(
                    from,
                    Message::ReadIndexResponse {
                        term,
                        sequence,
                        index: None,
                    },
                );
            }
            Message::Vote {
                granted,
                pre: true,
                term: voter,
            } if !granted => {
                self.on_vote(from, *voter, false, true);
            }
            Message::Vote { .. }
            | Message::AppendAccepted { .. }
            | Message::AppendRejected { .. }
            | Message::TimeoutNow { .. }
            | Message::EntryWanted { .. }
            | Message::EntryFound { .. }
            | Message::Records { .. }
            | Message::RecordWanted { .. }
            | Message::RecordFound { .. }
            | Message::Refill { .. }
            | Message::Refilled { .. }
            | Message::ReadIndexResponse { .. } => {}
        }
    }
}
