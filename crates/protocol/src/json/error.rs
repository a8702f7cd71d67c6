//! Why JSON is not of the type that is wanted, and where, in words for who has sent it.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

/// Steps of a path that are shown.
const MAX_STEPS: usize = 8;

/// Characters of a key or a text that are shown.
const MAX_CHARS: usize = 40;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    what: String,
    /// The innermost first.
    path: Vec<Step>,
}

/// From a value to one that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Error {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            path: Vec::new(),
        }
    }

    /// It is in a value that is there in another one.
    pub fn inside(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.what);
        }
        f.write_str("`")?;
        for (place, step) in self.path.iter().rev().take(MAX_STEPS).enumerate() {
            match step {
                Step::Key(key) if place == 0 => f.write_str(&shortened(key))?,
                Step::Key(key) => write!(f, ".{}", shortened(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        if self.path.len() > MAX_STEPS {
            f.write_str("…")?;
        }
        write!(f, "`: {}", self.what)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(what: T) -> Self {
        Self::new(what.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, got {}", wanted(expected), got(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing"))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Names of Rust's types in words.
fn wanted(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let range = match expected.as_str() {
        "u8" => Some((0, u8::MAX.into())),
        "u16" => Some((0, u16::MAX.into())),
        "u32" => Some((0, u32::MAX.into())),
        "u64" => Some((0, u64::MAX.into())),
        "usize" => Some((0, usize::MAX as i128)),
        "i8" => Some((i8::MIN.into(), i8::MAX.into())),
        "i16" => Some((i16::MIN.into(), i16::MAX.into())),
        "i32" => Some((i32::MIN.into(), i32::MAX.into())),
        "i64" => Some((i64::MIN.into(), i64::MAX.into())),
        "isize" => Some((isize::MIN as i128, isize::MAX as i128)),
        _ => None,
    };
    match (range, expected.as_str()) {
        (Some((least, most)), _) => format!("a whole number from {least} to {most}"),
        (None, "f32" | "f64") => "a number".to_owned(),
        (None, "unit") => "null".to_owned(),
        (None, "a map") => "an object".to_owned(),
        (None, "a sequence") => "an array".to_owned(),
        _ => expected,
    }
}

fn got(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Str(text) => format!("the string {:?}", shortened(text)),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}
