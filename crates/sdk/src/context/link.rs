//! How a recorded change and the command it belongs to are tied: the command is completed once the database has said
//! where the change is in the log.

use super::commands::Commands;
use crate::interface::{self, Change};

/// The command that belongs to what is stored, to be completed by its offset. Of an emission that is a repetition it
/// is to be corrected instead.
pub(super) struct Link {
    pub command: usize,
    pub kind: Kind,
    pub ack: Option<AckPlace>,
}

/// What must be known of what was stored, beside its offset.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Nothing.
    Own,
    /// What it follows in another namespace's log.
    Elsewhere,
    /// Who is asked to acknowledge.
    Asked,
}

/// Whether a change is stored for other relays only.
pub(super) fn is_for_others(change: &Change) -> bool {
    match change {
        Change::Emit(emission) => emission.transient,
        Change::Command(command) => command.namespace.is_none(),
        _ => false,
    }
}

pub(super) struct AckPlace {
    pub command: usize,
    pub socket: usize,
    pub id: u64,
}

/// Tells a command its place in the log. `is_own_read`: somebody reads that of an emission in the batch's namespace.
pub(super) fn complete(
    commands: &mut Commands,
    link: &Link,
    stored: interface::Stored,
    is_own_read: bool,
) {
    match link.kind {
        Kind::Own if is_own_read => commands.set_offset(link.command, stored.offset),
        Kind::Own => {}
        Kind::Elsewhere => {
            commands.set_offset(link.command, stored.offset);
            commands.add_member(link.command, "previous", &stored.previous);
        }
        Kind::Asked => {
            commands.set_offset(link.command, stored.offset);
            let sockets = stored.sockets.iter();
            let asked: Vec<_> = sockets.map(|it| (&it.socket, &it.relay)).collect();
            commands.add_member(link.command, "asked", &asked);
        }
    }
}
