//! JSON as JavaScript means it. Payloads travel as text and are not read on the way. Where a handler asks for a type,
//! [`decode`] reads what serde_json refuses although `JSON.parse` takes it: strings with half a surrogate pair, `10.0`
//! for an integer, a key that is given twice.

mod access;
mod decode;
mod error;
mod reader;
mod text;

pub use decode::decode;
pub use error::Error;
pub use text::{is_canonical, key};

/// How many arrays and objects can be in each other where they are read. A type that has itself inside, as JSON of any
/// shape has, is read, written and dropped by calls that are in each other, and the stack of a component has an end. What
/// nobody reads may be deeper.
pub const MAX_DEPTH: usize = 1_000;

#[cfg(test)]
mod tests;
