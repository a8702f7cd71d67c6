//! A binary Socket.IO packet and its attachments: the placeholders are judged as a full JSON parser would
//! judge them. The first line is the packet, each other line an attachment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_protocol::socket::{Kind, Reassembler, decode, renumber};
use serde_json::Value;
use serde_json::value::RawValue;

/// As `socket.io-parser` walks the parsed data.
fn is_legal(value: &Value, attachments: usize) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| is_legal(item, attachments)),
        Value::Object(fields) if fields.get("_placeholder") == Some(&Value::Bool(true)) => fields
            .get("num")
            .and_then(Value::as_f64)
            .is_some_and(|num| num >= 0.0 && num.fract() == 0.0 && num < attachments as f64),
        Value::Object(fields) => fields.values().all(|item| is_legal(item, attachments)),
        _ => true,
    }
}

/// Numbers of placeholders can be written in several ways.
fn normal(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = normal(item.take())),
        Value::Object(fields) => {
            fields.values_mut().for_each(|item| *item = normal(item.take()));
        }
        Value::Number(number) => value = Value::from(number.as_f64()),
        _ => {}
    }
    value
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(Ok(text)) = lines.next().map(str::from_utf8) else {
        return;
    };
    let Ok(packet) = decode(text) else { return };
    if !matches!(packet.kind, Kind::BinaryEvent | Kind::BinaryAck) {
        return;
    }
    let mut reassembler = Reassembler::new(&packet);
    // Attachments that the fuzzer did not think of are empty.
    let mut complete = false;
    for _ in 0..packet.attachments {
        assert!(!complete);
        complete = reassembler.add(lines.next().unwrap_or_default());
    }
    assert_eq!(complete, packet.attachments > 0);
    let count = packet.attachments;
    // Only what such a parser takes at all can be compared.
    let value = packet.data.map(|data| serde_json::from_str::<Value>(data.get()));
    let expected = match &value {
        None => true,
        Some(Ok(value)) => is_legal(value, count),
        Some(Err(_)) => return drop(reassembler.finish()),
    };
    let finished = reassembler.finish();
    assert_eq!(finished.is_ok(), expected, "{text:?}");
    if let Ok(whole) = finished {
        assert_eq!(whole.attachments.len(), count);
        assert_eq!(&*whole.namespace, packet.namespace);
        assert_eq!(whole.data.as_deref().map(RawValue::get), packet.data.map(RawValue::get));
        if let (Some(data), Some(Ok(value))) = (packet.data, value) {
            let read = |json: &str| serde_json::from_str::<Value>(json).expect("it is JSON as before");
            let moved = renumber(data.get(), count, |number| number + 1);
            assert!(is_legal(&read(&moved), count + 1), "{moved:?}");
            let same = renumber(data.get(), count, |number| number);
            assert_eq!(normal(read(&same)), normal(value));
        }
    }
});
