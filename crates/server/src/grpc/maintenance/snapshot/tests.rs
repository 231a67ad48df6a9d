use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;

use super::*;

/// So many pieces of so many bytes, then an error if there is one.
struct Given {
    pieces: u64,
    piece_bytes: u64,
    error: Option<quorate_wal::WalError>,
    given: Arc<std::sync::atomic::AtomicU64>,
}

impl Pieces for Given {
    fn bytes(&self) -> u64 {
        self.pieces * self.piece_bytes
    }

    fn next_piece(&mut self) -> Result<Option<Bytes>, quorate_wal::WalError> {
        let given = &self.given;
        let number = given.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if number < self.pieces {
            let piece = vec![number as u8; self.piece_bytes as usize];
            return Ok(Some(piece.into()));
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }
}

fn started(given: Given, stall: Duration) -> (Snapshot, Arc<Semaphore>) {
    let open = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&open).try_acquire_owned().expect("free");
    let header = ResponseHeader::default();
    (begin(Box::new(given), header, permit, stall, || ()), open)
}

fn given(pieces: u64) -> Given {
    Given {
        pieces,
        piece_bytes: 512,
        error: None,
        given: Arc::default(),
    }
}

#[tokio::test]
async fn what_remains_falls_to_nothing_and_the_hash_of_all_comes_last() {
    let (stream, open) = started(given(3), Duration::from_secs(60));
    let parts: Vec<_> = stream.map(|part| part.expect("a part")).collect().await;
    let remaining: Vec<u64> = parts.iter().map(|part| part.remaining_bytes).collect();
    assert_eq!(remaining, [1024, 512, 0, 0]);
    assert!(parts.iter().all(|part| part.header.is_some()));
    let (hash, content) = parts.split_last().expect("parts");
    let mut expected = Sha256::new();
    content.iter().for_each(|part| expected.update(&part.blob));
    assert_eq!(hash.blob[..], expected.finalize()[..]);
    assert_eq!(open.available_permits(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_a_few_pieces_and_is_given_up() {
    let mut large = given(1_000_000);
    let read = Arc::clone(&large.given);
    large.piece_bytes = 1;
    let (mut stream, _open) = started(large, Duration::from_millis(50));
    let failed = || {
        let failure = stream.shared.failure.lock();
        failure.expect("not poisoned").is_some()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !failed() {
        assert!(std::time::Instant::now() < deadline, "it is waited for");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let read = read.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(read as usize, BACKUP_PIECES_READ_AHEAD + 1);
    // Should it read on after all: it is told, and does not take what it has for all.
    let ended = stream.next().await.expect("an answer");
    let refused = ended.expect_err("given up");
    assert_eq!(refused.code(), tonic::Code::DeadlineExceeded);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_file_that_turns_out_to_be_damaged_breaks_the_stream_off() {
    let mut broken = given(1);
    broken.error = Some(quorate_wal::WalError::SnapshotDamaged {
        file: "snapshot".to_owned(),
        offset: 7,
        chunk: None,
        what: "rot".to_owned(),
    });
    let (mut stream, _open) = started(broken, Duration::from_secs(60));
    let mut last = None;
    while let Some(part) = stream.next().await {
        last = Some(part);
    }
    let refused = last.expect("an end").expect_err("no end without a word");
    assert_eq!(refused.code(), tonic::Code::DataLoss);
}

#[tokio::test]
async fn a_client_that_goes_ends_what_is_read_for_it() {
    let open = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&open).try_acquire_owned().expect("free");
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    let long = Duration::from_secs(3600);
    let pieces = Box::new(given(1_000_000));
    let mut stream = begin(pieces, ResponseHeader::default(), permit, long, || {
        let _ = ended.send(());
    });
    assert!(stream.next().await.is_some());
    drop(stream);
    let ended = tokio::time::timeout(Duration::from_secs(30), has_ended).await;
    ended
        .expect("it ends before its stall is over")
        .expect("it ended");
}
