//! Turns every `.proto` file of the tree into plain prost types, without `protoc`.
//!
//! No service code is made here, so that this crate knows no transport. Crates that serve or call the services
//! make their stubs from the same descriptors: cargo hands them a file as `DEP_QUORATE_PROTO_DESCRIPTORS`.

// A build script works on files; the walls of the core are for the code it makes.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::{env, error, fs, io};

use prost::Message as _;

fn main() -> Result<(), Box<dyn error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors_path = Path::new(&env::var("OUT_DIR")?).join("descriptors.bin");
    println!("cargo::metadata=DESCRIPTORS={}", descriptors_path.display());

    let mut files = Vec::new();
    collect_protos(&root, &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    fs::write(descriptors_path, descriptors.encode_to_vec())?;
    prost_build::Config::new()
        // Keys and values are slices of the buffer they came in: no copy on decoding.
        .bytes(["."])
        .compile_fds(descriptors)?;
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
