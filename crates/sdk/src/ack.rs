//! The callback of an event, as a value.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use serde_json::value::RawValue;

use crate::{
    args::{Rendered, ToArgs, is_unit, render},
    context::Context,
    error::{Error, Result},
};

/// Answers the event, if its sender asked for an answer. Dropped unused, there is none.
#[derive(Clone)]
pub struct Ack {
    pub(crate) context: Rc<Context>,
    /// Which socket of the batch is answered.
    pub(crate) index: usize,
    pub(crate) id: Option<u64>,
    /// Where several handlers can answer: what they have done so far.
    pub(crate) shared: Option<Rc<Shared>>,
    /// Where the answer of an event that happens once is noted, as JSON.
    pub(crate) noted: Option<Rc<RefCell<Option<String>>>>,
}

/// What several handlers of one event have answered. The first answer counts.
#[derive(Default)]
pub(crate) struct Shared {
    pub is_sent: Cell<bool>,
    /// One of them has nothing to say, so that an empty answer is due if no other has.
    pub is_owed: Cell<bool>,
}

impl Ack {
    /// Whether the sender waits for an answer.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers; does nothing if no answer is wanted.
    pub fn send(self, args: impl ToArgs) -> Result<()> {
        self.send_ref(&args)
    }

    fn send_ref(self, args: &impl ToArgs) -> Result<()> {
        let is_wanted = self.id.is_some() || self.noted.is_some();
        if !is_wanted || self.is_late() {
            return Ok(());
        }
        if let Some(noted) = &self.noted {
            let answer = render(None, args)?;
            if !answer.attachments.is_empty() {
                return Err(Error::internal(
                    "the answer to an event that happens once cannot have binary in it",
                ));
            }
            noted.replace(Some(answer.json.get().to_owned()));
        }
        match self.id {
            Some(id) => self.context.ack(self.index, id, args),
            None => Ok(()),
        }
    }

    /// Answers with what a handler has returned that does not answer by itself.
    pub(crate) fn settle<T: ToArgs>(self, value: &T) -> Result<()> {
        match &self.shared {
            Some(shared) if is_unit::<T>() => {
                shared.is_owed.set(true);
                Ok(())
            }
            _ => self.send_ref(value),
        }
    }

    /// Answers with what is JSON already.
    pub(crate) fn repeat(self, answer: String) -> Result<()> {
        let Some(id) = self.id else {
            return Ok(());
        };
        if self.is_late() {
            return Ok(());
        }
        let json = RawValue::from_string(answer)
            .map_err(|error| Error::internal(format!("a kept answer is no JSON: {error}")))?;
        let attachments = Vec::new();
        let answer = Rendered { json, attachments };
        self.context.ack_rendered(self.index, id, &answer);
        Ok(())
    }

    /// Whether another handler of the event was first. If not, this one is.
    fn is_late(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| shared.is_sent.replace(true))
    }
}
