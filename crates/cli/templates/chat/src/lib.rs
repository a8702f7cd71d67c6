//! The namespace `/`: a chat with rooms.

use parlour_sdk::{Io, Nsp, Socket, json};

parlour_sdk::main!(chat);

fn chat(io: &mut Io) {
    io.on("join", async |socket: Socket, room: String| {
        socket.join(&room)?;
        socket.to(room).emit("joined", socket.id()) // everyone there but the sender
    });

    io.on("leave", async |socket: Socket, room: String| {
        socket.leave(&room)?;
        socket.to(room).emit("left", socket.id())
    });

    io.on(
        "chat message",
        async |io: Nsp, socket: Socket, room: String, text: String| {
            let message = json!({ "room": room, "from": socket.id(), "text": text });
            io.to(room).emit("chat message", message) // everyone there: stored, then delivered
        },
    );

    io.on_disconnecting(async |socket: Socket| {
        for room in socket.rooms() {
            socket.to(room).emit("left", socket.id())?;
        }
        Ok(())
    });
}
