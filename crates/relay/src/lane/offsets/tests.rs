use parlour_protocol::relay::Span;
use serde_json::value::RawValue;

use super::*;

/// What a client gets of an event.
fn sent(offsets: &mut Offsets, offset: Option<u64>, volatile: bool, data: &str) -> String {
    let raw = RawValue::from_string(data.into()).unwrap();
    let emit = Emit {
        rooms: vec![],
        except: vec![],
        data: &raw,
        attachments: vec![],
        offset,
        namespace: None,
        volatile,
        local: false,
        ack: None,
    };
    match &*offsets.tail(&emit, "here") {
        "" => data.into(),
        tail => format!("{}{tail}", &data[..data.len() - 1]),
    }
}

/// What clients are told they have seen after an event of a source.
fn told(offsets: &mut Offsets, source: &str, offset: u64) -> String {
    let json = format!(r#"{{"data":["a"],"offset":{offset}}}"#);
    let emit: Emit<'_> = serde_json::from_str(&json).unwrap();
    let tail = offsets.tail(&emit, source);
    tail.trim_start_matches(",\"")
        .trim_end_matches("\"]")
        .into()
}

/// They are read; nothing of other sources is sure to have come.
fn among_others() -> Offsets {
    let mut offsets = Offsets::new("here");
    offsets.begin();
    offsets
}

/// The same where there are no other sources.
fn alone() -> Offsets {
    let mut offsets = among_others();
    offsets.set_others(None);
    offsets
}

#[test]
fn an_offset_is_a_strings_last_argument_once_somebody_reads_it() {
    let mut offsets = Offsets::new("here");
    offsets.set_others(None);
    assert_eq!(sent(&mut offsets, Some(16), false, r#"["a"]"#), r#"["a"]"#);
    assert_eq!(offsets.highest(), 16);
    offsets.begin();
    let seventeen = sent(&mut offsets, Some(17), false, r#"["a",{"b":[]}]"#);
    assert_eq!(seventeen, r#"["a",{"b":[]},"17"]"#);
    let largest = sent(&mut offsets, Some(u64::MAX), false, r#"["a"]"#);
    assert_eq!(largest, r#"["a","18446744073709551615"]"#);
}

#[test]
fn a_clients_offset_never_goes_back() {
    let mut offsets = alone();
    for (offset, shown) in [(5, "5"), (9, "9"), (7, "9"), (10, "10")] {
        assert_eq!(told(&mut offsets, "here", offset), shown);
    }
    offsets.set_others(Some(4));
    assert_eq!(told(&mut offsets, "here", 11), "10;here:1");
    assert_eq!(told(&mut offsets, "there", 8), "10;here:1");
}

#[test]
fn an_event_without_an_offset_does_not_end_with_a_string() {
    let mut offsets = alone();
    for (data, shown) in [
        (r#"["a"]"#, r#"["a",0]"#),
        (r#"["a","b"]"#, r#"["a","b",0]"#),
        (r#"["a","b\"" ]"#, r#"["a","b\"" ,0]"#),
        (r#"["a",1]"#, r#"["a",1]"#),
        (r#"["a",{"b":"c"}]"#, r#"["a",{"b":"c"}]"#),
        (r#"["a",["b"]]"#, r#"["a",["b"]]"#),
    ] {
        assert_eq!(sent(&mut offsets, None, false, data), shown);
        // What may be dropped has no offset, whatever the app says.
        assert_eq!(sent(&mut offsets, Some(3), true, data), shown);
    }
}

#[test]
fn of_each_source_it_is_told_how_far_it_has_come() {
    let mut offsets = among_others();
    assert_eq!(told(&mut offsets, "here", 3), "0;here:3");
    assert_eq!(told(&mut offsets, "there", 2), "0;here:3;there:2");
    assert_eq!(told(&mut offsets, "here/a", 1), "0;here:3;there:2;here/a:1");
    assert_eq!(told(&mut offsets, "there", 6), "0;here:3;there:6;here/a:1");
    // Others have told more, though not all.
    offsets.set_others(Some(5));
    assert_eq!(told(&mut offsets, "here", 7), "5;there:1;here:2");
    offsets.advance(6);
    assert_eq!(told(&mut offsets, "here", 8), "6;here:2");
    // What comes before where others are gives nothing more away.
    offsets.set_others(Some(20));
    assert_eq!(told(&mut offsets, "here", 9), "9");
    assert_eq!(told(&mut offsets, "there", 20), "20");
}

#[test]
fn what_may_be_missing_is_not_told_to_be_seen() {
    let mut offsets = among_others();
    told(&mut offsets, "here", 3);
    told(&mut offsets, "there", 4);
    offsets.doubt(true);
    offsets.doubt(true);
    assert_eq!(told(&mut offsets, "here", 9), "0;here:9;there:4");
    assert_eq!(told(&mut offsets, "there", 8), "0;here:9;there:4;there:7-8");
    assert_eq!(
        told(&mut offsets, "there", 10),
        "0;here:9;there:4;there:7-10"
    );
    // Of another, all that came before can be missing.
    assert_eq!(
        told(&mut offsets, "third", 6),
        "0;here:9;there:4;there:7-10;third:5-6"
    );
    offsets.doubt(true);
    offsets.doubt(false);
    assert_eq!(
        told(&mut offsets, "there", 11),
        "0;here:9;there:11;third:5-6"
    );
    offsets.advance(7);
    assert_eq!(
        told(&mut offsets, "fourth", 12),
        "7;here:2;there:4;fourth:5"
    );
}

#[test]
fn who_is_given_what_it_has_missed_keeps_what_else_it_has() {
    let span = |source: &str, after, until| Span {
        source: source.into(),
        after,
        until,
    };
    let seen = Seen {
        offset: 3,
        beyond: vec![span("here", 3, 9), span("there", 5, 7)],
    };
    let data = RawValue::from_string("[1]".into()).unwrap();
    let tail = |offset| {
        let missed = Missed {
            offset,
            data: &data,
            attachments: vec![],
        };
        tail_of_missed(&missed, &seen)
    };
    assert_eq!(tail(4), ",\"4;here:5;there:1-3\"]");
    assert_eq!(tail(8), ",\"8;here:1\"]");
    assert_eq!(tail(10), ",\"10\"]");
}

#[test]
fn a_source_is_of_the_relay_whose_name_it_begins_with() {
    assert!(is_of("here", "here") && is_of("here/a", "here"));
    assert!(!is_of("here2", "here") && !is_of("there/here", "here"));
}

proptest::proptest! {
    /// Each source's emissions come in the order of their offsets, the sources in any: a client is told that it has
    /// seen what it just got, and nothing that is beyond all that was sent.
    #[test]
    fn what_is_told_covers_what_was_sent_and_no_more(
        sent in proptest::collection::vec((0..3usize, 1..1000u64, proptest::bool::ANY), 1..30),
    ) {
        let mut offsets = among_others();
        let mut highest = 0;
        let mut last = [0; 3];
        for (source, distance, doubt) in sent {
            offsets.doubt(doubt);
            last[source] += distance;
            let offset = last[source];
            let source = ["here", "there", "there/chat"][source];
            let told = told(&mut offsets, source, offset);
            let seen: Seen = told.parse().unwrap();
            highest = highest.max(offset);
            let covers = |span: &Span| span.source == source && (span.after + 1..=span.until).contains(&offset);
            assert!(offset <= seen.offset || seen.beyond.iter().any(covers), "{told} after {offset}");
            assert!(seen.offset <= highest && seen.beyond.iter().all(|span| span.until <= highest));
        }
    }
}
