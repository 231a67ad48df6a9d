//! Questions with one answer, and how they go over the wire: as messages whose fields are all seen, known or not.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::messages;

/// One method of etcd's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// Its name in a sequence.
    pub(crate) word: &'static str,
    path: &'static str,
    pub(crate) request: &'static str,
    response: &'static str,
}

pub(crate) const RANGE: Method = method(
    "range",
    "/etcdserverpb.KV/Range",
    "RangeRequest",
    "RangeResponse",
);
pub(crate) const PUT: Method = method("put", "/etcdserverpb.KV/Put", "PutRequest", "PutResponse");
pub(crate) const DELETE: Method = method(
    "delete",
    "/etcdserverpb.KV/DeleteRange",
    "DeleteRangeRequest",
    "DeleteRangeResponse",
);
pub(crate) const TXN: Method = method("txn", "/etcdserverpb.KV/Txn", "TxnRequest", "TxnResponse");
pub(crate) const COMPACT: Method = method(
    "compact",
    "/etcdserverpb.KV/Compact",
    "CompactionRequest",
    "CompactionResponse",
);
pub(crate) const GRANT: Method = method(
    "grant",
    "/etcdserverpb.Lease/LeaseGrant",
    "LeaseGrantRequest",
    "LeaseGrantResponse",
);
pub(crate) const REVOKE: Method = method(
    "revoke",
    "/etcdserverpb.Lease/LeaseRevoke",
    "LeaseRevokeRequest",
    "LeaseRevokeResponse",
);
pub(crate) const TIME_TO_LIVE: Method = method(
    "time_to_live",
    "/etcdserverpb.Lease/LeaseTimeToLive",
    "LeaseTimeToLiveRequest",
    "LeaseTimeToLiveResponse",
);
pub(crate) const LEASES: Method = method(
    "leases",
    "/etcdserverpb.Lease/LeaseLeases",
    "LeaseLeasesRequest",
    "LeaseLeasesResponse",
);
/// A stream, of which here one question and one answer are used.
pub(crate) const KEEP_ALIVE: Method = method(
    "keep_alive",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "LeaseKeepAliveRequest",
    "LeaseKeepAliveResponse",
);

/// Those that are calls in a sequence.
pub(crate) static METHODS: [Method; 9] = [
    RANGE,
    PUT,
    DELETE,
    TXN,
    COMPACT,
    GRANT,
    REVOKE,
    TIME_TO_LIVE,
    LEASES,
];

const fn method(
    word: &'static str,
    path: &'static str,
    request: &'static str,
    response: &'static str,
) -> Method {
    Method {
        word,
        path,
        request,
        response,
    }
}

/// The method of that name in a sequence.
pub(crate) fn named(word: &str) -> &'static Method {
    let method = METHODS.iter().find(|method| method.word == word);
    method.expect("a method of the table")
}

/// Asks once.
pub(crate) async fn call(
    channel: &Channel,
    method: &Method,
    message: DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let mut grpc =
        tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(i32::MAX as usize);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unknown(format!("no connection: {error}")))?;
    let path = http::uri::PathAndQuery::from_static(method.path);
    let codec = Messages {
        response: messages::descriptor(method.response),
    };
    if *method == KEEP_ALIVE {
        let questions = Request::new(tokio_stream::once(message));
        let answers = grpc.streaming(questions, path, codec).await?;
        let answer = answers.into_inner().message().await?;
        return answer.ok_or_else(|| Status::unknown("the stream ended without an answer"));
    }
    let answer = grpc.unary(Request::new(message), path, codec).await?;
    Ok(answer.into_inner())
}

/// Messages by their descriptions.
struct Messages {
    response: MessageDescriptor,
}

impl Codec for Messages {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Encode;
    type Decoder = Decode;

    fn encoder(&mut self) -> Encode {
        Encode
    }

    fn decoder(&mut self) -> Decode {
        Decode(self.response.clone())
    }
}

struct Encode;

impl Encoder for Encode {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).expect("the buffer grows");
        Ok(())
    }
}

struct Decode(MessageDescriptor);

impl Decoder for Decode {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let decoded = DynamicMessage::decode(self.0.clone(), buffer);
        decoded
            .map(Some)
            .map_err(|error| Status::unknown(format!("no {}: {error}", self.0.name())))
    }
}
