//! What is in arrays and objects, as serde asks for it.

use std::borrow::Cow;

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::error::{Error, Step};
use super::reader::Reader;
use super::text::unquoted;

/// The items of an array.
pub struct Items<'r, 'de> {
    pub reader: &'r mut Reader<'de>,
    pub index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.reader.pass(b',');
        self.reader.is_closed = self.reader.pass(b']');
        if self.reader.is_closed {
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        let item = seed.deserialize(&mut *self.reader);
        self.reader.is_closed = false;
        item.map(Some)
            .map_err(|error| error.inside(Step::Index(index)))
    }
}

/// The members of an object.
pub struct Members<'r, 'de> {
    pub reader: &'r mut Reader<'de>,
    /// The one whose value comes next, as it is written.
    pub key: &'de str,
}

impl<'de> de::MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.reader.key() else {
            return Ok(None);
        };
        self.key = key;
        seed.deserialize(Key(unquoted(key))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = seed.deserialize(&mut *self.reader);
        self.reader.is_closed = false;
        value.map_err(|error| error.inside(Step::Key(unquoted(self.key).into_owned())))
    }
}

/// A key. It can be that of a map by numbers.
pub struct Key<'de>(pub Cow<'de, str>);

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cow::Borrowed(key) => visitor.visit_borrowed_str(key),
            Cow::Owned(key) => visitor.visit_string(key),
        }
    }

    numbers! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32 deserialize_i64 visit_i64
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32 deserialize_u64 visit_u64
        deserialize_i128 visit_i128 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StringDeserializer<Error> = self.0.into_owned().into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant of an enum, with its value.
pub struct Variant<'r, 'de> {
    pub reader: &'r mut Reader<'de>,
    pub key: &'de str,
}

impl Variant<'_, '_> {
    fn place(key: &str, error: Error) -> Error {
        error.inside(Step::Key(unquoted(key).into_owned()))
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(Key(unquoted(self.key)))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        <()>::deserialize(self.reader).map_err(|error| Self::place(self.key, error))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let value = seed.deserialize(self.reader);
        value.map_err(|error| Self::place(self.key, error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let value = self.reader.deserialize_any(visitor);
        value.map_err(|error| Self::place(self.key, error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = self.reader.deserialize_any(visitor);
        value.map_err(|error| Self::place(self.key, error))
    }
}
