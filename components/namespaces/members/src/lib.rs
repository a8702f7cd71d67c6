//! The namespace `/members`: the chat for authorised users, and what they can say to all of them.
//! The middleware `auth` has judged whoever comes here; its claims say who it is.

use chat::{Member, checked_text, now};
use parlour_sdk::{Ack, Error, Namespace, Result, Socket, json};
use serde::Deserialize;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    parlour_sdk::serve(members, request).await
}

fn members(ns: &mut Namespace) {
    ns.on_connect(async |socket| match socket.recovered() {
        true => chat::come_back(&socket).await,
        false => socket.set_data(member(&socket)?),
    });
    ns.on("announce", announce);
    ns.on("shout", shout);
    chat::register(ns);
}

/// What the token says of its bearer.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: Option<String>,
}

fn member(socket: &Socket) -> Result<Member> {
    // Without claims the middleware is missing from spin.toml: better nobody than anybody.
    let claims: Claims = socket.claims()?.ok_or_else(|| {
        Error::new("unauthorized", "Unauthorized").with_data(json!({ "code": "unauthorized" }))
    })?;
    let name = claims.name.unwrap_or_else(|| claims.sub.clone());
    Ok(Member {
        id: claims.sub,
        name,
    })
}

/// To every member, the sender included.
async fn announce(socket: Socket, text: String, ack: Ack) -> Result<()> {
    let text = checked_text(text)?;
    let at = now();
    let event = json!({ "text": text, "from": Member::of(&socket)?, "at": at });
    socket.nsp().emit("announcement", event)?;
    ack.send(json!({ "at": at }))
}

/// To every member but the sender.
async fn shout(socket: Socket, text: String, ack: Ack) -> Result<()> {
    let text = checked_text(text)?;
    let at = now();
    let event = json!({ "text": text, "from": Member::of(&socket)?, "at": at });
    socket.broadcast().emit("shout", event)?;
    ack.send(json!({ "at": at }))
}
