//! The bytes on the wire: etcd v3 messages, peer messages, the command envelope.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
