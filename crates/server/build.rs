//! Makes the tonic server stubs of every service in `quorate-proto`'s files; the messages are that crate's types.

use std::path::{Path, PathBuf};
use std::{env, error, fs, io};

use prost_types::FileDescriptorSet;

/// Packages whose types live in `quorate_proto`, in a module of the same name.
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
    let root = PathBuf::from(env::var("DEP_QUORATE_PROTO_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    collect_protos(&root, &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    let (peer, etcd): (Vec<_>, Vec<_>) = descriptors
        .file
        .into_iter()
        .partition(|file| file.package() == PEER_PACKAGE);
    let mut builder = tonic_prost_build::configure()
        .build_client(false)
        .build_server(true);
    for package in PACKAGES {
        builder = builder.extern_path(format!(".{package}"), format!("::quorate_proto::{package}"));
    }
    builder.compile_fds(FileDescriptorSet { file: etcd })?;
    // A member speaks to its peers and listens to them: both halves.
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .extern_path(format!(".{PEER_PACKAGE}"), "::quorate_proto::peer")
        .compile_fds(FileDescriptorSet { file: peer })?;
    Ok(())
}

fn collect_protos(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}
