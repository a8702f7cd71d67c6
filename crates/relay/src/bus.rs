//! The seam to other relays: what one relay is told to emit must reach the members on the others.
//! There is no bus by default; an existing broker would carry it, and hand what comes from elsewhere to
//! [`crate::Relay::publish`].

use parlour_protocol::relay::Emit;

pub trait Bus: Send + Sync + 'static {
    /// Called once for each emit of the app, in order within a namespace. Must not block.
    fn publish(&self, namespace: &str, emit: &Emit<'_>);
}
