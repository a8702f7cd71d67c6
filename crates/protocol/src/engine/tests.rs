use super::*;

#[test]
fn every_packet_type_is_read() {
    assert_eq!(decode("0{}"), Ok(Packet::Open));
    assert_eq!(decode("1"), Ok(Packet::Close));
    assert_eq!(decode("2probe"), Ok(Packet::Ping("probe")));
    assert_eq!(decode("3"), Ok(Packet::Pong("")));
    assert_eq!(decode("4héllo"), Ok(Packet::Message("héllo")));
    assert_eq!(decode("5"), Ok(Packet::Upgrade));
    assert_eq!(decode("6"), Ok(Packet::Noop));
    assert_eq!(
        decode("bAQIDBA=="),
        Ok(Packet::Binary(vec![1, 2, 3, 4].into()))
    );
}

#[test]
fn anything_else_is_malformed() {
    for text in ["", "7", "abc", "é", "\0", " 4"] {
        assert_eq!(decode(text), Err(Malformed), "{text:?}");
    }
}

#[test]
fn a_payload_is_split_at_the_record_separator() {
    let packets: Vec<_> = decode_payload("4a\x1ebAQIDBA==\x1e4€").collect();
    assert_eq!(
        packets,
        [
            Ok(Packet::Message("a")),
            Ok(Packet::Binary(vec![1, 2, 3, 4].into())),
            Ok(Packet::Message("€"))
        ]
    );
    assert_eq!(decode_payload("").collect::<Vec<_>>(), [Err(Malformed)]);
    assert_eq!(decode_payload("4a\x1e").last(), Some(Err(Malformed)));
}

#[test]
fn a_payload_is_built_with_separators_between() {
    let mut payload = String::new();
    push_packet(&mut payload, &["4", "2[\"a\"]"]);
    push_packet(&mut payload, &["b", "AQ=="]);
    assert_eq!(payload, "42[\"a\"]\x1ebAQ==");
}

#[test]
fn base64_is_read_as_node_reads_it() {
    for (text, bytes) in [
        ("AQID", vec![1, 2, 3]),
        ("AQ", vec![1]),
        ("AQ==", vec![1]),
        ("-_-_", vec![0xfb, 0xff, 0xbf]),
        ("A Q\nI=D", vec![1, 2]),
        ("A", vec![]),
        ("", vec![]),
        ("!!", vec![]),
    ] {
        assert_eq!(decode_base64(text), bytes, "{text:?}");
    }
}

#[test]
fn the_open_packet_has_the_handshakes_keys() {
    let open = Open {
        sid: "abc",
        upgrades: &["websocket"],
        ping_interval: 25_000,
        ping_timeout: 20_000,
        max_payload: 1_000_000,
    };
    assert_eq!(
        open.packet(),
        r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    );
}
