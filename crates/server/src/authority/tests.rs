use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

/// `:method: POST` from the table, the authority as a literal that goes into it, and a field after it.
fn block(length: u8, value: &[u8]) -> Vec<u8> {
    [&[0x83, 0x41, length], value, &[0x86]].concat()
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

const PLAIN: &[u8] = b"http://10.0.0.1:2379";
/// `http://10.0.0.1:2379` in Huffman's code, as etcdctl 3.4 sends it (RFC 7541, appendix B).
const IN_CODE: &[u8] = &[
    0x9d, 0x29, 0xae, 0xe3, 0x0c, 0x04, 0x0b, 0x81, 0x70, 0x2e, 0x1b, 0x82, 0x65, 0xd7, 0xff,
];

fn overwritten(mut block: Vec<u8>) -> Vec<u8> {
    overwrite_in_block(&mut block).expect("a whole block");
    block
}

#[test]
fn an_authority_with_a_scheme_is_overwritten_in_place() {
    let xs = |count: usize| block(u8::try_from(count).expect("small"), &vec![b'x'; count]);
    assert_eq!(overwritten(block(20, PLAIN)), xs(20));
    assert_eq!(overwritten(block(15 | 0x80, IN_CODE)), xs(15));
    assert_eq!(overwritten(block(11, b"https://a:1")), xs(11));
    // RFC 7541, C.6.1: https://www.example.com.
    let example = [
        0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae,
        0x43, 0xd3,
    ];
    assert_eq!(overwritten(block(17 | 0x80, &example)), xs(17));
}

/// In Huffman's code: a number of bits each, filled up with ones.
fn in_code(codes: &[(u32, u32)]) -> Vec<u8> {
    let bit_of = |(code, bits): (u32, u32)| (0..bits).rev().map(move |at| (code >> at) & 1 == 1);
    let mut bits: Vec<bool> = codes.iter().copied().flat_map(bit_of).collect();
    bits.resize(bits.len().next_multiple_of(8), true);
    let byte = |bits: &[bool]| {
        bits.iter()
            .fold(0, |byte, bit| (byte << 1) | u8::from(*bit))
    };
    bits.chunks(8).map(byte).collect()
}

#[test]
fn an_authority_that_is_longer_in_code_becomes_a_longer_one() {
    // RFC 7541, appendix B: `http://`, and line feeds.
    let scheme = [
        (0x27, 6),
        (0x9, 5),
        (0x9, 5),
        (0x2b, 6),
        (0x5c, 7),
        (0x18, 6),
        (0x18, 6),
    ];
    assert_eq!(in_code(&scheme)[..5], IN_CODE[..5]);
    let feeds = [(0x3fff_fffc, 30); 8];
    let value = in_code(&[&scheme[..], &feeds].concat());
    let of_client = scheme.len() + feeds.len();
    assert!(value.len() > of_client, "{} bytes of code", value.len());
    // An entry of the table that is larger here than at the client, who alone suffers by it.
    let length = u8::try_from(value.len()).expect("small");
    let expected = block(length, &vec![b'x'; value.len()]);
    assert_eq!(overwritten(block(length | 0x80, &value)), expected);
}

#[test]
fn all_else_stays_as_it_is() {
    // RFC 7541, C.4.1: www.example.com.
    let example = [
        0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    let path = [&[0x44, 20], PLAIN].concat();
    let by_name = [&[0x40, 1, b'a', 20], PLAIN].concat();
    for kept in [
        block(13, b"10.0.0.1:2379"),
        block(12 | 0x80, &example),
        block(4, b"http"),
        block(0, b""),
        path,
        by_name,
        vec![0x3f, 0xe1, 0x1f, 0x82],
    ] {
        assert_eq!(overwritten(kept.clone()), kept);
    }
    for cut in [
        &[0x41][..],
        &[0x41, 20, b'h'],
        &[0x41, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut block = cut.to_vec();
        assert_eq!(overwrite_in_block(&mut block), None);
        assert_eq!(block, cut);
    }
}

#[test]
fn padding_and_priority_are_stepped_over() {
    let mut padded = [&[2, 0, 0, 0, 0, 16][..], &block(20, PLAIN), &[0, 0]].concat();
    let length = padded.len();
    overwrite_in_frame(PADDED | PRIORITY, &mut padded);
    assert_eq!(padded.len(), length);
    assert!(padded.windows(20).any(|part| part == [b'x'; 20]));
    // More padding than there is.
    overwrite_in_frame(PADDED, &mut [9, 0x41]);
    overwrite_in_frame(PRIORITY, &mut [0]);
}

/// What is handed on of `sent`, which comes in pieces of `size`.
async fn handed_on(sent: &[u8], size: usize) -> Vec<u8> {
    let (mut far, near) = duplex(1 << 16);
    let mut near = PlainAuthority::of(near);
    let mut got = Vec::new();
    for piece in sent.chunks(size) {
        far.write_all(piece).await.expect("taken");
        let mut buffer = [0; 7];
        let mut read = ReadBuf::new(&mut buffer);
        // As much as there is, without waiting for more.
        std::future::poll_fn(|context| {
            while Pin::new(&mut near).poll_read(context, &mut read).is_ready() {
                got.extend_from_slice(read.filled());
                read.clear();
            }
            Poll::Ready(())
        })
        .await;
    }
    drop(far);
    near.read_to_end(&mut got).await.expect("the end");
    got
}

#[tokio::test]
async fn however_it_comes_in_pieces_the_frames_are_the_same() {
    let data = frame(0, 0, &[7; 300]);
    let headers = |value: &[u8]| frame(HEADERS, 4, &block(20, value));
    let of = |value: &[u8]| {
        let other = headers(b"10.0.0.1:2379-------");
        [
            PREFACE,
            &frame(4, 0, &[]),
            &headers(value),
            &data,
            &other,
            &headers(value),
        ]
        .concat()
    };
    let (sent, expected) = (of(PLAIN), of(&[b'x'; 20]));
    for size in [1, 2, 3, 5, 8, 9, 13, 21, 40, 100, 1000] {
        assert_eq!(handed_on(&sent, size).await, expected, "pieces of {size}");
    }
    // A frame that is never finished is no less than it was.
    let cut = &sent[..PREFACE.len() + 9 + 20];
    assert_eq!(handed_on(cut, 4).await, cut);
}

#[tokio::test]
async fn http_1_passes() {
    let request = b"POST /v3/kv/range HTTP/1.1\r\nhost: http://10.0.0.1:2379\r\n\r\n";
    for size in [1, 2, 100] {
        assert_eq!(handed_on(request, size).await, request);
    }
}
