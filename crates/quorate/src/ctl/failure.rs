//! Why a command ends with a code other than 0, and with which.

use std::fmt;
use std::process::ExitCode;

/// The request failed.
const ERROR: u8 = 1;
/// The connection, or a stream on it, came to nothing.
const BAD_CONNECTION: u8 = 2;
/// The text of a transaction cannot be understood.
const INVALID_INPUT: u8 = 3;
/// An output form or a feature that is not there.
const BAD_FEATURE: u8 = 4;
/// The server ended what would have gone on.
const INTERRUPTED: u8 = 5;
/// Wrong arguments.
const BAD_ARGUMENTS: u8 = 128;

/// The line for standard error, and the exit code, both etcdctl's (`pkg/cobrautl`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self {
            code: ERROR,
            message: message.into(),
        }
    }

    /// With the exit code of a command that was run.
    pub(super) fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// For a command that has said on standard output why it fails.
    pub(super) fn silent() -> Self {
        Self::error("")
    }

    pub(super) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    pub(super) fn bad_connection(message: impl Into<String>) -> Self {
        Self {
            code: BAD_CONNECTION,
            message: message.into(),
        }
    }

    pub(super) fn invalid_input(message: impl Into<String>) -> Self {
        Self {
            code: INVALID_INPUT,
            message: message.into(),
        }
    }

    pub(super) fn bad_feature(message: impl Into<String>) -> Self {
        Self {
            code: BAD_FEATURE,
            message: message.into(),
        }
    }

    pub(super) fn interrupted(message: impl Into<String>) -> Self {
        Self {
            code: INTERRUPTED,
            message: message.into(),
        }
    }

    pub(super) fn bad_arguments(message: impl Into<String>) -> Self {
        Self {
            code: BAD_ARGUMENTS,
            message: message.into(),
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<quorate_client::Error> for Failure {
    fn from(error: quorate_client::Error) -> Self {
        use quorate_client::Error;
        match &error {
            Error::BadEndpoint { .. } | Error::NoEndpoints => {
                Self::bad_arguments(error.to_string())
            }
            _ => Self::error(error.to_string()),
        }
    }
}
