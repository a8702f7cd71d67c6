//! The callback of an event, as a value.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::{
    args::{ToArgs, render},
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
    /// Where several handlers can answer: one has, and the first answer counts.
    pub(crate) sent: Option<Rc<Cell<bool>>>,
    /// Where the answer of an event that happens once is noted, as JSON.
    pub(crate) noted: Option<Rc<RefCell<Option<String>>>>,
}

impl Ack {
    /// Whether the sender waits for an answer.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers; does nothing if no answer is wanted.
    pub fn send(self, args: impl ToArgs) -> Result<()> {
        let is_wanted = self.id.is_some() || self.noted.is_some();
        let is_late = || self.sent.as_ref().is_some_and(|sent| sent.replace(true));
        if !is_wanted || is_late() {
            return Ok(());
        }
        if let Some(noted) = &self.noted {
            let answer = render(None, &args)?;
            if !answer.attachments.is_empty() {
                return Err(Error::internal(
                    "the answer to an event that happens once cannot have binary in it",
                ));
            }
            noted.replace(Some(answer.json.get().to_owned()));
        }
        match self.id {
            Some(id) => self.context.ack(self.index, id, &args),
            None => Ok(()),
        }
    }
}
