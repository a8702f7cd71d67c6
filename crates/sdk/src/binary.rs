//! Binary in events. In JSON an attachment is `{"_placeholder":true,"num":n}`; its bytes travel
//! beside it in base64. While arguments are read or written, the attachments they mean are kept in
//! a variable of the thread: serde has no other place for them.

use std::{cell::RefCell, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD};
use parlour_protocol::socket::renumber;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

thread_local! {
    static READING: RefCell<Option<Rc<[String]>>> = const { RefCell::new(None) };
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
    attachments: Rc<[String]>,
}

impl Raw {
    /// The JSON, with placeholders for binary.
    pub fn get(&self) -> &str {
        self.json.get()
    }

    pub(crate) fn new(json: Box<RawValue>, attachments: impl Into<Rc<[String]>>) -> Self {
        let attachments = attachments.into();
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
    READING.set(Some(attachments.into()));
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
            let attachments = attachments.as_deref().unwrap_or_default();
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
        let attachments = &self.attachments;
        let json = renumber(self.json.get(), attachments.len(), |number| {
            attach(attachments[number].clone()).num
        });
        let json = RawValue::from_string(json).map_err(ser::Error::custom)?;
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self {
            json,
            attachments: READING.with_borrow(Clone::clone).unwrap_or_default(),
        })
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
    fn raw_json_beside_an_attachment_stays_as_it_was_written_but_for_the_numbers() {
        let text = |first: u8, second: u8| {
            let nested = "[".repeat(5000) + &"]".repeat(5000);
            format!(
                r#"{{"z":{{"num": {first} , "_placeholder":true}}, "a":"\ud83d","a":1.0,"b":[1e1,-0,{{"_placeholder":true,"num":{second}}},{{"_placeholder":true,"num":{first}}}],"deep":{nested}}}"#
            )
        };
        let attachments = vec!["AAA=".to_owned(), "AQI=".to_owned()];
        let came = text(1, 0);
        let raw: Raw = reading(&attachments, || serde_json::from_str(&came).unwrap());
        let pair = (Binary(vec![9]), raw);
        let (written, attachments) = writing(|| serde_json::to_string(&pair).unwrap());
        assert!(written.ends_with(&format!(",{}]", text(1, 2))), "{written}");
        // What two placeholders name is there once.
        assert_eq!(attachments, ["CQ==", "AQI=", "AAA="]);
    }

    #[test]
    fn a_placeholder_without_an_attachment_is_refused() {
        let text = r#"{"_placeholder":true,"num":0}"#;
        assert!(serde_json::from_str::<Binary>(text).is_err());
    }
}
