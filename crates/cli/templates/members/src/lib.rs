//! The namespace `/members`: a chat for authorised users. The middleware has judged whoever comes here.

use parlour_sdk::{Claims, Io, Nsp, Socket, json};
use serde::Deserialize;

parlour_sdk::main!(members);

/// Whom the token is for.
#[derive(Deserialize)]
struct User {
    sub: String,
}

fn members(io: &mut Io) {
    io.on_connect(async |socket: Socket, user: Claims<User>| {
        socket.broadcast().emit("joined", &user.sub) // everyone but the sender
    });

    io.on("chat message", async |io: Nsp, user: Claims<User>, text: String| {
        let message = json!({ "from": user.sub, "text": text });
        io.emit("chat message", message) // everyone: stored, then delivered
    });

    io.on_disconnecting(async |socket: Socket, user: Claims<User>| {
        socket.broadcast().emit("left", &user.sub)
    });
}
