//! Errors as gRPC statuses: etcd's code for each of etcd's texts.

use quorate_kv::KvError;
use quorate_replica::{MemberError, RequestError};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::core::Core;

pub(super) fn of_kv(error: &KvError) -> Status {
    let code = match error.code() {
        quorate_kv::Code::InvalidArgument => Code::InvalidArgument,
        quorate_kv::Code::NotFound => Code::NotFound,
        quorate_kv::Code::ResourceExhausted => Code::ResourceExhausted,
        quorate_kv::Code::FailedPrecondition => Code::FailedPrecondition,
        quorate_kv::Code::OutOfRange => Code::OutOfRange,
        quorate_kv::Code::DataLoss => Code::DataLoss,
    };
    Status::new(code, error.to_string())
}

pub(super) fn of_request(error: &RequestError) -> Status {
    let code = match error {
        RequestError::Refused(error) => return of_kv(error),
        RequestError::Members(error) => code_of_members(*error),
        RequestError::TooManyRequests => Code::ResourceExhausted,
        RequestError::TooLarge => Code::InvalidArgument,
        RequestError::TimedOut
        | RequestError::LeaderLost
        | RequestError::Stopped
        | RequestError::NotCaughtUp => Code::Unavailable,
        RequestError::NotCapable => Code::FailedPrecondition,
        RequestError::Undecodable => Code::Internal,
    };
    Status::new(code, error.to_string())
}

fn code_of_members(error: MemberError) -> Code {
    match error {
        MemberError::NotFound => Code::NotFound,
        MemberError::Exists
        | MemberError::PeerUrlsExist
        | MemberError::LearnerNotReady
        | MemberError::NotLearner
        | MemberError::TooManyLearners
        | MemberError::TooManyMembers
        | MemberError::NotEnoughStarted => Code::FailedPrecondition,
        MemberError::Unhealthy | MemberError::UnderWay => Code::Unavailable,
    }
}

/// Refuses what a member that only learns does not serve: all but serializable ranges and its
/// status.
pub(super) fn check_votes(core: &Core) -> Result<(), Status> {
    if core.is_learner() {
        let text = "etcdserver: rpc not supported for learner";
        return Err(Status::failed_precondition(text));
    }
    Ok(())
}

/// Whether a call's metadata say that it must not outlive its leader (etcd: `clientv3.WithRequireLeader`).
pub(super) fn requires_leader(metadata: &MetadataMap) -> bool {
    metadata
        .get("hasleader")
        .is_some_and(|value| value.as_bytes() == b"true")
}

pub(super) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_etcds_code_and_text() {
        let cases = [
            (
                RequestError::Refused(KvError::Compacted),
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            (
                RequestError::Refused(KvError::DuplicateKey),
                Code::InvalidArgument,
                "etcdserver: duplicate key given in txn request",
            ),
            (
                RequestError::Members(MemberError::NotFound),
                Code::NotFound,
                "etcdserver: member not found",
            ),
            (
                RequestError::Members(MemberError::LearnerNotReady),
                Code::FailedPrecondition,
                "etcdserver: can only promote a learner member which is in sync with leader",
            ),
            (
                RequestError::Members(MemberError::Exists),
                Code::FailedPrecondition,
                "etcdserver: member ID already exist",
            ),
            (
                RequestError::Members(MemberError::NotEnoughStarted),
                Code::FailedPrecondition,
                "etcdserver: re-configuration failed due to not enough started members",
            ),
            (
                RequestError::Members(MemberError::Unhealthy),
                Code::Unavailable,
                "etcdserver: unhealthy cluster",
            ),
            (
                RequestError::TooManyRequests,
                Code::ResourceExhausted,
                "etcdserver: too many requests",
            ),
            (
                RequestError::TooLarge,
                Code::InvalidArgument,
                "etcdserver: request is too large",
            ),
            (
                RequestError::TimedOut,
                Code::Unavailable,
                "etcdserver: request timed out",
            ),
            (
                RequestError::LeaderLost,
                Code::Unavailable,
                "etcdserver: request timed out, possibly due to previous leader failure",
            ),
            (
                RequestError::Stopped,
                Code::Unavailable,
                "etcdserver: server stopped",
            ),
        ];
        for (error, code, text) in cases {
            let status = of_request(&error);
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }
}
