//! Runs the links: dialling, sending, losing, as `crates/server/src/peers` does.

use std::time::Duration;

use quorate_proto::peer;
use quorate_raft::{Instant, NodeId};
use quorate_replica::{PeerMessage, wire};

use super::event::Event;
use super::picture::Letters;
use super::{Input, World};
use crate::tally::{Fault, Rare, sometimes};

impl World {
    /// The server's `Peers::send`: into the queue of a link that is up, or nowhere.
    pub(super) fn send(&mut self, from: usize, peer: NodeId, message: PeerMessage) {
        let to = (peer.0 - 1) as usize;
        if let PeerMessage::Forward(proposals) = &message {
            for proposal in proposals {
                self.process_mut(from).note_forwarded(proposal.sequence);
            }
        }
        let link = self.network.link(from, to);
        if !link.up {
            return;
        }
        link.waiting.push(message);
        let number = link.number;
        if !std::mem::replace(&mut link.flush_due, true) {
            let delay = self.random.micros(0, 50);
            self.after(
                delay,
                Event::Flush {
                    from,
                    to,
                    link: number,
                },
            );
        }
    }

    pub(super) fn on_flush(&mut self, from: usize, to: usize, link: u64) {
        let state = self.network.link(from, to);
        if !state.up || state.number != link {
            return;
        }
        state.flush_due = false;
        let mut messages = std::mem::take(&mut state.waiting);
        if let Some(filter) = &mut self.filter {
            messages.retain(|message| filter(from, to, message));
        }
        for frame in wire::encode_messages(messages) {
            let letters = self.draw_frame(from, to, &frame);
            self.transmit(from, to, frame, letters);
        }
    }

    fn transmit(&mut self, from: usize, to: usize, mut frame: peer::Frame, letters: Letters) {
        let lost = self.chaos && self.random.percent(self.plan.loss_percent);
        if lost {
            self.tally.injected(Fault::FrameLost);
        }
        if lost || !self.network.passes(from, to) {
            self.note(|_| format!("n{} ─╳ n{}: a frame is lost", from + 1, to + 1));
            let why = if lost { "dropped" } else { "cut off" };
            self.draw_arrival(&letters, Some(why));
            return;
        }
        if self.chaos && self.random.percent(self.plan.damage_percent) {
            self.spoil(&mut frame);
        }
        let twice = self.chaos && self.random.percent(self.plan.duplication_percent);
        if twice {
            self.network.duplicated += 1;
            self.tally.injected(Fault::FrameDuplicated);
            let late = self.random.micros(0, 400_000);
            let arrival = self.arrival(from, to) + late;
            let second = self.draw_second(&letters);
            self.deliver_at(arrival, (from, to), frame.clone(), second);
        }
        let arrival = self.arrival(from, to);
        self.deliver_at(arrival, (from, to), frame, letters);
    }

    fn arrival(&mut self, from: usize, to: usize) -> Instant {
        let mut arrival = self.now + self.random.micros(100, self.plan.latency_us);
        let overtakes = self.chaos && self.plan.reordering;
        let link = self.network.link(from, to);
        if overtakes {
            if arrival < link.last_arrival {
                self.tally.injected(Fault::FrameOvertaken);
            }
            link.last_arrival = link.last_arrival.max(arrival);
            return arrival;
        }
        arrival = arrival.max(link.last_arrival);
        link.last_arrival = arrival;
        arrival
    }

    fn deliver_at(
        &mut self,
        arrival: Instant,
        (from, to): (usize, usize),
        frame: peer::Frame,
        letters: Letters,
    ) {
        let to_life = self.members[to].life;
        self.at(
            arrival,
            Event::Deliver {
                from,
                to,
                to_life,
                frame: Box::new(frame),
                letters,
            },
        );
    }

    pub(super) fn on_deliver(
        &mut self,
        from: usize,
        to: usize,
        to_life: u64,
        frame: &peer::Frame,
        letters: &Letters,
    ) {
        if !self.network.passes(from, to) {
            return self.draw_arrival(letters, Some("cut off"));
        }
        if self.alive(to, to_life).is_none() {
            return self.draw_arrival(letters, Some("no one there"));
        }
        let Ok((handshake, messages)) = wire::decode_frame(frame) else {
            // Whoever hears such a thing ends the link.
            self.tally.reached(Rare::FrameRefused);
            self.draw_arrival(letters, Some("damaged"));
            return self.lose_link(from, to, Duration::from_millis(20));
        };
        self.draw_arrival(letters, None);
        assert!(handshake.is_none());
        let is_refusal = |message: &_| matches!(message, PeerMessage::ForwardRefused { .. });
        let refused = messages.iter().any(is_refusal);
        sometimes!(self.tally, Rare::ForwardRefused, refused);
        if self.turns_away(to, from) {
            return;
        }
        self.judge_versions(to, &messages);
        let from = self.members[from].id;
        self.tell(to, Input::Received(from, messages));
    }

    pub(super) fn on_dial(&mut self, from: usize, life: u64, to: usize) {
        if self.alive(from, life).is_none() {
            return;
        }
        let passes = self.members[to].process.is_some()
            && self.network.passes(from, to)
            && self.network.passes(to, from)
            && self.versions_meet(from, to);
        let answers =
            passes && self.knows(from, to) && !self.turns_away(to, from) && self.knows(to, from);
        if !answers {
            let pause = self.random.micros(50_000, 500_000);
            self.after(pause, Event::Dial { from, life, to });
            return;
        }
        let link = self.network.link(from, to);
        link.number += 1;
        link.up = true;
        link.waiting.clear();
        link.flush_due = false;
        let peer = self.members[to].id;
        let speaks = self.process(to).speaks;
        self.tell(from, Input::LinkUp(peer, speaks));
    }

    /// The dialler notices that its link is gone, and dials again.
    pub(super) fn on_link_down(&mut self, from: usize, life: u64, to: usize, number: u64) {
        let link = self.network.link(from, to);
        if !link.up || link.number != number {
            return;
        }
        link.up = false;
        link.waiting.clear();
        if self.alive(from, life).is_none() {
            return;
        }
        let peer = self.members[to].id;
        self.tell(from, Input::LinkLost(peer));
        let pause = self.random.micros(10_000, 100_000);
        self.after(pause, Event::Dial { from, life, to });
    }

    /// The transport will notice within `most` that the link is gone.
    pub fn lose_link(&mut self, from: usize, to: usize, most: Duration) {
        let life = self.members[from].life;
        let link = self.network.link(from, to).number;
        let delay = self.random.micros(0, most.as_micros() as u64);
        self.after(
            delay,
            Event::LinkDown {
                from,
                life,
                to,
                link,
            },
        );
    }

    /// A process has ended: its own links with it at once, those of the others when they notice.
    pub(super) fn links_of_the_dead(&mut self, node: usize) {
        for other in (0..self.members.len()).filter(|other| *other != node) {
            self.network.link(node, other).up = false;
            self.lose_link(other, node, Duration::from_millis(50));
        }
    }
}
