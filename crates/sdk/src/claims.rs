//! What is known of a client by its token and by what it says of itself, with types.

use std::{ops::Deref, rc::Rc};

use serde::{Serialize, Serializer};

/// What the namespace's middleware said of the client, such as what its token says: read once, however many events
/// of a batch want it. A client of whom nothing was said is refused, and so is one whose claims are not a `T`;
/// take an `Option<Claims<T>>` where it is allowed to have none.
#[derive(Debug)]
pub struct Claims<T>(pub Rc<T>);

/// What the client said in `auth`, which is `{}` if it said nothing: in `on_connect`. A client whose `auth` is
/// not a `T` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auth<T>(pub T);

impl<T> Clone for Claims<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Claims<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for Auth<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Claims<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
