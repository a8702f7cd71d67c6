//! All namespaces of the client suite's application: each answers as socket.io-client's own test server
//! does. Keeps nothing but which attachments a socket has sent.

mod main_namespace;

use parlour_sdk::{Args, Error, Namespace};
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    parlour_sdk::serve(register, request).await
}

fn register(ns: &mut Namespace) {
    match ns.name() {
        "/" => main_namespace::register(ns),
        "/foo" => ns.on("getId", async |socket, _: Args<()>, ack| {
            ack.send(socket.id())
        }),
        "/abc" => ns.on_connect(async |socket| socket.emit("handshake", socket.handshake())),
        "/no" => ns.on_connect(async |_| Err(refused("custom"))),
        // The others are only entered.
        _ => {}
    }
}

/// What a middleware of that server says.
fn refused(which: &str) -> Error {
    Error::new("refused", format!("Auth failed ({which} namespace)"))
}
