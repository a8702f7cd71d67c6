//! A polling payload as it comes in a POST: nothing panics, and what was read is read the same way once it is
//! written again.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use parlour_protocol::engine::{Packet, decode_payload, push_packet};

fuzz_target!(|body: &[u8]| {
    let payload = String::from_utf8_lossy(body);
    let packets: Vec<_> = decode_payload(&payload).map_while(Result::ok).collect();
    let mut written = String::new();
    for packet in &packets {
        match packet {
            Packet::Open => push_packet(&mut written, &["0"]),
            Packet::Close => push_packet(&mut written, &["1"]),
            Packet::Ping(text) => push_packet(&mut written, &["2", text]),
            Packet::Pong(text) => push_packet(&mut written, &["3", text]),
            Packet::Message(text) => push_packet(&mut written, &["4", text]),
            Packet::Binary(data) => push_packet(&mut written, &["b", &STANDARD.encode(data)]),
            Packet::Upgrade => push_packet(&mut written, &["5"]),
            Packet::Noop => push_packet(&mut written, &["6"]),
        }
    }
    if !packets.is_empty() {
        let again: Vec<_> = decode_payload(&written).map_while(Result::ok).collect();
        assert_eq!(again, packets);
    }
});
