//! `snapshot save`: takes what one member streams, verifies it, and only then gives the file its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate_client::SnapshotStream;
use sha2::{Digest, Sha256};

use super::super::connect::ConnectArgs;
use super::super::failure::Failure;
use super::super::output::size;

/// The hash at the end of a snapshot, and what the length of the rest is a multiple of: by both etcd's tools know it.
const HASH_BYTES: usize = 32;
const BLOCK_BYTES: u64 = 512;

#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    override_usage = "quorate ctl snapshot save [OPTIONS] <FILE>"
)]
pub(super) struct SaveArgs {
    #[arg(value_name = "FILE", hide = true)]
    arguments: Vec<String>,
}

pub(super) async fn run(args: &SaveArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let [path] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments("snapshot save expects one argument"));
    };
    let client = connect.client()?;
    let mut connections = client.connections();
    let (Some(connection), None) = (connections.next(), connections.next()) else {
        let count = client.connections().count();
        return Err(Failure::bad_arguments(format!(
            "snapshot must be requested to one selected node, not multiple [{count} endpoints]"
        )));
    };
    let path = Path::new(path);
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut stream = connection.snapshot().await?;
    let saved = save(&mut stream, &part, path).await;
    if saved.is_err() {
        let _ = fs::remove_file(&part);
    }
    let saved = saved?;
    eprintln!(
        "{} ({} bytes) at revision {}, from {}",
        size(saved.bytes),
        saved.bytes,
        saved.revision,
        connection.endpoint()
    );
    super::super::print(format!("Snapshot saved at {}\n", path.display()).as_bytes())
}

struct Saved {
    bytes: u64,
    /// As the header says; 0 if there was none, as of etcd.
    revision: i64,
}

async fn save(stream: &mut SnapshotStream, part: &Path, path: &Path) -> Result<Saved, Failure> {
    let failed = |error: io::Error| Failure::error(format!("{}: {error}", part.display()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(part).map_err(failed)?;
    let mut check = HashCheck::default();
    let mut revision = 0;
    while let Some(answer) = stream.next().await? {
        revision = answer.header.map_or(revision, |header| header.revision);
        check.take(&answer.blob);
        file.write_all(&answer.blob).map_err(failed)?;
    }
    let bytes = check.finish().map_err(Failure::error)?;
    file.sync_all().map_err(failed)?;
    fs::rename(part, path).map_err(failed)?;
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    let synced = File::open(above).and_then(|directory| directory.sync_all());
    synced.map_err(|error| Failure::error(format!("{}: {error}", above.display())))?;
    Ok(Saved { bytes, revision })
}

/// Hashes all but the last bytes that came: those are the hash.
#[derive(Default)]
struct HashCheck {
    hash: Sha256,
    last: Vec<u8>,
    bytes: u64,
}

impl HashCheck {
    fn take(&mut self, blob: &[u8]) {
        self.bytes += blob.len() as u64;
        self.last.extend_from_slice(blob);
        let hashed = self.last.len().saturating_sub(HASH_BYTES);
        self.hash.update(&self.last[..hashed]);
        self.last.drain(..hashed);
    }

    /// The bytes in all, hash included.
    fn finish(self) -> Result<u64, String> {
        if self.bytes % BLOCK_BYTES != HASH_BYTES as u64 {
            return Err(format!(
                "sha256 checksum not found [bytes: {}]: the snapshot did not come whole",
                self.bytes
            ));
        }
        match self.hash.finalize()[..] == self.last[..] {
            true => Ok(self.bytes),
            false => Err(
                "the snapshot is not what its sha256 says: it was damaged on its way".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes it in pieces of so many bytes.
    fn check(bytes: &[u8], pieces: usize) -> Result<u64, String> {
        let mut check = HashCheck::default();
        bytes.chunks(pieces).for_each(|piece| check.take(piece));
        check.finish()
    }

    #[test]
    fn the_hash_is_found_however_the_pieces_fall() {
        for blocks in [0, 1, 3] {
            let mut bytes = vec![7; blocks * 512];
            let hash = Sha256::digest(&bytes);
            bytes.extend_from_slice(&hash);
            for pieces in [1, 31, 32, 33, 512, 5000] {
                assert_eq!(check(&bytes, pieces), Ok(bytes.len() as u64));
            }
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                assert!(check(&damaged, 100).is_err(), "byte {at}");
            }
            assert!(check(&bytes[..bytes.len() - 1], 100).is_err());
        }
    }
}
