//! gRPC's own health service, as etcd registers it: the server as a whole, whose name is empty, serves, and no service
//! of it is known by name. Whether a member is of use to anyone is for `/health` and `/readyz` to say.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

pub(super) struct HealthService;

fn told(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(told(ServingStatus::Serving)))
    }

    /// What is watched never changes.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let status = match request.get_ref().service.as_str() {
            "" => ServingStatus::Serving,
            _ => ServingStatus::ServiceUnknown,
        };
        let stream = tokio_stream::once(Ok(told(status))).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(stream)))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn asked(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest {
            service: service.to_owned(),
        })
    }

    #[tokio::test]
    async fn the_server_as_a_whole_serves_and_no_service_is_known_by_name() {
        let answer = HealthService.check(asked("")).await.expect("it serves");
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
        let refused = HealthService.check(asked("etcdserverpb.KV")).await;
        let refused = refused.expect_err("not known");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, "unknown service")
        );
        for (service, status) in [
            ("", ServingStatus::Serving),
            ("x", ServingStatus::ServiceUnknown),
        ] {
            let watched = HealthService.watch(asked(service)).await.expect("a stream");
            let told = watched.into_inner().next().await.expect("a word");
            assert_eq!(told.expect("no error").status(), status);
        }
    }
}
