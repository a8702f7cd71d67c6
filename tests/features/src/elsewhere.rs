//! What is done to the sockets of another namespace, as an administrator's namespace does it.

use parlour_sdk::{Args, BroadcastOperator, Io, Named, Nsp, Result};
use serde::Deserialize;

use crate::{Remote, Whom, described, to_each};

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
        described(there.of(&io)).await
    });
    io.on(
        "remote-elsewhere",
        async |io: Nsp, there: There, what: Remote| to_each(there.of(&io), &what).await,
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
