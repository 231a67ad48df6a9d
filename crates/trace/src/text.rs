//! A trace as columns of text: time on the left, then one column per server.
//!
//! A server's column begins with its lifeline, whose sign is its role and whose colour is its term;
//! what happens to the server stands right of it. A message is drawn when it arrives, from lifeline
//! to lifeline; a lost one stops short of its goal. The daily round (heartbeats) is left out and
//! counted. Rows are as few as they can be: changes of different servers at one time share one.

mod grid;
mod words;

use grid::{Line, Style, wrap};

use crate::limits::MIN_TEXT_WIDTH;
use crate::{Event, Fault, FaultKind, Moment, Role, Sent, Trace, What};

/// Cells for the time and the blank after it.
const TIME_WIDTH: usize = 11;
/// Rows between two heads: about a screenful, so that the names are always in sight.
const ROWS_BETWEEN_HEADS: usize = 48;

/// The trace as text, `width` cells wide (at least [`MIN_TEXT_WIDTH`]); made for 100 to 160 cells
/// and three to seven servers. With `colour`, ANSI escape sequences colour it by term.
pub fn render_text(trace: &Trace, width: usize, colour: bool) -> String {
    let mut columns = Columns::new(trace, width.max(MIN_TEXT_WIDTH), colour);
    columns.title();
    let mut rest = &trace.events[..];
    while let Some(first) = rest.first() {
        let together = columns.take_together(rest);
        if together > 0 {
            columns.server_changes(first, &rest[..together]);
            rest = &rest[together..];
        } else {
            columns.other_event(first);
            rest = &rest[1..];
        }
    }
    columns.end();
    columns.out
}

/// A piece of a cell: words and their look.
type Words = (String, Style);

struct Columns<'a> {
    trace: &'a Trace,
    width: usize,
    column: usize,
    colour: bool,
    now: Moment,
    out: String,
    /// Lines of each server that share the next rows, and their time.
    block: Vec<Vec<Words>>,
    block_at: u64,
    told_at: Option<u64>,
    rows_since_head: usize,
    routine: u64,
}

impl<'a> Columns<'a> {
    fn new(trace: &'a Trace, width: usize, colour: bool) -> Columns<'a> {
        let count = trace.servers.len().max(1);
        let mut now = trace.start.clone();
        let missing = count.saturating_sub(now.servers.len());
        now.servers.extend(Moment::new(missing).servers);
        Columns {
            trace,
            width,
            column: (width - TIME_WIDTH) / count,
            colour,
            now,
            out: String::new(),
            block: vec![Vec::new(); count],
            block_at: 0,
            told_at: None,
            rows_since_head: 0,
            routine: 0,
        }
    }

    fn title(&mut self) {
        self.free_line(&self.trace.title, Style::BOLD);
        for line in &self.trace.about {
            self.free_line(line, Style::PLAIN);
        }
        for line in words::LEGEND {
            self.free_line(line, Style::DIM);
        }
        if self.trace.dropped > 0 {
            let dropped = self.trace.dropped;
            let words = format!("{dropped} earlier events are missing: there were too many.");
            self.free_line(&words, Style::ALARM);
        }
        if self.trace.left_out > 0 {
            let left_out = self.trace.left_out;
            let words = format!("Begins after the first {left_out} events, as was asked.");
            self.free_line(&words, Style::DIM);
        }
        self.head();
    }

    fn head(&mut self) {
        let mut line = Line::blank(self.width);
        line.put(0, &format!("{:>10}", "ms"), Style::DIM);
        for (server, name) in self.trace.servers.iter().enumerate() {
            let name: String = name.chars().take(self.column - 1).collect();
            line.put(self.lifeline(server), &name, Style::BOLD);
        }
        line.finish(self.colour, &mut self.out);
        self.rows_since_head = 0;
    }

    fn end(&mut self) {
        self.flush();
        if self.routine > 0 {
            let count = self.routine;
            let words = format!("Not shown: heartbeats and their answers ({count}).");
            self.free_line(&words, Style::DIM);
        }
    }

    /// A line outside the columns.
    fn free_line(&mut self, words: &str, style: Style) {
        for part in wrap(words, self.width) {
            let mut line = Line::blank(self.width);
            line.put(0, &part, style);
            line.finish(self.colour, &mut self.out);
        }
    }

    fn lifeline(&self, server: usize) -> usize {
        TIME_WIDTH + server * self.column
    }

    /// A row with its time, if that is news, and every lifeline.
    fn row(&mut self, at: u64) -> Line {
        if self.rows_since_head >= ROWS_BETWEEN_HEADS {
            self.out.push('\n');
            self.head();
        }
        self.rows_since_head += 1;
        let mut line = Line::blank(self.width);
        if self.told_at != Some(at) {
            self.told_at = Some(at);
            line.put(0, &words::milliseconds(at), Style::DIM);
        }
        for server in 0..self.trace.servers.len() {
            let (sign, style) = self.sign(server);
            line.put(self.lifeline(server), sign, style);
        }
        line
    }

    /// The lifeline's sign: what the server is now.
    fn sign(&self, server: usize) -> (&'static str, Style) {
        let state = &self.now.servers[server];
        let mut style = Style::of_term(state.term);
        let faults = self.now.faults.values();
        let struck = |kind: FaultKind| {
            let mut of_kind = faults.clone().filter(|fault| fault.kind == kind);
            of_kind.any(|fault| fault.groups.iter().flatten().any(|one| *one == server))
        };
        let sign = match state.role {
            _ if !state.up => " ",
            _ if struck(FaultKind::Pause) => "┊",
            Role::Leader => {
                style.bold = true;
                "┃"
            }
            Role::Candidate | Role::PreCandidate => "╎",
            Role::Follower => "│",
        };
        (sign, style)
    }

    /// How many of the events at the front are changes of one server at one time.
    fn take_together(&self, events: &[Event]) -> usize {
        let key = |event: &Event| Some((event.at, words::server_changed(&event.what)?));
        let Some(first) = key(&events[0]) else {
            return 0;
        };
        let alike = events.iter().take_while(|event| key(event) == Some(first));
        alike.count()
    }

    /// Several changes of one server at one time: they come into the block together.
    fn server_changes(&mut self, first: &Event, events: &[Event]) {
        let Some(server) = words::server_changed(&first.what) else {
            return;
        };
        let before = self.now.servers[server].clone();
        // Rows that wait were drawn up before this change: so must their lifelines be.
        if self.block_at != first.at || !self.block[server].is_empty() {
            self.flush();
        }
        for event in events {
            self.now.apply(event);
        }
        let after = &self.now.servers[server];
        let told = events.iter().map(|event| &event.what);
        let lines = words::of_changes(told, &before, after, &self.trace.servers, self.column - 2);
        self.block_at = first.at;
        self.block[server] = lines;
    }

    fn flush(&mut self) {
        let room = self.column.saturating_sub(2).max(1);
        let block: Vec<Vec<Words>> = self.block.iter_mut().map(std::mem::take).collect();
        let wrapped = |lines: Vec<Words>| -> Vec<Words> {
            let each = lines.into_iter().flat_map(|(words, style)| {
                let parts = wrap(&words, room).into_iter();
                parts.map(move |part| (part, style)).collect::<Vec<_>>()
            });
            each.collect()
        };
        let block: Vec<Vec<Words>> = block.into_iter().map(wrapped).collect();
        let height = block.iter().map(Vec::len).max().unwrap_or(0);
        for number in 0..height {
            let mut line = self.row(self.block_at);
            for (server, lines) in block.iter().enumerate() {
                if let Some((words, style)) = lines.get(number) {
                    let x = self.lifeline(server) + 2;
                    line.put(x, words, *style);
                    for (at, entry, term) in words::entries_in(words) {
                        line.put(x + at, entry, Style::of_term(term));
                    }
                }
            }
            line.finish(self.colour, &mut self.out);
        }
    }

    /// Messages, faults, operations and notes.
    fn other_event(&mut self, event: &Event) {
        self.flush();
        match &event.what {
            What::Received { message } => self.arrow(event.at, *message, None),
            What::Lost { message, why } => self.arrow(event.at, *message, Some(why)),
            What::FaultBegan { .. } | What::FaultEnded { .. } => {
                self.fault(event);
                return;
            }
            What::OperationBegan {
                client,
                server,
                request,
                ..
            } => {
                let words = format!("◁ {client}: {request}");
                self.of_someone(event.at, *server, &words, Style::PLAIN);
            }
            What::OperationEnded {
                operation,
                outcome,
                answer,
            } => {
                if let Some(began) = self.now.operations.get(operation).cloned() {
                    let words = words::of_answer(&began, *outcome, answer);
                    self.of_someone(event.at, began.server, &words, Style::PLAIN);
                }
            }
            What::Note { server, text } => {
                let words = format!("» {text}");
                self.of_someone(event.at, *server, &words, Style::BOLD);
            }
            _ => {}
        }
        self.now.apply(event);
    }

    fn fault(&mut self, event: &Event) {
        match &event.what {
            What::FaultBegan {
                groups,
                label,
                kind,
                ..
            } => {
                self.now.apply(event);
                let words = words::of_fault(*kind, groups, label, &self.trace.servers);
                self.across_or_at(event.at, groups, &format!("✖ {words}"), Style::ALARM);
            }
            What::FaultEnded { fault } => {
                let ended = self.now.faults.get(fault).cloned();
                self.now.apply(event);
                // The start that follows a crash says it, and what was of a moment has said it.
                let news = |ended: &Fault| ended.kind != FaultKind::Crash && ended.at != event.at;
                if let Some(ended) = ended.filter(news) {
                    let words = format!("✔ over: {}", ended.label);
                    self.across_or_at(event.at, &ended.groups, &words, Style::BOLD);
                }
            }
            _ => {}
        }
    }

    fn of_someone(&mut self, at: u64, server: Option<usize>, words: &str, style: Style) {
        match server {
            Some(server) => {
                self.block_at = at;
                self.block[server] = vec![(words.to_owned(), style)];
                self.flush();
            }
            None => self.across(at, words, style),
        }
    }

    fn across_or_at(&mut self, at: u64, groups: &[Vec<usize>], words: &str, style: Style) {
        match groups {
            [one] if one.len() == 1 => self.of_someone(at, Some(one[0]), words, style),
            _ => self.across(at, words, style),
        }
    }

    /// Words over all columns.
    fn across(&mut self, at: u64, words: &str, style: Style) {
        for part in wrap(words, self.width - TIME_WIDTH - 1) {
            let mut line = self.row(at);
            line.put(TIME_WIDTH, &" ".repeat(self.width), Style::PLAIN);
            line.put(TIME_WIDTH, &part, style);
            line.finish(self.colour, &mut self.out);
        }
    }

    fn arrow(&mut self, at: u64, message: u64, lost: Option<&str>) {
        let Some(sent) = self.now.messages.get(&message).cloned() else {
            return;
        };
        if sent.routine {
            self.routine += 1;
            return;
        }
        let mut line = self.row(at);
        self.draw_arrow(&mut line, &sent, lost);
        line.finish(self.colour, &mut self.out);
    }

    fn draw_arrow(&self, line: &mut Line, sent: &Sent, lost: Option<&str>) {
        let (from, goal) = (self.lifeline(sent.from), self.lifeline(sent.to));
        if from == goal {
            return;
        }
        // A lost one stops short of its goal, by so much that it is seen.
        let short = if lost.is_some() { self.column / 3 } else { 0 };
        let to = if from < goal {
            goal - short
        } else {
            goal + short
        };
        let style = Style::of_term(sent.term);
        let (left, right) = (from.min(to) + 1, from.max(to));
        for x in left..right {
            line.put(x, "─", style);
        }
        let rightwards = from < to;
        let label = words::of_message(sent, lost);
        let room = right.saturating_sub(left).saturating_sub(5);
        let label: String = match label.chars().count() > room {
            true => label
                .chars()
                .take(room.saturating_sub(1))
                .chain(['…'])
                .collect(),
            false => label,
        };
        let used = label.chars().count();
        let x = if rightwards {
            left + 2
        } else {
            right - 2 - used
        };
        line.put(
            x,
            &label,
            Style {
                bold: true,
                ..style
            },
        );
        match (rightwards, lost.is_some()) {
            (true, false) => line.put(to - 1, "►", style),
            (false, false) => line.put(to + 1, "◄", style),
            (true, true) => line.put(to - 1, "╳", Style::ALARM),
            (false, true) => line.put(to + 1, "╳", Style::ALARM),
        }
    }
}
