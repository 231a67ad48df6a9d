//! From protobuf's wire format to JSON, by a message's descriptor.
//!
//! The form is that of etcd 3.5's gateway: names as in the `.proto` file, in the order of the fields' numbers;
//! 64-bit numbers as strings, bytes as base64, enums by name; what is zero is absent, as it is on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::go_text::push_json_string;

/// The bytes are no such message, or its fields are not in their order. Both would be our own fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends the message as a JSON object.
pub(super) fn push_json(
    message: &MessageDescriptor,
    mut wire: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    out.push(b'{');
    // The field whose value was written last, and whether its array is open.
    let mut last: Option<(u32, bool)> = None;
    while !wire.is_empty() {
        let (number, wire_type) = decode_key(&mut wire).map_err(|_| Malformed)?;
        let Some(field) = message.get_field(number) else {
            let context = DecodeContext::default();
            skip_field(wire_type, number, &mut wire, context).map_err(|_| Malformed)?;
            continue;
        };
        match last {
            Some((before, true)) if before == number => out.push(b','),
            Some((before, _)) if before >= number => return Err(Malformed),
            _ => {
                if let Some((_, is_array)) = last {
                    out.extend(if is_array { &b"],"[..] } else { b"," });
                }
                push_json_string(out, field.name());
                out.extend(if field.is_list() { &b":["[..] } else { b":" });
            }
        }
        push_values(&field, wire_type, &mut wire, out)?;
        last = Some((number, field.is_list()));
    }
    if let Some((_, true)) = last {
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

/// One value, or several that were packed.
fn push_values(
    field: &FieldDescriptor,
    wire_type: WireType,
    wire: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let kind = field.kind();
    match (&kind, wire_type) {
        (Kind::Message(message), WireType::LengthDelimited) => {
            push_json(message, delimited(wire)?, out)
        }
        (Kind::String, WireType::LengthDelimited) => {
            let text = std::str::from_utf8(delimited(wire)?).map_err(|_| Malformed)?;
            push_json_string(out, text);
            Ok(())
        }
        (Kind::Bytes, WireType::LengthDelimited) => {
            push_base64(delimited(wire)?, out);
            Ok(())
        }
        (_, WireType::Varint) => {
            let number = decode_varint(wire).map_err(|_| Malformed)?;
            push_number(&kind, number, out)
        }
        (_, WireType::LengthDelimited) => {
            let mut packed = delimited(wire)?;
            let mut is_first = true;
            while !packed.is_empty() {
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                let number = decode_varint(&mut packed).map_err(|_| Malformed)?;
                push_number(&kind, number, out)?;
            }
            Ok(())
        }
        _ => Err(Malformed),
    }
}

fn push_number(kind: &Kind, number: u64, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let text = match kind {
        Kind::Bool => (number != 0).to_string(),
        Kind::Int32 => (number as i32).to_string(),
        Kind::Uint32 => (number as u32).to_string(),
        Kind::Int64 => format!("\"{}\"", number as i64),
        Kind::Uint64 => format!("\"{number}\""),
        Kind::Enum(values) => match values.get_value(number as i32) {
            Some(value) => format!("\"{}\"", value.name()),
            None => (number as i32).to_string(),
        },
        _ => return Err(Malformed),
    };
    out.extend(text.as_bytes());
    Ok(())
}

fn delimited<'a>(wire: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = decode_varint(wire).map_err(|_| Malformed)?;
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let (bytes, rest) = wire.split_at_checked(length).ok_or(Malformed)?;
    *wire = rest;
    Ok(bytes)
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("the room was measured");
    out.push(b'"');
}
