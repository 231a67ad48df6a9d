//! What the picture of a world is told. Nothing here has a say in what happens: without a picture
//! each of these does nothing.

use quorate_proto::peer;
use quorate_raft::{Fetch, LogIndex};
use quorate_replica::{Effects, wire};
use quorate_trace::{FaultId, FaultKind, MessageId, OperationId, Run};

use super::{Asked, Op, Outcome, Process, World};
use crate::picture::{Picture, runs_of};

/// The messages of a frame, as the picture names them; none without one.
pub(crate) type Letters = Vec<MessageId>;

/// What the world remembers for its picture.
pub(crate) struct WorldPicture {
    pub(crate) picture: Picture,
    /// Each cut that lasts, and the directions it blocks.
    cuts: Vec<(FaultId, Vec<(usize, usize)>)>,
    /// The pause of each node: a new one takes the place of an old one.
    pauses: Vec<Option<FaultId>>,
    /// By number of operation.
    operations: Vec<OperationId>,
}

impl WorldPicture {
    pub(crate) fn new(title: String, command: String, plan: &super::Plan) -> WorldPicture {
        let positions = plan.nodes + plan.newcomers;
        let names = (1..=positions).map(|node| format!("n{node}"));
        let mut picture = Picture::new(title, names.collect());
        let about = [command, plan.in_words()];
        about
            .into_iter()
            .for_each(|line| picture.recorder.about(line));
        WorldPicture {
            picture,
            cuts: Vec::new(),
            pauses: vec![None; positions],
            operations: Vec::new(),
        }
    }
}

impl World {
    /// Shows the picture the world as it is, if there is a picture.
    fn draw<R: Default>(&mut self, draw: impl FnOnce(&mut WorldPicture, &World, u64) -> R) -> R {
        let Some(mut picture) = self.picture.take() else {
            return R::default();
        };
        let now = self.now.as_nanos();
        // Drawing reads logs, and must not change what the world does next.
        let drawn = chaos::without(|| draw(&mut picture, self, now));
        self.picture = Some(picture);
        drawn
    }

    pub(super) fn draw_start(&mut self, node: usize) {
        self.draw(|drawn, world, _| {
            let process = world.process(node);
            let status = process.consensus.status().raft;
            let log = log_of(process);
            let listed = process.files.list().map(|list| list.snapshots);
            let marks = listed.unwrap_or_default().into_iter().map(|id| id.mark);
            let mut its = marks.filter(|mark| LogIndex(mark.index) == status.snapshot_index);
            let snapshot_term = its.next().map_or(0, |mark| mark.term);
            let applied = process.applied.index;
            drawn
                .picture
                .started(world.now, node, &status, snapshot_term, log, applied);
        });
    }

    /// After a turn of consensus, before its messages leave.
    pub(super) fn draw_consensus(&mut self, node: usize, effects: &Effects) {
        self.draw(|drawn, world, _| {
            let process = world.process(node);
            let status = process.consensus.status().raft;
            let write = effects.write.as_ref().map(|request| &request.write);
            let applied = process.applied.index;
            drawn.picture.look(world.now, node, &status, applied, write);
        });
    }

    /// After a turn of the applier.
    pub(super) fn draw_applied(&mut self, node: usize) {
        self.draw(|drawn, world, at| {
            let applied = world.process(node).applied.index;
            let recorder = &mut drawn.picture.recorder;
            let state = &recorder.now().servers[node];
            let view = quorate_trace::View {
                role: state.role,
                term: state.term,
                vote: state.vote,
                leader: state.leader,
                commit: state.commit,
                applied,
            };
            recorder.observe(at, node, view);
        });
    }

    /// Something about a node that is no event of its own.
    pub(super) fn draw_note(&mut self, node: usize, words: impl FnOnce(&World) -> String) {
        self.draw(|drawn, world, at| {
            let text = words(world);
            drawn.picture.recorder.note(at, Some(node), text);
        });
    }

    /// A frame leaves.
    pub(super) fn draw_frame(&mut self, from: usize, to: usize, frame: &peer::Frame) -> Letters {
        self.draw(|drawn, world, _| {
            let (_, messages) = wire::decode_frame(frame).expect("what we encode is sound");
            let each = messages.iter();
            each.map(|message| drawn.picture.sent(world.now, from, to, message))
                .collect()
        })
    }

    /// The network makes a second one of a frame.
    pub(super) fn draw_second(&mut self, letters: &Letters) -> Letters {
        self.draw(|drawn, _, at| {
            let recorder = &mut drawn.picture.recorder;
            let each = letters.iter();
            each.map(|letter| recorder.duplicated(at, *letter))
                .collect()
        })
    }

    /// What became of a frame: it arrived, or why it did not.
    pub(super) fn draw_arrival(&mut self, letters: &Letters, lost: Option<&str>) {
        self.draw(|drawn, _, at| {
            for letter in letters {
                match lost {
                    None => drawn.picture.recorder.received(at, *letter),
                    Some(why) => drawn.picture.recorder.lost(at, *letter, why),
                }
            }
        });
    }

    pub(super) fn draw_crash(&mut self, node: usize, label: &str) {
        self.draw(|drawn, _, at| drawn.picture.recorder.crashed(at, node, label));
    }

    /// Directions in which nothing passes from now on.
    pub(super) fn draw_cut(
        &mut self,
        blocked: Vec<(usize, usize)>,
        groups: Vec<Vec<usize>>,
        label: &str,
    ) {
        self.draw(|drawn, _, at| {
            let groups: Vec<Vec<usize>> =
                groups.into_iter().filter(|side| !side.is_empty()).collect();
            if groups.len() > 1 {
                let recorder = &mut drawn.picture.recorder;
                let fault = recorder.fault_began(at, FaultKind::Partition, groups, label);
                drawn.cuts.push((fault, blocked));
            }
        });
    }

    /// Some directions are open again: a cut of which nothing is left is over.
    pub(super) fn draw_cuts_ended(&mut self) {
        self.draw(|drawn, world, at| {
            let WorldPicture { picture, cuts, .. } = drawn;
            cuts.retain(|(fault, blocked)| {
                let lasts = blocked
                    .iter()
                    .any(|(from, to)| !world.network.passes(*from, *to));
                if !lasts {
                    picture.recorder.fault_ended(at, *fault);
                }
                lasts
            });
        });
    }

    /// A process stands still until `paused_until`.
    pub(super) fn draw_pause(&mut self, node: usize) {
        self.draw(|drawn, world, at| {
            let until = world.members[node].paused_until.as_nanos();
            let groups = vec![vec![node]];
            let label = "the process stands still";
            let recorder = &mut drawn.picture.recorder;
            if let Some(earlier) = drawn.pauses[node] {
                recorder.fault_ended(at, earlier);
            }
            let fault = recorder.fault_until(at, until, FaultKind::Pause, groups, label);
            drawn.pauses[node] = Some(fault);
        });
    }

    /// Another process starts in the place of one that stood still.
    pub(super) fn draw_pause_ended(&mut self, node: usize) {
        self.draw(|drawn, _, at| {
            if let Some(fault) = drawn.pauses[node].take() {
                drawn.picture.recorder.fault_ended(at, fault);
            }
        });
    }

    /// A fault of a moment.
    pub(super) fn draw_struck(&mut self, kind: FaultKind, node: usize, label: &str) {
        self.draw(|drawn, _, at| {
            let recorder = &mut drawn.picture.recorder;
            recorder.fault_struck(at, kind, vec![vec![node]], label);
        });
    }

    pub(super) fn draw_healed(&mut self) {
        self.draw(|drawn, _, at| {
            drawn.cuts.clear();
            drawn.picture.recorder.healed(at);
            let words = "everything heals, and no one asks any more";
            drawn.picture.recorder.note(at, None, words);
        });
    }

    /// The newest operation begins.
    pub(super) fn draw_asked(&mut self, op: usize) {
        self.draw(|drawn, world, at| {
            let Op {
                client,
                node,
                asked,
                ..
            } = &world.ops[op];
            let client = client.map_or("test".to_owned(), |client| format!("c{}", client + 1));
            let recorder = &mut drawn.picture.recorder;
            let operation =
                recorder.operation_began(at, client, Some(*node), words_of_asked(op, asked));
            drawn.operations.push(operation);
        });
    }

    /// An operation has its outcome.
    pub(super) fn draw_ended(&mut self, op: usize) {
        self.draw(|drawn, world, at| {
            let ended = &world.ops[op];
            let Some((outcome, id)) = ended.outcome.as_ref().zip(drawn.operations.get(op)) else {
                return;
            };
            let kind = match outcome {
                Outcome::Acknowledged(_)
                | Outcome::Changed(_)
                | Outcome::Lives(_)
                | Outcome::ReadAt(_) => quorate_trace::Outcome::Done,
                Outcome::Failed(_) if ended.had_no_effect() => quorate_trace::Outcome::Refused,
                Outcome::Failed(_) | Outcome::Unknown => quorate_trace::Outcome::Unknown,
            };
            let recorder = &mut drawn.picture.recorder;
            recorder.operation_ended(at, *id, kind, outcome.words());
        });
    }
}

fn words_of_asked(op: usize, asked: &Asked) -> String {
    match asked {
        Asked::PutUnique => format!("put {}", super::clients::unique_key(op)),
        Asked::PutShared(key) => format!("put s/{key}"),
        Asked::DeleteShared(key) => format!("delete s/{key}"),
        Asked::Txn(key, version) => format!("put s/{key} if its version is {version}"),
        Asked::Compact(revision) => format!("compact to {revision}"),
        Asked::Read => "read".to_owned(),
        Asked::GrantLease(seconds) => format!("grant a lease of {seconds} s"),
        Asked::PutOnLease(lease) => format!("put {}", super::leases::key_on_lease(*lease, op)),
        Asked::RenewLease(lease) => format!("renew lease {lease}"),
        Asked::TimeOfLease(lease) => format!("how long does lease {lease} live?"),
        Asked::RevokeLease(lease) => format!("revoke lease {lease}"),
        Asked::Raw => "a test's own request".to_owned(),
    }
}

/// What a log that was just opened holds; what of it is damaged has no term that is known for sure.
fn log_of(process: &Process) -> Vec<Run> {
    let status = process.consensus.status().raft;
    let mut log = Vec::new();
    for index in status.first_index.0..=status.last_index.0 {
        let one = Fetch {
            first: LogIndex(index),
            last: LogIndex(index),
            max_bytes: usize::MAX,
        };
        match process.log_reader.read(one) {
            Ok(entries) => log.extend(runs_of(&entries)),
            Err(_) => log.push(Run::labelled(0, "damaged".to_owned())),
        }
    }
    log
}
