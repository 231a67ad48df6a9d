//! `snapshot status`: verifies a backup, and says what it holds.

use std::path::Path;

use clap::Args;
use quorate_server::{BackupStatus, check_backup};
use serde::Serialize;

use super::super::connect::ConnectArgs;
use super::super::failure::Failure;
use super::super::output::{Format, draw, size};

const AFTER_HELP: &str = "\
Prints hash, revision, total keys and size. The hash is a checksum of the content: two backups with the same hash
hold the same. Keys are counted as etcd counts them, every version and deletion that is still kept.

The exit code is 1 when the file is damaged, was cut, or is no snapshot of Quorate's.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true,
    override_usage = "quorate ctl snapshot status [OPTIONS] <FILE>")]
pub(super) struct StatusArgs {
    #[arg(value_name = "FILE", hide = true)]
    arguments: Vec<String>,
}

/// etcdctl's object.
#[derive(Serialize)]
struct Json {
    hash: u32,
    revision: i64,
    #[serde(rename = "totalKey")]
    total_keys: u64,
    #[serde(rename = "totalSize")]
    total_size: u64,
}

pub(super) fn run(args: &StatusArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    let format = connect.format()?;
    format.refuse_protobuf()?;
    let [path] = args.arguments.as_slice() else {
        return Err(Failure::bad_arguments(
            "snapshot status requires exactly one argument",
        ));
    };
    let status =
        check_backup(Path::new(path)).map_err(|error| Failure::error(error.to_string()))?;
    if !status.has_hash {
        eprintln!(
            "{path} is sound, but has no hash at its end: it was copied out of a data directory, and is restored with \
             --skip-hash-check"
        );
    }
    super::super::print(render(&status, format).as_bytes())
}

fn render(status: &BackupStatus, format: Format) -> String {
    let BackupStatus {
        hash,
        revision,
        total_keys,
        file_bytes,
        ..
    } = *status;
    let cells = [
        format!("{hash:x}"),
        revision.to_string(),
        total_keys.to_string(),
        size(file_bytes),
    ];
    match format {
        Format::Simple | Format::Protobuf => format!("{}\n", cells.join(", ")),
        Format::Table => draw(
            &["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"],
            &[cells.to_vec()],
        ),
        Format::Fields => format!(
            "\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {total_keys}\n\"Size\" : {file_bytes}\n"
        ),
        Format::Json => {
            let json = Json {
                hash,
                revision,
                total_keys,
                total_size: file_bytes,
            };
            let text = serde_json::to_string(&json);
            format!("{}\n", text.expect("numbers have a JSON form"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms_are_etcdctls() {
        let status = BackupStatus {
            hash: 0xbeef,
            revision: 12,
            compacted_revision: -1,
            total_keys: 30,
            live_keys: 10,
            leases: 0,
            file_bytes: 20_512,
            has_hash: true,
            applied: (40, 2),
            cluster_id: 1,
            member_id: 2,
        };
        let form = |format| render(&status, format);
        assert_eq!(form(Format::Simple), "beef, 12, 30, 20 kB\n");
        assert_eq!(
            form(Format::Fields),
            "\"Hash\" : 48879\n\"Revision\" : 12\n\"Keys\" : 30\n\"Size\" : 20512\n"
        );
        assert_eq!(
            form(Format::Json),
            "{\"hash\":48879,\"revision\":12,\"totalKey\":30,\"totalSize\":20512}\n"
        );
        assert_eq!(
            form(Format::Table),
            "+------+----------+------------+------------+\n\
             | HASH | REVISION | TOTAL KEYS | TOTAL SIZE |\n\
             +------+----------+------------+------------+\n\
             | beef |       12 |         30 |      20 kB |\n\
             +------+----------+------------+------------+\n"
        );
    }
}
