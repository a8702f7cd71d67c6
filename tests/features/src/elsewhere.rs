//! What is done to the sockets of another namespace, as an administrator's namespace does it.

use parlour_sdk::{Args, BroadcastOperator, Io, Named, Nsp, Result, json};
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
    fn of(&self, io: &Nsp) -> BroadcastOperator<Named> {
        let there = io.of(&self.of);
        there.to(&self.whom.to).except(&self.whom.except)
    }
}

pub fn register(io: &mut Io) {
    io.on("fetch-elsewhere", async |io: Nsp, there: There| {
        let mut found = Vec::new();
        for other in there.of(&io).fetch_sockets().await? {
            let mut rooms = other.rooms().await?;
            rooms.sort();
            found.push(json!({ "id": &*other.id, "data": other.data::<Value>()?, "rooms": rooms }));
        }
        Ok(found)
    });
    io.on(
        "remote-elsewhere",
        async |io: Nsp, there: There, what: Remote| {
            for other in there.of(&io).fetch_sockets().await? {
                match &what {
                    Remote::Emit(args) => other.emit("remote", Args(args.clone()))?,
                    Remote::Join(rooms) => other.join(rooms)?,
                    Remote::Leave(rooms) => other.leave(rooms)?,
                    Remote::Disconnect(close) => other.disconnect(*close)?,
                }
            }
            Ok(())
        },
    );
    // All that is asked for at once, so that it is one batch's, in its order.
    io.on(
        "all-elsewhere",
        async |io: Nsp, there: There, steps: Vec<Remote>| {
            for what in &steps {
                step(there.of(&io), what)?;
            }
            Ok(())
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
