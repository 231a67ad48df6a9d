//! What can go wrong with a call, told apart by what the caller may do next.

use std::time::Duration;

use thiserror::Error;
use tonic::Code;

/// Why a call failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The endpoint's text cannot be understood. Correct it.
    #[error("bad endpoint {endpoint:?}: {reason}")]
    BadEndpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The list of endpoints is empty.
    #[error("no endpoints given")]
    NoEndpoints,
    /// No connection could be made: nothing was sent, any call may be tried again.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// The endpoint, as it was given.
        endpoint: String,
        /// What the system said.
        reason: String,
    },
    /// The connection broke while a call was under way: a write may or may not have been applied.
    #[error("{endpoint}: connection lost: {reason}")]
    Lost {
        /// The endpoint, as it was given.
        endpoint: String,
        /// What the transport said.
        reason: String,
    },
    /// No answer within the command timeout. The text opens as etcd's own does.
    #[error("context deadline exceeded (after {after:?}{})", .last.as_ref().map(|last| format!("; {last}")).unwrap_or_default())]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// A try was under way when the time ran out, so that a write may have been applied.
        sent: bool,
        /// Why the try before failed, if there was one.
        last: Option<Box<Error>>,
    },
    /// The server answered with an error. `message` is its text, for instance `etcdserver: key is not provided`.
    #[error("{message}")]
    Server {
        /// The gRPC status code.
        code: Code,
        /// The server's text, byte for byte; ours if it said nothing.
        message: String,
    },
    /// One who waited in a line has lost its place: its lease has ended, or its key was deleted.
    #[error("mutex: session is expired")]
    SessionExpired,
    /// One who wants to proclaim something leads no longer.
    #[error("election: not leader")]
    NotLeader,
}

impl Error {
    /// The gRPC code of the answer, when there was an answer.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether a write that ended so may have been applied all the same.
    ///
    /// A refused request was not. `ResourceExhausted` leaves it open, since the write that crosses the space quota is
    /// applied and yet answered with it.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::BadEndpoint { .. }
            | Self::NoEndpoints
            | Self::Unreachable { .. }
            | Self::NotLeader => false,
            Self::Lost { .. } | Self::SessionExpired => true,
            Self::TimedOut { sent, .. } => *sent,
            Self::Server { code, .. } => !matches!(
                code,
                Code::InvalidArgument
                    | Code::NotFound
                    | Code::OutOfRange
                    | Code::FailedPrecondition
                    | Code::PermissionDenied
                    | Code::Unauthenticated
                    | Code::Unimplemented
            ),
        }
    }

    /// Whether a read may be tried again at another endpoint.
    pub(crate) fn is_worth_another_read(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Server { code, .. } => *code == Code::Unavailable,
            Self::BadEndpoint { .. }
            | Self::NoEndpoints
            | Self::TimedOut { .. }
            | Self::SessionExpired
            | Self::NotLeader => false,
        }
    }

    /// Whether a write may be tried again: only when none of it has left this machine.
    pub(crate) fn is_worth_another_write(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: Code) -> Error {
        Error::Server {
            code,
            message: "etcdserver: …".to_owned(),
        }
    }

    #[test]
    fn a_write_is_only_tried_again_when_nothing_was_sent() {
        let lost = Error::Lost {
            endpoint: "a".to_owned(),
            reason: "reset".to_owned(),
        };
        let refused = Error::Unreachable {
            endpoint: "a".to_owned(),
            reason: "refused".to_owned(),
        };
        assert!(refused.is_worth_another_write() && !refused.may_have_been_applied());
        assert!(!lost.is_worth_another_write() && lost.may_have_been_applied());
        assert!(!server(Code::Unavailable).is_worth_another_write());
        assert!(lost.is_worth_another_read() && server(Code::Unavailable).is_worth_another_read());
        assert!(!server(Code::OutOfRange).is_worth_another_read());
    }

    #[test]
    fn a_refusal_was_not_applied_and_an_unknown_end_may_have_been() {
        assert!(!server(Code::InvalidArgument).may_have_been_applied());
        assert!(server(Code::Unavailable).may_have_been_applied());
        assert!(server(Code::ResourceExhausted).may_have_been_applied());
    }
}
