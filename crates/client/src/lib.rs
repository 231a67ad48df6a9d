//! A thin async client of the etcd v3 API.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod stubs;
