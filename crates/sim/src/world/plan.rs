//! What kind of world a seed makes: how many nodes, how bad the network, how slow the disks.

use crate::{Random, Recipe};

use super::leases::LeaseBook;

mod words;

/// The kind of a world: everything that is drawn before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Members of the cluster.
    pub nodes: usize,
    /// Nodes that may become members.
    pub newcomers: usize,
    /// The mean time between two changes of the members.
    pub change_every_ms: u64,
    /// Clients, each with one request outstanding.
    pub clients: usize,
    /// Virtual time during which things go wrong; then everything heals.
    pub chaos_ms: u64,
    /// The mean time between two faults; none if zero.
    pub fault_every_ms: u64,
    /// Frames that are lost.
    pub loss_percent: u64,
    /// Frames that arrive twice.
    pub duplication_percent: u64,
    /// Frames that arrive damaged.
    pub damage_percent: u64,
    /// Whether frames overtake each other on one link.
    pub reordering: bool,
    /// The longest a frame takes when all is well, in microseconds.
    pub latency_us: u64,
    /// The longest that a group of writes takes when all is well, in microseconds.
    pub disk_us: u64,
    /// Groups of writes that take up to 0.9 s more.
    pub slow_disk_percent: u64,
    /// Steps of an applier that take up to 0.1 s more.
    pub slow_applier_percent: u64,
    /// Keys in one step of the applier.
    pub keys_per_step: usize,
    /// The mean pause of a client between two requests.
    pub think_ms: u64,
    /// Size of the segments of the logs.
    pub segment_bytes: u64,
    /// Size of the values, at least.
    pub value_bytes: usize,
    /// Whether nodes ask before they campaign.
    pub pre_vote: bool,
    /// Bytes of entries after which a node takes a snapshot.
    pub snapshot_log_bytes: u64,
    /// Whether that is so however large the last snapshot was.
    pub bounds_log: bool,
    /// Bytes of a chunk of a snapshot.
    pub snapshot_chunk_bytes: u32,
    /// Whether a new leader appends an empty entry at once. Without it a leader that nobody asks to
    /// write leaves what it took over uncommitted, as in Figure 8 of the paper.
    pub empty_entry_on_election: bool,
    /// Bytes of entries that nodes keep in memory, if not as many as always.
    pub memory_log_bytes: Option<usize>,
    /// Bytes of entries in one message, if not as many as always: a log that fell behind is then
    /// caught up in many steps, and a change of leader finds it in the midst of them.
    pub append_bytes: Option<usize>,
    /// How often a leader tells what members acknowledged; zero is never, and then members that start
    /// ask nobody: what they forget by a bug of their own is not noticed by the others either.
    pub record_every_ms: u64,
    /// How long a leader may be silent, at least. Short ones make split votes: delays that are small
    /// beside half a second are not small beside these.
    pub election_timeout_ms: u64,
    /// Faults that come together with the one before, and often strike the same node.
    pub burst_percent: u64,
    /// Faults that strike whoever leads.
    pub leader_percent: u64,
    /// Of a hundred requests, how many compact. Without any, histories grow long.
    pub compact_percent: u64,
    /// Whether disks fail in use, and peers say what cannot be.
    pub disk_faults: bool,
    /// Chaos sites of the core that are open, one bit each, by their place in [`chaos::SITES`].
    pub open_sites: u32,
    /// Whether leaders serve reads on a lease.
    pub lease_reads: bool,
    /// How wrong the clocks that nodes measure time by go at most, in millionths: each at a speed of
    /// its own.
    pub clock_drift_ppm: u64,
    /// Of a hundred requests of whoever administrates the cluster, how many hand leadership over.
    pub transfer_percent: u64,
    /// Clients that have to do with leases.
    pub lease_clients: usize,
    /// Whether the log is told how much of leases is left.
    pub lease_checkpoints: bool,
}

/// As wrong as leases allow a clock to be (`LEASE_MARGIN_DIVISOR` of `quorate_raft`).
const WORST_CLOCK_DRIFT_PPM: u64 = 50_000;

impl Plan {
    /// A world in which nothing goes wrong unless a test makes it.
    pub fn quiet(nodes: usize) -> Plan {
        Plan {
            nodes,
            newcomers: 0,
            change_every_ms: 0,
            clients: 0,
            chaos_ms: 0,
            fault_every_ms: 0,
            loss_percent: 0,
            duplication_percent: 0,
            damage_percent: 0,
            reordering: false,
            latency_us: 1_000,
            disk_us: 1_000,
            slow_disk_percent: 0,
            slow_applier_percent: 0,
            keys_per_step: 1_000,
            think_ms: 10,
            segment_bytes: 64 << 10,
            value_bytes: 16,
            pre_vote: true,
            snapshot_log_bytes: u64::MAX,
            bounds_log: false,
            snapshot_chunk_bytes: 4 << 10,
            empty_entry_on_election: true,
            memory_log_bytes: None,
            append_bytes: None,
            election_timeout_ms: 500,
            burst_percent: 0,
            leader_percent: 0,
            compact_percent: 5,
            disk_faults: false,
            open_sites: 0,
            record_every_ms: 1_000,
            lease_reads: false,
            clock_drift_ppm: 0,
            transfer_percent: 0,
            lease_clients: 0,
            lease_checkpoints: false,
        }
    }

    /// The plan that this recipe makes.
    pub fn of(recipe: &Recipe) -> Plan {
        let mut plan = Plan::draw(&mut Random::new(recipe.seed));
        // Large stores in tiny chunks over slow links would take longer than anybody waits.
        plan.snapshot_chunk_bytes = plan.snapshot_chunk_bytes.max(2 * plan.value_bytes as u32);
        plan.lease_clients = LeaseBook::draw_clients(recipe.seed);
        recipe.change(&mut plan);
        plan
    }

    fn draw(random: &mut Random) -> Plan {
        let sometimes = |random: &mut Random, percent, most| {
            if random.percent(percent) {
                1 + random.below(most)
            } else {
                0
            }
        };
        Plan {
            nodes: random.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 5, 5]),
            clients: 2 + random.below(5) as usize,
            chaos_ms: 3_000 + random.below(12_000),
            fault_every_ms: random.pick(&[150, 400, 900]),
            loss_percent: sometimes(random, 40, 10),
            duplication_percent: sometimes(random, 40, 10),
            reordering: random.percent(30),
            latency_us: random.pick(&[300, 2_000, 20_000]),
            disk_us: random.pick(&[200, 2_000, 10_000]),
            slow_disk_percent: sometimes(random, 40, 8),
            slow_applier_percent: sometimes(random, 40, 8),
            keys_per_step: random.pick(&[1, 2, 10, 1_000]),
            think_ms: random.pick(&[5, 15, 40, 300]),
            segment_bytes: random.pick(&[8 << 10, 16 << 10, 64 << 10]),
            value_bytes: random.pick(&[4, 64, 2_000]),
            pre_vote: random.percent(70),
            snapshot_log_bytes: random.pick(&[u64::MAX, 500, 5_000, 50_000]),
            bounds_log: false,
            snapshot_chunk_bytes: random.pick(&[512, 4 << 10]),
            newcomers: sometimes(random, 30, 4) as usize,
            change_every_ms: random.pick(&[200, 600, 1_500]),
            empty_entry_on_election: random.percent(75),
            memory_log_bytes: random.pick(&[None, None, Some(300), Some(5_000)]),
            append_bytes: random.pick(&[None, None, Some(1), Some(500)]),
            election_timeout_ms: random.pick(&[500, 500, 150]),
            burst_percent: random.pick(&[0, 20, 50]),
            leader_percent: random.pick(&[0, 30, 60]),
            compact_percent: random.pick(&[0, 2, 5, 10]),
            open_sites: draw_sites(random),
            damage_percent: sometimes(random, 20, 3),
            disk_faults: random.percent(50),
            record_every_ms: random.pick(&[0, 0, 50, 200, 1_000]),
            lease_reads: random.percent(20),
            clock_drift_ppm: random.pick(&[0, 200, WORST_CLOCK_DRIFT_PPM]),
            transfer_percent: random.pick(&[0, 0, 40, 100]),
            lease_clients: 0,
            lease_checkpoints: false,
        }
    }
}

/// None in half of the worlds, and in the others each in one of three: a path that is always taken
/// hides what the usual one does.
fn draw_sites(random: &mut Random) -> u32 {
    if random.percent(50) {
        return 0;
    }
    let open = |random: &mut Random| u32::from(random.percent(33));
    (0..chaos::SITE_COUNT).fold(0, |sites, _| sites << 1 | open(random))
}
