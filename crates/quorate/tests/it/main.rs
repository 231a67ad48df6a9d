//! The binary from outside: what it prints, where, and how it exits.
#![forbid(unsafe_code)]

mod command_line;
