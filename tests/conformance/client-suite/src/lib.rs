//! All namespaces of the client suite's application: each answers as socket.io-client's own test server
//! does. Keeps nothing but which attachments a socket has sent.

mod main_namespace;

use parlour_sdk::{Error, Handshake, Io, Socket};

parlour_sdk::main!(suite);

fn suite(io: &mut Io) {
    main_namespace::register(io);
    io.of("/foo")
        .on("getId", async |socket: Socket| Ok(socket.id().to_owned()));
    io.of("/abc")
        .on_connect(async |socket: Socket, how: Handshake| socket.emit("handshake", how));
    io.of("/no").on_connect(async || Err(refused("custom")));
    for only_entered in ["/timeout_socket", "/valid", "/asd"] {
        io.of(only_entered);
    }
}

/// What a middleware of that server says.
fn refused(which: &str) -> Error {
    Error::new("refused", format!("Auth failed ({which} namespace)"))
}
