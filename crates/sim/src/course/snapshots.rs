//! Snapshots of the recording state machine: taken as it goes, pulled by who fell behind.
//!
//! As in the course, a snapshot is the list of all values that were applied, and one is due when the
//! 9th, 19th, 29th … command has been applied; right after it the log is forgotten (a store would keep
//! some of it for those who are a little behind; here they are made to need the snapshot). The
//! content is taken when it is due and goes into its file while other things happen; a crash in
//! between leaves a part of a file.
//!
//! The course's leader pushes a snapshot in one call. Ours offers it in the place of an `Append`, and
//! the follower pulls: one call for what it consists of, and one for each chunk, on the same network
//! as everything else, lost and counted like everything else. What does not come in time is given up;
//! what has come stays on the disk, and the next offer goes on from there.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_disk::{ErrorKind, SimDisk};
use quorate_proto::peer;
use quorate_raft::{InstallWanted, LogIndex, Membership, SnapshotMeta, Term};
use quorate_wal::snapshot::{Chunk, PartReceiver, SnapshotFiles, SnapshotId, SnapshotWriter, pair};
use quorate_wal::{Recovered, SnapshotMark, WalError};

use super::cluster::{Body, Cluster, Event};
use super::network::Call;
use super::server::node_id;

/// Small, so that snapshots of some hundred values have several.
pub(crate) const CHUNK_BYTES: u32 = 2 << 10;

/// How long an answer is waited for: twice what an unreliable network takes at the most.
const PATIENCE: Duration = Duration::from_millis(60);

const NO_FAULT: &str = "this disk fails only by crashing";

/// A state of the recording machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The last entry that it contains the effect of.
    pub(crate) mark: SnapshotMark,
    /// All commands that were applied, in order.
    pub(crate) commands: Vec<Bytes>,
}

impl Snapshot {
    /// The index, and each command behind its length; all numbers 8 bytes, little-endian.
    fn encode(&self) -> Vec<u8> {
        let mut out = self.mark.index.to_le_bytes().to_vec();
        for command in &self.commands {
            out.extend((command.len() as u64).to_le_bytes());
            out.extend_from_slice(command);
        }
        out
    }

    /// What [`Snapshot::encode`] made; none if it is of another index or makes no sense.
    fn decode(mark: SnapshotMark, mut content: Bytes) -> Option<Snapshot> {
        let number = |content: &mut Bytes| {
            let bytes = content.split_to_checked(8)?;
            Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
        };
        if number(&mut content)? != mark.index {
            return None;
        }
        let mut commands = Vec::new();
        while !content.is_empty() {
            let length = usize::try_from(number(&mut content)?).ok()?;
            commands.push(content.split_to_checked(length)?);
        }
        Some(Snapshot { mark, commands })
    }

    pub(crate) fn meta(&self, servers: usize) -> SnapshotMeta {
        SnapshotMeta {
            index: LogIndex(self.mark.index),
            term: Term(self.mark.term),
            membership: Membership::of_voters((0..servers).map(node_id).collect()),
        }
    }
}

/// The first bytes, if there are so many.
trait SplitToChecked: Sized {
    fn split_to_checked(&mut self, count: usize) -> Option<Self>;
}

impl SplitToChecked for Bytes {
    fn split_to_checked(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.len()).then(|| self.split_to(count))
    }
}

/// What a process has to do with snapshots.
pub(crate) struct Snapshots {
    pub(crate) files: SnapshotFiles<SimDisk>,
    /// The one that goes into its file.
    taking: Option<(Snapshot, SnapshotWriter<SimDisk>)>,
    /// The newest that fell due meanwhile.
    due: Option<Snapshot>,
    pull: Option<Pull>,
    /// What consensus wanted last, while another was pulled.
    wanted: Option<InstallWanted>,
    questions: u64,
}

struct Pull {
    wanted: InstallWanted,
    /// Once it is known what the snapshot consists of.
    receiver: Option<PartReceiver<SimDisk>>,
    /// The question that is open; answers to earlier ones come too late.
    question: u64,
}

/// A question about a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    number: u64,
    mark: SnapshotMark,
    /// Which chunk; none: what does it consist of?
    chunk: Option<u64>,
}

impl Query {
    /// What it asks, for a picture.
    fn words(&self) -> String {
        let through = self.mark.index;
        match self.chunk {
            None => format!("what is your snapshot through {through}?"),
            Some(number) => format!("chunk {number} of your snapshot through {through}"),
        }
    }
}

/// The answer to one.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    number: u64,
    part: Option<Part>,
}

impl Reply {
    /// What it says, for a picture.
    fn words(&self) -> String {
        match &self.part {
            None => "I no longer have it".to_owned(),
            Some(Part::Description(id)) => match id.chunk_count() {
                1 => "it is in one chunk".to_owned(),
                count => format!("it is in {count} chunks"),
            },
            Some(Part::Chunk(chunk)) => {
                format!("chunk {}, {} bytes", chunk.number, chunk.data.len())
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Description(SnapshotId),
    Chunk(Chunk),
}

impl Snapshots {
    pub(crate) fn new(files: SnapshotFiles<SimDisk>) -> Snapshots {
        Snapshots {
            files,
            taking: None,
            due: None,
            pull: None,
            wanted: None,
            questions: 0,
        }
    }

    /// The next question, if something is pulled and not complete.
    fn ask(&mut self) -> Option<(usize, Query)> {
        self.questions += 1;
        let number = self.questions;
        let pull = self.pull.as_mut()?;
        pull.question = number;
        let mark = to_log(pull.wanted.index, pull.wanted.term);
        let chunk = match &pull.receiver {
            None => None,
            Some(receiver) => Some(receiver.next_chunk()?),
        };
        let from = pull.wanted.from.0 as usize - 1;
        let query = Query {
            number,
            mark,
            chunk,
        };
        Some((from, query))
    }

    /// Takes an answer in.
    fn answered(&mut self, part: Part) -> Pulled {
        let pull = self.pull.as_mut().expect("its question is open");
        match (&mut pull.receiver, part) {
            (None, Part::Description(id)) => {
                pull.receiver = Some(self.files.receive(id).expect(NO_FAULT));
            }
            (Some(receiver), Part::Chunk(chunk)) => receiver.receive(&chunk).expect(NO_FAULT),
            (_, part) => unreachable!("{part:?} was not asked for"),
        }
        let receiver = pull.receiver.take_if(|one| one.next_chunk().is_none());
        match receiver.map(PartReceiver::finish) {
            None => Pulled::More,
            Some(Err(WalError::Disk(error))) if error.kind == ErrorKind::NotFound => {
                Pulled::Covered
            }
            Some(finished) => {
                finished.expect(NO_FAULT);
                Pulled::Done
            }
        }
    }
}

/// How a pull stands after an answer.
enum Pulled {
    More,
    /// The snapshot is durable here.
    Done,
    /// What was received is gone: this server has marked a snapshot of its own that covers it.
    Covered,
}

/// What the log calls this position.
pub(crate) fn to_log(index: LogIndex, term: Term) -> SnapshotMark {
    SnapshotMark {
        index: index.0,
        term: term.0,
    }
}

/// The snapshot that a start begins with, if any.
pub(crate) fn at_start(recovered: &Recovered, files: &SnapshotFiles<SimDisk>) -> Option<Snapshot> {
    files.tidy().expect(NO_FAULT);
    let start = pair(recovered, files).expect("some snapshot goes together with the log");
    Some(load(files, start.snapshot?.mark))
}

fn load(files: &SnapshotFiles<SimDisk>, mark: SnapshotMark) -> Snapshot {
    let mut reader = files.read(mark).expect(NO_FAULT);
    let mut content = Vec::new();
    for number in 0..reader.id().chunk_count() {
        content.extend_from_slice(&reader.chunk(number).expect(NO_FAULT).data);
    }
    Snapshot::decode(mark, content.into()).expect("a snapshot holds what it was made of")
}

impl Cluster {
    /// Takes a snapshot if the entry that was applied last makes one due.
    pub(super) fn snapshot_if_due(&mut self, server: usize, mark: SnapshotMark) {
        let Some(every) = self.setup.snapshot_every else {
            return;
        };
        let Some(commands) = self.recorder.commands_if_last(server, mark.index) else {
            return;
        };
        if !(commands.len() as u64 + 1).is_multiple_of(every) {
            return;
        }
        let commands = commands.to_vec();
        self.process(server).snapshots.due = Some(Snapshot { mark, commands });
        self.take_what_is_due(server);
    }

    fn take_what_is_due(&mut self, server: usize) {
        let delay = self.random.micros(20, 1_000);
        let life = self.servers[server].life;
        let snapshots = &mut self.process(server).snapshots;
        if snapshots.taking.is_some() {
            return;
        }
        if let Some(due) = snapshots.due.take() {
            let mut writer = snapshots.files.write(due.mark).expect(NO_FAULT);
            writer.write(&due.encode()).expect(NO_FAULT);
            snapshots.taking = Some((due, writer));
            self.after(delay, Event::SnapshotWritten { server, life });
        }
    }

    /// A snapshot is whole on the disk: the log may forget what it covers.
    pub(super) fn on_snapshot_written(&mut self, server: usize) {
        let (now, servers) = (self.now, self.servers.len());
        let process = self.process(server);
        let taken = process.snapshots.taking.take();
        let (snapshot, writer) = taken.expect("one is being written");
        writer.finish().expect(NO_FAULT);
        let meta = snapshot.meta(servers);
        let keep_from = meta.index.next();
        process.raft.snapshot_taken(now, meta, keep_from);
        self.take_what_is_due(server);
        self.wake(server);
    }

    /// Consensus wants a snapshot of a peer's.
    pub(super) fn want_snapshot(&mut self, server: usize, wanted: InstallWanted) {
        self.process(server).snapshots.wanted = Some(wanted);
        self.pull_what_is_wanted(server);
    }

    fn pull_what_is_wanted(&mut self, server: usize) {
        let snapshots = &mut self.process(server).snapshots;
        if snapshots.pull.is_some() {
            return;
        }
        if let Some(wanted) = snapshots.wanted.take() {
            snapshots.pull = Some(Pull {
                wanted,
                receiver: None,
                question: 0,
            });
            self.ask(server);
        }
    }

    fn ask(&mut self, server: usize) {
        let snapshots = &mut self.process(server).snapshots;
        let (from, query) = snapshots.ask().expect("something is wanting");
        let bytes = request_bytes(server, from, &query);
        let letter = self.draw_words(server, from, "SnapshotPull", &query.words());
        let call = (Call::Snapshot, false);
        self.transmit(server, from, call, bytes, Body::Ask(query), letter);
        let life = self.servers[server].life;
        let question = query.number;
        let timeout = Event::PullTimedOut {
            server,
            life,
            question,
        };
        self.after(PATIENCE, timeout);
    }

    /// A server answers from its disk.
    pub(super) fn on_asked(&mut self, asker: usize, server: usize, query: Query) {
        let read = self.process(server).snapshots.files.read(query.mark);
        let part = read.ok().map(|mut reader| match query.chunk {
            None => Part::Description(reader.id()),
            Some(number) => Part::Chunk(reader.chunk(number).expect(NO_FAULT)),
        });
        let reply = Reply {
            number: query.number,
            part,
        };
        let bytes = reply_bytes(&reply);
        let letter = self.draw_words(server, asker, "SnapshotPart", &reply.words());
        let call = (Call::Snapshot, true);
        self.transmit(server, asker, call, bytes, Body::Reply(reply), letter);
    }

    pub(super) fn on_reply(&mut self, server: usize, reply: Reply) {
        let (now, setup) = (self.now, self.setup);
        let process = self.process(server);
        let pull = process.snapshots.pull.as_ref();
        let Some(wanted) = pull
            .filter(|pull| pull.question == reply.number)
            .map(|pull| pull.wanted)
        else {
            return;
        };
        let Some(part) = reply.part else {
            return self.give_up(server);
        };
        match process.snapshots.answered(part) {
            Pulled::More => return self.ask(server),
            Pulled::Covered => return self.give_up(server),
            Pulled::Done => {}
        }
        process.snapshots.pull = None;
        let snapshot = load(&process.snapshots.files, to_log(wanted.index, wanted.term));
        process.installed(now, &setup, &snapshot);
        self.pull_what_is_wanted(server);
        self.wake(server);
    }

    /// No answer came in time.
    pub(super) fn on_pull_timed_out(&mut self, server: usize, question: u64) {
        let pull = self.process(server).snapshots.pull.as_ref();
        if pull.is_some_and(|pull| pull.question == question) {
            self.give_up(server);
        }
    }

    fn give_up(&mut self, server: usize) {
        let now = self.now;
        let process = self.process(server);
        process.snapshots.pull = None;
        process.raft.install_failed(now);
        self.pull_what_is_wanted(server);
        self.wake(server);
    }

    /// The state machine is loaded from the snapshot that the log goes on after.
    pub(super) fn restore(&mut self, server: usize, index: LogIndex) {
        let files = &self.process(server).snapshots.files;
        let list = files.list().expect(NO_FAULT).snapshots;
        let mut marks = list.iter().map(|id| id.mark);
        let mark = marks.find(|mark| mark.index == index.0);
        let snapshot = load(files, mark.expect("a snapshot that was installed is here"));
        if let Err(what) = self.recorder.restore(server, &snapshot) {
            self.broken.get_or_insert(what);
        }
        self.installed += 1;
        self.process(server).raft.applied(index);
    }
}

/// What the question takes on the connection that snapshots have of their own.
fn request_bytes(asker: usize, asked: usize, query: &Query) -> u64 {
    let handshake = peer::Handshake {
        cluster_id: 1,
        member_id: node_id(asker).0,
        boot_nonce: 1,
        lowest_protocol_version: 1,
        highest_protocol_version: 1,
        receiver_id: node_id(asked).0,
        ..peer::Handshake::default()
    };
    let request = peer::SnapshotRequest {
        handshake: Some(handshake),
        index: query.mark.index,
        term: query.mark.term,
        first_chunk: query.chunk,
    };
    request.encoded_len() as u64
}

fn reply_bytes(reply: &Reply) -> u64 {
    use peer::snapshot_part::Body;
    let body = reply.part.as_ref().map(|part| match part {
        Part::Description(id) => Body::Description(peer::SnapshotDescription {
            index: id.mark.index,
            term: id.mark.term,
            bytes: id.bytes,
            checksum: id.checksum,
            chunk_bytes: id.chunk_bytes,
        }),
        Part::Chunk(chunk) => Body::Chunk(peer::SnapshotChunk {
            number: chunk.number,
            data: chunk.data.clone(),
            checksum: chunk.checksum,
        }),
    });
    peer::SnapshotPart { body }.encoded_len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_it_was_written_and_of_its_index_alone() {
        let mark = SnapshotMark { index: 9, term: 2 };
        let commands = ["", "a", "15"].map(|text| Bytes::from_static(text.as_bytes()));
        let snapshot = Snapshot {
            mark,
            commands: commands.to_vec(),
        };
        let content = Bytes::from(snapshot.encode());
        assert_eq!(Snapshot::decode(mark, content.clone()), Some(snapshot));
        let other = SnapshotMark { index: 8, term: 2 };
        assert_eq!(Snapshot::decode(other, content.clone()), None);
        assert_eq!(
            Snapshot::decode(mark, content.slice(..content.len() - 1)),
            None
        );
    }
}
