//! The arguments of events and acks: from JSON to a handler's types and back.

use std::any::TypeId;

use serde::{Serialize, Serializer, de::DeserializeOwned, ser::SerializeSeq};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    binary::writing,
    decode::decode,
    error::{Error, Result, unwritable},
};

/// Several arguments where there is not exactly one: `Args((1, "two"))` in an `emit` or an acknowledgement,
/// `Args<(String, bool)>` in a reply. In a handler, `Args<Vec<Raw>>` takes all arguments that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Args<T>(pub T);

/// What can be read from arguments: one that serde can read (a missing one counts as `null`), several in
/// [`Args`], or `()` for none. Arguments beyond those asked for are ignored.
pub trait FromArgs: Sized {
    /// The error says what was expected.
    fn from_args(args: &mut Arguments<'_>) -> Result<Self, String>;
}

/// What can be emitted or acked: one argument that serde can write, several in [`Args`], or `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to clients",
    note = "what is emitted or acknowledged is one value that serde can write, several in `Args((…))`, or `()` for none"
)]
pub trait ToArgs {
    fn write<S: SerializeSeq>(&self, args: &mut S) -> Result<(), S::Error>;
}

impl<T: DeserializeOwned> FromArgs for T {
    fn from_args(args: &mut Arguments<'_>) -> Result<Self, String> {
        args.next()
    }
}

impl<T: Serialize> ToArgs for T {
    fn write<S: SerializeSeq>(&self, args: &mut S) -> Result<(), S::Error> {
        match is_unit::<T>() {
            true => Ok(()),
            false => args.serialize_element(self),
        }
    }
}

/// Whether a type is `()`, which stands for no arguments at all.
pub(crate) fn is_unit<T>() -> bool {
    typeid::of::<T>() == TypeId::of::<()>()
}

/// The arguments of an event or an ack, from which each reader takes the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arguments<'a> {
    all: &'a [&'a RawValue],
    taken: usize,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(all: &'a [&'a RawValue]) -> Self {
        Self { all, taken: 0 }
    }

    /// Reads the next argument. The error says which it was.
    fn next<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        if is_unit::<T>() {
            return decode(RawValue::NULL).map_err(|problem| problem.to_string());
        }
        let json = self.all.get(self.taken).copied();
        self.taken += 1;
        decode(json.unwrap_or(RawValue::NULL))
            .map_err(|problem| format!("argument {}: {problem}", self.taken))
    }

    fn is_empty(&self) -> bool {
        self.taken >= self.all.len()
    }
}

macro_rules! several {
    ($($name:ident $index:tt),*) => {
        impl<$($name: DeserializeOwned),*> FromArgs for Args<($($name,)*)> {
            fn from_args(_args: &mut Arguments<'_>) -> Result<Self, String> {
                Ok(Args(($(_args.next::<$name>()?,)*)))
            }
        }

        impl<$($name: Serialize),*> ToArgs for Args<($($name,)*)> {
            fn write<Seq: SerializeSeq>(&self, _args: &mut Seq) -> Result<(), Seq::Error> {
                $(_args.serialize_element(&self.0.$index)?;)*
                Ok(())
            }
        }
    };
}

several!();
several!(A 0);
several!(A 0, B 1);
several!(A 0, B 1, C 2);
several!(A 0, B 1, C 2, D 3);
several!(A 0, B 1, C 2, D 3, E 4);

/// All arguments that are left, however many.
impl<T: DeserializeOwned> FromArgs for Args<Vec<T>> {
    fn from_args(args: &mut Arguments<'_>) -> Result<Self, String> {
        let mut all = Vec::with_capacity(args.all.len());
        while !args.is_empty() {
            all.push(args.next()?);
        }
        Ok(Args(all))
    }
}

impl<T: Serialize> ToArgs for Args<Vec<T>> {
    fn write<S: SerializeSeq>(&self, args: &mut S) -> Result<(), S::Error> {
        self.0
            .iter()
            .try_for_each(|arg| args.serialize_element(arg))
    }
}

/// A packet's JSON array and its attachments (base64).
pub(crate) struct Rendered {
    pub json: Box<RawValue>,
    pub attachments: Vec<String>,
}

/// Writes the array of an event (its name first) or of an ack (no name).
pub(crate) fn render(event: Option<&str>, args: &impl ToArgs) -> Result<Rendered> {
    let (json, attachments) = writing(|| to_raw_value(&Array(event, args)));
    Ok(Rendered {
        json: json.map_err(unwritable)?,
        attachments,
    })
}

/// Appends the array of an ack to `out`; gives the attachments.
pub(crate) fn write_array(out: &mut Vec<u8>, args: &impl ToArgs) -> Result<Vec<String>> {
    let (written, attachments) = writing(|| serde_json::to_writer(out, &Array(None, args)));
    written.map_err(unwritable)?;
    Ok(attachments)
}

/// An event's name, if there is one, and its arguments.
struct Array<'a, T>(Option<&'a str>, &'a T);

impl<T: ToArgs> Serialize for Array<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(None)?;
        if let Some(event) = self.0 {
            array.serialize_element(event)?;
        }
        self.1.write(&mut array)?;
        array.end()
    }
}

/// The client's arguments do not fit the handler's.
pub(crate) fn misfit(event: &str, what: String) -> Error {
    Error::bad_request(format!("`{event}`: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<A: FromArgs>(json: &str) -> Result<A, String> {
        let args: Vec<&RawValue> = serde_json::from_str(json).unwrap();
        A::from_args(&mut Arguments::new(&args))
    }

    #[test]
    fn one_argument_or_several_are_read() {
        assert_eq!(parse(r#"["a", 1]"#), Ok("a".to_owned()));
        assert_eq!(parse(r#"["a", true]"#), Ok(Args(("a".to_owned(), true))));
        assert_eq!(parse("[]"), Ok(None::<String>));
        assert_eq!(parse("[1, 2]"), Ok(Args(())));
        assert_eq!(parse("[1, 2]"), Ok(()));
        assert_eq!(parse("[1, 2]"), Ok(Args(vec![1, 2])));
    }

    #[test]
    fn a_wrong_argument_is_named_with_what_was_expected() {
        let error = parse::<Args<(String, bool)>>(r#"["a", "yes"]"#).unwrap_err();
        assert_eq!(
            error,
            r#"argument 2: expected a boolean, got the string "yes""#
        );
        assert!(
            parse::<String>("[]")
                .unwrap_err()
                .contains("expected a string")
        );
    }

    #[test]
    fn arguments_mean_what_they_mean_in_javascript() {
        assert_eq!(
            parse(r#"["\ud83d", 1e1]"#),
            Ok(Args(("\u{fffd}".to_owned(), 10_u8)))
        );
        let error = parse::<Args<(String, Vec<u8>)>>(r#"["a", [1, 2.5]]"#).unwrap_err();
        assert_eq!(
            error,
            "argument 2: `[1]`: expected a whole number from 0 to 255, got the number 2.5"
        );
    }

    #[test]
    fn events_and_acks_are_arrays() {
        let json = |rendered: Result<Rendered>| rendered.unwrap().json.get().to_owned();
        assert_eq!(json(render(Some("a"), &1)), r#"["a",1]"#);
        assert_eq!(json(render(None, &Args((1, "b")))), r#"[1,"b"]"#);
        assert_eq!(json(render(Some("a"), &())), r#"["a"]"#);
        assert_eq!(json(render(None, &Args(()))), "[]");
        assert_eq!(json(render(None, &None::<u8>)), "[null]");
        assert_eq!(json(render(None, &serde_json::Value::Null)), "[null]");
    }
}
