//! The table of real faults, a row for each.

mod clock_jumps;
mod crashes;
mod damaged_files;
mod disk_full;
mod late_messages;
mod lost_packets;
mod partitions;
mod pauses;
mod power_cuts;
mod slow_disk;
mod stale_reads;
mod sync_errors;

use crate::network;
use crate::real_faults::{FILE_SYSTEM_PROGRAMS, STRACE};
use crate::trial::Trial;

/// One kind of fault.
pub(crate) struct Row {
    /// The sentence that it proves.
    pub(crate) name: &'static str,
    /// What it runs.
    pub(crate) programs: &'static [&'static str],
    /// Why this machine cannot do it, beside a lack of programs.
    pub(crate) obstacle: fn() -> Option<String>,
    pub(crate) run: fn(&mut Trial),
}

fn none() -> Option<String> {
    None
}

const fn row(name: &'static str, programs: &'static [&'static str], run: fn(&mut Trial)) -> Row {
    Row {
        name,
        programs,
        obstacle: none,
        run,
    }
}

/// All of them.
pub(crate) const ROWS: &[Row] = &[
    row(
        "a_stale_read_and_a_lost_write_are_found_out",
        &network::PROGRAMS,
        stale_reads::run,
    ),
    row(
        "killed_nodes_come_back_with_all_they_acknowledged",
        &[STRACE],
        crashes::run,
    ),
    row(
        "a_paused_node_serves_nothing_stale_when_it_goes_on",
        &[],
        pauses::run,
    ),
    row(
        "a_node_that_is_cut_off_one_way_or_both_serves_nothing_stale",
        &network::PROGRAMS,
        partitions::run,
    ),
    row(
        "lost_packets_lose_no_write",
        &network::PROGRAMS,
        lost_packets::run,
    ),
    row(
        "late_repeated_and_overtaken_messages_and_broken_connections_lose_no_write",
        &network::PROGRAMS,
        late_messages::run,
    ),
    row(
        "a_power_cut_takes_nothing_that_was_acknowledged",
        &FILE_SYSTEM_PROGRAMS,
        power_cuts::run,
    ),
    row(
        "a_full_disk_stops_its_node_and_loses_nothing",
        &FILE_SYSTEM_PROGRAMS,
        disk_full::run,
    ),
    row(
        "an_error_of_the_disk_stops_its_node_and_loses_nothing",
        &[STRACE],
        sync_errors::run,
    ),
    row("a_slow_disk_loses_nothing", &[STRACE], slow_disk::run),
    Row {
        name: "a_wall_clock_that_jumps_harms_nothing",
        programs: &[],
        obstacle: clock_jumps::obstacle,
        run: clock_jumps::run,
    },
    row(
        "a_damaged_log_is_repaired_from_the_other_members",
        &[],
        damaged_files::run,
    ),
];
