use super::*;

fn envelope(body: &'static [u8]) -> CommandEnvelope {
    CommandEnvelope {
        request_id: RequestId {
            member: 0x8e9e_05c5_2164_694d,
            boot_nonce: 7,
            sequence: 1_000_000,
        },
        kind: CommandKind::Put,
        log_time_ms: 1_795_000_000_000,
        user: String::new(),
        auth_revision: 0,
        session: 0,
        session_sequence: 0,
        body: Bytes::from_static(body),
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    let mut with_user = envelope(b"a body");
    with_user.user = "root".to_owned();
    with_user.auth_revision = 3;
    with_user.session = 9;
    with_user.session_sequence = 4;
    for envelope in [envelope(b""), envelope(b"body"), with_user] {
        let bytes = envelope.encode();
        assert_eq!(bytes.len(), envelope.encoded_len());
        assert_eq!(CommandEnvelope::decode(&bytes), Ok(envelope.clone()));
        assert_eq!(peek_request_id(&bytes), Ok(envelope.request_id));
    }
}

#[test]
fn a_small_command_has_at_most_36_bytes_of_envelope() {
    // With the log's framing of at most twelve bytes this stays within the design's 48.
    let envelope = envelope(b"0123456789");
    assert!(
        envelope.encoded_len() - 10 <= 36,
        "{} bytes",
        envelope.encoded_len() - 10
    );
}

#[test]
fn any_flipped_bit_and_any_missing_byte_is_seen() {
    let bytes = envelope(b"a body").encode();
    for position in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[position / 8] ^= 1 << (position % 8);
        let decoded = CommandEnvelope::decode(&Bytes::from(damaged));
        assert_eq!(decoded, Err(EnvelopeError::Damaged), "bit {position}");
    }
    for length in 0..bytes.len() {
        assert!(
            CommandEnvelope::decode(&bytes.slice(..length)).is_err(),
            "length {length}"
        );
    }
}

#[test]
fn a_version_or_kind_of_the_future_is_named_and_not_guessed() {
    let resealed = |position: usize, value: u8| {
        let mut bytes = envelope(b"a body").encode().to_vec();
        bytes[position] = value;
        let content_len = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..content_len]);
        bytes[content_len..].copy_from_slice(&checksum.to_le_bytes());
        CommandEnvelope::decode(&Bytes::from(bytes))
    };
    assert_eq!(resealed(0, 2), Err(EnvelopeError::UnknownVersion(2)));
    assert_eq!(resealed(1, 99), Err(EnvelopeError::UnknownKind(99)));
}

#[test]
fn every_kind_is_found_by_its_number_and_nothing_lies_between() {
    let numbers: Vec<u32> = (0..=u32::from(u8::MAX))
        .filter(|number| {
            let kind = CommandKind::from_number(*number);
            assert!(kind.is_none_or(|kind| kind as u32 == *number));
            kind.is_some()
        })
        .collect();
    assert_eq!(numbers, Vec::from_iter(1..=12));
}
