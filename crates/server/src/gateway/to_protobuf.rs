//! From JSON to protobuf's wire format, by a message's descriptor.
//!
//! The rules are those of Go's `jsonpb`, by which etcd 3.5 reads: names as in the `.proto` file or in camel case;
//! `null` is absence; 64-bit numbers as strings or numbers; enums by name or number; bytes as base64, or as an array
//! of numbers; unknown members are ignored; of equal names the last one counts. Errors have Go's words.
//!
//! The bytes are written as the walk goes, without a tree of values between: what a small text may blow up to is
//! bounded by its own length.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use quorate_kv::TXN_DEPTH_MAX;

use super::base64_lenient;
use super::cursor::{Ends, Form, Items, Value, text};
use super::go_text::quoted;
use super::scanner::check_whole;

/// How deep messages may be nested: a transaction one level deeper than the store takes, so that it is the store that
/// refuses it. A level is an operation in its transaction, and the last one has a request in it.
const MAX_MESSAGE_DEPTH: usize = 2 * (TXN_DEPTH_MAX + 1) + 1;

/// Messages whose JSON is as long as this have a length of [`LONG_LENGTH_BYTES`], since what is behind a shorter one
/// would have to be moved, at each level again.
const LONG_FROM_BYTES: usize = 4 << 10;

/// More than the least, which is in order (protobuf's encoding, "Base 128 Varints").
const LONG_LENGTH_BYTES: usize = 5;

/// The wire format of the message that `value`, well-formed JSON, stands for.
pub(super) fn to_protobuf(message: &MessageDescriptor, value: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let ends = Ends::of(value);
    put_message(message, Value::whole(value, &ends), 0, &mut out)?;
    Ok(out)
}

fn put_message(
    message: &MessageDescriptor,
    value: Value<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match Form::of(&value) {
        Form::Null => return Ok(()),
        Form::Object => {}
        _ => return Err(mismatch(&value, "map[string]json.RawMessage")),
    }
    if depth == MAX_MESSAGE_DEPTH {
        return Err("json: messages are nested too deep".to_owned());
    }
    // Fields are written in their order, not in that of the text: so of a oneof the last one wins, as in etcd.
    let fields: Vec<FieldDescriptor> = message.fields().collect();
    let mut values: Vec<Given<'_>> = vec![Given::default(); fields.len()];
    for (key, value) in Items::of_object(value) {
        let name = key.map(|key| text(&key)).unwrap_or_default();
        let is_it = |field: &FieldDescriptor| field.name() == name || field.json_name() == name;
        if let Some(index) = fields.iter().position(is_it) {
            if fields[index].json_name() == name {
                values[index].by_json_name = Some(value);
            } else {
                values[index].by_name = Some(value);
            }
        }
    }
    for (field, given) in fields.iter().zip(values) {
        let value = given.by_json_name.or(given.by_name);
        if let Some(value) = value.filter(|value| Form::of(value) != Form::Null) {
            put_field(field, value, depth, out)?;
        }
    }
    Ok(())
}

/// The values of one field, which has two names.
#[derive(Clone, Copy, Default)]
struct Given<'a> {
    by_name: Option<Value<'a>>,
    by_json_name: Option<Value<'a>>,
}

fn put_field(
    field: &FieldDescriptor,
    value: Value<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if !field.is_list() {
        return put_single(field, value, depth, out);
    }
    if Form::of(&value) != Form::Array {
        return Err(mismatch(&value, "[]json.RawMessage"));
    }
    Items::of_array(value).try_for_each(|(_, element)| put_single(field, element, depth, out))
}

fn put_single(
    field: &FieldDescriptor,
    value: Value<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let number = field.number();
    match field.kind() {
        Kind::Message(message) => {
            encode_key(number, WireType::LengthDelimited, out);
            let start = out.len();
            if value.len() < LONG_FROM_BYTES {
                put_message(&message, value, depth + 1, out)?;
                put_length_at(start, out);
            } else {
                out.extend([0; LONG_LENGTH_BYTES]);
                put_message(&message, value, depth + 1, out)?;
                fill_length_at(start, out);
            }
        }
        Kind::String => put_bytes(number, string(&value)?.as_bytes(), out),
        Kind::Bytes => put_bytes(number, &bytes(value)?, out),
        Kind::Bool => put_varint(number, u64::from(boolean(&value)?), out),
        Kind::Int32 => put_varint(number, signed(&value, "int32", 32)?, out),
        Kind::Int64 => put_varint(number, signed(&value, "int64", 64)?, out),
        Kind::Uint32 => put_varint(number, unsigned(&value, "uint32", 32)?, out),
        Kind::Uint64 => put_varint(number, unsigned(&value, "uint64", 64)?, out),
        Kind::Enum(kind) => {
            let chosen = if Form::of(&value) == Form::Text {
                let name = String::from_utf8_lossy(&value[1..value.len() - 1]);
                let known = kind.get_value_by_name(&name).ok_or_else(|| {
                    let shown = quoted(&value);
                    format!("unknown value {shown} for enum {}", kind.full_name())
                })?;
                i64::from(known.number()) as u64
            } else {
                number_in(&value, "protoreflect.EnumNumber", 32)?
            };
            put_varint(number, chosen, out);
        }
        // etcd's messages have no others; a test sees to it.
        other => return Err(format!("json: fields of kind {other:?} are not served")),
    }
    Ok(())
}

/// Puts the length of what stands behind `start` there.
fn put_length_at(start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    encode_varint((end - start) as u64, out);
    let length_bytes = out.len() - end;
    out[start..].rotate_right(length_bytes);
}

/// Puts the length of what stands behind the room for it there.
fn fill_length_at(start: usize, out: &mut [u8]) {
    let (length, message) = out[start..].split_at_mut(LONG_LENGTH_BYTES);
    let mut rest = message.len();
    for (place, byte) in (1..).zip(length) {
        let goes_on = if place < LONG_LENGTH_BYTES { 0x80 } else { 0 };
        *byte = (rest & 0x7f) as u8 | goes_on;
        rest >>= 7;
    }
    assert!(rest == 0, "a message of {} bytes", message.len());
}

fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

fn put_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

fn boolean(value: &[u8]) -> Result<bool, String> {
    match Form::of(value) {
        Form::Null => Ok(false),
        Form::Bool => Ok(value == b"true"),
        _ => Err(mismatch(value, "bool")),
    }
}

fn string(value: &[u8]) -> Result<String, String> {
    match Form::of(value) {
        Form::Null => Ok(String::new()),
        Form::Text => Ok(text(value)),
        _ => Err(mismatch(value, "string")),
    }
}

fn bytes(value: Value<'_>) -> Result<Vec<u8>, String> {
    match Form::of(&value) {
        Form::Null => Ok(Vec::new()),
        Form::Text => base64_lenient::decode(text(&value).as_bytes())
            .map_err(|at| format!("illegal base64 data at input byte {at}")),
        Form::Array => Items::of_array(value)
            .map(|(_, element)| Ok(number_of(&element, "uint8", 0, 255)? as u8))
            .collect(),
        _ => Err(mismatch(&value, "[]uint8")),
    }
}

/// A number, or a string that holds one.
fn signed(value: &[u8], go_type: &str, bits: u32) -> Result<u64, String> {
    number_in(unquoted(value)?, go_type, bits)
}

fn unsigned(value: &[u8], go_type: &str, bits: u32) -> Result<u64, String> {
    let most = i128::from(u64::MAX >> (64 - bits));
    let digits = unquoted(value)?;
    if digits.starts_with(b"-") {
        return Err(wrong_number(digits, go_type));
    }
    number_of(digits, go_type, 0, most)
}

fn number_in(value: &[u8], go_type: &str, bits: u32) -> Result<u64, String> {
    let limit = 1_i128 << (bits - 1);
    number_of(value, go_type, -limit, limit - 1)
}

/// A whole number within limits; negative ones as their two's complement.
fn number_of(value: &[u8], go_type: &str, least: i128, most: i128) -> Result<u64, String> {
    match Form::of(value) {
        Form::Null => return Ok(0),
        Form::Number => {}
        _ => return Err(mismatch(value, go_type)),
    }
    let number = std::str::from_utf8(value).ok();
    let number = number.and_then(|digits| digits.parse::<i128>().ok());
    match number.filter(|number| (least..=most).contains(number)) {
        Some(number) => Ok(number as u64),
        None => Err(wrong_number(value, go_type)),
    }
}

/// What stands in a string, which must be JSON by itself.
fn unquoted(value: &[u8]) -> Result<&[u8], String> {
    if Form::of(value) != Form::Text {
        return Ok(value);
    }
    let inner = &value[1..value.len() - 1];
    check_whole(inner)?;
    Ok(inner.trim_ascii())
}

fn mismatch(value: &[u8], go_type: &str) -> String {
    let form = Form::of(value).name();
    format!("json: cannot unmarshal {form} into Go value of type {go_type}")
}

fn wrong_number(value: &[u8], go_type: &str) -> String {
    let digits = String::from_utf8_lossy(value);
    format!("json: cannot unmarshal number {digits} into Go value of type {go_type}")
}
