use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::flow::Flow;

#[derive(Default)]
struct Seen {
    messages: Vec<String>,
    pause_at: Option<&'static str>,
}

impl Handler for Seen {
    type Until = ();

    fn text(&mut self, text: &str) -> Flow<()> {
        self.messages.push(format!("text {text}"));
        if self.pause_at == Some(text) {
            Flow::Pause(())
        } else {
            Flow::Continue
        }
    }
    fn binary(&mut self, data: &[u8]) -> Flow<()> {
        self.messages.push(format!("binary {data:?}"));
        Flow::Continue
    }
    fn ping(&mut self, data: &[u8]) -> Flow<()> {
        self.messages.push(format!("ping {data:?}"));
        Flow::Continue
    }
}

type Read = Result<Flow<()>, End>;

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    write_header(&mut header, Opcode::Text, payload.len());
    header[0] = first;
    header[1] |= 0x80;
    let mask = [7, 99, 255, 1];
    header.extend_from_slice(&mask);
    let mut payload = payload.to_vec();
    unmask(&mut payload, mask);
    header.extend_from_slice(&payload);
    header
}

fn feed_all(chunks: &[&[u8]]) -> (Vec<String>, Read) {
    let (mut reader, mut seen, mut step) = (Reader::default(), Seen::default(), Ok(Flow::Continue));
    for chunk in chunks {
        step = reader.feed(&mut chunk.to_vec(), 1000, &mut seen);
        if step != Ok(Flow::Continue) {
            break;
        }
    }
    (seen.messages, step)
}

#[test]
fn frames_are_read_however_they_are_cut() {
    let long = "x".repeat(300);
    let mut bytes = frame(0x81, b"one");
    bytes.extend(frame(0x82, &[1, 2]));
    bytes.extend(frame(0x81, long.as_bytes()));
    bytes.extend(frame(0x01, "fé".as_bytes()[..2].as_ref()));
    bytes.extend(frame(0x89, &[9]));
    bytes.extend(frame(0x80, &"fé".as_bytes()[2..]));
    bytes.extend(frame(0x88, &[]));
    let expected = [
        "text one".to_string(),
        "binary [1, 2]".into(),
        format!("text {long}"),
        "ping [9]".into(),
        "text fé".into(),
    ];
    for size in [1, 2, 3, 7, 100, bytes.len()] {
        let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
        let (messages, step) = feed_all(&chunks);
        assert_eq!(messages, expected, "in chunks of {size}");
        assert_eq!(step, Err(End::Closed(code::NO_STATUS)));
    }
}

#[test]
fn what_was_received_during_a_pause_is_kept() {
    let mut bytes = frame(0x81, b"a");
    bytes.extend(frame(0x81, b"b"));
    let (mut reader, mut seen) = (
        Reader::default(),
        Seen {
            pause_at: Some("a"),
            ..Seen::default()
        },
    );
    assert_eq!(
        reader.feed(&mut bytes, 1000, &mut seen),
        Ok(Flow::Pause(()))
    );
    assert_eq!(seen.messages, ["text a"]);
    assert_eq!(reader.feed(&mut [], 1000, &mut seen), Ok(Flow::Continue));
    assert_eq!(seen.messages, ["text a", "text b"]);
}

#[test]
fn violations_get_their_close_code() {
    let mut unmasked = Vec::new();
    write_text(&mut unmasked, &["a"]);
    let cases: [(Vec<u8>, u16); 11] = [
        (unmasked, code::PROTOCOL_ERROR),
        (frame(0xc1, b"a"), code::PROTOCOL_ERROR),
        (frame(0x83, b"a"), code::PROTOCOL_ERROR),
        (frame(0x80, b"a"), code::PROTOCOL_ERROR),
        (frame(0x09, b"a"), code::PROTOCOL_ERROR),
        (frame(0x89, &[0; 126]), code::PROTOCOL_ERROR),
        (frame(0x88, &[1]), code::PROTOCOL_ERROR),
        (frame(0x88, &1005u16.to_be_bytes()), code::PROTOCOL_ERROR),
        (frame(0x81, &[0xff]), code::INVALID_TEXT),
        (frame(0x81, &[b'x'; 1001]), code::TOO_BIG),
        (
            [frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 600])].concat(),
            code::TOO_BIG,
        ),
    ];
    for (bytes, code) in cases {
        assert_eq!(
            feed_all(&[&bytes]).1,
            Err(End::Violation(code)),
            "{:x?}",
            &bytes[..2]
        );
    }
    let interrupted = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    assert_eq!(
        feed_all(&[&interrupted]).1,
        Err(End::Violation(code::PROTOCOL_ERROR))
    );
    // Refused by its header alone, before the client sends it all.
    assert_eq!(
        feed_all(&[&frame(0x82, &[0; 2000])[..4]]).1,
        Err(End::Violation(code::TOO_BIG))
    );
}

#[test]
fn a_fragment_that_spoils_a_text_is_refused_at_once() {
    // 0x110000, which is beyond Unicode, cut in the middle: its second byte is the first that is wrong.
    let valid = frame(0x01, b"a\xf4");
    assert_eq!(feed_all(&[&valid]).1, Ok(Flow::Continue));
    let spoilt = frame(0x00, b"\x90");
    let refused = Err(End::Violation(code::INVALID_TEXT));
    assert_eq!(feed_all(&[&valid, &spoilt]).1, refused);
    assert_eq!(feed_all(&[&frame(0x01, b"\xff")]).1, refused);
    // One that ends in the middle of a character.
    assert_eq!(feed_all(&[&valid, &frame(0x80, b"")]).1, refused);
    let binary = frame(0x02, b"\xff");
    assert_eq!(feed_all(&[&binary, &spoilt]).1, Ok(Flow::Continue));
}

#[test]
fn random_bytes_never_panic() {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    for _ in 0..5000 {
        let bytes: Vec<u8> = (0..next() % 64).map(|_| next()).collect();
        let mut masked = frame(next(), &bytes);
        masked.extend(&bytes);
        let _ = feed_all(
            &masked
                .chunks(usize::from(next() % 16) + 1)
                .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn the_accept_key_is_the_rfcs() {
    assert_eq!(
        accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

proptest! {
    #[test]
    fn messages_are_read_as_they_were_framed(
        messages in vec((any::<bool>(), vec(any::<u8>(), 0..400), vec(0..400usize, 0..3)), 0..6),
        chunk in 1..200usize,
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (text, data, cuts) in messages {
            let data = match text {
                true => String::from_utf8_lossy(&data).into_owned().into_bytes(),
                false => data,
            };
            expected.push(match text {
                true => format!("text {}", String::from_utf8_lossy(&data)),
                false => format!("binary {data:?}"),
            });
            let mut first = if text { 1 } else { 2 };
            let mut rest = &data[..];
            for cut in cuts {
                let (fragment, after) = rest.split_at(cut.min(rest.len()));
                bytes.extend(frame(first, fragment));
                (first, rest) = (0, after);
            }
            bytes.extend(frame(0x80 | first, rest));
        }
        let (mut reader, mut seen) = (Reader::default(), Seen::default());
        for chunk in bytes.chunks(chunk) {
            let step = reader.feed(&mut chunk.to_vec(), 2000, &mut seen);
            prop_assert_eq!(step, Ok(Flow::Continue));
        }
        prop_assert_eq!(seen.messages, expected);
    }

    #[test]
    fn the_servers_frames_have_their_payload(payload in vec(any::<u8>(), 0..70_000)) {
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Binary, &payload);
        // As a client reads it: by the same rules, but for the mask.
        let (length, at) = match frame[1] {
            126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
            127 => (u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize, 10),
            short => (usize::from(short), 2),
        };
        prop_assert_eq!(frame[0], 0x82);
        prop_assert_eq!(length, payload.len());
        prop_assert_eq!(&frame[at..], &payload[..]);
    }
}
