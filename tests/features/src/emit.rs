//! Emitting in every way: whom it is for, how, and with which answer.

use std::time::Duration;

use parlour_sdk::{Acks, Args, BroadcastOperator, Error, Io, Nsp, Raw, Result, Socket};
use serde::{Deserialize, Serialize};

use crate::Whom;

/// An emission that a client orders.
#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    whom: Whom,
    #[serde(default)]
    flags: Vec<Flag>,
    event: String,
    #[serde(default)]
    args: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Flag {
    Volatile,
    Local,
    Compress,
}

impl Order {
    fn target(&self, socket: &Socket) -> BroadcastOperator {
        let whom = self.whom.of(socket);
        self.flags.iter().fold(whom, |target, flag| match flag {
            Flag::Volatile => target.volatile(),
            Flag::Local => target.local(),
            Flag::Compress => target.compress(true),
        })
    }
}

/// What the handler of the answers must know.
#[derive(Serialize, Deserialize)]
struct Asker {
    socket: String,
}

pub fn register(io: &mut Io) {
    io.on("emit", async |socket: Socket, order: Order| {
        let target = order.target(&socket);
        target.emit(&order.event, Args(order.args))?;
        Ok(())
    });
    io.on("emit-to-me", async |socket: Socket, order: Order| {
        let Order {
            event, args, flags, ..
        } = order;
        match flags.as_slice() {
            [] => socket.emit(&event, Args(args))?,
            [Flag::Volatile] => socket.volatile().emit(&event, Args(args))?,
            [Flag::Compress] => socket.compress(true).emit(&event, Args(args))?,
            _ => return Err(Error::bad_request("one socket has one flag")),
        }
        Ok(())
    });
    io.on("send", async |socket: Socket, text: String| {
        let (one, all) = (format!("{text} to one"), format!("{text} to all"));
        socket.send(&one)?;
        socket.write(&one)?;
        socket.nsp().send(&all)?;
        socket.nsp().write(&all)?;
        Ok(())
    });
    io.on(
        "emit-elsewhere",
        async |socket: Socket, namespace: String, order: Order| {
            let elsewhere = socket.nsp().of(&namespace).to(&order.whom.to);
            elsewhere.emit(&order.event, Args(order.args))?;
            Ok(())
        },
    );
    // Asks those it is for; the answers come to the asker as `answers`.
    io.on("ask", async |socket: Socket, timeout: u64, order: Order| {
        let asker = Asker {
            socket: socket.id().to_owned(),
        };
        let target = order
            .target(&socket)
            .timeout(Duration::from_millis(timeout));
        target.emit_with_ack(&order.event, Args(order.args), "tell", asker)?;
        Ok(())
    });
    io.on_ack("tell", tell);
}

async fn tell(nsp: Nsp, acks: Acks) -> Result<()> {
    let asker: Asker = acks.context()?;
    let mut answers = Vec::new();
    for reply in &acks.replies {
        answers.push((reply.socket.clone(), reply.args::<Args<Vec<Raw>>>()?.0));
    }
    nsp.to(asker.socket)
        .emit("answers", Args((answers, acks.missing)))
}
