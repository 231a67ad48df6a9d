//! Questions about leases and their answers, to their form on the wire and back.

use quorate_proto::peer;
use quorate_proto::peer::lease_answer::Outcome;
use quorate_proto::peer::peer_message::Body;

use super::{PeerMessage, WireError, number};
use crate::lease_clock::LeaseTime;
use crate::lease_questions::{LeaseOutcome, LeaseQuestion};
use crate::limits::MAX_LEASES_PER_MESSAGE;

pub(super) fn questions_to_wire(boot_nonce: u32, questions: Vec<LeaseQuestion>) -> Body {
    let questions = questions.into_iter().map(|question| peer::LeaseQuestion {
        sequence: question.sequence,
        lease: question.lease,
        renews: question.renews,
    });
    Body::LeaseQuestions(peer::LeaseQuestions {
        boot_nonce,
        questions: questions.collect(),
    })
}

pub(super) fn questions_from_wire(message: peer::LeaseQuestions) -> Result<PeerMessage, WireError> {
    check_count(message.questions.len())?;
    let questions = message.questions.into_iter().map(|question| {
        Ok(LeaseQuestion {
            sequence: number(question.sequence)?,
            lease: question.lease,
            renews: question.renews,
        })
    });
    Ok(PeerMessage::LeaseQuestions {
        boot_nonce: message.boot_nonce,
        questions: questions.collect::<Result<_, WireError>>()?,
    })
}

pub(super) fn answers_to_wire(boot_nonce: u32, answers: Vec<(u64, LeaseOutcome)>) -> Body {
    let answers = answers.into_iter().map(|(sequence, outcome)| {
        let (outcome, time) = match outcome {
            LeaseOutcome::Lives(time) => (Outcome::Lives, Some(time)),
            LeaseOutcome::Unknown => (Outcome::Unknown, None),
            LeaseOutcome::NotLeader => (Outcome::NotLeader, None),
            LeaseOutcome::Overloaded => (Outcome::Overloaded, None),
        };
        peer::LeaseAnswer {
            sequence,
            outcome: outcome.into(),
            granted_seconds: time.map_or(0, |time| time.granted_seconds),
            remaining_seconds: time.map_or(0, |time| time.remaining_seconds),
        }
    });
    Body::LeaseAnswers(peer::LeaseAnswers {
        boot_nonce,
        answers: answers.collect(),
    })
}

pub(super) fn answers_from_wire(message: peer::LeaseAnswers) -> Result<PeerMessage, WireError> {
    check_count(message.answers.len())?;
    let answers = message.answers.into_iter().map(answer_from_wire);
    Ok(PeerMessage::LeaseAnswers {
        boot_nonce: message.boot_nonce,
        answers: answers.collect::<Result<_, WireError>>()?,
    })
}

fn answer_from_wire(answer: peer::LeaseAnswer) -> Result<(u64, LeaseOutcome), WireError> {
    let outcome = Outcome::try_from(answer.outcome).map_err(|_| WireError::Illegal)?;
    let outcome = match outcome {
        Outcome::Lives if answer.granted_seconds < 1 || answer.remaining_seconds < 0 => {
            return Err(WireError::Illegal);
        }
        Outcome::Lives => LeaseOutcome::Lives(LeaseTime {
            granted_seconds: answer.granted_seconds,
            remaining_seconds: answer.remaining_seconds,
        }),
        Outcome::Unknown => LeaseOutcome::Unknown,
        Outcome::NotLeader => LeaseOutcome::NotLeader,
        Outcome::Overloaded => LeaseOutcome::Overloaded,
    };
    Ok((number(answer.sequence)?, outcome))
}

fn check_count(count: usize) -> Result<(), WireError> {
    match count > MAX_LEASES_PER_MESSAGE {
        true => Err(WireError::TooLarge),
        false => Ok(()),
    }
}
