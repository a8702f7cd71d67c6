//! Reads a value of a type from JSON that is known to be valid.

use std::borrow::Cow;

use serde::de::value::StringDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

use super::access::{Items, Members, Variant};
use super::error::Error;
use super::reader::{Number, Reader};
use super::text::literal_end;

/// How serde_json asks for JSON that is kept as text.
const RAW: &str = "$serde_json::private::RawValue";

/// Reads a value as JavaScript means it: `10.0` and `1e1` are the integer 10, of a key that is there twice the last one
/// counts, half a surrogate pair in a string is U+FFFD, a number beyond all others is infinite.
pub fn decode<'de, T: Deserialize<'de>>(json: &'de RawValue) -> Result<T, Error> {
    // serde_json is faster, and where it does not refuse it agrees.
    if let Ok(value) = serde_json::from_str(json.get()) {
        return Ok(value);
    }
    T::deserialize(&mut Reader::new(json.get()))
}

fn number<'de, V: Visitor<'de>>(reader: &mut Reader<'de>, visitor: V) -> Result<V::Value, Error> {
    match Number::of(reader.literal()) {
        Number::Unsigned(number) => visitor.visit_u64(number),
        Number::Signed(number) => visitor.visit_i64(number),
        Number::Float(number) => visitor.visit_f64(number),
    }
}

/// Where an integer is wanted, there is no negative zero.
fn integer<'de, V: Visitor<'de>>(reader: &mut Reader<'de>, visitor: V) -> Result<V::Value, Error> {
    if !matches!(reader.peek(), b'-' | b'0'..=b'9') {
        return reader.deserialize_any(visitor);
    }
    match Number::of(upcoming(reader)) {
        Number::Float(0.0) => {
            reader.literal();
            visitor.visit_u64(0)
        }
        _ => number(reader, visitor),
    }
}

/// The literal that comes next, without passing it.
fn upcoming<'de>(reader: &mut Reader<'de>) -> &'de str {
    reader.peek();
    let end = literal_end(reader.json.as_bytes(), reader.at);
    &reader.json[reader.at..end]
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            integer(self, visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            b'"' => match self.string() {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            b'{' => self.within(|reader| visitor.visit_map(Members { reader, key: "" })),
            b'[' => self.within(|reader| visitor.visit_seq(Items { reader, index: 0 })),
            b'-' | b'0'..=b'9' => number(self, visitor),
            _ => match self.literal() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                _ => visitor.visit_unit(),
            },
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match upcoming(self).parse() {
            Ok(number) => {
                self.literal();
                visitor.visit_i128(number)
            }
            Err(_) => integer(self, visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match upcoming(self).parse() {
            Ok(number) => {
                self.literal();
                visitor.visit_u128(number)
            }
            Err(_) => integer(self, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek() == b'n' {
            self.literal();
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != RAW {
            return visitor.visit_newtype_struct(self);
        }
        let mut reader = serde_json::Deserializer::from_str(self.value());
        let raw = reader.deserialize_newtype_struct(name, visitor);
        raw.map_err(de::Error::custom)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let one_of = || Error::new(format!("expected one of {}", variants.join(", ")));
        match self.peek() {
            b'"' => {
                let name: StringDeserializer<Error> =
                    self.string().into_owned().into_deserializer();
                visitor.visit_enum(name)
            }
            b'{' => self.within(|reader| {
                let key = reader.key().ok_or_else(one_of)?;
                let value = visitor.visit_enum(Variant { reader, key })?;
                match reader.key() {
                    None => Ok(value),
                    Some(_) => Err(Error::new("expected an object with one key")),
                }
            }),
            _ => Err(one_of()),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value();
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}
