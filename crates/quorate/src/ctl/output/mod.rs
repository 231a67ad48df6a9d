//! Answers as bytes for standard output, in etcdctl's forms.
//!
//! A form is a pure function of the answer, so that each can be tested by its text. `simple` is for people and pipes,
//! `fields` names every field, `json` is what Go's encoder makes of etcd's structs, `table` is for states and members
//! only, `protobuf` is the response's encoding.

mod fields;
mod json;
mod simple;
mod table;
mod text;

use std::str::FromStr;

use prost::Message;
use quorate_proto::etcdserverpb::{
    AlarmResponse, DeleteRangeResponse, HashKvResponse, LeaseGrantResponse, LeaseKeepAliveResponse,
    LeaseLeasesResponse, LeaseRevokeResponse, LeaseTimeToLiveResponse, MemberAddResponse,
    MemberListResponse, MoveLeaderResponse, PutResponse, RangeResponse, StatusResponse,
    TxnResponse, WatchResponse,
};

pub(super) use table::draw;
pub(super) use text::{go_quote, go_unquote, size};

use super::failure::Failure;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Simple,
    Json,
    Table,
    Fields,
    Protobuf,
}

impl FromStr for Format {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        match name {
            "simple" => Ok(Self::Simple),
            "json" => Ok(Self::Json),
            "table" => Ok(Self::Table),
            "fields" => Ok(Self::Fields),
            "protobuf" => Ok(Self::Protobuf),
            _ => Err(Failure::bad_feature("unsupported output format")),
        }
    }
}

impl Format {
    /// For commands without a table. etcdctl finds this out after the request, when a put has been done already.
    pub(super) fn refuse_table(self) -> Result<(), Failure> {
        match self {
            Self::Table => Err(Failure::bad_feature("table not supported as output format")),
            _ => Ok(()),
        }
    }

    /// For commands without the form that names every field.
    pub(super) fn refuse_fields(self) -> Result<(), Failure> {
        match self {
            Self::Fields => Err(Failure::bad_feature(
                "fields not supported as output format",
            )),
            _ => Ok(()),
        }
    }

    /// For commands whose answer is not one message.
    pub(super) fn refuse_protobuf(self) -> Result<(), Failure> {
        match self {
            Self::Protobuf => Err(Failure::bad_feature(
                "protobuf not supported as output format",
            )),
            _ => Ok(()),
        }
    }
}

/// What the flags change about the simple form.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// Keys and values as `\x61\x62`.
    pub(super) hex: bool,
    /// Values without their keys.
    pub(super) value_only: bool,
}

/// How one endpoint is.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) endpoint: String,
    /// How long it took to find out, as Go writes it.
    pub(super) took: String,
    /// Why it is not healthy.
    pub(super) error: Option<String>,
}

/// What a command has to print.
#[derive(Debug)]
pub(super) enum Answer {
    Range(RangeResponse),
    Put(PutResponse),
    Delete(DeleteRangeResponse),
    Txn(TxnResponse),
    Watch(WatchResponse),
    Members(MemberListResponse),
    /// A new member; its name is only told to whoever starts it.
    MemberAdded {
        name: String,
        response: MemberAddResponse,
    },
    /// What was done to a member, such as `removed from`. The answers to all such changes are made as a list of
    /// members is, field by field.
    MemberChanged {
        id: u64,
        done: &'static str,
        response: MemberListResponse,
    },
    /// From which member to which.
    LeaderMoved {
        from: u64,
        to: u64,
        response: MoveLeaderResponse,
    },
    LeaseGranted(LeaseGrantResponse),
    LeaseRevoked {
        id: i64,
        response: LeaseRevokeResponse,
    },
    /// How long a lease lives, with its keys if they were asked for.
    LeaseTime {
        response: LeaseTimeToLiveResponse,
        with_keys: bool,
    },
    Leases(LeaseLeasesResponse),
    LeaseRenewed(LeaseKeepAliveResponse),
    Alarms(AlarmResponse),
    /// Endpoint by endpoint.
    Statuses(Vec<(String, StatusResponse)>),
    Hashes(Vec<(String, HashKvResponse)>),
    Healths(Vec<Health>),
}

impl Answer {
    /// The bytes for standard output. Forms that the answer does not have give nothing: commands refuse them before.
    pub(super) fn render(&self, format: Format, style: Style) -> Vec<u8> {
        match format {
            Format::Simple => simple::render(self, style),
            Format::Json => json::render(self).into_bytes(),
            Format::Table => table::render(self).into_bytes(),
            Format::Fields => fields::render(self).into_bytes(),
            Format::Protobuf => self.encode(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Range(response) => response.encode_to_vec(),
            Self::Put(response) => response.encode_to_vec(),
            Self::Delete(response) => response.encode_to_vec(),
            Self::Txn(response) => response.encode_to_vec(),
            Self::Watch(response) => response.encode_to_vec(),
            Self::Members(response) | Self::MemberChanged { response, .. } => {
                response.encode_to_vec()
            }
            Self::MemberAdded { response, .. } => response.encode_to_vec(),
            Self::LeaderMoved { response, .. } => response.encode_to_vec(),
            Self::LeaseRevoked { response, .. } => response.encode_to_vec(),
            // etcdctl's answers on leases have their header inside them, and it is what is encoded.
            Self::LeaseGranted(LeaseGrantResponse { header, .. })
            | Self::LeaseTime {
                response: LeaseTimeToLiveResponse { header, .. },
                ..
            }
            | Self::Leases(LeaseLeasesResponse { header, .. })
            | Self::LeaseRenewed(LeaseKeepAliveResponse { header, .. }) => {
                header.unwrap_or_default().encode_to_vec()
            }
            Self::Alarms(response) => response.encode_to_vec(),
            Self::Statuses(_) | Self::Hashes(_) | Self::Healths(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
