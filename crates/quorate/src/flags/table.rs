//! The table itself: one row per flag, in groups.
//!
//! Names, defaults and file keys are facts about etcd (its `--help` of 3.4.23, and the sources of
//! `etcdmain/config.go` and `embed/config.go` of 3.4 and 3.5). Reasons and help texts are ours.

mod clustering;
mod experimental;
mod member;
mod observing;
mod security;

use super::kind::Kind;

/// What Quorate does with a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It works.
    Built,
    /// It can have no effect here; the reason goes to the log, once, at start.
    Accepted(&'static str),
    /// Ignoring it would surprise: the process does not start.
    Refused {
        /// Why.
        why: &'static str,
        /// What to do instead, as an imperative sentence.
        instead: &'static str,
    },
}

/// Which servers know the flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// etcd 3.4 and 3.5.
    Both,
    /// etcd 3.4 only.
    Only34,
    /// etcd 3.5 only.
    Only35,
    /// Quorate only.
    Quorate,
}

/// Where the value stands in the YAML file of `--config-file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKey {
    /// Under the flag's own name.
    Name,
    /// Under another top-level key.
    Other(&'static str),
    /// Inside a section.
    In(&'static str, &'static str),
    /// Nowhere: etcd reads it as a flag only.
    Nowhere,
}

/// The groups of the help and of `docs/flags.md`, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Member,
    Clustering,
    Security,
    Authentication,
    Observing,
    Logging,
    Experimental,
    Unsafe,
    Proxy,
    Retired,
}

impl Group {
    pub(crate) const ALL: [Group; 10] = [
        Group::Member,
        Group::Clustering,
        Group::Security,
        Group::Authentication,
        Group::Observing,
        Group::Logging,
        Group::Experimental,
        Group::Unsafe,
        Group::Proxy,
        Group::Retired,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::Member => "Member",
            Group::Clustering => "Clustering",
            Group::Security => "Security",
            Group::Authentication => "Users and roles",
            Group::Observing => "Profiling and monitoring",
            Group::Logging => "Logging",
            Group::Experimental => "Experimental in etcd",
            Group::Unsafe => "Unsafe in etcd",
            Group::Proxy => "etcd's v2 proxy",
            Group::Retired => "Retired in etcd before 3.4",
        }
    }
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// The name without dashes.
    pub(crate) name: &'static str,
    /// Its group in help and documents.
    pub(crate) group: Group,
    /// What its value looks like.
    pub(crate) kind: Kind,
    /// Quorate's default where the flag is built, else etcd's: a value that asks for nothing, so
    /// that giving it is always fine.
    pub(crate) default: &'static str,
    /// One sentence.
    pub(crate) help: &'static str,
    /// What Quorate does with it.
    pub(crate) disposition: Disposition,
    /// Which servers know it.
    pub(crate) known: Known,
    /// Its key in the YAML file.
    pub(crate) file_key: FileKey,
}

impl Flag {
    const fn new(
        group: Group,
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Flag {
        Flag {
            name,
            group,
            kind,
            default,
            help,
            disposition: Disposition::Built,
            known: Known::Both,
            file_key: FileKey::Name,
        }
    }

    const fn accepted(mut self, why: &'static str) -> Flag {
        self.disposition = Disposition::Accepted(why);
        self
    }

    const fn refused(mut self, why: &'static str, instead: &'static str) -> Flag {
        self.disposition = Disposition::Refused { why, instead };
        self
    }

    const fn known(mut self, known: Known) -> Flag {
        self.known = known;
        self
    }

    const fn file_key(mut self, file_key: FileKey) -> Flag {
        self.file_key = file_key;
        self
    }

    /// `ETCD_…` or `QUORATE_…`.
    pub(crate) fn environment_variable(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Whether this value asks for nothing beyond what Quorate does anyway.
    pub(crate) fn asks_for_nothing(&self, value: &str) -> bool {
        value.is_empty() || self.kind.same(value, self.default)
    }
}

/// All flags, group by group.
pub(crate) fn all() -> impl Iterator<Item = &'static Flag> {
    [
        member::FLAGS,
        clustering::FLAGS,
        security::FLAGS,
        observing::FLAGS,
        experimental::FLAGS,
    ]
    .into_iter()
    .flatten()
}

/// The flag of that name (without dashes).
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    all().find(|flag| flag.name == name)
}
