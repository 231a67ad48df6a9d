//! A stream whose other side must say something soon.
//!
//! Which protocol a connection speaks is known from its first bytes, and hyper waits for them without end. So whoever
//! connects and says nothing, or half of a word, would hold one of a bounded number of connections for ever; on the
//! peer port a few hundred of those would keep the true peers out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What tells one protocol from the other: HTTP/2's preface (RFC 9113, §3.4). A request over HTTP/1 that is shorter
/// has been answered long before the time is over.
const ENOUGH_BYTES: usize = 24;

/// A stream that fails its reads when too little has come in time.
pub(crate) struct FirstWords<S> {
    stream: S,
    heard_bytes: usize,
    /// None once enough was heard.
    time: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstWords<S> {
    /// Gives the other side `time` for its first bytes.
    pub(crate) fn within(time: Duration, stream: S) -> FirstWords<S> {
        FirstWords {
            stream,
            heard_bytes: 0,
            time: Some(Box::pin(sleep(time))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(time) = &mut self.time else {
            return read;
        };
        if read.is_pending() && time.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.heard_bytes += buffer.filled().len() - filled;
        if self.heard_bytes >= ENOUGH_BYTES {
            self.time = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstWords<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const TIME: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn silence_ends_in_an_error() {
        let (mut far, near) = duplex(64);
        far.write_all(b"PRI").await.expect("taken");
        let mut near = FirstWords::within(TIME, near);
        let mut buffer = [0; 3];
        near.read_exact(&mut buffer).await.expect("it was said");
        let error = near
            .read_exact(&mut buffer)
            .await
            .expect_err("no more comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_has_said_enough_may_be_silent() {
        let (mut far, near) = duplex(64);
        let mut near = FirstWords::within(TIME, near);
        let mut buffer = [0; ENOUGH_BYTES];
        far.write_all(&buffer).await.expect("taken");
        near.read_exact(&mut buffer).await.expect("it was said");
        assert!(near.time.is_none());
    }
}
