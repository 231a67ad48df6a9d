//! The command line: puts the parts together.
#![forbid(unsafe_code)]

fn main() {
    println!("quorate {}", env!("CARGO_PKG_VERSION"));
}
