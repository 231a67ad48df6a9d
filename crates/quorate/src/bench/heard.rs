//! Answers of a watch, read no further than a load needs: how many events, and when the first was sent.
//!
//! A generator that makes every key and value it hears into an object of its own would be what is measured. The fields
//! are those of etcd's `WatchResponse`, `Event` and `KeyValue` (`rpc.proto`, `kv.proto`); all others are passed over.

use bytes::{Buf, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use quorate_proto::etcdserverpb::WatchRequest;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// `WatchResponse`.
const CREATED: u32 = 3;
const CANCELED: u32 = 4;
const EVENTS: u32 = 11;
/// `Event`.
const KV: u32 = 2;
/// `KeyValue`.
const VALUE: u32 = 5;
/// How many bytes of a value say when it was sent.
pub(super) const STAMP_BYTES: usize = 8;

/// What one answer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) is_created: bool,
    pub(super) is_canceled: bool,
    pub(super) events: u64,
    /// The stamp in the value of the first event, which has waited longest.
    pub(super) first_stamp: Option<u64>,
}

impl Heard {
    fn read(mut message: Bytes) -> Result<Heard, DecodeError> {
        let mut heard = Heard::default();
        while message.has_remaining() {
            let (field, wire) = decode_key(&mut message)?;
            match (field, wire) {
                (CREATED, WireType::Varint) => heard.is_created = decode_varint(&mut message)? != 0,
                (CANCELED, WireType::Varint) => {
                    heard.is_canceled = decode_varint(&mut message)? != 0;
                }
                (EVENTS, WireType::LengthDelimited) => {
                    let event = bytes_of(&mut message)?;
                    if heard.events == 0 {
                        heard.first_stamp = stamp(event)?;
                    }
                    heard.events += 1;
                }
                _ => skip_field(wire, field, &mut message, DecodeContext::default())?,
            }
        }
        Ok(heard)
    }
}

/// The first bytes of an event's value as a number; none if it is shorter.
fn stamp(event: Bytes) -> Result<Option<u64>, DecodeError> {
    let Some(key_value) = find(event, KV)? else {
        return Ok(None);
    };
    let value = find(key_value, VALUE)?.unwrap_or_default();
    let stamp = value.get(..STAMP_BYTES);
    Ok(stamp.map(|stamp| u64::from_le_bytes(stamp.try_into().expect("of this length"))))
}

/// The first field of this number whose content is bytes.
fn find(mut message: Bytes, wanted: u32) -> Result<Option<Bytes>, DecodeError> {
    while message.has_remaining() {
        let (field, wire) = decode_key(&mut message)?;
        if field == wanted && wire == WireType::LengthDelimited {
            return bytes_of(&mut message).map(Some);
        }
        skip_field(wire, field, &mut message, DecodeContext::default())?;
    }
    Ok(None)
}

fn bytes_of(message: &mut Bytes) -> Result<Bytes, DecodeError> {
    let mut content = Bytes::new();
    let context = DecodeContext::default();
    prost::encoding::bytes::merge(WireType::LengthDelimited, &mut content, message, context)?;
    Ok(content)
}

/// Sends requests of watches and reads answers as [`Heard`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeardCodec;

impl Codec for HeardCodec {
    type Encode = WatchRequest;
    type Decode = Heard;
    type Encoder = HeardCodec;
    type Decoder = HeardCodec;

    fn encoder(&mut self) -> HeardCodec {
        HeardCodec
    }

    fn decoder(&mut self) -> HeardCodec {
        HeardCodec
    }
}

impl Encoder for HeardCodec {
    type Item = WatchRequest;
    type Error = Status;

    fn encode(&mut self, request: WatchRequest, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::Message::encode(&request, to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for HeardCodec {
    type Item = Heard;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Heard>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        let heard = Heard::read(message);
        heard
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use quorate_proto::etcdserverpb::{ResponseHeader, WatchResponse};
    use quorate_proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn event(value: &[u8]) -> Event {
        let kv = KeyValue {
            key: "00000001".into(),
            create_revision: 3,
            mod_revision: 9,
            version: 2,
            value: Bytes::copy_from_slice(value),
            lease: 0,
        };
        Event {
            kv: Some(kv),
            ..Event::default()
        }
    }

    fn heard(response: &WatchResponse) -> Heard {
        Heard::read(response.encode_to_vec().into()).expect("a whole message")
    }

    #[test]
    fn events_are_counted_and_the_first_stamp_is_read() {
        let stamped = |stamp: u64| [&stamp.to_le_bytes()[..], b"and more"].concat();
        let response = WatchResponse {
            header: Some(ResponseHeader {
                revision: 9,
                ..ResponseHeader::default()
            }),
            watch_id: 4,
            events: vec![event(&stamped(77)), event(&stamped(88)), event(b"")],
            ..WatchResponse::default()
        };
        let expected = Heard {
            events: 3,
            first_stamp: Some(77),
            ..Heard::default()
        };
        assert_eq!(heard(&response), expected);
    }

    #[test]
    fn a_value_too_short_for_a_stamp_has_none() {
        let response = WatchResponse {
            events: vec![event(b"short")],
            ..WatchResponse::default()
        };
        assert_eq!(
            (heard(&response).events, heard(&response).first_stamp),
            (1, None)
        );
    }

    #[test]
    fn the_beginning_and_the_end_of_a_watch_are_seen() {
        let created = WatchResponse {
            created: true,
            ..WatchResponse::default()
        };
        let canceled = WatchResponse {
            canceled: true,
            cancel_reason: "compacted".to_owned(),
            ..WatchResponse::default()
        };
        assert!(heard(&created).is_created && !heard(&created).is_canceled);
        assert!(heard(&canceled).is_canceled && !heard(&canceled).is_created);
    }

    #[test]
    fn a_message_cut_short_is_an_error() {
        let response = WatchResponse {
            events: vec![event(b"a value that is long enough")],
            ..WatchResponse::default()
        };
        let whole = response.encode_to_vec();
        assert!(Heard::read(whole[..whole.len() - 3].to_vec().into()).is_err());
    }
}
