//! A plan in words: whoever replays a world wants to know first what kind of world it is.

use super::Plan;

impl Plan {
    /// What is most worth knowing, in a sentence.
    pub(crate) fn in_words(&self) -> String {
        format!(
            "{} and {}; a message takes up to {} µs, {} % are lost and {} % come \
             twice; a write to disk takes up to {} µs; {}.",
            counted(self.nodes, "node"),
            counted(self.clients, "client"),
            self.latency_us,
            self.loss_percent,
            self.duplication_percent,
            self.disk_us,
            self.snapshots()
        )
    }

    fn snapshots(&self) -> String {
        match self.snapshot_log_bytes {
            u64::MAX => "no snapshots".to_owned(),
            bytes => format!("a snapshot after {bytes} bytes of log"),
        }
    }

    /// All of it, a line for each subject: its name, and what is so in this world.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        // Every field by name, so that none can be forgotten here.
        let Plan {
            nodes,
            newcomers,
            change_every_ms,
            clients,
            chaos_ms,
            fault_every_ms,
            loss_percent,
            duplication_percent,
            reordering,
            latency_us,
            disk_us,
            slow_disk_percent,
            slow_applier_percent,
            keys_per_step,
            think_ms,
            segment_bytes,
            value_bytes,
            pre_vote,
            snapshot_log_bytes,
            bounds_log,
            snapshot_chunk_bytes,
            empty_entry_on_election,
            memory_log_bytes,
            append_bytes,
            election_timeout_ms,
            burst_percent,
            leader_percent,
            compact_percent,
            damage_percent,
            disk_faults,
            open_sites,
            record_every_ms,
            lease_reads,
            clock_drift_ppm,
            transfer_percent,
            lease_clients,
            lease_checkpoints,
        } = self;
        let leases = match *lease_clients {
            0 => "none".to_owned(),
            clients => counted(clients, "client"),
        };
        let noted = match *lease_checkpoints {
            true => "; the log is told how much of them is left",
            false => "",
        };
        let members = match *newcomers {
            0 => String::new(),
            _ => format!(
                ", and {newcomers} that may become members; a change of members every {change_every_ms} ms or so"
            ),
        };
        let faults = match *fault_every_ms {
            0 => "none".to_owned(),
            _ => format!(
                "every {fault_every_ms} ms or so for {:.3} s, then all heals; {burst_percent} % come together with \
                 the one before, {leader_percent} % strike whoever leads",
                *chaos_ms as f64 / 1e3
            ),
        };
        let overtaking = if *reordering {
            "overtake"
        } else {
            "never overtake"
        };
        let pre_vote = if *pre_vote { "ask" } else { "do not ask" };
        let empty_entry = if *empty_entry_on_election { "an" } else { "no" };
        let bound = if *bounds_log {
            ", however large the last one was"
        } else {
            ""
        };
        let (disk_errors, forged) = match *disk_faults {
            true => (
                "; some fail, fill up or rot",
                "; some are what no correct peer says",
            ),
            false => ("", ""),
        };
        let lease_reads = if *lease_reads {
            "on a lease"
        } else {
            "with a round"
        };
        let records = match *record_every_ms {
            0 => "told to nobody".to_owned(),
            every => format!("told every {every} ms"),
        };
        let bytes_of = |limit: &Option<usize>| match limit {
            None => "as many bytes as ever".to_owned(),
            Some(bytes) => counted(*bytes, "byte"),
        };
        let snapshots = match *snapshot_log_bytes {
            u64::MAX => "none".to_owned(),
            _ => format!(
                "{}{bound}; sent in chunks of {snapshot_chunk_bytes} bytes",
                self.snapshots()
            ),
        };
        vec![
            ("nodes", format!("{nodes}{members}")),
            (
                "clients",
                format!(
                    "{clients}, with a pause of {think_ms} ms or so between two requests; values of at least \
                     {value_bytes} bytes; {compact_percent} % of the requests compact"
                ),
            ),
            ("faults", faults),
            (
                "network",
                format!(
                    "a message takes up to {latency_us} µs; {loss_percent} % are lost, {duplication_percent} % come \
                     twice, {damage_percent} % damaged; they {overtaking} each other{forged}"
                ),
            ),
            (
                "disks",
                format!(
                    "a write takes up to {disk_us} µs, {slow_disk_percent} % of them up to 0.9 s more; segments of \
                     {segment_bytes} bytes{disk_errors}"
                ),
            ),
            (
                "store",
                format!(
                    "applies {} in a step, and {slow_applier_percent} % of the steps take up to 0.1 s more",
                    counted(*keys_per_step, "key")
                ),
            ),
            ("snapshots", snapshots),
            (
                "elections",
                format!(
                    "after {election_timeout_ms} ms without a leader, at least; nodes {pre_vote} before they \
                     campaign; a new leader appends {empty_entry} empty entry"
                ),
            ),
            (
                "log",
                format!(
                    "{} kept in memory, {} in one message",
                    bytes_of(memory_log_bytes),
                    bytes_of(append_bytes)
                ),
            ),
            (
                "reads",
                format!(
                    "a leader serves them {lease_reads}; clocks go wrong by up to {clock_drift_ppm} millionths"
                ),
            ),
            (
                "members",
                format!(
                    "what they acknowledged is {records}; {transfer_percent} % of their \
                     administrator's requests hand leadership over"
                ),
            ),
            ("leases", format!("{leases}{noted}")),
            ("chaos sites", sites_in_words(*open_sites)),
        ]
    }
}

/// The names of the sites that are open.
fn sites_in_words(open: u32) -> String {
    let sites = chaos::SITES.iter().enumerate();
    let names: Vec<&str> = sites
        .filter(|(place, _)| open >> place & 1 == 1)
        .map(|(_, site)| site.name)
        .collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// `1 node`, `3 nodes`.
fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_is_one_node() {
        let mut plan = Plan::quiet(1);
        plan.clients = 1;
        assert!(plan.in_words().starts_with("1 node and 1 client; "));
        assert!(
            Plan::quiet(3)
                .in_words()
                .starts_with("3 nodes and 0 clients; ")
        );
    }
}
