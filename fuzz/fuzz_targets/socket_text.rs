//! A Socket.IO packet as text: nothing panics, and a packet that was read is read again as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_protocol::socket::{Head, Packet, decode};
use serde_json::value::RawValue;

fn parts<'a>(packet: &'a Packet<'_>) -> (u8, &'a str, Option<u64>, Option<&'a str>, usize) {
    let id = packet.id.and_then(|id| id.exact());
    let data = packet.data.map(RawValue::get);
    (packet.kind as u8, packet.namespace, id, data, packet.attachments)
}

fuzz_target!(|text: &str| {
    let Ok(packet) = decode(text) else { return };
    assert!(packet.namespace.starts_with('/'));
    // An id beyond 2^53 is another number for JavaScript, and for us.
    if packet.id.is_some_and(|id| id.exact().is_none()) {
        return;
    }
    let head = Head {
        kind: packet.kind,
        attachments: packet.attachments,
        namespace: packet.namespace,
        id: packet.id,
    };
    let written = format!("{head}{}", packet.data.map_or("", RawValue::get));
    let again = decode(&written).expect("what was written is a packet");
    assert_eq!(parts(&again), parts(&packet), "{written:?}");
});
