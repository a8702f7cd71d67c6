//! What is done to the sockets of another namespace, as an administrator's namespace does it.

use parlour_sdk::{Args, BroadcastOperator, Named, Namespace, Result, Socket, json};
use serde::Deserialize;
use serde_json::Value;

use crate::{Remote, Whom};

/// Which namespace, and whom there.
#[derive(Deserialize)]
struct There {
    of: String,
    #[serde(flatten)]
    whom: Whom,
}

impl There {
    fn of(&self, socket: &Socket) -> BroadcastOperator<Named> {
        let there = socket.nsp().of(&self.of);
        there.to(&self.whom.to).except(&self.whom.except)
    }
}

pub fn register(ns: &mut Namespace) {
    ns.on("fetch-elsewhere", async |socket, there: There, ack| {
        let mut found = Vec::new();
        for other in there.of(&socket).fetch_sockets().await? {
            let mut rooms = other.rooms().await?;
            rooms.sort();
            found.push(json!({ "id": &*other.id, "data": other.data::<Value>()?, "rooms": rooms }));
        }
        ack.send(found)
    });
    ns.on(
        "remote-elsewhere",
        async |socket, Args((there, what)): Args<(There, Remote)>, ack| {
            for other in there.of(&socket).fetch_sockets().await? {
                match &what {
                    Remote::Emit(args) => other.emit("remote", Args(args.clone()))?,
                    Remote::Join(rooms) => other.join(rooms)?,
                    Remote::Leave(rooms) => other.leave(rooms)?,
                    Remote::Disconnect(close) => other.disconnect(*close)?,
                }
            }
            ack.send(Args(()))
        },
    );
    // All that is asked for at once, so that it is one batch's, in its order.
    ns.on(
        "all-elsewhere",
        async |socket, Args((there, steps)): Args<(There, Vec<Remote>)>, ack| {
            for what in &steps {
                step(there.of(&socket), what)?;
            }
            ack.send(Args(()))
        },
    );
}

fn step(there: BroadcastOperator<Named>, what: &Remote) -> Result<()> {
    match what {
        Remote::Emit(args) => there.emit("remote", Args(args.clone())),
        Remote::Join(rooms) => there.sockets_join(rooms),
        Remote::Leave(rooms) => there.sockets_leave(rooms),
        Remote::Disconnect(close) => there.disconnect_sockets(*close),
    }
}
