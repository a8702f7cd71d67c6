//! What JavaScript takes and serde_json refuses.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap()
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    decode(raw(json)).map_err(|error| error.to_string())
}

#[derive(Debug, PartialEq, Deserialize)]
struct Page {
    room: String,
    limit: Option<u32>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    Point,
    Circle(u8),
    Line { to: (i8, i8) },
}

#[test]
fn half_a_surrogate_pair_is_a_replacement_character() {
    for (json, text) in [
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""a\udE00b""#, "a\u{fffd}b"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        (r#""퟿\ud800""#, "퟿\u{fffd}"),
        (r#""\\ud83d""#, r"\ud83d"),
    ] {
        assert_eq!(read::<String>(json).as_deref(), Ok(text), "{json}");
        assert_eq!(read::<Value>(json), Ok(json!(text)));
    }
    let page = read::<Page>(r#"{"room":"\ud83d","limit":1}"#).unwrap();
    assert_eq!(page.room, "\u{fffd}");
    let map: BTreeMap<String, u8> = read(r#"{"\ud83d":1}"#).unwrap();
    assert_eq!(map["\u{fffd}"], 1);
}

#[test]
fn numbers_are_what_they_are_worth() {
    for json in ["10", "10.0", "1e1", "100e-1", "10.00"] {
        assert_eq!(read::<u32>(json), Ok(10), "{json}");
        assert_eq!(read::<i8>(json), Ok(10), "{json}");
        assert_eq!(read::<f64>(json), Ok(10.0), "{json}");
        assert_eq!(read::<u128>(json), Ok(10), "{json}");
    }
    assert_eq!(read::<u8>("-0"), Ok(0));
    assert_eq!(read::<i64>("-0.0"), Ok(0));
    assert!(read::<f64>("-0").unwrap().is_sign_negative());
    assert_eq!(read::<f64>("1e400"), Ok(f64::INFINITY));
    assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(read::<u64>("1e19"), Ok(10_000_000_000_000_000_000));
    assert_eq!(read::<i64>("-9223372036854775808.0"), Ok(i64::MIN));
    let page = read::<Page>(r#"{"room":"a","limit":1e1}"#).unwrap();
    assert_eq!(page.limit, Some(10));
    for json in ["10.5", "5e9", "-1", "1e400", "99999999999999999999"] {
        let error = read::<u32>(json).unwrap_err();
        assert!(
            error.contains("a whole number from 0 to 4294967295"),
            "{error}"
        );
    }
}

#[test]
fn of_a_key_given_twice_the_last_counts() {
    let page =
        read::<Page>(r#"{"room" : 7, "limit":1, "room":"a", "limit" :{ "x":[1] },"\u006cimit":2}"#);
    assert_eq!(
        page,
        Ok(Page {
            room: "a".into(),
            limit: Some(2)
        })
    );
    // JavaScript tells these apart.
    let map: Value = read(r#"{"\ud83d":1,"\ud83e":2,"a":"\ud800"}"#).unwrap();
    assert_eq!(map.as_object().unwrap().len(), 2);
    assert!(!is_canonical(r#"{"a":{"b":1,"\u0062":2}}"#) && !is_canonical(r#"["\ud800"]"#));
    assert!(is_canonical(
        r#"[{"a":{"a":"\ud83d\ude00 \\ud800"}},{"a":1}]"#
    ));
}

#[test]
fn enums_raw_json_and_maps_by_number_are_read() {
    // The last member makes serde_json refuse the whole.
    type Whole<'a> = (Vec<Shape>, &'a RawValue, BTreeMap<i8, bool>, (), String);
    let json = r#"[["point", {"circle":1.0}, { "line" : {"to":[1,-2]} }], {"b":1.0, "b":2}, {"-3":true}, null, "\ud83d"]"#;
    let (shapes, raw, map, (), _) = read::<Whole<'_>>(json).unwrap();
    assert_eq!(
        shapes,
        [Shape::Point, Shape::Circle(1), Shape::Line { to: (1, -2) }]
    );
    assert_eq!(raw.get(), r#"{"b":1.0, "b":2}"#);
    assert_eq!(map, [(-3, true)].into());
}

#[test]
fn what_is_refused_is_refused_in_words_with_the_place() {
    #[derive(Debug, Deserialize)]
    struct Deep {
        #[serde(rename = "pages")]
        _pages: Vec<Page>,
    }
    let error = |json| read::<Deep>(json).unwrap_err();
    assert_eq!(
        error(r#"{"pages":[{"room":"a"},{"room":"b","limit":"x"}]}"#),
        r#"`pages[1].limit`: expected a whole number from 0 to 4294967295, got the string "x""#
    );
    assert_eq!(
        error(r#"{"pages":[{"limit":1}]}"#),
        "`pages[0]`: `room` is missing"
    );
    assert_eq!(
        error(r#"{"pages":[{"room":null}]}"#),
        "`pages[0].room`: expected a string, got null"
    );
    assert_eq!(
        error(r#"{"pages":{}}"#),
        "`pages`: expected an array, got an object"
    );
    assert_eq!(
        read::<(u8, u8)>("[1,2,3]").unwrap_err(),
        "more is in it than is expected"
    );
    assert_eq!(
        read::<(Vec<u8>,)>("[[1],[2]]").unwrap_err(),
        "more is in it than is expected"
    );
    let long = format!("\"{}\"", "é".repeat(100_000));
    assert!(read::<bool>(&long).unwrap_err().len() < 200);
    assert!(
        read::<Shape>(r#"{"point":null,"circle":1}"#)
            .unwrap_err()
            .contains("one key")
    );
    assert!(
        read::<Shape>("7")
            .unwrap_err()
            .contains("point, circle, line")
    );
}

#[test]
fn depth_has_a_bound_where_it_is_read_and_none_where_it_is_not() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for json in [nested(MAX_DEPTH), objects(MAX_DEPTH)] {
        assert!(read::<Value>(&json).is_ok());
        assert!(is_canonical(&json));
    }
    for json in [
        nested(MAX_DEPTH + 1),
        objects(MAX_DEPTH + 1),
        nested(400_000),
    ] {
        let error = read::<Value>(&json).unwrap_err();
        assert!(
            error.contains("more than 1000 arrays and objects"),
            "{error}"
        );
        assert!(error.len() < 400, "{}", error.len());
        assert!(!is_canonical(&json));
        assert_eq!(read::<&RawValue>(&json).unwrap().get(), json);
        let ignored = format!(r#"{{"other":{json},"room":"\ud83d"}}"#);
        assert_eq!(read::<Page>(&ignored).unwrap().room, "\u{fffd}");
    }
}
