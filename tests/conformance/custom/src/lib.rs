//! The namespace `/custom` of the conformance application: tells each client what it sent as `auth`.

use parlour_sdk::{Auth, Io, Raw, Socket};

parlour_sdk::main!(custom);

fn custom(io: &mut Io) {
    io.on_connect(async |socket: Socket, auth: Auth<Raw>| socket.emit("auth", auth.0));
}
