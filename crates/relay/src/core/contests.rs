//! Questions to other relays whether a client of theirs is there, until they are answered. Each has a number,
//! by which the answer names it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Default)]
pub struct Contests(Mutex<Open>);

#[derive(Default)]
struct Open {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<bool>>,
}

impl Contests {
    pub fn open(&self) -> (u64, oneshot::Receiver<bool>) {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        open.waiting.insert(number, sender);
        (number, receiver)
    }

    /// The client is there, or not.
    pub fn settle(&self, number: u64, answers: bool) {
        if let Some(sender) = self.lock().waiting.remove(&number) {
            // Who asked may have given up waiting.
            let _ = sender.send(answers);
        }
    }

    /// Nobody waits any more.
    pub fn close(&self, number: u64) {
        self.lock().waiting.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
