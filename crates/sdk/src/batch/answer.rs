//! What an event is called and how it is answered where its handler failed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{context::Context, error::Error, interface};

/// As a key of JavaScript's objects: a number is its text. Borrows the name unless it has escapes.
pub(super) fn event_name<'a>(json: &'a RawValue) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Name>(json.get()).map_or(Cow::Borrowed(json.get()), |name| name.0)
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
