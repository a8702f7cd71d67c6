//! What every listener of Parlour needs against peers and machines that do not behave: it accepts
//! connections also when file descriptors have run out, and it bounds how long a peer may keep us
//! waiting. What requests are about it does not know.

mod accept;
mod patience;
mod request_body;
mod write_deadline;

pub use accept::{Accepted, Listener, Shortage, turn_away};
pub use patience::Patience;
pub use request_body::{Fault, RequestBody, Transfer};
pub use write_deadline::WriteDeadline;
