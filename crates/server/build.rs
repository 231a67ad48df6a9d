//! Makes the tonic stubs: servers for etcd's services, both halves for what members say to each
//! other. The messages are `quorate-proto`'s types.

use std::path::Path;
use std::{env, error, fs};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// etcd's packages, whose types live in `quorate_proto` in a module of the same name.
const PACKAGES: [&str; 5] = [
    "authpb",
    "etcdserverpb",
    "mvccpb",
    "v3electionpb",
    "v3lockpb",
];

/// What members say to each other, in `quorate_proto::peer`.
const PEER_PACKAGE: &str = "quorate.peer.v1";

fn main() -> Result<(), Box<dyn error::Error>> {
    // Set by the build script of `quorate-proto`, through its `links` key.
    let path = env::var("DEP_QUORATE_PROTO_DESCRIPTORS")?;
    println!("cargo::rerun-if-changed={path}");
    let descriptors = FileDescriptorSet::decode(&*fs::read(path)?)?;
    let (peer, etcd): (Vec<_>, Vec<_>) = descriptors
        .file
        .into_iter()
        .partition(|file| file.package() == PEER_PACKAGE);
    // What the JSON gateway translates by, and what gRPC reflection shows: etcd's services alone.
    let etcd = FileDescriptorSet { file: etcd };
    let kept = Path::new(&env::var("OUT_DIR")?).join("etcd.descriptors");
    fs::write(kept, etcd.encode_to_vec())?;

    let mut builder = tonic_prost_build::configure()
        .build_client(false)
        .build_server(true);
    for package in PACKAGES {
        builder = builder.extern_path(format!(".{package}"), format!("::quorate_proto::{package}"));
    }
    builder.compile_fds(etcd)?;

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .extern_path(format!(".{PEER_PACKAGE}"), "::quorate_proto::peer")
        .compile_fds(FileDescriptorSet { file: peer })?;
    Ok(())
}
