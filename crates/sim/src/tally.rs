//! What a run did, in counters: the faults that were injected, and the rare states reached.
//!
//! A simulator that never reaches the states in which bugs live passes every test. So each such
//! state has a name and a counter, and a long run in which one stays at zero is told: then the
//! generator of worlds is at fault, not the core (Antithesis calls these "sometimes assertions").

use chaos::Chaos;

/// A name of something that is counted.
pub trait Counter: Copy + 'static {
    /// All of them, in the order in which they are told.
    const ALL: &'static [Self];
    /// What it counts, for people.
    fn label(self) -> &'static str;
    /// Its place in [`Counter::ALL`].
    fn position(self) -> usize;
}

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* #[doc = $label] $variant,)*
        }

        impl Counter for $name {
            const ALL: &'static [$name] = &[$($name::$variant,)*];

            fn label(self) -> &'static str {
                match self {
                    $($name::$variant => $label,)*
                }
            }

            fn position(self) -> usize {
                self as usize
            }
        }
    };
}

counters! {
    /// What went wrong because the world made it so.
    Fault {
        PowerCut = "power cut of one node",
        PowerCutOfAll = "power cut of all nodes at once",
        PowerCutInWrite = "power cut in the midst of what a disk does",
        ProcessKilled = "process killed",
        ProcessPaused = "process paused",
        PausedAndCutOff = "process paused, then cut off",
        Partition = "network split in two",
        OneWayCut = "network cut in one direction",
        TwoWayCut = "network cut between two nodes",
        LeaderRanAhead = "leader cut off with entries of its own, and the next one killed as it came back",
        LinksLost = "connections lost",
        FrameLost = "frame lost",
        FrameDuplicated = "frame duplicated",
        FrameOvertaken = "frame overtaken by a later one",
        DiskStalled = "disk stalled",
        ApplierStalled = "applier stalled",
        ClockJumped = "wall clock jumped",
        BitRot = "bit of a log flipped at rest",
        DiskSwapped = "disk swapped for an earlier copy or an empty one",
        ChunkDamaged = "chunk of a snapshot damaged on its way",
        WriteFailed = "write to a disk failed",
        SyncFailed = "sync of a disk failed",
        ReadFailed = "read from a disk failed",
        DiskFull = "disk filled up",
        SnapshotRot = "bit of a snapshot flipped at rest",
        FrameDamaged = "frame damaged on its way",
        CopyDamaged = "copy of a disk damaged at will",
        MessageForged = "messages forged",
    }
}

counters! {
    /// States that are legal, rare, and where bugs like to live.
    Rare {
        LeaderChanged = "leader changed",
        LeaderLostWithReads = "leader deposed with pending reads",
        LeaderLostWithWrites = "leader deposed with proposals in doubt",
        LeaderSteppedDownAlone = "leader stepped down for want of a quorum",
        SuffixTruncated = "conflicting suffix cut from a log",
        ForwardInDoubt = "forwarded write in doubt",
        ForwardRefused = "forwarded write refused by a node that no longer leads",
        TwoThoughtTheyLed = "two nodes thought they led at once",
        LogReadBack = "entries read back from the log",
        PowerLostInBatch = "power lost in the midst of a batch",
        TornTailCut = "torn tail of a log cut at a start",
        StartFailed = "power lost during a start",
        RestartWithEntries = "restart from a log with entries",
        MajorityDown = "a majority down at once",
        RequestSeenTwice = "request that was in the log twice passed over",
        ReadTimedOut = "read timed out",
        ReadOnLease = "reads asked for while a lease held",
        CommandInSteps = "command applied in several steps",
        PausedLeaderWoke = "paused leader woke to find another",
        SnapshotTaken = "snapshot taken",
        SnapshotInstalled = "snapshot of a peer's installed",
        PullWentOn = "half-pulled snapshot gone on with",
        EntryRepaired = "damaged entry repaired from another member",
        RewoundNoticed = "disk that went back in time noticed",
        DiskEmptied = "disk swapped for an empty one",
        RefilledWhole = "disk that went back in time made good",
        RefilledBySnapshot = "disk that went back in time made good, with a snapshot there",
        RefillingCrashed = "node crashed while it was refilled",
        ChunkRefused = "damaged chunk refused and asked for again",
        MemberJoined = "member joined",
        MemberRemoved = "member removed",
        RemovedMemberLed = "leader removed",
        StoppedAfterFailedSync = "process ended by a sync that failed",
        StoppedForWantOfRoom = "process ended by a full disk",
        StoppedByItsDisk = "process ended by a read or write that failed",
        StartRefused = "start ended by a disk that failed or was full",
        SnapshotGivenUp = "snapshot given up for want of room",
        PullGivenUp = "pull given up for want of room",
        CopyRefused = "damaged copy of a disk refused to start",
        CopySaidWhatItLost = "damaged copy of a disk started, and told what it lost",
        FrameRefused = "damaged frame refused, and its link with it",
        ForgedRefused = "forged message refused",
        LeaseRenewed = "lease renewed",
        LeaseRanOut = "lease ended because its time was over",
        LeaseEndedWithKeys = "lease ended, and keys with it",
        OlderSnapshotUsed = "start with an older snapshot than the newest, which had rotted",
        WatcherBehind = "watcher fell behind",
        WatcherResumed = "watcher went on after it had lost its node",
        WatcherOvertaken = "watcher overtaken by compaction",
    }
}

/// A chaos site of the core: its path was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site(usize);

impl Counter for Site {
    const ALL: &'static [Site] = &{
        let mut all = [Site(0); chaos::SITE_COUNT];
        let mut place = 0;
        while place < all.len() {
            all[place] = Site(place);
            place += 1;
        }
        all
    };

    fn label(self) -> &'static str {
        chaos::SITES[self.0].name
    }

    fn position(self) -> usize {
        self.0
    }
}

/// Counts of one run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    faults: Counts,
    rare: Counts,
    sites: Counts,
}

/// One count a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts(Vec<u64>);

impl Counts {
    fn add<C: Counter>(&mut self, counter: C, count: u64) {
        self.0.resize(C::ALL.len(), 0);
        self.0[counter.position()] += count;
    }

    fn get<C: Counter>(&self, counter: C) -> u64 {
        self.0.get(counter.position()).copied().unwrap_or_default()
    }

    fn add_all<C: Counter>(&mut self, other: &Counts) {
        for counter in C::ALL {
            self.add(*counter, other.get(*counter));
        }
    }
}

impl Tally {
    /// A fault was injected.
    pub fn injected(&mut self, fault: Fault) {
        self.faults.add(fault, 1);
    }

    /// A rare state was reached.
    pub fn reached(&mut self, rare: Rare) {
        self.rare.add(rare, 1);
    }

    /// The paths that were taken at chaos sites.
    pub(crate) fn took(&mut self, chaos: &Chaos) {
        for site in Site::ALL {
            self.sites.add(*site, chaos.taken(site.0));
        }
    }

    /// How often the path of this chaos site was taken.
    pub fn site(&self, site: Site) -> u64 {
        self.sites.get(site)
    }

    /// Takes in the counts of another run.
    pub fn add(&mut self, other: &Tally) {
        self.sites.add_all::<Site>(&other.sites);
        self.faults.add_all::<Fault>(&other.faults);
        self.rare.add_all::<Rare>(&other.rare);
    }

    /// How often this fault was injected.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.faults.get(fault)
    }

    /// How often this state was reached.
    pub fn rare(&self, rare: Rare) -> u64 {
        self.rare.get(rare)
    }
}

/// Counts a rare state if the condition holds: `sometimes!(tally, Rare::ReadTimedOut, timed_out)`.
macro_rules! sometimes {
    ($tally:expr, $rare:expr, $condition:expr $(,)?) => {
        if $condition {
            $tally.reached($rare);
        }
    };
}

pub(crate) use sometimes;
