//! The tokio shell around a replica: gRPC, peer links, real files, threads, metrics.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod stubs;
