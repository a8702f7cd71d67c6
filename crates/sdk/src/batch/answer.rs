//! What an event is called and how it is answered where its handler failed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{context::Context, decode::decode, error::Error, interface};

/// Between these JavaScript writes numbers without an exponent.
const EXPONENTS_BELOW: f64 = 1e-6;
const EXPONENTS_FROM: f64 = 1e21;

/// As a key of JavaScript's objects: a number is its text, `1` for `1.0` as well. Borrows the name unless it has escapes.
pub(super) fn event_name<'a>(json: &'a RawValue) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    match json.get().parse::<f64>() {
        Ok(0.0) => "0".into(),
        Ok(number) if EXPONENTS_BELOW <= number.abs() && number.abs() < EXPONENTS_FROM => {
            number.to_string().into()
        }
        Ok(_) => json.get().into(),
        Err(_) => decode::<Name>(json).map_or(Cow::Borrowed(json.get()), |name| name.0),
    }
}

pub(super) fn answer_error(
    context: &Context,
    socket: usize,
    ack: Option<u64>,
    error: &Error,
) -> Result<(), interface::Error> {
    let Some(id) = ack else {
        return Ok(());
    };
    context.ack(socket, id, &error.answer()).map_err(ours)
}

/// An error that this crate made, as one that fails the batch, which errors of the database do as well.
pub(super) fn ours(error: Error) -> interface::Error {
    interface::Error::Storage(error.to_string())
}
