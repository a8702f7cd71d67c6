//! How the namespaces change that a client is in.

use super::{AnyNamespace, Inner, Place};

impl Inner {
    /// The client is in this namespace no more, if it still is as this socket.
    pub fn leave(&mut self, namespace: &dyn AnyNamespace, place: Place) {
        self.memberships
            .retain(|member| !member.is_of(namespace) || member.place != place);
    }

    /// The client is in this namespace no more, and does not ask to be. Gives the sockets that it had there.
    pub fn leave_all(&mut self, namespace: &dyn AnyNamespace) -> Vec<Place> {
        let left = self
            .memberships
            .extract_if(.., |member| member.is_of(namespace));
        left.map(|member| member.place).collect()
    }

    /// The client is in this namespace as this socket. Gives the socket as which it was there until now, if it had
    /// asked twice.
    pub fn entered(&mut self, namespace: &dyn AnyNamespace, place: Place) -> Option<Place> {
        self.joined = true;
        let mut before = None;
        for member in &mut self.memberships {
            if !member.is_of(namespace) {
                continue;
            }
            if member.place == place {
                member.is_in = true;
            } else if member.is_in {
                before = Some(member.place);
            }
        }
        before
    }
}
