//! Watches that a server has no room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quorate_client::{Client, Options};
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse, WatchRequest, WatchResponse,
};
use quorate_server::stubs::kv_server::{Kv, KvServer};
use quorate_server::stubs::watch_server::{Watch, WatchServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// Without keys, and without room for a watch.
#[derive(Clone, Default)]
struct Full {
    watches: Arc<AtomicU32>,
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in this test"))
}

#[tonic::async_trait]
impl Kv for Full {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        Ok(Response::new(RangeResponse::default()))
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        not_here()
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        not_here()
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        not_here()
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl Watch for Full {
    type WatchStream = tokio_stream::Once<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        _: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        let refused = WatchResponse {
            created: true,
            canceled: true,
            cancel_reason: "etcdserver: too many requests".to_owned(),
            ..Default::default()
        };
        Ok(Response::new(tokio_stream::once(Ok(refused))))
    }
}

#[tokio::test]
async fn one_whose_watch_is_refused_tries_again_after_a_pause() {
    let full = Full::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(KvServer::new(full.clone()))
            .add_service(WatchServer::new(full.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let options = Options {
        endpoints: vec![address],
        ..Options::default()
    };
    let mut observer = Client::new(&options).unwrap().observe(b"name");
    let told = tokio::time::timeout(Duration::from_secs(2), observer.next()).await;
    assert!(told.is_err(), "nobody leads");
    let watches = full.watches.load(Ordering::SeqCst);
    assert!((2..=6).contains(&watches), "{watches} in two seconds");
}
