//! A KV server that answers each call as a closure says, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use quorate_server::stubs::kv_server::{Kv, KvServer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What to answer to the n-th call; `None` is silence.
type Script = dyn Fn(u32) -> Option<Result<(), Status>> + Send + Sync;

#[derive(Default)]
struct Counts {
    ranges: AtomicU32,
    puts: AtomicU32,
}

pub(crate) struct ScriptedServer {
    pub(crate) address: String,
    counts: Arc<Counts>,
}

impl ScriptedServer {
    pub(crate) async fn start(
        script: impl Fn(u32) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Box::new(move |call| Some(script(call)))).await
    }

    pub(crate) async fn start_silent() -> Self {
        Self::serve(Box::new(|_| None)).await
    }

    async fn serve(script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counts = Arc::new(Counts::default());
        let service = Service {
            script,
            counts: Arc::clone(&counts),
        };
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(KvServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, counts }
    }

    pub(crate) fn ranges(&self) -> u32 {
        self.counts.ranges.load(Ordering::SeqCst)
    }

    pub(crate) fn puts(&self) -> u32 {
        self.counts.puts.load(Ordering::SeqCst)
    }
}

/// An address that refuses connections.
pub(crate) async fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Takes connections, reads a little, and hangs up.
pub(crate) async fn start_hanging_up() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 16]).await;
        }
    });
    address
}

struct Service {
    script: Box<Script>,
    counts: Arc<Counts>,
}

impl Service {
    async fn answer<T: Default>(&self, count: &AtomicU32) -> Result<Response<T>, Status> {
        let call = count.fetch_add(1, Ordering::SeqCst);
        match (self.script)(call) {
            Some(answer) => answer.map(|()| Response::new(T::default())),
            None => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl Kv for Service {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        self.answer(&self.counts.ranges).await
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.answer(&self.counts.puts).await
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}
