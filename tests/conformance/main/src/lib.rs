//! The namespace `/` of the conformance application: the reference configuration of the Socket.IO protocol
//! document, and `echo`, `join`, `leave` and `message` for the benchmarks. Keeps nothing of its own.

use parlour_sdk::{Args, Namespace, Raw, json};
use serde::Deserialize;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    parlour_sdk::serve(conformance, request).await
}

/// Any arguments, kept as they came.
type All = Args<Vec<Raw>>;

fn conformance(ns: &mut Namespace) {
    ns.on_connect(async |socket| {
        let handshake = socket.handshake();
        let auth = handshake.and_then(|handshake| handshake.auth::<Raw>().ok().flatten());
        match auth {
            Some(auth) => socket.emit("auth", auth),
            None => socket.emit("auth", json!({})),
        }
    });

    ns.on("echo", async |_, args: All, ack| ack.send(args));
    ns.on("message-with-ack", async |_, args: All, ack| ack.send(args));

    ns.on("join", async |socket, room: String, ack| {
        socket.join(&room)?;
        ack.send(json!({ "room": room }))
    });
    ns.on("leave", async |socket, room: String, ack| {
        socket.leave(&room)?;
        ack.send(json!({ "room": room }))
    });

    ns.on("message", async |socket, args: All, ack| {
        match room_of(&args) {
            Some(room) => socket.nsp().to(room).emit("message", args)?,
            None => socket.emit("message-back", args)?,
        }
        ack.send(Args(()))
    });
}

/// The room that a message names in its first argument, if it names one.
fn room_of(args: &All) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        room: String,
    }
    let message: Message = serde_json::from_str(args.0.first()?.get()).ok()?;
    Some(message.room)
}
