//! The namespace `/` of the conformance application: the reference configuration of the Socket.IO protocol
//! document, and `echo`, `join`, `leave` and `message` for the benchmarks. Keeps nothing of its own.

use std::time::Duration;

use parlour_sdk::{Args, Namespace, Raw, json};
use serde::Deserialize;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    parlour_sdk::serve(conformance, request).await
}

/// How long clients may take to answer a question.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

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

    // Acknowledgements the other way: asks the sender, or everyone in a room, with the arguments it was sent, and
    // tells the sender what they answered.
    ns.on("ask", async |socket, args: All, _| {
        let own = socket.timeout(ASK_TIMEOUT);
        own.emit_with_ack("question", args, "tell", socket.id())
    });
    ns.on(
        "ask-room",
        async |socket, Args((room, question)): Args<(String, Raw)>, _| {
            let room = socket.nsp().to(room).timeout(ASK_TIMEOUT);
            room.emit_with_ack("question", question, "tell", socket.id())
        },
    );
    ns.on_ack("tell", async |nsp, acks| {
        let mut answers = Vec::new();
        for reply in &acks.replies {
            answers.push(reply.args::<All>()?.0);
        }
        nsp.to(acks.context::<String>()?)
            .emit("answers", Args((answers, acks.missing.len())))
    });

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
