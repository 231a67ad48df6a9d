//! A cluster whose nodes have a disk each, and whose power can be cut.

use std::sync::Barrier;

use crate::cluster::{Cluster, Plan};

use super::{LoopFileSystem, Witness, directory_for_mounts, only_line_of_its_own};

/// Room for a log of some segments with their spares; the image is sparse.
const FILE_SYSTEM_BYTES: u64 = 600 << 20;

/// Nodes with a file system each.
pub(crate) struct Machines {
    // Dropped first: its processes have files open.
    pub(crate) cluster: Cluster,
    file_systems: Vec<LoopFileSystem>,
    // Dropped last: the images are in it.
    pub(crate) directory: tempfile::TempDir,
}

impl Machines {
    /// Starts so many, and waits until all know one leader.
    pub(crate) fn start(nodes: usize) -> Machines {
        let directory = directory_for_mounts();
        let file_systems: Vec<LoopFileSystem> = (1..=nodes)
            .map(|i| LoopFileSystem::make(directory.path(), &format!("disk{i}"), FILE_SYSTEM_BYTES))
            .collect();
        let data: Vec<_> = file_systems
            .iter()
            .map(|file_system| file_system.path().join("data"))
            .collect();
        Machines {
            cluster: Plan::of(nodes).directories(&data).start(),
            file_systems,
            directory,
        }
    }

    /// The power of one machine's disk goes; its node stops, and says in one line why.
    pub(crate) fn lose_power(&mut self, victim: usize) -> Witness {
        let node = &mut self.cluster.nodes[victim];
        let said_before = node.log_text().len();
        let witness = Witness::plant(&self.file_systems[victim]);
        self.file_systems[victim].cut_power();
        let how = node.wait_until_ended();
        assert_eq!(how.code(), Some(1), "its disk failed: {how}");
        let said = node.log_text().split_off(said_before);
        let line = only_line_of_its_own(&said);
        for part in [
            node.directory.to_str().expect("UTF-8"),
            "Input/output error",
            "check that disk",
            "start the node again",
        ] {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        witness
    }

    /// The power comes back; the node is not started.
    pub(crate) fn restore(&mut self, victim: usize, witness: Witness) {
        self.file_systems[victim].restore_power();
        witness.testify();
    }

    /// The power of all machines goes, at one moment; nobody runs any more.
    pub(crate) fn cut_all(&mut self) -> Vec<Witness> {
        let together = Barrier::new(self.file_systems.len());
        let witnesses = std::thread::scope(|scope| {
            let cuts: Vec<_> = self
                .file_systems
                .iter()
                .map(|file_system| {
                    scope.spawn(|| {
                        let witness = Witness::plant(file_system);
                        together.wait();
                        file_system.cut_power();
                        witness
                    })
                })
                .collect();
            cuts.into_iter()
                .map(|cut| cut.join().expect("a power cut"))
                .collect()
        });
        for node in &mut self.cluster.nodes {
            node.kill();
        }
        witnesses
    }

    /// The power of all comes back; no node is started.
    pub(crate) fn restore_all(&mut self, witnesses: Vec<Witness>) {
        for (victim, witness) in witnesses.into_iter().enumerate() {
            self.restore(victim, witness);
        }
    }
}
