//! The namespace `/members`: the chat for authorised users, and what they can say to all of them.
//! The middleware `auth` has judged whoever comes here; its claims say who it is.

use chat::{Member, checked_text, now};
use parlour_sdk::{Claims, Io, Nsp, Result, Socket, Value, json};
use serde::Deserialize;

parlour_sdk::main!(members);

fn members(io: &mut Io) {
    // Without claims the middleware is missing from spin.toml: better nobody than anybody.
    io.on_connect(
        async |socket: Socket, bearer: Claims<Bearer>| match socket.recovered() {
            true => chat::come_back(&socket).await,
            false => socket.set_data(bearer.member()),
        },
    );
    io.on("announce", announce);
    io.on("shout", shout);
    chat::register(io);
}

/// What the token says of its bearer.
#[derive(Deserialize)]
struct Bearer {
    sub: String,
    name: Option<String>,
}

impl Bearer {
    fn member(&self) -> Member {
        Member {
            id: self.sub.clone(),
            name: self.name.as_ref().unwrap_or(&self.sub).clone(),
        }
    }
}

/// To every member, the sender included.
async fn announce(io: Nsp, socket: Socket, text: String) -> Result<Value> {
    let text = checked_text(text)?;
    let at = now();
    let event = json!({ "text": text, "from": Member::of(&socket)?, "at": at });
    io.emit("announcement", event)?;
    Ok(json!({ "at": at }))
}

/// To every member but the sender.
async fn shout(socket: Socket, text: String) -> Result<Value> {
    let text = checked_text(text)?;
    let at = now();
    let event = json!({ "text": text, "from": Member::of(&socket)?, "at": at });
    socket.broadcast().emit("shout", event)?;
    Ok(json!({ "at": at }))
}
