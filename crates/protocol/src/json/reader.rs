//! Goes through JSON that is known to be valid, value by value.

use std::borrow::Cow;

use super::MAX_DEPTH;
use super::error::Error;
use super::text::{literal_end, overview, skip_space, string_end, unquoted, value_end};

/// The first numbers beyond the integers of 64 bits.
const END_OF_U64: f64 = 18_446_744_073_709_551_616.0;
const END_OF_I64: f64 = -9_223_372_036_854_775_808.0;

/// Where reading has come to.
pub struct Reader<'de> {
    pub json: &'de str,
    pub at: usize,
    /// Where keys begin that do not count.
    overridden: Vec<usize>,
    depth: usize,
    /// The array or object that was read last is read to its end.
    pub is_closed: bool,
}

/// A number as it is written.
pub enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    pub fn of(text: &str) -> Number {
        if let Ok(number) = text.parse() {
            return Number::Unsigned(number);
        }
        let number: f64 = text.parse().unwrap_or(f64::NAN);
        if number.fract() != 0.0
            || number.is_infinite()
            || number == 0.0 && number.is_sign_negative()
        {
            Number::Float(number)
        } else if let Ok(exact) = text.parse() {
            Number::Signed(exact)
        } else if (0.0..END_OF_U64).contains(&number) {
            Number::Unsigned(number as u64)
        } else if (END_OF_I64..0.0).contains(&number) {
            Number::Signed(number as i64)
        } else {
            Number::Float(number)
        }
    }
}

impl<'de> Reader<'de> {
    pub fn new(json: &'de str) -> Self {
        Self {
            json,
            at: 0,
            overridden: overview(json).overridden,
            depth: 0,
            is_closed: false,
        }
    }

    pub fn bytes(&self) -> &'de [u8] {
        self.json.as_bytes()
    }

    /// The first byte of what comes next.
    pub fn peek(&mut self) -> u8 {
        self.at = skip_space(self.bytes(), self.at);
        self.bytes().get(self.at).copied().unwrap_or_default()
    }

    /// Passes a byte, if it comes next.
    pub fn pass(&mut self, byte: u8) -> bool {
        let comes = self.peek() == byte;
        self.at += usize::from(comes);
        comes
    }

    /// The text of the value that comes next.
    pub fn value(&mut self) -> &'de str {
        self.peek();
        let start = self.at;
        self.at = value_end(self.bytes(), start);
        &self.json[start..self.at]
    }

    pub fn string(&mut self) -> Cow<'de, str> {
        unquoted(self.quoted())
    }

    pub fn quoted(&mut self) -> &'de str {
        self.peek();
        let start = self.at;
        self.at = string_end(self.bytes(), start);
        &self.json[start..self.at]
    }

    pub fn literal(&mut self) -> &'de str {
        self.peek();
        let start = self.at;
        self.at = literal_end(self.bytes(), start);
        &self.json[start..self.at]
    }

    /// The next key that counts; `None` at the end of the object.
    pub fn key(&mut self) -> Option<&'de str> {
        loop {
            self.pass(b',');
            self.is_closed = self.pass(b'}');
            if self.is_closed {
                return None;
            }
            let start = self.at;
            let quoted = self.quoted();
            self.pass(b':');
            if self.overridden.binary_search(&start).is_err() {
                return Some(quoted);
            }
            self.value();
        }
    }

    /// Reads an array or an object by `read`, which must come to its end.
    pub fn within<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth == MAX_DEPTH {
            return Err(Error::new(format!(
                "more than {MAX_DEPTH} arrays and objects are in each other"
            )));
        }
        self.depth += 1;
        self.at += 1;
        self.is_closed = false;
        let value = read(self)?;
        self.depth -= 1;
        // Who wants so many items and no more does not look for the end.
        match self.is_closed || self.pass(b']') || self.pass(b'}') {
            true => Ok(value),
            false => Err(Error::new("more is in it than is expected")),
        }
    }
}
