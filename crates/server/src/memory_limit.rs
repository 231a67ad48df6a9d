//! How much memory this process may take: the least of its control groups' limits and the machine's.
//!
//! Where it is written is Linux's (`Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`): version 2 has
//! one hierarchy with `memory.max` in each group, version 1 one for memory with `memory.limit_in_bytes`. A group is
//! also bounded by those above it. In a container the path in `/proc/self/cgroup` may be one of the host's that is
//! not seen there; then the root of what is seen is the container's own group.

use std::path::{Path, PathBuf};

const GROUPS_V2: &str = "/sys/fs/cgroup";
const GROUPS_V1: &str = "/sys/fs/cgroup/memory";

/// In bytes; none if nothing says.
pub(crate) fn memory_limit() -> Option<u64> {
    let of_groups = std::fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|groups| group_limit(&groups, |file| std::fs::read_to_string(file).ok()));
    let of_machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|memory| memory_total(&memory));
    of_groups.into_iter().chain(of_machine).min()
}

/// The least limit of the groups that a process of these groups is in.
fn group_limit(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            return Vec::new();
        };
        if controllers.is_empty() {
            files(GROUPS_V2, path, "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            files(GROUPS_V1, path, "memory.limit_in_bytes")
        } else {
            Vec::new()
        }
    });
    // "max" is no number, and version 1 writes a number beyond all memory.
    let numbers = limits.filter_map(|file| read(&file)?.trim().parse::<u64>().ok());
    numbers.min()
}

/// The file of that name in the group at `path` and in all above it.
fn files(root: &str, path: &str, name: &str) -> Vec<PathBuf> {
    let below = Path::new(path.trim_start_matches('/'));
    let groups = below.ancestors();
    groups
        .map(|group| Path::new(root).join(group).join(name))
        .collect()
}

fn memory_total(memory: &str) -> Option<u64> {
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        group_limit(groups, |file| {
            let found = files.iter().find(|(path, _)| Path::new(path) == file);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn a_group_is_bounded_by_those_above_it() {
        let files = [
            ("/sys/fs/cgroup/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "4000\n"),
            (
                "/sys/fs/cgroup/system.slice/quorate.service/memory.max",
                "9000\n",
            ),
        ];
        let groups = "0::/system.slice/quorate.service\n";
        assert_eq!(limit(groups, &files), Some(4_000));
        assert_eq!(limit("0::/elsewhere\n", &files), None);
    }

    #[test]
    fn a_container_that_does_not_see_its_path_has_the_limit_of_what_it_sees() {
        let files = [("/sys/fs/cgroup/memory.max", "5000\n")];
        assert_eq!(limit("0::/../../host/path\n", &files), Some(5_000));
    }

    #[test]
    fn the_old_hierarchy_of_memory_counts_and_the_others_do_not() {
        let files = [(
            "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
            "7000\n",
        )];
        let groups = "5:cpu,cpuacct:/docker\n4:memory:/docker\n1:name=systemd:/docker\n";
        assert_eq!(limit(groups, &files), Some(7_000));
        assert_eq!(limit("nonsense\n", &files), None);
    }

    #[test]
    fn the_machine_counts_in_kibibytes() {
        let memory = "MemTotal:        2048 kB\nMemFree:  1 kB\n";
        assert_eq!(memory_total(memory), Some(2 << 20));
        assert_eq!(memory_total("MemFree: 1 kB\n"), None);
    }
}
