//! Where the data lies: a disk, or there is nothing to compare.
//!
//! On a file system in memory fsync costs nothing, and a store that calls it rarely looks like one that
//! calls it often. So such a place is refused. A disk may still lie about its writes; how long an
//! fdatasync takes is therefore measured and reported.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde::Serialize;

#[cfg(test)]
mod tests;

/// File systems by the number that statfs(2) gives them.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const OVERLAY: u64 = 0x794c_7630;

const PROBE_WRITES: usize = 100;
const PROBE_BYTES: usize = 4096;
/// No disk makes a write durable in less; one with a battery or capacitors may come near.
const FDATASYNC_US_SUSPICIOUS: u64 = 10;

/// A directory of our own, removed with everything in it when this is dropped.
pub(crate) struct Storage {
    directory: PathBuf,
    /// Made by us as well, if it was not there.
    above: Option<PathBuf>,
    pub(crate) description: Description,
}

/// What the report says of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Description {
    /// As in "ext4 (/dev/vda1)".
    pub(crate) filesystem: String,
    /// Of writes of 4 KiB over a file's existing blocks, each followed by fdatasync.
    pub(crate) fdatasync_us_median: u64,
}

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    kind: String,
    source: String,
    /// Where an overlay keeps what is written.
    upper: Option<PathBuf>,
}

/// Makes a directory in `root`, once it is known to be on a disk.
pub(crate) fn prepare(root: &Path) -> anyhow::Result<Storage> {
    let shown = root.display();
    let above = (!root.exists()).then(|| root.to_owned());
    fs::create_dir_all(root).with_context(|| format!("cannot make {shown}"))?;
    let root = fs::canonicalize(root).with_context(|| format!("cannot find {shown}"))?;
    let directory = root.join(format!("run-{}", std::process::id()));
    let mounts = parse_mounts(&fs::read_to_string("/proc/self/mountinfo")?);
    let filesystem = match check(&root, &mounts, &filesystem_number) {
        Ok(filesystem) => filesystem,
        Err(error) => {
            remove_if_empty(above.as_deref());
            return Err(error);
        }
    };
    fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut storage = Storage {
        directory,
        above,
        description: Description {
            filesystem,
            fdatasync_us_median: 0,
        },
    };
    storage.description.fdatasync_us_median = measure_fdatasync(&storage.directory)?;
    Ok(storage)
}

impl Storage {
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("cannot remove {}: {error}", self.directory.display());
        }
        remove_if_empty(self.above.as_deref());
    }
}

impl Description {
    /// What should make a reader doubt.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.fdatasync_us_median < FDATASYNC_US_SUSPICIOUS).then(|| {
            format!(
                "an fdatasync of {} µs has hardly reached a disk; put throughput here says little",
                self.fdatasync_us_median
            )
        })
    }
}

/// The file system's name and device, or why it will not do.
fn check(
    directory: &Path,
    mounts: &[Mount],
    number: &dyn Fn(&Path) -> anyhow::Result<u64>,
) -> anyhow::Result<String> {
    let shown = directory.display();
    let mount = mount_of(directory, mounts);
    match number(directory)? {
        TMPFS | RAMFS => bail!(
            "{shown} is on a file system in memory, where fsync costs nothing; name a directory on a disk with --data-dir"
        ),
        OVERLAY => {
            let upper = mount.and_then(|mount| mount.upper.as_ref());
            let Some(upper) = upper.filter(|upper| upper.exists()) else {
                bail!(
                    "{shown} is on an overlay (a container's root?), and what lies under it cannot be seen from here; \
                     name a directory on a disk with --data-dir"
                );
            };
            let below = check(upper, mounts, number)
                .with_context(|| format!("{shown} is on an overlay"))?;
            return Ok(format!("overlay on {below}"));
        }
        _ => {}
    }
    let Some(mount) = mount else {
        bail!("{shown} is on no file system that /proc/self/mountinfo lists");
    };
    if ["/dev/ram", "/dev/zram"]
        .iter()
        .any(|memory| mount.source.starts_with(memory))
    {
        bail!(
            "{shown} is on {}, which is memory; name a directory on a disk with --data-dir",
            mount.source
        );
    }
    Ok(format!("{} ({})", mount.kind, mount.source))
}

fn filesystem_number(directory: &Path) -> anyhow::Result<u64> {
    let found = rustix::fs::statfs(directory)
        .with_context(|| format!("cannot ask what file system {} is on", directory.display()))?;
    // The kernel's number has 32 bits, whatever the field's width and sign.
    Ok(found.f_type as u64 & 0xffff_ffff)
}

/// The mount whose point is nearest above; the last one, where several lie on one point.
fn mount_of<'a>(directory: &Path, mounts: &'a [Mount]) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| directory.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.as_os_str().len())
}

/// proc(5): fields are separated by spaces, and after a lone hyphen come type, source and options.
fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    let parse_line = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let mut tail = tail.split(' ');
        let (kind, source) = (tail.next()?, tail.next()?);
        let options = tail.next().unwrap_or_default();
        let upper = options
            .split(',')
            .find_map(|option| option.strip_prefix("upperdir="));
        Some(Mount {
            point: PathBuf::from(unescape(head.split(' ').nth(4)?)),
            kind: kind.to_owned(),
            source: unescape(source),
            upper: upper.map(|upper| PathBuf::from(unescape(upper))),
        })
    };
    mountinfo.lines().filter_map(parse_line).collect()
}

/// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

fn measure_fdatasync(directory: &Path) -> anyhow::Result<u64> {
    let path = directory.join("probe");
    let mut micros = Vec::with_capacity(PROBE_WRITES);
    let mut measure = || -> std::io::Result<()> {
        let file = File::create(&path)?;
        let block = [0x5a; PROBE_BYTES];
        for index in 0..PROBE_WRITES {
            file.write_all_at(&block, (index * PROBE_BYTES) as u64)?;
        }
        file.sync_all()?;
        for index in 0..PROBE_WRITES {
            let start = Instant::now();
            file.write_all_at(&block, (index * PROBE_BYTES) as u64)?;
            file.sync_data()?;
            micros.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        fs::remove_file(&path)
    };
    measure().with_context(|| format!("cannot write to {}", path.display()))?;
    micros.sort_unstable();
    Ok(micros[PROBE_WRITES / 2])
}

/// Best effort: it may hold what somebody else put there meanwhile.
fn remove_if_empty(directory: Option<&Path>) {
    if let Some(directory) = directory {
        let _ = fs::remove_dir(directory);
    }
}
