//! The seam of files on a real file system.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_disk::{Disk, DiskError, ErrorKind, File};

/// One directory of a real file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    directory: Arc<PathBuf>,
}

/// An open file of a [`RealDisk`].
#[derive(Clone, Debug)]
pub struct RealFile {
    file: Arc<fs::File>,
    path: Arc<PathBuf>,
}

impl RealDisk {
    /// The files of `directory`, which must exist.
    pub fn new(directory: &Path) -> RealDisk {
        RealDisk {
            directory: Arc::new(directory.to_owned()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn open_with(
        &self,
        name: &str,
        operation: &str,
        options: &OpenOptions,
    ) -> Result<RealFile, DiskError> {
        let path = self.path(name);
        let file = options
            .open(&path)
            .map_err(|error| failed(operation, &path, &error))?;
        Ok(RealFile {
            file: Arc::new(file),
            path: Arc::new(path),
        })
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn create(&self, name: &str) -> Result<RealFile, DiskError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        self.open_with(name, "create", &options)
    }

    fn open(&self, name: &str) -> Result<RealFile, DiskError> {
        self.open_with(name, "open", OpenOptions::new().read(true).write(true))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let path = self.path(from);
        fs::rename(&path, self.path(to))
            .map_err(|error| failed(&format!("rename (to {to})"), &path, &error))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(self.directory.as_path())? {
                // Whatever it is: a directory where a segment should be must not look like an empty log.
                if let Ok(name) = entry?.file_name().into_string() {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|error| failed("list", &self.directory, &error))
    }

    fn sync_directory(&self) -> Result<(), DiskError> {
        let sync = || fs::File::open(self.directory.as_path())?.sync_all();
        sync().map_err(|error| failed("sync", &self.directory, &error))
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            match self.file.read_at(&mut buffer[filled..], at) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(failed(&format!("read at byte {at} of"), &self.path, &error));
                }
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| failed(&format!("write at byte {offset} of"), &self.path, &error))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file
            .sync_data()
            .map_err(|error| failed("sync", &self.path, &error))
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file
            .set_len(length)
            .map_err(|error| failed(&format!("truncate (to {length} bytes)"), &self.path, &error))
    }

    fn length(&self) -> Result<u64, DiskError> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(|error| failed("stat", &self.path, &error))?
            .len())
    }
}

fn failed(operation: &str, path: &Path, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::Io,
    };
    DiskError {
        kind,
        operation: operation.to_owned(),
        file: path.display().to_string(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_listed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RealDisk::new(directory.path());
        let file = disk.create("a").expect("create");
        file.write_at(4, b"data").expect("write");
        file.sync().expect("sync");
        disk.rename("a", "b").expect("rename");
        disk.sync_directory().expect("sync");
        let mut buffer = [1; 10];
        assert_eq!(disk.open("b").expect("open").read_at(0, &mut buffer), Ok(8));
        assert_eq!(&buffer[..8], b"\0\0\0\0data");
        assert_eq!(disk.list(), Ok(vec!["b".to_owned()]));
        disk.remove("b").expect("remove");
        assert_eq!(disk.list(), Ok(vec![]));
    }

    #[test]
    fn what_is_no_file_is_listed_and_cannot_be_opened() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("a")).expect("made");
        let disk = RealDisk::new(directory.path());
        assert_eq!(disk.list(), Ok(vec!["a".to_owned()]));
        let error = disk.open("a").expect_err("not a file");
        assert!(error.reason.contains("Is a directory"), "{error}");
    }

    #[test]
    fn errors_have_kinds_and_name_the_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RealDisk::new(directory.path());
        assert_eq!(
            disk.open("a").expect_err("absent").kind,
            ErrorKind::NotFound
        );
        disk.create("a").expect("create");
        let error = disk.create("a").expect_err("taken");
        assert_eq!(error.kind, ErrorKind::AlreadyExists);
        assert!(
            error
                .to_string()
                .contains(&directory.path().join("a").display().to_string())
        );
        let full = RealDisk::new(Path::new("/dev"))
            .open("full")
            .expect("a device of Linux");
        assert_eq!(
            full.write_at(0, b"x").expect_err("always full").kind,
            ErrorKind::NoSpace
        );
    }
}
