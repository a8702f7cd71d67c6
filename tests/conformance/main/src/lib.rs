//! The namespace `/` of the conformance application: the reference configuration of the Socket.IO protocol
//! document, and `echo`, `join`, `leave` and `message` for the benchmarks. Keeps nothing of its own.

use std::time::Duration;

use parlour_sdk::{Acks, Args, Auth, Io, Nsp, Raw, Result, Socket, json};
use serde::Deserialize;

parlour_sdk::main!(conformance);

/// How long clients may take to answer a question.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// Any arguments, kept as they came.
type All = Args<Vec<Raw>>;

fn conformance(io: &mut Io) {
    io.on_connect(async |socket: Socket, auth: Auth<Raw>| socket.emit("auth", auth.0));

    io.on("echo", echo);
    io.on("message-with-ack", echo);

    // Acknowledgements the other way: asks the sender, or everyone in a room, with the arguments it was sent, and
    // tells the sender what they answered.
    io.on("ask", async |socket: Socket, args: All| {
        let own = socket.timeout(ASK_TIMEOUT);
        own.emit_with_ack("question", args, "tell", socket.id())
    });
    io.on(
        "ask-room",
        async |io: Nsp, socket: Socket, room: String, question: Raw| {
            let room = io.to(room).timeout(ASK_TIMEOUT);
            room.emit_with_ack("question", question, "tell", socket.id())
        },
    );
    io.on_ack("tell", async |io: Nsp, acks: Acks| {
        let answers: Vec<All> = acks.answers()?;
        let answers: Vec<_> = answers.into_iter().map(|Args(answer)| answer).collect();
        io.to(acks.context::<String>()?)
            .emit("answers", Args((answers, acks.missing.len())))
    });

    io.on("join", async |socket: Socket, room: String| {
        socket.join(&room)?;
        Ok(json!({ "room": room }))
    });
    io.on("leave", async |socket: Socket, room: String| {
        socket.leave(&room)?;
        Ok(json!({ "room": room }))
    });

    io.on(
        "message",
        async |io: Nsp, socket: Socket, args: All| match room_of(&args) {
            Some(room) => io.to(room).emit("message", args),
            None => socket.emit("message-back", args),
        },
    );
}

async fn echo(args: All) -> Result<All> {
    Ok(args)
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
