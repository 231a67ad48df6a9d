//! Leases that are kept alive while an endpoint hangs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quorate_client::{Client, Options, Session};
use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use quorate_server::stubs::lease_server::{Lease, LeaseServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

const TTL: i64 = 2;

/// Grants and renews whatever it is asked for, and counts renewals.
#[derive(Clone, Default)]
struct Leases {
    renewals: Arc<AtomicU32>,
}

impl Leases {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(LeaseServer::new(self.clone()))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        address
    }
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in this test"))
}

#[tonic::async_trait]
impl Lease for Leases {
    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(
        &self,
        _: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        Ok(Response::new(LeaseGrantResponse {
            id: 7,
            ttl: TTL,
            ..Default::default()
        }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let renewals = Arc::clone(&self.renewals);
        let answers = request.into_inner().map(move |request| {
            renewals.fetch_add(1, Ordering::SeqCst);
            Ok(LeaseKeepAliveResponse {
                id: request?.id,
                ttl: TTL,
                ..Default::default()
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_revoke(
        &self,
        _: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        not_here()
    }

    async fn lease_time_to_live(
        &self,
        _: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        not_here()
    }

    async fn lease_leases(
        &self,
        _: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        not_here()
    }
}

#[tokio::test]
async fn a_session_outlives_an_endpoint_that_hangs() {
    let leases = Leases::default();
    let live = leases.serve().await;
    // It takes connections, as a process that was stopped does, and says nothing on them.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        endpoints: vec![live, hanging.local_addr().unwrap().to_string()],
        ..Options::default()
    };
    let client = Client::new(&options).unwrap();
    let session = Session::open(&client, TTL).await.unwrap();
    let renewed = async {
        while leases.renewals.load(Ordering::SeqCst) < 6 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = session.ended() => panic!("after {:?} renewals", leases.renewals),
        renewed = tokio::time::timeout(Duration::from_secs(30), renewed) => renewed.unwrap(),
    }
}
