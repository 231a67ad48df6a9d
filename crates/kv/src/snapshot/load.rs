//! Reading a snapshot into a new store.

mod leases;

use std::num::NonZeroI64;
use std::sync::Arc;

use crate::alarm::Alarms;
use crate::changes::Changes;
use crate::compaction::Sweep;
use crate::hash::StateHash;
use crate::keyspace::KeyspaceBuilder;
use crate::lease::Leases;
use crate::snapshot::fields::{Fields, KeyField, Stop, damaged};
use crate::snapshot::load::leases::read_alarms;
use crate::snapshot::{
    FORMAT_VERSION, FORMAT_VERSION_WITHOUT_LEASES, Head, SnapshotError, TAG_END, TAG_FIRST,
    TAG_LEASE, TAG_RECORD, TAG_TOMBSTONE,
};
use crate::store::Store;
use crate::versions::{Version, Versions};

/// A store being loaded from the bytes of a snapshot.
#[derive(Debug, Default)]
pub struct SnapshotLoader {
    /// Whether it only checks: then nothing is kept but the newest version of the present key, and
    /// the leases, since keys name them.
    only_checks: bool,
    section: Section,
    /// The beginning of a record whose end has not come yet.
    unread: Vec<u8>,
    /// How many bytes came before that.
    offset: u64,
    failure: Option<SnapshotError>,
    head: Head,
    alarms: Alarms,
    leases: Leases,
    /// The id of the last lease read.
    last_lease: Option<i64>,
    hash: StateHash,
    /// The sum of [`StateHash::of_change`] over the versions from C on, less that over the changes.
    unlisted: u64,
    /// Whether a version of C was read.
    is_compacted_at_a_change: bool,
    keyspace: KeyspaceBuilder,
    key: Vec<u8>,
    /// The versions of `key` so far.
    versions: Option<Versions>,
    changes: Changes,
    change_key: Vec<u8>,
    change_revision: i64,
    versions_read: u64,
    keys_read: u64,
}

/// How much is copied at a time to put a record together.
const TOP_UP_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Head,
    Leases,
    Keys,
    Changes,
    Hash,
    Over,
}

impl SnapshotLoader {
    /// A loader that has seen nothing yet.
    pub fn new() -> SnapshotLoader {
        SnapshotLoader::default()
    }

    /// Takes the next bytes, however many.
    ///
    /// # Errors
    /// What is wrong with them, as soon as it is seen. After that there is no going on.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.take_in(bytes);
        self.failure = result.as_ref().err().cloned();
        result
    }

    /// The store, when all has been fed.
    ///
    /// # Errors
    /// What was wrong, or that the bytes end too early.
    pub fn finish(self) -> Result<Store, SnapshotError> {
        self.check_end()?;
        Ok(Store {
            keyspace: self.keyspace.finish(),
            changes: self.changes,
            revision: self.head.revision,
            compacted_revision: self.head.compacted_revision,
            applied_index: self.head.applied_index,
            hash: StateHash::continued_from(self.head.state_hash),
            sweep: Sweep::done(self.head.compacted_revision),
            leases: self.leases,
            alarms: self.alarms,
            ..Store::new()
        })
    }

    fn check_end(&self) -> Result<(), SnapshotError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.section != Section::Over {
            let bytes = self.offset + self.unread.len() as u64;
            return Err(SnapshotError::Truncated { bytes });
        }
        Ok(())
    }

    fn take_in(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        // A record that began before these bytes is put together; all others are read in place.
        while !self.unread.is_empty() && !bytes.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            let (begun, more) = (unread.len(), bytes.len().min(TOP_UP_BYTES));
            unread.extend_from_slice(&bytes[..more]);
            match self.read(&unread)? {
                0 => {
                    self.unread = unread;
                    bytes = &bytes[more..];
                }
                // What had begun did not end before: everything up to there is read.
                read => bytes = &bytes[read - begun..],
            }
        }
        let read = self.read(bytes)?;
        self.unread.extend_from_slice(&bytes[read..]);
        Ok(())
    }

    /// Reads all whole records; how many bytes they take.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, SnapshotError> {
        let mut fields = Fields::new(bytes, self.offset);
        let mut read = 0;
        while !fields.is_at_end() {
            match self.read_record(&mut fields) {
                Ok(()) => read = fields.read(),
                Err(Stop::Incomplete) => break,
                Err(Stop::Broken(error)) => return Err(error),
            }
        }
        self.offset += read as u64;
        Ok(read)
    }

    /// Reads one record whole, or changes nothing.
    fn read_record(&mut self, fields: &mut Fields<'_>) -> Result<(), Stop> {
        match self.section {
            Section::Head => self.read_head(fields),
            Section::Leases => self.read_lease(fields),
            Section::Keys => self.read_version(fields),
            Section::Changes => self.read_change(fields),
            Section::Hash => self.read_hash(fields),
            Section::Over => Err(damaged(fields.offset(), "bytes after the end")),
        }
    }

    fn read_head(&mut self, fields: &mut Fields<'_>) -> Result<(), Stop> {
        let found = fields.byte()?;
        if ![FORMAT_VERSION, FORMAT_VERSION_WITHOUT_LEASES].contains(&found) {
            return Err(Stop::Broken(SnapshotError::UnknownVersion { found }));
        }
        let applied_index = fields.number()?;
        let compacted_at = fields.offset();
        let compacted_revision = fields.revision()? - 1;
        let revision = fields.revision()?;
        if revision < 1 || compacted_revision > revision {
            let what = "a compacted revision after the current one";
            return Err(damaged(compacted_at, what));
        }
        let head = Head {
            applied_index,
            compacted_revision,
            revision,
            state_hash: fields.word()?,
        };
        if found == FORMAT_VERSION {
            self.alarms = read_alarms(fields)?;
            self.section = Section::Leases;
        } else {
            self.section = Section::Keys;
        }
        self.head = head;
        self.hash.absorb_snapshot_head(&head);
        for (kind, member) in self.alarms.iter() {
            self.hash.absorb_alarm(kind, member, true);
        }
        Ok(())
    }

    fn read_version(&mut self, fields: &mut Fields<'_>) -> Result<(), Stop> {
        let start = fields.offset();
        let tag = fields.byte()?;
        if tag == TAG_END {
            self.close_key(start)?;
            self.section = Section::Changes;
            return Ok(());
        }
        if tag & TAG_RECORD == 0
            || tag & !(TAG_RECORD | TAG_FIRST | TAG_TOMBSTONE | TAG_LEASE) != 0
            || tag & TAG_TOMBSTONE != 0 && tag & TAG_LEASE != 0
        {
            return Err(damaged(start, "no version of a key"));
        }
        let key = match tag & TAG_FIRST {
            0 => None,
            _ => Some(self.read_key(fields)?),
        };
        let version = match &self.versions {
            Some(versions) if key.is_none() => {
                self.later_version(tag, versions.newest(), fields)?
            }
            None if key.is_none() => return Err(damaged(start, "a version of no key")),
            _ => self.first_version(tag, fields)?,
        };
        if let Some(key) = key {
            self.close_key(start)?;
            key.replace(&mut self.key);
        }
        self.add_version(version);
        Ok(())
    }

    fn read_key<'a>(&self, fields: &mut Fields<'a>) -> Result<KeyField<'a>, Stop> {
        let start = fields.offset();
        let key = fields.key(&self.key)?;
        if !key.is_after(&self.key) {
            return Err(damaged(start, "a key that does not come after the last"));
        }
        Ok(key)
    }

    /// The first version of a key: what a reader at C sees, or what came later.
    fn first_version(&self, tag: u8, fields: &mut Fields<'_>) -> Result<Version, Stop> {
        let start = fields.offset();
        let mod_revision = self.read_mod_revision(fields)?;
        let (revision, compacted) = (mod_revision.get(), self.head.compacted_revision);
        if tag & TAG_TOMBSTONE != 0 {
            if revision != compacted {
                return Err(damaged(start, "a tombstone of what never was"));
            }
            return Ok(Version::tombstone(mod_revision));
        }
        let (mut create_revision, mut version) = (revision, 1);
        if revision <= compacted {
            let start = fields.offset();
            create_revision = revision - fields.revision()?;
            version = fields.revision()?;
            if create_revision < 1 || !(1..=revision).contains(&version) {
                return Err(damaged(start, "a version that no key can have"));
            }
        }
        Ok(Version {
            mod_revision,
            create_revision,
            version,
            lease: read_lease_of_version(tag, fields)?,
            value: Some(Arc::from(fields.bytes()?)),
        })
    }

    /// A version that comes after `before`, from which its creation and number follow.
    fn later_version(
        &self,
        tag: u8,
        before: &Version,
        fields: &mut Fields<'_>,
    ) -> Result<Version, Stop> {
        let start = fields.offset();
        let mod_revision = self.read_mod_revision(fields)?;
        let (revision, compacted) = (mod_revision.get(), self.head.compacted_revision);
        if revision < before.revision() || revision <= compacted && before.revision() < compacted {
            return Err(damaged(start, "a version before the one before it"));
        }
        if tag & TAG_TOMBSTONE != 0 {
            if !before.is_live() {
                return Err(damaged(start, "a tombstone of a tombstone"));
            }
            return Ok(Version::tombstone(mod_revision));
        }
        let (create_revision, version) = match before.is_live() {
            true => (before.create_revision, before.version + 1),
            false => (revision, 1),
        };
        Ok(Version {
            mod_revision,
            create_revision,
            version,
            lease: read_lease_of_version(tag, fields)?,
            value: Some(Arc::from(fields.bytes()?)),
        })
    }

    fn read_mod_revision(&self, fields: &mut Fields<'_>) -> Result<NonZeroI64, Stop> {
        let start = fields.offset();
        let revision = fields.revision()?;
        if !(2..=self.head.revision).contains(&revision) {
            let what = "a revision that is not of this snapshot";
            return Err(damaged(start, what));
        }
        Ok(NonZeroI64::new(revision).expect("it is at least 2"))
    }

    fn add_version(&mut self, version: Version) {
        self.versions_read += 1;
        self.hash.absorb_version(&self.key, &version);
        if version.revision() >= self.head.compacted_revision {
            let change = StateHash::of_change(version.revision(), &self.key);
            self.unlisted = self.unlisted.wrapping_add(change);
        }
        self.is_compacted_at_a_change |= version.revision() == self.head.compacted_revision;
        match &mut self.versions {
            Some(versions) if !self.only_checks => versions.push(version),
            _ => self.versions = Some(Versions::One(version)),
        }
    }

    /// The key before `end` has no more versions.
    fn close_key(&mut self, end: u64) -> Result<(), Stop> {
        let Some(versions) = self.versions.take() else {
            return Ok(());
        };
        self.keys_read += u64::from(versions.newest().is_live());
        let lease = versions.newest().lease;
        if lease != 0 && !self.leases.contains(lease) {
            return Err(damaged(
                end,
                "a key before this that hangs on no lease there is",
            ));
        }
        if self.only_checks {
            return Ok(());
        }
        let key = self.keyspace.push(&self.key, versions);
        if lease != 0 {
            self.leases.attach(lease, key);
        }
        Ok(())
    }

    fn read_change(&mut self, fields: &mut Fields<'_>) -> Result<(), Stop> {
        let start = fields.offset();
        let tag = fields.byte()?;
        if tag == TAG_END {
            return self.close_changes(start);
        }
        if tag & TAG_RECORD == 0 || tag & !(TAG_RECORD | TAG_FIRST) != 0 {
            return Err(damaged(start, "no change"));
        }
        let key = fields.key(&self.change_key)?;
        let revision = match (tag & TAG_FIRST != 0, self.change_revision) {
            (true, 0) => self.head.first_change(self.is_compacted_at_a_change),
            (true, last) => last + 1,
            (false, 0) => return Err(damaged(start, "a change at no revision")),
            (false, last) => last,
        };
        if revision > self.head.revision {
            return Err(damaged(start, "a change after the current revision"));
        }
        key.replace(&mut self.change_key);
        self.change_revision = revision;
        self.hash.absorb_change(revision, &self.change_key);
        let change = StateHash::of_change(revision, &self.change_key);
        self.unlisted = self.unlisted.wrapping_sub(change);
        if !self.only_checks {
            self.changes.push(revision, &self.change_key);
        }
        Ok(())
    }

    /// Every revision has its changes, and every change its version. Only the revision that a bump led to
    /// ([`Store::begin_anew`]) has none: everything before it is compacted.
    fn close_changes(&mut self, start: u64) -> Result<(), Stop> {
        let Head {
            revision,
            compacted_revision,
            ..
        } = self.head;
        let may_have_none =
            revision == 1 || revision == compacted_revision && !self.is_compacted_at_a_change;
        let has_none = self.change_revision == 0;
        if self.change_revision != revision && !(has_none && may_have_none) {
            let what = "a list of changes that ends too early";
            return Err(damaged(start, what));
        }
        if self.unlisted != 0 {
            let what = "a list of changes that does not fit the keys";
            return Err(damaged(start, what));
        }
        self.section = Section::Hash;
        Ok(())
    }

    fn read_hash(&mut self, fields: &mut Fields<'_>) -> Result<(), Stop> {
        let (expected, found) = (fields.word()?, self.hash.get());
        if expected != found {
            let mismatch = SnapshotError::HashMismatch { expected, found };
            return Err(Stop::Broken(mismatch));
        }
        self.section = Section::Over;
        Ok(())
    }
}

/// What a snapshot holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// The newest revision.
    pub revision: i64,
    /// The revision before which nothing can be read; -1 if nothing was ever compacted.
    pub compacted_revision: i64,
    /// Keys that a reader at the newest revision sees.
    pub keys: u64,
    /// Versions of keys, tombstones included.
    pub versions: u64,
    /// Leases.
    pub leases: u64,
}

/// Checks the bytes of a snapshot as a [`SnapshotLoader`] does, in the memory of its largest record and
/// its leases: what it accepts can be loaded.
#[derive(Debug)]
pub struct SnapshotChecker {
    loader: SnapshotLoader,
}

impl Default for SnapshotChecker {
    fn default() -> SnapshotChecker {
        SnapshotChecker {
            loader: SnapshotLoader {
                only_checks: true,
                ..SnapshotLoader::default()
            },
        }
    }
}

impl SnapshotChecker {
    /// One that has seen nothing yet.
    pub fn new() -> SnapshotChecker {
        SnapshotChecker::default()
    }

    /// Takes the next bytes, however many.
    ///
    /// # Errors
    /// As [`SnapshotLoader::feed`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.loader.feed(bytes)
    }

    /// What it holds, as far as it was fed.
    pub fn summary(&self) -> SnapshotSummary {
        let loader = &self.loader;
        SnapshotSummary {
            revision: loader.head.revision,
            compacted_revision: loader.head.compacted_revision,
            keys: loader.keys_read,
            versions: loader.versions_read,
            leases: loader.leases.len() as u64,
        }
    }

    /// The log index of the last entry that the snapshot contains, when all has been fed.
    ///
    /// # Errors
    /// As [`SnapshotLoader::finish`].
    pub fn finish(self) -> Result<u64, SnapshotError> {
        self.loader.check_end()?;
        Ok(self.loader.head.applied_index)
    }
}

fn read_lease_of_version(tag: u8, fields: &mut Fields<'_>) -> Result<i64, Stop> {
    if tag & TAG_LEASE == 0 {
        return Ok(0);
    }
    let start = fields.offset();
    match fields.varint()? {
        0 => Err(damaged(start, "a lease that is none")),
        lease => Ok(lease.cast_signed()),
    }
}
