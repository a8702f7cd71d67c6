//! What every listener of Parlour needs against peers and machines that do not behave: it accepts
//! connections also when file descriptors have run out, and it bounds how long a peer may keep us
//! waiting. It knows no HTTP but the one answer that it gives to clients it cannot serve.

mod accept;
mod patience;
mod write_deadline;

pub use accept::{Accepted, Listener, Shortage, turn_away};
pub use patience::Patience;
pub use write_deadline::WriteDeadline;
