use super::*;

const EXT4: u64 = 0xef53;

const MOUNTINFO: &str = "\
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:23 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=24684084k
31 27 0:40 / /fast\\040disk rw - xfs /dev/nvme0n1 rw,attr2
32 27 0:41 / /container rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/tmp,workdir=/c
33 27 0:42 / /sealed rw - overlay overlay rw,upperdir=/nowhere/to/be/seen,workdir=/c
34 27 1:0 / /ramdisk rw - ext4 /dev/ram0 rw
";

fn number(directory: &Path) -> anyhow::Result<u64> {
    let is_under = |above| directory.starts_with(above);
    Ok(if is_under("/dev/shm") {
        TMPFS
    } else if is_under("/container") || is_under("/sealed") {
        OVERLAY
    } else {
        EXT4
    })
}

fn checked(directory: &str) -> Result<String, String> {
    let mounts = parse_mounts(MOUNTINFO);
    check(Path::new(directory), &mounts, &number).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_disk_is_named_by_the_nearest_mount() {
    assert_eq!(
        checked("/home/quorate/target"),
        Ok("ext4 (/dev/vda)".to_owned())
    );
    assert_eq!(
        checked("/fast disk/data"),
        Ok("xfs (/dev/nvme0n1)".to_owned())
    );
}

#[test]
fn memory_is_refused() {
    for memory in ["/dev/shm/data", "/ramdisk/data"] {
        let refusal = checked(memory).expect_err("memory");
        assert!(refusal.contains("memory"), "{refusal}");
        assert!(refusal.contains("--data-dir"), "{refusal}");
    }
}

#[test]
fn an_overlay_is_what_lies_under_it() {
    assert_eq!(
        checked("/container/data"),
        Ok("overlay on ext4 (/dev/vda)".to_owned())
    );
    let on_memory = |directory: &Path| {
        let is_upper = directory.starts_with("/tmp");
        Ok(if is_upper { TMPFS } else { OVERLAY })
    };
    let mounts = parse_mounts(MOUNTINFO);
    let refusal = check(Path::new("/container/data"), &mounts, &on_memory).expect_err("memory");
    assert!(format!("{refusal:#}").contains("in memory"), "{refusal:#}");
}

#[test]
fn an_overlay_whose_ground_cannot_be_seen_is_refused() {
    let refusal = checked("/sealed/data").expect_err("not to be seen");
    assert!(refusal.contains("cannot be seen"), "{refusal}");
}

#[test]
fn the_kernel_says_that_shared_memory_is_memory() {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        let found = filesystem_number(shared).expect("statfs");
        assert_eq!(found, TMPFS, "{found:#x}");
    }
}

#[test]
fn an_fdatasync_faster_than_any_disk_is_told() {
    let description = |fdatasync_us_median| Description {
        filesystem: "ext4 (/dev/vda)".to_owned(),
        fdatasync_us_median,
    };
    assert!(description(3).warning().is_some());
    assert!(description(400).warning().is_none());
}
