//! A store with revisions: what can be asked of it, and what it answers.
//!
//! The model is etcd's: each change takes the next revision of the whole store, and every answer names the revision at
//! which it was made. The words are etcd's too; what a checker has no use for is left out.

use serde::{Deserialize, Serialize};

use crate::blob::Blob;

/// A set of keys that lie together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first key.
    pub key: Blob,
    /// The first key after them. `None`: `key` alone. A single zero byte: all keys from `key` on, as in etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<Blob>,
}

impl Span {
    /// `key` alone.
    pub fn one(key: impl Into<Blob>) -> Self {
        Span {
            key: key.into(),
            range_end: None,
        }
    }

    /// The keys from `key` to before `end`.
    pub fn range(key: impl Into<Blob>, end: impl Into<Blob>) -> Self {
        Span {
            key: key.into(),
            range_end: Some(end.into()),
        }
    }

    /// Whether `key` is one of them.
    pub fn contains(&self, key: &Blob) -> bool {
        match &self.range_end {
            None => *key == self.key,
            Some(end) => *key >= self.key && (end.as_bytes() == [0] || key < end),
        }
    }
}

/// A request to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// Put, get or delete by itself.
    One(StoreOp),
    /// A transaction: if all comparisons hold the one list, otherwise the other, all at one revision.
    Txn {
        /// What must hold.
        compare: Vec<Compare>,
        /// What is done then.
        success: Vec<StoreOp>,
        /// What is done otherwise.
        failure: Vec<StoreOp>,
    },
    /// Forget versions older than those at `revision`.
    Compact {
        /// The oldest revision that can still be read.
        revision: i64,
    },
}

/// What can be done by itself and in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreOp {
    /// Write a key.
    Put {
        /// Which.
        key: Blob,
        /// What.
        value: Blob,
        /// With which lease the key goes, 0 for none: it may then be deleted at any time, at a revision of its own.
        #[serde(default, skip_serializing_if = "is_zero")]
        lease: i64,
    },
    /// Read keys, in their order.
    Get {
        /// The first key.
        key: Blob,
        /// As in [`Span`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range_end: Option<Blob>,
        /// As of which revision; 0: now.
        #[serde(default, skip_serializing_if = "is_zero")]
        at_revision: i64,
        /// How many pairs at most; 0: all.
        #[serde(default, skip_serializing_if = "is_zero")]
        limit: i64,
        /// Whether one member may answer by what it knows.
        #[serde(default, skip_serializing_if = "is_false")]
        serializable: bool,
    },
    /// Delete keys.
    Delete {
        /// The first key.
        key: Blob,
        /// As in [`Span`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range_end: Option<Blob>,
    },
}

// serde hands references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A condition on one key. A key that is not there has revision and version 0, and no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// Which key.
    pub key: Blob,
    /// What of it, and with what it is compared.
    #[serde(flatten)]
    pub target: Target,
    /// How.
    pub result: Relation,
}

/// What of a key is compared, with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "target", content = "with", rename_all = "snake_case")]
pub enum Target {
    /// Its value.
    Value(Blob),
    /// The revision of its last write.
    ModRevision(i64),
    /// The revision of its creation.
    CreateRevision(i64),
    /// The number of its writes since its creation.
    Version(i64),
}

/// How two things are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// Are they equal?
    #[serde(rename = "=")]
    Equal,
    /// Do they differ?
    #[serde(rename = "!=")]
    NotEqual,
    /// Is the key's greater?
    #[serde(rename = ">")]
    Greater,
    /// Is the key's less?
    #[serde(rename = "<")]
    Less,
}

impl Relation {
    /// Whether `left` stands in this relation to `right`.
    pub fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Greater => left > right,
            Relation::Less => left < right,
        }
    }
}

/// The store's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAnswer {
    /// The revision in the answer's header: that of the change, or the store's when it was read.
    pub revision: i64,
    /// What else it says.
    pub body: StoreBody,
}

/// What an answer says besides its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreBody {
    /// To [`StoreCall::One`].
    One(OpAnswer),
    /// To [`StoreCall::Txn`].
    Txn {
        /// Whether all comparisons held.
        succeeded: bool,
        /// One for each operation that was done.
        answers: Vec<OpAnswer>,
    },
    /// To [`StoreCall::Compact`].
    Compacted,
}

/// The answer to one [`StoreOp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum OpAnswer {
    /// To a get.
    Get {
        /// The pairs found, by key.
        kvs: Vec<KeyValue>,
        /// Whether the limit left some out.
        #[serde(default, skip_serializing_if = "is_false")]
        more: bool,
    },
    /// To a delete.
    Delete {
        /// How many keys there were.
        deleted: i64,
    },
    /// To a put.
    Put {},
}

/// A key, and what a read found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// Which key.
    pub key: Blob,
    /// What it holds.
    pub value: Blob,
    /// The revision of its last write.
    pub mod_revision: i64,
    /// The revision of its creation; 0: not recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub create_revision: i64,
    /// The number of its writes since its creation; 0: not recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: i64,
}

impl StoreCall {
    /// Whether `answer` is an answer to this.
    pub(crate) fn fits(&self, answer: &StoreAnswer) -> bool {
        match (self, &answer.body) {
            (StoreCall::One(op), StoreBody::One(answer)) => op.fits(answer),
            (
                StoreCall::Txn {
                    success, failure, ..
                },
                StoreBody::Txn { succeeded, answers },
            ) => {
                let done = if *succeeded { success } else { failure };
                done.len() == answers.len()
                    && done.iter().zip(answers).all(|(op, answer)| op.fits(answer))
            }
            (StoreCall::Compact { .. }, StoreBody::Compacted) => true,
            _ => false,
        }
    }

    /// All operations that it may do.
    pub(crate) fn may_do(&self) -> impl Iterator<Item = &StoreOp> {
        let (one, success, failure): (&[StoreOp], &[StoreOp], &[StoreOp]) = match self {
            StoreCall::One(op) => (std::slice::from_ref(op), &[], &[]),
            StoreCall::Txn {
                success, failure, ..
            } => (&[], success, failure),
            StoreCall::Compact { .. } => (&[], &[], &[]),
        };
        one.iter().chain(success).chain(failure)
    }

    /// Whether it asks for nothing but what one member knows, which may be old.
    pub(crate) fn is_serializable(&self) -> bool {
        let mut ops = self.may_do().peekable();
        ops.peek().is_some()
            && ops.all(|op| {
                matches!(
                    op,
                    StoreOp::Get {
                        serializable: true,
                        ..
                    }
                )
            })
    }
}

impl StoreOp {
    fn fits(&self, answer: &OpAnswer) -> bool {
        matches!(
            (self, answer),
            (StoreOp::Put { .. }, OpAnswer::Put {})
                | (StoreOp::Get { .. }, OpAnswer::Get { .. })
                | (StoreOp::Delete { .. }, OpAnswer::Delete { .. })
        )
    }

    /// The keys that it is about.
    pub fn span(&self) -> Span {
        match self {
            StoreOp::Put { key, .. } => Span::one(key.clone()),
            StoreOp::Get { key, range_end, .. } | StoreOp::Delete { key, range_end } => Span {
                key: key.clone(),
                range_end: range_end.clone(),
            },
        }
    }
}
