//! Messages as text: protocol buffers' text format, on one line, with revisions that may be relative.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::text_format::FormatOptions;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, Value,
};

/// In a message that has not been sent, a number near this one is a revision relative to the newest.
pub(crate) const NOW: i64 = 4_000_000_000_000_000_000;
/// The same, relative to the revision of the last compaction.
pub(crate) const COMPACTED: i64 = 5_000_000_000_000_000_000;
/// How near. A million is far from both and from every sound number of a request.
const NEAR: i64 = 1_000_000;
const NAMES: [(&str, i64); 2] = [("now", NOW), ("compacted", COMPACTED)];

/// The description of a message of etcd's.
pub(crate) fn descriptor(name: &str) -> MessageDescriptor {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        DescriptorPool::decode(quorate_proto::DESCRIPTORS).expect("protox has made them")
    });
    let full = format!("etcdserverpb.{name}");
    pool.get_message_by_name(&full)
        .unwrap_or_else(|| panic!("there is no message {full}"))
}

/// The same message, whose fields can be gone through.
pub(crate) fn dynamic(name: &str, message: &impl Message) -> DynamicMessage {
    let bytes = message.encode_to_vec();
    DynamicMessage::decode(descriptor(name), &bytes[..]).expect("it is that message")
}

/// The same message, with its fields as Rust's.
pub(crate) fn typed<M: Message + Default>(message: &DynamicMessage) -> M {
    message.transcode_to().expect("it is that message")
}

/// All that is in a message, also fields that nobody knows.
pub(crate) fn text(message: &DynamicMessage) -> String {
    let all = FormatOptions::new().skip_unknown_fields(false);
    with_names(&message.to_text_format_with_options(&all))
}

/// What [`text`] gave.
pub(crate) fn parse(name: &str, text: &str) -> Result<DynamicMessage, String> {
    let parsed = DynamicMessage::parse_text_format(descriptor(name), &without_names(text)?);
    parsed.map_err(|error| format!("{error}: {text}"))
}

/// Goes through a text, handing on what is not in quotes.
fn outside_quotes(
    text: &str,
    mut replace: impl FnMut(&str) -> Result<String, String>,
) -> Result<String, String> {
    let (mut out, mut word, mut is_quoted, mut is_escaped) =
        (String::new(), String::new(), false, false);
    for letter in text.chars() {
        let is_quote = letter == '"' && !is_escaped;
        is_escaped = is_quoted && letter == '\\' && !is_escaped;
        if !is_quoted && (letter.is_ascii_alphanumeric() || "_+-".contains(letter)) {
            word.push(letter);
            continue;
        }
        out += &replace(&std::mem::take(&mut word))?;
        out.push(letter);
        is_quoted ^= is_quote;
    }
    Ok(out + &replace(&word)?)
}

fn with_names(text: &str) -> String {
    let named = outside_quotes(text, |word| {
        let number: Option<i64> = word.parse().ok();
        let named = number.and_then(|number| {
            let (name, base) = NAMES.iter().find(|(_, base)| is_near(number, *base))?;
            let offset = number - base;
            Some(match offset {
                0 => (*name).to_owned(),
                _ => format!("{name}{offset:+}"),
            })
        });
        Ok(named.unwrap_or_else(|| word.to_owned()))
    });
    named.expect("every word is left or replaced")
}

fn without_names(text: &str) -> Result<String, String> {
    outside_quotes(text, |word| {
        for (name, base) in NAMES {
            let Some(offset) = word.strip_prefix(name) else {
                continue;
            };
            if offset.is_empty() {
                return Ok(base.to_string());
            }
            if offset.starts_with(['+', '-']) {
                let offset: i64 = offset
                    .parse()
                    .map_err(|_| format!("{word} is no revision"))?;
                return Ok((base + offset).to_string());
            }
        }
        Ok(word.to_owned())
    })
}

fn is_near(number: i64, base: i64) -> bool {
    (base - NEAR..base + NEAR).contains(&number)
}

/// Puts the revisions that are meant in the place of relative ones.
pub(crate) fn resolve(message: &mut DynamicMessage, now: i64, compacted: i64) {
    for (_, value) in message.fields_mut() {
        resolve_value(value, now, compacted);
    }
}

fn resolve_value(value: &mut Value, now: i64, compacted: i64) {
    match value {
        Value::I64(number) if is_near(*number, NOW) => *number += now - NOW,
        Value::I64(number) if is_near(*number, COMPACTED) => *number += compacted - COMPACTED,
        Value::Message(message) => resolve(message, now, compacted),
        Value::List(values) => {
            for value in values {
                resolve_value(value, now, compacted);
            }
        }
        _ => {}
    }
}

/// Does something to a message and to all messages in it.
pub(crate) fn each_message(
    message: &mut DynamicMessage,
    change: &mut impl FnMut(&mut DynamicMessage),
) {
    change(message);
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(inner) => each_message(inner, change),
            Value::List(values) => {
                for value in values {
                    if let Value::Message(inner) = value {
                        each_message(inner, change);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The revision in a response's header.
pub(crate) fn header_revision(message: &DynamicMessage) -> Option<i64> {
    if !message.has_field_by_name("header") {
        return None;
    }
    let header = message.get_field_by_name("header")?;
    let revision = header.as_message()?.get_field_by_name("revision")?;
    revision.as_i64()
}

/// Its name without the package.
pub(crate) fn name(message: &DynamicMessage) -> String {
    message.descriptor().name().to_owned()
}
