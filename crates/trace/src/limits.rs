//! How much a trace may hold, and why.

/// Events that a [`Recorder`](crate::Recorder) keeps; the oldest go first. The page draws so many
/// without a stutter and its file stays near ten megabytes; whoever looks for the cause of a
/// failure looks at its end.
pub const DEFAULT_MAX_EVENTS: usize = 50_000;

/// Bytes that a recorder's events may take in memory; the oldest go first. A browser takes several
/// times as much for the page.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// Bytes of one state text; the rest is cut and said to be. Enough for the whole status of a node,
/// far from enough for its log.
pub const MAX_STATE_BYTES: usize = 16 << 10;

/// Bytes of any other text (a summary, a label, a note). Longer ones cannot be read in a picture.
pub const MAX_TEXT_BYTES: usize = 1 << 10;

/// Columns. Beyond it they are too narrow to read on any screen.
pub const MAX_SERVERS: usize = 32;

/// Messages under way, and operations not answered, that a [`Moment`](crate::Moment) remembers;
/// the oldest are forgotten first. Only a caller that never says what became of its messages
/// reaches it.
pub const MAX_UNDER_WAY: usize = 10_000;

/// Labels of a server's newest entries that a [`ServerState`](crate::ServerState) remembers: what
/// fits on the page beside the log.
pub const MAX_LABELS: usize = 64;

/// The narrowest text: below it a column would hold nothing.
pub const MIN_TEXT_WIDTH: usize = 60;
