//! What happened in a cluster, made visible: a page to look at, and columns of text.
//!
//! Whoever runs a cluster in virtual time (a simulator, a test, an example) tells a [`Recorder`]
//! what happens, as it happens. The recorder makes a [`Trace`], which is plain data, and two
//! functions make it visible:
//!
//! - [`render_html`]: one page that needs nothing else, no network either. A column per server,
//!   time running downwards, messages as arrows, faults as bands, the log's entries coloured by
//!   term; to zoom, filter, search and step through.
//! - [`render_text`]: the same for a terminal.
//!
//! ```
//! use quorate_trace::{Letter, Recorder, Role, Run, View, render_html, render_text};
//!
//! let mut recorder = Recorder::new("Two servers", ["n1", "n2"]);
//! recorder.started(0, 0, quorate_trace::Start::default());
//! recorder.started(0, 1, quorate_trace::Start::default());
//! let leads = View { role: Role::Leader, term: 1, ..View::default() };
//! recorder.observe(1_000_000, 0, leads);
//! recorder.log(1_000_000, 0, None, vec![Run::labelled(1, "x = 1")]);
//! let append = Letter { from: 0, to: 1, kind: "Append", term: 1, summary: "1 entry", routine: false };
//! let message = recorder.sent(1_000_000, append);
//! recorder.received(2_500_000, message);
//! let trace = recorder.finish();
//! println!("{}", render_text(&trace, 100, false));
//! assert!(render_html(&trace).starts_with("<!DOCTYPE html>"));
//! ```
//!
//! # What holds
//!
//! - The crate knows nothing of Raft's code or the simulator's: servers are columns, numbered from
//!   0; terms and indexes are numbers; times are nanoseconds since a start of the caller's choosing,
//!   and never go back (`assert!`ed).
//! - Memory is bounded ([`limits`]). When events are dropped, they are the oldest, what they came to
//!   is kept as [`Trace::start`], and both renderings say how many are missing.
//! - Every text is hostile until it is escaped: the page treats it as text, never as markup or
//!   script, and forbids itself the network; the terminal gets no control characters.
//! - One trace gives one rendering, byte for byte: neither clock nor chance is asked.
//!
//! # Where to read on
//!
//! `event.rs` says what can happen, `moment.rs` what holds at one moment (the fold over events),
//! `recorder.rs` how it is recorded. `text.rs` draws columns; `html.rs` puts `page/` together, whose
//! scripts do the drawing in the browser.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod event;
mod html;
mod inputs;
pub mod limits;
mod moment;
mod recorder;
mod text;
mod trace;

pub use event::{Event, FaultKind, Outcome, Role, Run, What};
pub use html::render_html;
pub use inputs::{FaultId, Letter, Limits, MessageId, OperationId, Start, View};
pub use moment::{Fault, Moment, Operation, Sent, ServerState};
pub use recorder::Recorder;
pub use text::render_text;
pub use trace::Trace;
