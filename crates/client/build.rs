//! Makes the tonic client stubs of etcd's services; the messages are `quorate-proto`'s types.

use std::{env, error, fs};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// etcd's packages, whose types live in `quorate_proto` in a module of the same name. Peer messages
/// are no client's business.
const PACKAGES: [&str; 5] = [
    "authpb",
    "etcdserverpb",
    "mvccpb",
    "v3electionpb",
    "v3lockpb",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    // Set by the build script of `quorate-proto`, through its `links` key.
    let path = env::var("DEP_QUORATE_PROTO_DESCRIPTORS")?;
    println!("cargo::rerun-if-changed={path}");
    let mut descriptors = FileDescriptorSet::decode(&*fs::read(path)?)?;
    descriptors
        .file
        .retain(|file| PACKAGES.contains(&file.package()));

    let mut builder = tonic_prost_build::configure()
        .build_client(true)
        .build_server(false);
    for package in PACKAGES {
        builder = builder.extern_path(format!(".{package}"), format!("::quorate_proto::{package}"));
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
