//! Binary in events. In JSON an attachment is `{"_placeholder":true,"num":n}`; its bytes travel
//! beside it in base64. While arguments are read or written, the attachments they mean are kept in
//! a variable of the thread: serde has no other place for them.

use std::cell::RefCell;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

thread_local! {
    static READING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static WRITING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Bytes as an argument, or inside one: a `Buffer`, `ArrayBuffer` or `Blob` on the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Binary(pub Vec<u8>);

/// Any JSON, kept as it came, with the attachments it refers to. To pass on what one need not read.
#[derive(Debug, Clone)]
pub struct Raw {
    json: Box<RawValue>,
    /// Base64, by the numbers of the placeholders in `json`.
    attachments: Vec<String>,
}

impl Raw {
    /// The JSON, with placeholders for binary.
    pub fn get(&self) -> &str {
        self.json.get()
    }

    pub(crate) fn new(json: Box<RawValue>, attachments: Vec<String>) -> Self {
        Self { json, attachments }
    }
}

#[derive(Serialize, Deserialize)]
struct Placeholder {
    _placeholder: bool,
    num: usize,
}

/// Runs `read` with these attachments (base64) behind the placeholders.
pub(crate) fn reading<T>(attachments: &[String], read: impl FnOnce() -> T) -> T {
    if attachments.is_empty() {
        return read();
    }
    READING.set(attachments.to_vec());
    let value = read();
    READING.take();
    value
}

/// Runs `write`, and gives the attachments (base64) that it wrote placeholders for.
pub(crate) fn writing<T>(write: impl FnOnce() -> T) -> (T, Vec<String>) {
    WRITING.take();
    let value = write();
    (value, WRITING.take())
}

/// Keeps an attachment; gives its placeholder.
fn attach(base64: String) -> Placeholder {
    WRITING.with_borrow_mut(|attachments| {
        attachments.push(base64);
        Placeholder {
            _placeholder: true,
            num: attachments.len() - 1,
        }
    })
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        attach(STANDARD.encode(&self.0)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = || de::Error::custom("expected binary");
        let placeholder = Placeholder::deserialize(deserializer).map_err(|_| expected())?;
        READING.with_borrow(|attachments| {
            let base64 = attachments.get(placeholder.num).ok_or_else(expected)?;
            STANDARD
                .decode(base64)
                .map(Binary)
                .map_err(de::Error::custom)
        })
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.attachments.is_empty() {
            return self.json.serialize(serializer);
        }
        let mut value = serde_json::from_str(self.json.get()).map_err(ser::Error::custom)?;
        renumber(&mut value, &self.attachments);
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self {
            json,
            attachments: READING.with_borrow(Vec::clone),
        })
    }
}

/// Attaches what the placeholders in `value` mean and gives them their new numbers.
fn renumber(value: &mut serde_json::Value, attachments: &[String]) {
    use serde_json::Value;
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| renumber(item, attachments)),
        Value::Object(fields) => {
            let is_placeholder = fields.get("_placeholder") == Some(&Value::Bool(true));
            let number = fields.get("num").and_then(Value::as_u64);
            let base64 = number.and_then(|number| attachments.get(number as usize));
            match base64.filter(|_| is_placeholder) {
                Some(base64) => {
                    let placeholder = attach(base64.clone());
                    fields.insert("num".into(), placeholder.num.into());
                }
                None => fields
                    .values_mut()
                    .for_each(|field| renumber(field, attachments)),
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn binary_inside_json_comes_out_as_bytes_and_goes_in_as_a_placeholder() {
        #[derive(Serialize, Deserialize)]
        struct Picture {
            name: String,
            bytes: Binary,
        }
        let text = r#"{"name":"a","bytes":{"_placeholder":true,"num":1}}"#;
        let attachments = vec!["AAA=".to_owned(), "AQI=".to_owned()];
        let picture: Picture = reading(&attachments, || serde_json::from_str(text).unwrap());
        assert_eq!(picture.bytes, Binary(vec![1, 2]));
        let (written, attachments) = writing(|| serde_json::to_value(&picture).unwrap());
        assert_eq!(written["bytes"], json!({ "_placeholder": true, "num": 0 }));
        assert_eq!(attachments, ["AQI="]);
    }

    #[test]
    fn raw_json_takes_along_the_attachments_it_means() {
        let text = r#"[{"_placeholder":true,"num":1},"x"]"#;
        let attachments = vec!["AAA=".to_owned(), "AQI=".to_owned()];
        let raw: Raw = reading(&attachments, || serde_json::from_str(text).unwrap());
        let pair = (Binary(vec![9]), raw);
        let (written, attachments) = writing(|| serde_json::to_value(&pair).unwrap());
        assert_eq!(written[1][0]["num"], 1);
        assert_eq!(attachments, ["CQ==", "AQI="]);
    }

    #[test]
    fn a_placeholder_without_an_attachment_is_refused() {
        let text = r#"{"_placeholder":true,"num":0}"#;
        assert!(serde_json::from_str::<Binary>(text).is_err());
    }
}
