//! Reads what clients have sent, as JavaScript means it. Everything that a client can have had a hand in is read here.

use parlour_protocol::json::{Error, is_canonical};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// The value that the JSON means. The error says in words what is wrong and where.
pub(crate) fn decode<'de, T: Deserialize<'de>>(json: &'de RawValue) -> Result<T, Error> {
    parlour_protocol::json::decode(json)
}

/// The same of a text that is JSON.
pub(crate) fn decode_text<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, Error> {
    match serde_json::from_str::<&RawValue>(json) {
        Ok(json) => decode(json),
        Err(error) => Err(serde::de::Error::custom(format!("it is no JSON: {error}"))),
    }
}

/// The same JSON as the database and every other reader understands it: made of whole characters, without a key that is
/// given twice, and not too deep.
pub(crate) fn canonical(json: Box<RawValue>) -> Result<Box<RawValue>, Error> {
    if is_canonical(json.get()) {
        return Ok(json);
    }
    let value: serde_json::Value = decode(&json)?;
    to_raw_value(&value).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_must_read_alike_is_written_so() {
        let canonical = |json: &str| {
            let json = RawValue::from_string(json.to_owned()).unwrap();
            canonical(json).map(|json| json.get().to_owned())
        };
        let same = r#"{ "id":"\ud83d\ude00", "n":1.0}"#;
        assert_eq!(canonical(same).unwrap(), same);
        let odd = r#"{"id":"a","id":"b\ud83d","deep":[1]}"#;
        assert_eq!(
            canonical(odd).unwrap(),
            "{\"deep\":[1],\"id\":\"b\u{fffd}\"}"
        );
        let deep = format!("{}{}", "[".repeat(1001), "]".repeat(1001));
        assert!(canonical(&deep).is_err());
    }
}
