//! etcd's gRPC services on a node.
//!
//! A handler checks what it was given, waits for the machines, and puts etcd's header on the
//! answer. What is not served yet answers UNIMPLEMENTED with a plain sentence: the services
//! without a handler here fall through to the router's fallback.

mod cluster;
mod contest;
mod counting;
mod election;
mod health;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod metadata;
mod reading;
mod status;
mod too_large;
mod watch;

use std::sync::Arc;

use axum::Router;
use quorate_proto::etcdserverpb::ResponseHeader;
use tonic::service::Routes;
use tonic::{Response, Status};
use tonic_health::pb::health_server::HealthServer;
use tower::util::MapResponseLayer;

use crate::core::Core;
use crate::gateway;
use crate::limits::GRPC_OVERHEAD_BYTES;
use crate::stubs::cluster_server::ClusterServer;
use crate::stubs::election_server::ElectionServer;
use crate::stubs::kv_server::KvServer;
use crate::stubs::lease_server::LeaseServer;
use crate::stubs::lock_server::LockServer;
use crate::stubs::maintenance_server::MaintenanceServer;
use crate::stubs::watch_server::WatchServer;

/// The services as a router.
pub(crate) fn routes(core: &Arc<Core>) -> Router {
    let receive_limit = core.settings.max_request_bytes + GRPC_OVERHEAD_BYTES;
    let kv = KvServer::new(kv::KvService::new(Arc::clone(core)))
        .max_decoding_message_size(receive_limit)
        .max_encoding_message_size(usize::MAX);
    let cluster = ClusterServer::new(cluster::ClusterService::new(Arc::clone(core)))
        .max_decoding_message_size(receive_limit);
    let maintenance =
        MaintenanceServer::new(maintenance::MaintenanceService::new(Arc::clone(core)))
            .max_decoding_message_size(receive_limit);
    let watch = WatchServer::new(watch::WatchService::new(Arc::clone(core)))
        .max_decoding_message_size(receive_limit)
        .max_encoding_message_size(usize::MAX);
    let lease = LeaseServer::new(lease::LeaseService::new(Arc::clone(core)))
        .max_decoding_message_size(receive_limit)
        .max_encoding_message_size(usize::MAX);
    let contests = contest::Contests::new(core);
    let lock =
        LockServer::new(lock::LockService::new(&contests)).max_decoding_message_size(receive_limit);
    let election = ElectionServer::new(election::ElectionService::new(contests))
        .max_decoding_message_size(receive_limit)
        .max_encoding_message_size(usize::MAX);
    Routes::new(kv)
        .add_service(lease)
        .add_service(cluster)
        .add_service(maintenance)
        .add_service(watch)
        .add_service(lock)
        .add_service(election)
        .add_service(HealthServer::new(health::HealthService))
        .add_service(reflection().build_v1().expect(DESCRIPTORS_ARE_SOUND))
        .add_service(reflection().build_v1alpha().expect(DESCRIPTORS_ARE_SOUND))
        .into_axum_router()
        .layer(MapResponseLayer::new(
            too_large::reworded::<axum::body::Body>,
        ))
        .layer(metadata::Checked(Arc::clone(core)))
        .layer(counting::CountCalls(Arc::clone(&core.metrics.calls)))
}

const DESCRIPTORS_ARE_SOUND: &str = "the services were made of the same descriptors";

/// What gRPC clients without the `.proto` files, `grpcurl` for example, ask for.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(gateway::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// The header of an answer that reflects `revision`.
fn header(core: &Core, revision: i64) -> ResponseHeader {
    ResponseHeader {
        revision,
        ..header_without_revision(core)
    }
}

/// The header of answers about the cluster, which have no revision.
fn header_without_revision(core: &Core) -> ResponseHeader {
    ResponseHeader {
        cluster_id: core.identity.cluster_id,
        member_id: core.identity.member_id,
        revision: 0,
        raft_term: core.leadership().term.0,
    }
}

/// An answered call, told in the debug log. Its numbers are counted around all services (`counting.rs`).
fn answered<T>(
    grpc_service: &'static str,
    grpc_method: &'static str,
    result: Result<T, Status>,
) -> Result<Response<T>, Status> {
    if let Err(status) = &result {
        tracing::debug!(
            service = grpc_service,
            method = grpc_method,
            code = ?status.code(),
            message = status.message(),
            "a call is refused"
        );
    }
    result.map(Response::new)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::core::tests::without_threads;

    #[tokio::test]
    async fn reflection_shows_etcds_services_and_not_what_members_say_to_each_other() {
        for version in ["v1", "v1alpha"] {
            // In a frame: list_services, field 7, empty.
            let list = Body::from(&[0, 0, 0, 0, 2, 0x3a, 0][..]);
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            let request = Request::post(path).header("content-type", "application/grpc");
            let request = request.body(list).expect("a request");
            let Ok(response) = routes(&without_threads()).oneshot(request).await;
            let body = to_bytes(response.into_body(), 1 << 16).await;
            let body = String::from_utf8_lossy(&body.expect("a body")).into_owned();
            for service in ["etcdserverpb.KV", "v3lockpb.Lock", "grpc.health.v1.Health"] {
                assert!(body.contains(service), "{service} in {body}");
            }
            assert!(!body.contains("quorate"), "{body}");
        }
    }
}
