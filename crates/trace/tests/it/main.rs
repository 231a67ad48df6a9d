//! The crate from outside: what is recorded is what is drawn.

mod html;
mod limits;
mod recording;
mod stories;
mod text;
