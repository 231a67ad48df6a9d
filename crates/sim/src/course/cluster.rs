//! Servers, what lies between them, and the queue of what happens next.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer;
use quorate_raft::{Envelope, Instant, Ready};
use quorate_replica::{PeerMessage, wire};
use quorate_trace::MessageId;

use super::network::{Network, Sent};
use super::picture::CoursePicture;
use super::recorder::Recorder;
use super::server::{Server, Setup, Started, node_id};
use crate::Random;

/// What happens at a point of time.
pub(crate) enum Event {
    /// A server does what is due.
    Turn {
        server: usize,
        life: u64,
        token: u64,
    },
    /// A server's log is durable.
    Written {
        server: usize,
        life: u64,
    },
    Deliver(Box<Delivery>),
    /// A task of the scenario goes on.
    Task(usize),
}

/// A message on its way.
pub(crate) struct Delivery {
    from: usize,
    to: usize,
    to_life: u64,
    sent: Sent,
    bytes: u64,
    frame: peer::Frame,
    letter: Option<MessageId>,
}

pub(crate) struct Cluster {
    pub(crate) now: Instant,
    pub(crate) random: Random,
    queue: BTreeMap<(Instant, u64), Event>,
    made: u64,
    setup: Setup,
    pub(crate) servers: Vec<Server>,
    pub(crate) network: Network,
    pub(crate) recorder: Recorder,
    /// What the recorder found wrong.
    pub(crate) broken: Option<String>,
    pub(crate) events: u64,
    /// Of all events: one seed, one hash.
    pub(crate) hash: u64,
    /// Is shown what happens; never asked.
    pub(super) picture: Option<Box<CoursePicture>>,
}

impl Cluster {
    /// So many servers, running and connected.
    pub(super) fn new(servers: usize, seed: u64, picture: Option<Box<CoursePicture>>) -> Cluster {
        let mut cluster = Cluster {
            now: Instant::ZERO,
            random: Random::new(seed),
            queue: BTreeMap::new(),
            made: 0,
            setup: Setup {
                servers,
                empty_entry_on_election: !seed.is_multiple_of(2),
            },
            servers: (0..servers).map(|_| Server::new()).collect(),
            network: Network::new(servers),
            recorder: Recorder::new(servers),
            broken: None,
            events: 0,
            hash: 0,
            picture,
        };
        for server in 0..servers {
            cluster.start_server(server);
            cluster.servers[server].is_connected = true;
        }
        cluster
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn at(&mut self, time: Instant, event: Event) {
        self.made += 1;
        self.queue.insert((time, self.made), event);
    }

    /// The next event; time moves on to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let ((time, _), event) = self.queue.pop_first()?;
        self.now = time;
        self.events += 1;
        self.absorb(time.as_nanos());
        Some(event)
    }

    fn absorb(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.hash = mixed ^ (mixed >> 29);
    }

    /// Handles an event that is not a task's.
    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Turn {
                server,
                life,
                token,
            } => {
                if self.lives(server, life) && self.process(server).wake_token == token {
                    self.turn(server);
                }
            }
            Event::Written { server, life } => {
                if self.lives(server, life) {
                    self.on_written(server);
                }
            }
            Event::Deliver(delivery) => self.on_deliver(*delivery),
            Event::Task(_) => unreachable!("the executor's"),
        }
    }

    fn lives(&self, server: usize, life: u64) -> bool {
        let server = &self.servers[server];
        server.life == life && server.process.is_some()
    }

    fn process(&mut self, server: usize) -> &mut super::server::Process {
        self.servers[server].process.as_mut().expect("it lives")
    }

    /// A server will soon do what is due; what arrives until then is handled together.
    fn wake(&mut self, server: usize) {
        let delay = self.random.micros(0, 50);
        self.wake_at(server, self.now + delay);
    }

    fn wake_at(&mut self, server: usize, time: Instant) {
        let life = self.servers[server].life;
        let process = self.process(server);
        if process.wakes_at.is_some_and(|at| at <= time) {
            return;
        }
        process.wakes_at = Some(time);
        process.wake_token += 1;
        let token = process.wake_token;
        self.at(
            time,
            Event::Turn {
                server,
                life,
                token,
            },
        );
    }

    /// Everything that consensus wants done now.
    fn turn(&mut self, server: usize) {
        // Of one that just started, only now is it certain that it stays as it is.
        self.draw_connection(server);
        let now = self.now;
        let process = self.process(server);
        process.wakes_at = None;
        process.raft.tick(now);
        loop {
            let process = self.process(server);
            if !process.raft.has_ready() {
                break;
            }
            let ready = process.raft.ready();
            self.carry_out(server, ready);
        }
        let process = self.process(server);
        process.settled();
        if let Some(deadline) = process.raft.deadline() {
            self.wake_at(server, deadline.max(now));
        }
    }

    fn carry_out(&mut self, server: usize, ready: Ready) {
        self.draw_consensus(server, &ready);
        for envelope in ready.send_now {
            self.send(server, envelope);
        }
        if let Some(write) = ready.write {
            let process = self.process(server);
            process.queue_write(write, ready.send_after);
            if !process.is_writing {
                self.begin_group(server);
            }
        }
        let last = ready.committed.last().map(|entry| entry.index);
        for entry in ready.committed {
            if let Err(what) = self.recorder.apply(server, entry) {
                self.broken.get_or_insert(what);
            }
        }
        if let Some(last) = last {
            self.process(server).raft.applied(last);
        }
        let now = self.now;
        for fetch in ready.fetch {
            self.process(server).fetch(now, fetch);
        }
    }

    /// The log's writer takes all that waits. It reaches the disk now or at the end of its time: a
    /// crash in between must not matter, since nobody was told.
    fn begin_group(&mut self, server: usize) {
        let delay = self.random.micros(50, 500);
        let at_once = self.random.percent(50);
        let life = self.servers[server].life;
        let process = self.process(server);
        process.is_writing = true;
        process.begin_group(at_once);
        self.after(delay, Event::Written { server, life });
    }

    fn on_written(&mut self, server: usize) {
        let now = self.now;
        let process = self.process(server);
        let (last, then_send) = process.end_group();
        process.is_writing = false;
        process.raft.wrote(now, last);
        let more = process.has_queue();
        for envelope in then_send {
            self.send(server, envelope);
        }
        if more {
            self.begin_group(server);
        }
        self.wake(server);
    }

    fn send(&mut self, from: usize, envelope: Envelope) {
        let to = envelope.to.0 as usize - 1;
        let call = envelope.message.clone();
        for frame in wire::encode_messages(vec![PeerMessage::Raft(envelope.message)]) {
            let bytes = frame.encoded_len() as u64;
            let sent = self.network.count(from, to, &call, bytes);
            let letter = self.draw_sent(from, to, &call);
            let is_enabled = self.servers[from].is_connected
                && self.servers[to].is_connected
                && self.servers[to].process.is_some();
            let delay = self.network.delay(sent, &mut self.random);
            let (true, Some(delay)) = (is_enabled, delay) else {
                let why = match () {
                    () if is_enabled => "dropped",
                    () if self.servers[to].process.is_none() => "no one there",
                    () => "cut off",
                };
                self.draw_arrival(letter, Some(why));
                continue;
            };
            let to_life = self.servers[to].life;
            let delivery = Delivery {
                from,
                to,
                to_life,
                sent,
                bytes,
                frame,
                letter,
            };
            self.after(delay, Event::Deliver(Box::new(delivery)));
        }
    }

    fn on_deliver(&mut self, delivery: Delivery) {
        let Delivery {
            from,
            to,
            to_life,
            sent,
            bytes,
            frame,
            letter,
        } = delivery;
        if !self.lives(to, to_life) {
            return self.draw_arrival(letter, Some("no one there"));
        }
        self.draw_arrival(letter, None);
        self.absorb(u64::from(frame.checksum));
        self.network.arrived(from, to, sent, bytes);
        let (_, messages) = wire::decode_frame(&frame).expect("what we encode is sound");
        let now = self.now;
        for message in messages {
            let PeerMessage::Raft(message) = message else {
                unreachable!("nothing else is sent here");
            };
            let received = self.process(to).raft.receive(now, node_id(from), message);
            if let Err(error) = received {
                self.broken
                    .get_or_insert(format!("server {to} refused a message: {error}"));
            }
        }
        self.wake(to);
    }

    /// A command for this server; none if it is down or does not lead.
    pub(crate) fn propose(&mut self, server: usize, command: Bytes) -> Option<Started> {
        let now = self.now;
        if !self.servers[server].process.as_ref()?.knows_its_log() {
            self.turn(server);
        }
        let started = self.process(server).propose(now, command)?;
        self.draw_proposal(server, started.index);
        self.wake(server);
        Some(started)
    }

    pub(crate) fn crash_server(&mut self, server: usize) {
        let seed = self.random.next();
        self.servers[server].is_connected = false;
        self.network.crashed(server);
        self.servers[server].crash(seed);
        self.draw_crash(server);
    }

    /// Starts a server that is down; it is not connected yet.
    pub(crate) fn start_server(&mut self, server: usize) {
        let (seed, now) = (self.random.next(), self.now);
        let log = self.servers[server].start(server, &self.setup, now, seed);
        self.draw_start(server, log);
        self.recorder.started(server);
        self.wake(server);
    }

    /// What every server is at, for the message of a failure.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for (number, server) in self.servers.iter().enumerate() {
            let link = match server.is_connected {
                true => "connected",
                false => "cut off",
            };
            let state = match &server.process {
                Some(process) => format!("{link}, {:?}", process.raft.status()),
                None => "down".to_owned(),
            };
            text += &format!("server {number}: {state}\n");
        }
        text
    }
}
