//! Accepts connections on a port and serves HTTP/1.1 and HTTP/2 on them.
//!
//! Connections are bounded in number, headers and streams are bounded in size. Whoever speaks
//! neither protocol is cut off and counted; a fault of one connection never touches another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::bodies::{Charged, Requests, Rules};
use crate::core::Core;
use crate::error::ServerError;
use crate::first_words::FirstWords;
use crate::limits::{
    CLIENT_WINDOW_BYTES, IDLE_PROBE_AFTER, IDLE_PROBE_TIMEOUT, MAX_CLIENT_CONNECTIONS,
    MAX_HEADER_BYTES, MAX_PEER_CONNECTIONS, MAX_STREAMS_PER_CONNECTION,
    MAX_STREAMS_PER_PEER_CONNECTION, PEER_WINDOW_BYTES, TCP_KEEPALIVE,
};
use crate::metrics::Counted;
use crate::overdue::ConnectionEnd;

/// How long a connection may take to say which protocol it speaks, and its headers over HTTP/1.1.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed accept (out of file descriptors, say), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Client,
    Peer,
    Metrics,
}

impl Port {
    fn max_connections(self) -> usize {
        match self {
            Port::Client | Port::Metrics => MAX_CLIENT_CONNECTIONS,
            Port::Peer => MAX_PEER_CONNECTIONS,
        }
    }

    fn max_streams(self) -> u32 {
        match self {
            Port::Client | Port::Metrics => MAX_STREAMS_PER_CONNECTION,
            Port::Peer => MAX_STREAMS_PER_PEER_CONNECTION,
        }
    }

    fn window_bytes(self) -> u32 {
        match self {
            Port::Client | Port::Metrics => CLIENT_WINDOW_BYTES,
            Port::Peer => PEER_WINDOW_BYTES,
        }
    }

    fn rules(self, requests: &Requests) -> Rules {
        match self {
            Port::Client | Port::Metrics => Rules::Requests(requests.clone()),
            Port::Peer => Rules::Links,
        }
    }
}

/// Opens a port.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServerError::Listen {
            address,
            reason: error.to_string(),
        })
}

/// Serves `router` on `listener` until `stop` turns true.
pub(crate) async fn serve(
    core: Arc<Core>,
    listener: TcpListener,
    router: Router,
    port: Port,
    mut stop: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(port.max_connections()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            core.metrics.connections_refused.inc();
            continue;
        };
        tokio::spawn(connection(
            Arc::clone(&core),
            stream,
            Charged {
                rules: port.rules(&core.requests),
                end: ConnectionEnd::default(),
                inner: router.clone(),
            },
            port,
            permit,
            stop.clone(),
        ));
    }
}

async fn connection(
    core: Arc<Core>,
    stream: TcpStream,
    service: Charged<Router>,
    port: Port,
    permit: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) {
    // Without it a small answer may wait for the acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    if let Err(error) = keep_alive(&stream) {
        tracing::debug!(%error, "a connection is not probed when it is quiet");
    }
    let _counted = match port {
        Port::Client => Some(Counted::new(&core.metrics.client_connections)),
        Port::Peer => Some(Counted::new(&core.metrics.peer_connections)),
        Port::Metrics => None,
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(port.max_streams())
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(port.window_bytes())
        .initial_connection_window_size(port.window_bytes())
        .keep_alive_interval(IDLE_PROBE_AFTER)
        .keep_alive_timeout(IDLE_PROBE_TIMEOUT);
    let end = service.end.clone();
    let service = TowerToHyperService::new(service);
    let stream = FirstWords::within(HEADER_TIMEOUT, stream);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let served = async {
        tokio::select! {
            result = serving.as_mut() => result,
            () = stopped(&mut stop) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    };
    tokio::select! {
        result = served => if let Err(error) = result {
            core.metrics.connections_broken.inc();
            tracing::debug!(%error, "a connection ended badly");
        },
        () = end.wanted() => {
            core.metrics.connections_overdue.inc();
            tracing::warn!("a connection is ended, since others wait for what its client leaves unread or unfinished");
        }
    }
    drop(permit);
}

/// Has the system find out when the other side is gone.
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, TCP_KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, TCP_KEEPALIVE)
}

/// Waits until the server stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _ = stop.wait_for(|stop| *stop).await.map(|_| ());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quiet_connection_is_probed() {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_client, (stream, _)) = (client.expect("it listens"), accepted.expect("a client"));
        assert!(!sockopt::socket_keepalive(&stream).expect("told"));
        keep_alive(&stream).expect("set");
        assert!(sockopt::socket_keepalive(&stream).expect("told"));
        let times = [
            sockopt::tcp_keepidle(&stream),
            sockopt::tcp_keepintvl(&stream),
        ];
        assert_eq!(times, [Ok(TCP_KEEPALIVE); 2]);
    }

    #[tokio::test]
    async fn whoever_holds_what_others_wait_for_is_cut_off() {
        use axum::Extension;
        use axum::routing::get;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let core = crate::core::tests::without_threads();
        let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let hold = |Extension(end): Extension<ConnectionEnd>| async move {
            end.now();
            std::future::pending::<()>().await;
        };
        let router = Router::new().route("/hold", get(hold));
        let (_stop, stopped) = watch::channel(false);
        let serving = serve(Arc::clone(&core), listener, router, Port::Client, stopped);
        let serving = tokio::spawn(serving);
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let request = b"GET /hold HTTP/1.1\r\nhost: here\r\n\r\n";
        client.write_all(request).await.expect("it is open");
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer);
        let read = tokio::time::timeout(HEADER_TIMEOUT, read).await;
        assert_eq!(read.expect("it ends").expect("without a fault"), 0);
        assert_eq!(core.metrics.connections_overdue.get(), 1);
        serving.abort();
    }
}
