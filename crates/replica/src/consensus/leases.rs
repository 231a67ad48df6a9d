//! Leases: questions on their way to the leader and back, and when the leader's clock
//! ([`crate::lease_clock`]) begins and ends. What it has the log say is in `lease_proposals`.
//!
//! A renewal that was answered must hold whoever leads next. So before the leader looks at its clock
//! it has its leadership confirmed, by a read index asked for after the question came, and has applied
//! through that index: then no other leader has begun counting before the question was asked, and
//! every lease that its asker may know of is known here. All questions that wait share one round.

use std::collections::BTreeMap;

use quorate_raft::{Instant, LogIndex, NodeId, ReadGrant, ReadId, Role};

use super::Consensus;
use crate::cluster_version::LEASES_FROM_VERSION;
use crate::error::RequestError;
use crate::lease_clock::{LeaseClock, LeaseNews, LeaseTime, Standing};
use crate::lease_questions::{LeaseOutcome, LeaseQuestion, LeaseQuestions};
use crate::limits::{MAX_HELD_LEASE_QUESTIONS, MAX_LEASES_PER_MESSAGE};
use crate::proposals::Route;
use crate::wire::PeerMessage;

/// Read rounds of leases have this bit in their ids; the reads of the embedder must not.
const ROUND_BIT: u64 = 1 << 63;

/// What consensus knows of leases.
#[derive(Debug)]
pub(super) struct Leases {
    pub(super) clock: LeaseClock,
    /// Of this node's clients.
    pub(super) questions: LeaseQuestions,
    /// When this has been applied the clock begins: known from the first commit of our term on.
    begins_at: Option<LogIndex>,
    asked: Vec<Asked>,
    round: Option<Round>,
    last_round: u64,
    /// Questions that wait for an entry about their lease to be applied.
    held: BTreeMap<i64, Vec<Asked>>,
    held_count: usize,
    retry_at: Option<Instant>,
    pub(super) renewed: u64,
    pub(super) expired: u64,
}

/// A question that has come to the leader.
#[derive(Clone, Copy, Debug)]
struct Asked {
    from: NodeId,
    boot_nonce: u32,
    question: LeaseQuestion,
    at: Instant,
}

#[derive(Debug)]
struct Round {
    id: ReadId,
    index: Option<LogIndex>,
    asked: Vec<Asked>,
}

type Answers = BTreeMap<(NodeId, u32), Vec<(u64, LeaseOutcome)>>;

impl Leases {
    pub(super) fn new(clock: LeaseClock) -> Leases {
        Leases {
            clock,
            questions: LeaseQuestions::default(),
            begins_at: None,
            asked: Vec::new(),
            round: None,
            last_round: 0,
            held: BTreeMap::new(),
            held_count: 0,
            retry_at: None,
            renewed: 0,
            expired: 0,
        }
    }

    /// When there is something to do. While leadership is being handed over, nothing can be proposed, and
    /// the clock waits.
    pub(super) fn deadline(&self, may_propose: bool) -> Option<Instant> {
        let deadlines = [
            self.clock.deadline().filter(|_| may_propose),
            self.questions.deadline(),
            self.retry_at,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// An entry of our own term is committed.
    pub(super) fn committed_in_own_term(&mut self, index: LogIndex) {
        if !self.clock.is_running() {
            self.begins_at.get_or_insert(index);
        }
    }

    fn may_begin(&self, applied: LogIndex) -> bool {
        !self.clock.is_running() && self.begins_at.is_some_and(|index| index <= applied)
    }

    fn wants_round(&self) -> bool {
        let waits = !self.asked.is_empty() && self.round.is_none();
        waits && self.clock.is_running() && self.retry_at.is_none()
    }

    fn has_granted_round(&self, applied: LogIndex) -> bool {
        let index = self.round.as_ref().and_then(|round| round.index);
        self.clock.is_running() && index.is_some_and(|index| index <= applied)
    }

    /// Whoever has asked, or whose question is held, is not answered here.
    fn take_all_asked(&mut self) -> Vec<Asked> {
        let mut all = std::mem::take(&mut self.asked);
        all.extend(self.round.take().into_iter().flat_map(|round| round.asked));
        all.extend(std::mem::take(&mut self.held).into_values().flatten());
        self.held_count = 0;
        all
    }

    fn count(&self) -> usize {
        let in_round = self.round.as_ref().map_or(0, |round| round.asked.len());
        self.asked.len() + in_round + self.held_count
    }

    fn hold(&mut self, asked: Asked) {
        self.held
            .entry(asked.question.lease)
            .or_default()
            .push(asked);
        self.held_count += 1;
    }

    fn take_held(&mut self, lease: i64) -> Vec<Asked> {
        let held = self.held.remove(&lease).unwrap_or_default();
        self.held_count -= held.len();
        held
    }
}

impl Consensus {
    /// Whether a read round is one of leases: nothing of the embedder's waits for it, and when the
    /// applier releases it the machine is to be called.
    pub fn is_round_of_leases(id: ReadId) -> bool {
        id.0 & ROUND_BIT != 0
    }

    /// What clients of this node ask about leases; [`Effects::lease_answers`] has the answers.
    ///
    /// [`Effects::lease_answers`]: super::Effects::lease_answers
    pub fn ask_leases(&mut self, now: Instant, questions: Vec<LeaseQuestion>) {
        let deadline = now + self.settings.request_timeout;
        for question in questions {
            if self.versions.in_force() < LEASES_FROM_VERSION {
                self.fail_question(question.sequence, RequestError::NotCapable);
            } else if !self.leases.questions.admit(question, deadline) {
                self.fail_question(question.sequence, RequestError::TooManyRequests);
            }
        }
    }

    /// The applier has news of leases. To be called before [`Consensus::applied`] tells of the entries
    /// that they come from.
    pub fn leases_applied(&mut self, now: Instant, news: LeaseNews) {
        if matches!(news, LeaseNews::All(_)) && self.leases.clock.is_running() {
            // What stands in the log by now may yet change them: begin again after it.
            self.leases.clock.forget();
            self.leases.begins_at = Some(self.raft.status().last_index);
            self.leases.asked = self.leases.take_all_asked();
        }
        let mut answers = Answers::new();
        let mut to_clear = Vec::new();
        for lease in self.leases.clock.learn(now, news) {
            for asked in self.leases.take_held(lease) {
                self.answer_or_hold(now, asked, &mut answers, &mut to_clear);
            }
        }
        // A lease of the same id as one that has ended, and already noted: its round comes again.
        for lease in to_clear {
            self.leases.clock.clear_refused(lease);
            let held = self.leases.take_held(lease);
            self.leases.asked.extend(held);
        }
        self.send_answers(answers);
    }

    /// A peer's clients ask.
    pub(super) fn take_lease_questions(
        &mut self,
        now: Instant,
        from: NodeId,
        boot_nonce: u32,
        questions: Vec<LeaseQuestion>,
    ) {
        let refusal = if self.state.role != Role::Leader {
            Some(LeaseOutcome::NotLeader)
        } else if self.leases.count() + questions.len() > MAX_HELD_LEASE_QUESTIONS {
            Some(LeaseOutcome::Overloaded)
        } else {
            None
        };
        let questions = questions.into_iter();
        if let Some(refusal) = refusal {
            let answers = questions.map(|question| (question.sequence, refusal));
            let answers = Answers::from([((from, boot_nonce), answers.collect())]);
            return self.send_answers(answers);
        }
        self.leases.asked.extend(questions.map(|question| Asked {
            from,
            boot_nonce,
            question,
            at: now,
        }));
    }

    /// A peer has answered.
    pub(super) fn take_lease_answers(
        &mut self,
        now: Instant,
        from: NodeId,
        answers: Vec<(u64, LeaseOutcome)>,
    ) {
        for (sequence, outcome) in answers {
            if outcome == LeaseOutcome::NotLeader {
                self.leases.questions.wait_again(from, sequence);
                self.leases.retry_at = Some(now + self.settings.retry_after);
                continue;
            }
            if !self.leases.questions.take_answered(from, sequence) {
                continue;
            }
            let result = match outcome {
                LeaseOutcome::Lives(time) => Ok(Some(time)),
                LeaseOutcome::Unknown => Ok(None),
                LeaseOutcome::NotLeader => unreachable!("asked again above"),
                LeaseOutcome::Overloaded => Err(RequestError::TooManyRequests),
            };
            self.effects.lease_answers.push((sequence, result));
        }
    }

    /// The leader or its term is another: it has to be asked anew, and what was asked of us is not
    /// ours to answer.
    pub(super) fn leases_lose_leader(&mut self) {
        self.leases.clock.forget();
        self.leases.begins_at = None;
        self.leases.retry_at = None;
        self.leases.questions.wait_all(None);
        let mut answers = Answers::new();
        for asked in self.leases.take_all_asked() {
            if asked.from != self.settings.member {
                answer(&mut answers, asked, LeaseOutcome::NotLeader);
            }
        }
        self.send_answers(answers);
    }

    /// A round of ours got its index.
    pub(super) fn lease_round_granted(&mut self, grant: ReadGrant) {
        if let Some(round) = self
            .leases
            .round
            .as_mut()
            .filter(|round| round.id == grant.id)
        {
            round.index = Some(grant.index);
            if grant.index > self.applied {
                // So that the applier says when it has come there.
                self.effects.grant.push(grant);
            }
        }
    }

    /// A round of ours was dropped.
    pub(super) fn lease_round_dropped(&mut self, now: Instant, id: ReadId) {
        if let Some(round) = self.leases.round.take_if(|round| round.id == id) {
            self.leases.asked.extend(round.asked);
            self.leases.retry_at = Some(now + self.settings.retry_after);
        }
    }

    pub(super) fn tick_leases(&mut self, now: Instant) {
        for sequence in self.leases.questions.take_expired(now) {
            self.fail_question(sequence, RequestError::TimedOut);
        }
        self.leases.retry_at = self.leases.retry_at.filter(|at| *at > now);
        let since = self.settings.request_timeout;
        let leases = &mut self.leases;
        leases.asked.retain(|asked| asked.at + since > now);
        leases.held.retain(|_, held| {
            let before = held.len();
            held.retain(|asked| asked.at + since > now);
            leases.held_count -= before - held.len();
            !held.is_empty()
        });
    }

    /// Whether leases have something to do that no time and no input is needed for.
    pub(super) fn has_lease_work(&self) -> bool {
        let leases = &self.leases;
        let leaves = leases.questions.has_waiting() && leases.retry_at.is_none();
        (leaves && self.route() != Route::Wait)
            || leases.may_begin(self.applied)
            || leases.wants_round()
            || leases.has_granted_round(self.applied)
    }

    /// Everything that leases have to do now.
    pub(super) fn drive_leases(&mut self, now: Instant, wall_ms: u64) {
        if self.leases.may_begin(self.applied) && self.state.role == Role::Leader {
            self.leases.clock.begin(now);
        }
        self.dispatch_lease_questions(now);
        self.end_lease_round(now, wall_ms);
        self.begin_lease_round(now);
        if matches!(self.route(), Route::Lead(_)) {
            self.revoke_expired_leases(now, wall_ms);
            self.checkpoint_leases(now, wall_ms);
        }
    }

    fn dispatch_lease_questions(&mut self, now: Instant) {
        while self.leases.questions.has_waiting() && self.leases.retry_at.is_none() {
            let (leader, is_here) = match self.route() {
                Route::Lead(_) => (self.settings.member, true),
                Route::Forward(leader) => (leader, false),
                Route::Wait => return,
            };
            let questions = self
                .leases
                .questions
                .take_waiting(leader, MAX_LEASES_PER_MESSAGE);
            if questions.is_empty() {
                continue;
            }
            let boot_nonce = self.settings.boot_nonce;
            if is_here {
                self.take_lease_questions(now, leader, boot_nonce, questions);
            } else {
                let message = PeerMessage::LeaseQuestions {
                    boot_nonce,
                    questions,
                };
                self.effects.send.push((leader, message));
            }
        }
    }

    /// One round for all that wait; those that come meanwhile wait for the next.
    fn begin_lease_round(&mut self, now: Instant) {
        if !self.leases.wants_round() {
            return;
        }
        self.leases.last_round += 1;
        let id = ReadId(ROUND_BIT | self.leases.last_round);
        if self.raft.read(now, id).is_err() {
            self.leases.retry_at = Some(now + self.settings.retry_after);
            return;
        }
        let asked = std::mem::take(&mut self.leases.asked);
        self.leases.round = Some(Round {
            id,
            index: None,
            asked,
        });
    }

    /// Answers a round whose index is applied.
    pub(super) fn end_lease_round(&mut self, now: Instant, wall_ms: u64) {
        if !self.leases.has_granted_round(self.applied) {
            return;
        }
        let Some(round) = self.leases.round.take() else {
            return;
        };
        let mut answers = Answers::new();
        let mut to_clear = Vec::new();
        for asked in round.asked {
            self.answer_or_hold(now, asked, &mut answers, &mut to_clear);
        }
        let refused = self.strike_out(now, wall_ms, &to_clear);
        for lease in refused {
            self.leases.clock.clear_refused(lease);
            for asked in self.leases.take_held(lease) {
                answer(&mut answers, asked, LeaseOutcome::Overloaded);
            }
        }
        self.send_answers(answers);
    }

    fn answer_or_hold(
        &mut self,
        now: Instant,
        asked: Asked,
        answers: &mut Answers,
        to_clear: &mut Vec<i64>,
    ) {
        let LeaseQuestion { lease, renews, .. } = asked.question;
        let clock = &mut self.leases.clock;
        let outcome = match clock.standing(lease) {
            Standing::Unknown => LeaseOutcome::Unknown,
            Standing::Ending if renews => return self.leases.hold(asked),
            Standing::Noted if renews => {
                if clock.clear(lease) {
                    to_clear.push(lease);
                }
                return self.leases.hold(asked);
            }
            standing => {
                if renews && standing == Standing::Running {
                    clock.renew(now, lease);
                    self.leases.renewed += 1;
                }
                let time = self.leases.clock.time(now, lease);
                time.map_or(LeaseOutcome::Unknown, LeaseOutcome::Lives)
            }
        };
        answer(answers, asked, outcome);
    }

    fn send_answers(&mut self, answers: Answers) {
        for ((to, boot_nonce), answers) in answers {
            if to == self.settings.member {
                if boot_nonce == self.settings.boot_nonce {
                    // Nobody is asked again by this: a leader answers itself as a leader.
                    self.take_lease_answers(Instant::ZERO, to, answers);
                }
                continue;
            }
            for part in answers.chunks(MAX_LEASES_PER_MESSAGE) {
                let message = PeerMessage::LeaseAnswers {
                    boot_nonce,
                    answers: part.to_vec(),
                };
                self.effects.send.push((to, message));
            }
        }
    }

    fn fail_question(&mut self, sequence: u64, error: RequestError) {
        self.effects.lease_answers.push((sequence, Err(error)));
    }
}

fn answer(answers: &mut Answers, asked: Asked, outcome: LeaseOutcome) {
    let origin = (asked.from, asked.boot_nonce);
    let answers = answers.entry(origin).or_default();
    answers.push((asked.question.sequence, outcome));
}

/// What an answer to a question about a lease is: its time, or none if there is no such lease.
pub(super) type LeaseResult = Result<Option<LeaseTime>, RequestError>;
