use super::*;

fn read(text: &str) -> (Kind, &str, Option<String>, Option<&str>, usize) {
    let packet = decode(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let id = packet.id.map(|id| id.to_string());
    (
        packet.kind,
        packet.namespace,
        id,
        packet.data.map(RawValue::get),
        packet.attachments,
    )
}

#[test]
fn packets_of_the_protocol_document() {
    let cases = [
        ("0", (Kind::Connect, "/", None, None, 0)),
        ("0/admin,", (Kind::Connect, "/admin", None, None, 0)),
        ("0/admin", (Kind::Connect, "/admin", None, None, 0)),
        (
            r#"0{"token":"123"}"#,
            (Kind::Connect, "/", None, Some(r#"{"token":"123"}"#), 0),
        ),
        ("1/admin,", (Kind::Disconnect, "/admin", None, None, 0)),
        (
            r#"2["foo"]"#,
            (Kind::Event, "/", None, Some(r#"["foo"]"#), 0),
        ),
        (
            r#"2/admin,["bar"]"#,
            (Kind::Event, "/admin", None, Some(r#"["bar"]"#), 0),
        ),
        (
            r#"212["foo"]"#,
            (Kind::Event, "/", Some("12".into()), Some(r#"["foo"]"#), 0),
        ),
        (
            r#"3/admin,13["bar"]"#,
            (
                Kind::Ack,
                "/admin",
                Some("13".into()),
                Some(r#"["bar"]"#),
                0,
            ),
        ),
        (
            r#"4{"message":"no"}"#,
            (
                Kind::ConnectError,
                "/",
                None,
                Some(r#"{"message":"no"}"#),
                0,
            ),
        ),
        (
            r#"51-["baz",{"_placeholder":true,"num":0}]"#,
            (
                Kind::BinaryEvent,
                "/",
                None,
                Some(r#"["baz",{"_placeholder":true,"num":0}]"#),
                1,
            ),
        ),
        (
            r#"61-/admin,15[{"_placeholder":true,"num":0}]"#,
            (
                Kind::BinaryAck,
                "/admin",
                Some("15".into()),
                Some(r#"[{"_placeholder":true,"num":0}]"#),
                1,
            ),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn oddities_that_the_reference_takes() {
    assert_eq!(read("2"), (Kind::Event, "/", None, None, 0));
    assert_eq!(read("21"), (Kind::Event, "/", Some("1".into()), None, 0));
    assert_eq!(read("2[1,2]"), (Kind::Event, "/", None, Some("[1,2]"), 0));
    assert_eq!(
        read(r#"2 ["a"]"#),
        (Kind::Event, "/", Some("0".into()), Some(r#"["a"]"#), 0)
    );
    assert_eq!(
        read(r#"2[ "a" ] "#),
        (Kind::Event, "/", None, Some(r#"[ "a" ]"#), 0)
    );
    assert_eq!(
        read(r#"5-["a"]"#),
        (Kind::BinaryEvent, "/", None, Some(r#"["a"]"#), 0)
    );
    assert_eq!(
        read(r#"0/a?b=c,{}"#),
        (Kind::Connect, "/a?b=c", None, Some("{}"), 0)
    );
    assert_eq!(read("2[\"\\ud800\"]").3, Some("[\"\\ud800\"]"));
}

#[test]
fn what_the_reference_refuses() {
    let cases = [
        ("", Malformed::UnknownKind),
        ("abc", Malformed::UnknownKind),
        ("7", Malformed::UnknownKind),
        ("999", Malformed::UnknownKind),
        ("é", Malformed::UnknownKind),
        ("5", Malformed::IllegalAttachments),
        ("51", Malformed::IllegalAttachments),
        ("51[\"a\"]", Malformed::IllegalAttachments),
        ("5a-[\"a\"]", Malformed::IllegalAttachments),
        ("51.5-[\"a\"]", Malformed::IllegalAttachments),
        ("511-[\"a\"]", Malformed::TooManyAttachments),
        (
            "5999999999999999999999-[\"a\"]",
            Malformed::TooManyAttachments,
        ),
        ("0[]", Malformed::InvalidPayload),
        ("0\"a\"", Malformed::InvalidPayload),
        ("1{}", Malformed::InvalidPayload),
        ("2{}", Malformed::InvalidPayload),
        ("2[]", Malformed::InvalidPayload),
        ("2[null]", Malformed::InvalidPayload),
        ("2[{}]", Malformed::InvalidPayload),
        ("2[\"a\"", Malformed::InvalidPayload),
        ("2[\"a\"]x", Malformed::InvalidPayload),
        ("2abc[\"a\"]", Malformed::InvalidPayload),
        ("2\"a\"", Malformed::InvalidPayload),
        ("3{}", Malformed::InvalidPayload),
        ("4[]", Malformed::InvalidPayload),
        ("2/a{\"b\":1},x", Malformed::InvalidPayload),
    ];
    for (text, error) in cases {
        assert_eq!(decode(text).map(|_| ()), Err(error), "{text:?}");
    }
}

#[test]
fn reserved_names_are_refused_even_when_escaped() {
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        assert_eq!(
            decode(&format!("2[\"{name}\",1]")).map(|_| ()),
            Err(Malformed::InvalidPayload)
        );
        assert!(decode(&format!("3[\"{name}\"]")).is_ok());
    }
    assert_eq!(
        decode(r#"2["\u0063onnect"]"#).map(|_| ()),
        Err(Malformed::InvalidPayload)
    );
    assert!(decode(r#"2["connection"]"#).is_ok());
    assert!(decode(r#"2["\"connect"]"#).is_ok());
}

#[test]
fn an_id_beyond_a_number_is_what_javascript_makes_of_it() {
    let id = |digits: &str| {
        let text = format!("2{digits}[\"a\"]");
        decode(&text).unwrap().id.unwrap()
    };
    assert_eq!(id("7").exact(), Some(7));
    assert_eq!(id("007").to_string(), "7");
    assert_eq!(id("9007199254740991").exact(), Some(9007199254740991));
    assert_eq!(id("9007199254740993").exact(), None);
    assert_eq!(
        id("18446744073709551616").to_string(),
        "18446744073709552000"
    );
    assert_eq!(id("1000000000000000000000").to_string(), "1e+21");
    assert_eq!(id(&"9".repeat(400)).to_string(), "Infinity");
    assert_eq!(id("1 2").to_string(), "NaN");
    assert_eq!(id("1 2").exact(), None);
}

#[test]
fn attachments_complete_a_packet() {
    let packet =
        decode(r#"52-/n,3["a",{"_placeholder":true,"num":1},[{"num":0,"_placeholder":true}]]"#)
            .unwrap();
    let mut reassembler = Reassembler::new(&packet);
    assert!(!reassembler.add(&[1]));
    assert!(reassembler.add(&[2, 3]));
    let complete = reassembler.finish().unwrap();
    assert_eq!(&*complete.namespace, "/n");
    assert_eq!(complete.id.and_then(AckId::exact), Some(3));
    assert_eq!(complete.attachments, [vec![1], vec![2, 3]]);
}

#[test]
fn a_placeholder_must_name_an_attachment() {
    let finish = |data: &str| {
        let text = format!("51-[\"a\",{data}]");
        let mut reassembler = Reassembler::new(&decode(&text).unwrap());
        assert!(reassembler.add(&[0]));
        reassembler.finish().map(|_| ())
    };
    for legal in [
        r#"{"_placeholder":true,"num":0}"#,
        r#"{"_placeholder":false,"num":9}"#,
        r#"{"_placeholder":"true","num":9}"#,
        r#"{"num":9}"#,
        r#""_placeholder\"num",9"#,
        r#"{"_placeholder":true,"num":3,"num":0}"#,
        r#"{"a":{"b":[{"_placeholder" : true , "num" : 0.0}]}}"#,
        r#"{"_placeholder":true,"_placeholder":[],"num":5}"#,
        r#"{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":9}}"#,
        r#"{"x":[{"_placeholder":true,"num":9}],"num":0,"_placeholder":true}"#,
        r#"{"x":{"_placeholder":true,"num":9},"x":1}"#,
        r#"{"\ud83d":{"_placeholder":true,"num":9},"\ud83d":1}"#,
    ] {
        assert_eq!(finish(legal), Ok(()), "{legal}");
    }
    for illegal in [
        r#"{"_placeholder":true,"num":1}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true}"#,
        r#"[[{"x":{"\u005fplaceholder":true,"num":7}}]]"#,
        r#"{"_placeholder":true,"num":0,"num":{"num":0}}"#,
        r#"{"x":{"_placeholder":true,"num":9},"y":1}"#,
        r#"{"x":[[],{"_placeholder":true,"num":9},1,[]]}"#,
        r#"{"\ud83d":{"_placeholder":true,"num":9},"\ud83e":1}"#,
    ] {
        assert_eq!(
            finish(illegal),
            Err(Malformed::IllegalPlaceholder),
            "{illegal}"
        );
    }
}

#[test]
fn placeholders_get_other_numbers_and_the_rest_stays_as_it_is_written() {
    let mut asked = Vec::new();
    let mut next = 7;
    let came = r#"[{"num" : 1.0,"_placeholder":true,"x":"\ud83d"}, {"_placeholder":true,"num":0,"num":0e0 },
        {"num":1},{"_placeholder":true,"num":5},"{\"_placeholder\":true,\"num\":0}",1e1, {"_placeholder":true,"num":1}]"#;
    let went = renumber(came, 2, |number| {
        asked.push(number);
        next += 1;
        next
    });
    let expected = came
        .replace("1.0", "8")
        .replace("0e0", "9")
        .replace(r#""num":1}]"#, r#""num":8}]"#);
    assert_eq!(went, expected);
    assert_eq!(asked, [1, 0]);
    let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    assert_eq!(renumber(&deep, 1, |_| 0), deep);
}

#[test]
fn packets_with_what_only_javascript_takes_are_read_and_stay_as_they_are() {
    let (open, close) = ("{\"b\":[".repeat(100_000), "]}".repeat(100_000));
    let deep = format!("[\"a\",{open}1{close}]");
    for data in [
        r#"["\ud83d","\udc00x"]"#,
        r#"["a",10.0,1e1,-0,1E400,123456789012345678901234567890]"#,
        r#"["a",{"b":1,"b":2},{"\ud83d":1}]"#,
        &deep,
    ] {
        let text = format!("2{data}");
        let packet = decode(&text).unwrap();
        assert_eq!(packet.data.map(RawValue::get), Some(data));
    }
    for data in [
        r#"["a",01]"#,
        "[\"a\",\"\t\"]",
        r#"["a",NaN]"#,
        r#"["a",]"#,
        r#"["a","\x"]"#,
    ] {
        assert_eq!(
            decode(&format!("2{data}")).unwrap_err(),
            Malformed::InvalidPayload
        );
    }
}

#[test]
fn packets_are_written_as_the_reference_writes_them() {
    let data = RawValue::from_string("{\"code\":1}".into()).unwrap();
    assert_eq!(connect("/", "x", None), r#"0{"sid":"x"}"#);
    assert_eq!(
        connect("/a", "x", Some("y")),
        r#"0/a,{"sid":"x","pid":"y"}"#
    );
    assert_eq!(
        connect_error("/", "no \"you\"", None),
        r#"4{"message":"no \"you\""}"#
    );
    assert_eq!(
        connect_error("/a", "no", Some(&data)),
        r#"4/a,{"message":"no","data":{"code":1}}"#
    );
    assert_eq!(disconnect("/"), "1");
    assert_eq!(disconnect("/a"), "1/a,");
    let head = |kind, attachments, namespace, id: Option<u32>| {
        Head {
            kind,
            attachments,
            namespace,
            id: id.map(AckId::from),
        }
        .to_string()
    };
    assert_eq!(head(Kind::Event, 0, "/", None), "2");
    assert_eq!(head(Kind::Event, 2, "/a", None), "52-/a,");
    assert_eq!(head(Kind::Ack, 0, "/a", Some(7)), "3/a,7");
    assert_eq!(head(Kind::Ack, 1, "/", Some(7)), "61-7");
}

/// Small and reproducible: what matters is many different inputs, not good randomness.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn nothing_a_client_sends_makes_the_decoder_panic() {
    const PIECES: [&str; 32] = [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "-",
        "/",
        ",",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\\",
        "\\u00",
        "a",
        "connect",
        "_placeholder",
        "num",
        ":",
        "true",
        "1e400",
        " ",
        "é",
        "€",
        "\u{1f600}",
        "\u{feff}",
        "999999999999999999999",
        "\0",
    ];
    let mut random = Random(42);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..random.below(12) {
            text.push_str(PIECES[random.below(PIECES.len())]);
        }
        let _ = crate::engine::decode_payload(&text).count();
        match decode(&text) {
            Err(_) => refused += 1,
            Ok(packet) => {
                taken += 1;
                assert!(packet.namespace.starts_with('/'), "{text:?}");
                let mut reassembler = Reassembler::new(&packet);
                for _ in 0..packet.attachments {
                    reassembler.add(text.as_bytes());
                }
                let _ = reassembler.finish();
            }
        }
    }
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn nesting_as_deep_as_a_message_is_long_is_harmless() {
    let depth = 200_000;
    let text = format!("51-[\"a\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    let mut reassembler = Reassembler::new(&decode(&text).unwrap());
    assert!(reassembler.add(&[]));
    assert!(reassembler.finish().is_ok());
}
