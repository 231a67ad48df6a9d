//! Three nodes of Quorate beside three of etcd, driven by turns with one load generator.
#![forbid(unsafe_code)]

fn main() {}
