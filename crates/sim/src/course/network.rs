//! The course's network: one call at a time in its mind, one message at a time in ours.
//!
//! The model (its `labrpc`, the same in all editions):
//!
//! - A link is enabled or not. What is sent on one that is not is counted, and lost.
//! - An unreliable network delays each request by up to 26 ms and loses a tenth of them, and a tenth
//!   of the answers.
//! - With long reordering, two answers in three come 0.2 to 2.2 s late, so others overtake them;
//!   requests never do. A late answer arrives even if the link was cut meanwhile.
//! - Nothing is duplicated or damaged. A reliable network adds no delay; here a fraction of a
//!   millisecond stands for what any machine takes.
//! - Bytes count when a request is sent, and when an answer arrives.
//!
//! **What is one RPC.** Of our messages `RequestVote`, `Append` and `ReadIndexRequest` are requests;
//! anything that is no answer to one of these is a request too. A request counts one when it is sent.
//! A server that has received requests from another and not answered all of them answers for free;
//! an answer beyond that counts as a request. (A follower may answer one `Append` twice, first that
//! it heard it and then that it is durable; and several at once.)

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_raft::Message;

use crate::Random;

/// What a message asks for, or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Vote,
    PreVote,
    Append,
    ReadIndex,
    Other,
}

/// The call that this message belongs to, and whether it answers it.
fn call_of(message: &Message) -> (Call, bool) {
    match message {
        Message::RequestVote { pre: false, .. } => (Call::Vote, false),
        Message::RequestVote { pre: true, .. } => (Call::PreVote, false),
        Message::Vote { pre: false, .. } => (Call::Vote, true),
        Message::Vote { pre: true, .. } => (Call::PreVote, true),
        Message::Append { .. } => (Call::Append, false),
        Message::AppendAccepted { .. } | Message::AppendRejected { .. } => (Call::Append, true),
        Message::ReadIndexRequest { .. } => (Call::ReadIndex, false),
        Message::ReadIndexResponse { .. } => (Call::ReadIndex, true),
        #[allow(unreachable_patterns, reason = "messages yet to come count in full")]
        _ => (Call::Other, false),
    }
}

/// A message as the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Counts as an RPC.
    Request(Call),
    /// The answer to one that was counted.
    Answer,
}

/// What becomes of what is sent, and what it is counted as.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) is_unreliable: bool,
    pub(crate) has_long_reordering: bool,
    /// RPCs sent, to whomever.
    pub(crate) rpcs: u64,
    /// Bytes of requests sent and of answers that arrived.
    pub(crate) bytes: u64,
    /// RPCs that each server received.
    pub(crate) received: Vec<u64>,
    /// Requests received and not answered, by who asked and who was asked.
    owed: BTreeMap<(usize, usize, Call), u64>,
}

impl Network {
    pub(crate) fn new(servers: usize) -> Network {
        Network {
            received: vec![0; servers],
            ..Network::default()
        }
    }

    /// Counts a message that is sent.
    pub(crate) fn count(&mut self, from: usize, to: usize, message: &Message, bytes: u64) -> Sent {
        let (call, answers) = call_of(message);
        if answers
            && let Some(owed) = self.owed.get_mut(&(to, from, call))
            && *owed > 0
        {
            *owed -= 1;
            return Sent::Answer;
        }
        self.rpcs += 1;
        self.bytes += bytes;
        Sent::Request(call)
    }

    /// How long a message takes on an enabled link; none if it is lost.
    pub(crate) fn delay(&self, sent: Sent, random: &mut Random) -> Option<Duration> {
        let mut delay = random.micros(30, 300);
        if self.is_unreliable {
            if random.percent(10) {
                return None;
            }
            if let Sent::Request(_) = sent {
                delay += Duration::from_millis(random.below(27));
            }
        }
        if self.has_long_reordering && sent == Sent::Answer && random.below(900) < 600 {
            let most = 1 + random.below(2_000);
            delay += Duration::from_millis(200 + random.below(most));
        }
        Some(delay)
    }

    /// Counts a message that arrived.
    pub(crate) fn arrived(&mut self, from: usize, to: usize, sent: Sent, bytes: u64) {
        match sent {
            Sent::Request(call) => {
                self.received[to] += 1;
                *self.owed.entry((from, to, call)).or_default() += 1;
            }
            Sent::Answer => self.bytes += bytes,
        }
    }

    /// A server crashed: it will answer nothing that it was asked, nor hear what it asked for.
    pub(crate) fn crashed(&mut self, server: usize) {
        self.owed
            .retain(|(asker, asked, _), _| *asker != server && *asked != server);
    }
}

#[cfg(test)]
mod tests {
    use quorate_raft::{LogIndex, Term};

    use super::*;

    fn append() -> Message {
        Message::Append {
            term: Term(1),
            previous_index: LogIndex(0),
            previous_term: Term(0),
            commit: LogIndex(0),
            entries: Vec::new(),
            round: 1,
        }
    }

    fn accepted() -> Message {
        Message::AppendAccepted {
            term: Term(1),
            matched: LogIndex(0),
            round: 1,
        }
    }

    #[test]
    fn a_request_and_its_answer_are_one_rpc_and_a_second_answer_is_another() {
        let mut network = Network::new(2);
        let sent = network.count(0, 1, &append(), 10);
        assert_eq!(sent, Sent::Request(Call::Append));
        network.arrived(0, 1, sent, 10);
        let answer = network.count(1, 0, &accepted(), 7);
        assert_eq!(answer, Sent::Answer);
        network.arrived(1, 0, answer, 7);
        assert_eq!((network.rpcs, network.bytes), (1, 17));
        assert_eq!(
            network.count(1, 0, &accepted(), 7),
            Sent::Request(Call::Append)
        );
        assert_eq!((network.rpcs, network.bytes), (2, 24));
    }

    #[test]
    fn who_was_asked_for_a_vote_owes_no_answer_to_an_append() {
        let mut network = Network::new(2);
        let vote = Message::RequestVote {
            term: Term(1),
            last_index: LogIndex(0),
            last_term: Term(0),
            pre: false,
            transfer: false,
        };
        let sent = network.count(0, 1, &vote, 10);
        network.arrived(0, 1, sent, 10);
        assert_ne!(network.count(1, 0, &accepted(), 7), Sent::Answer);
    }

    #[test]
    fn a_request_that_was_lost_pays_for_no_answer() {
        let mut network = Network::new(2);
        network.count(0, 1, &append(), 10);
        assert_ne!(network.count(1, 0, &accepted(), 7), Sent::Answer);
    }

    #[test]
    fn an_unreliable_network_loses_a_tenth_and_a_reordering_one_delays_answers_alone() {
        let mut random = Random::new(1);
        let mut network = Network::new(2);
        network.is_unreliable = true;
        let request = Sent::Request(Call::Append);
        let lost = (0..10_000).filter(|_| network.delay(request, &mut random).is_none());
        assert!((800..1_200).contains(&lost.count()));
        network.is_unreliable = false;
        network.has_long_reordering = true;
        let late = |sent, random: &mut Random| {
            let delays = (0..900).filter_map(|_| network.delay(sent, random));
            delays.filter(|delay| delay.as_millis() >= 200).count()
        };
        assert_eq!(late(request, &mut random), 0);
        assert!((550..650).contains(&late(Sent::Answer, &mut random)));
    }
}
