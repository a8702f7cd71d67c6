//! The namespace `/custom` of the conformance application: tells each client what it sent as `auth`.

use parlour_sdk::{Namespace, Raw, json};
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    parlour_sdk::serve(custom, request).await
}

fn custom(ns: &mut Namespace) {
    ns.on_connect(async |socket| {
        let handshake = socket.handshake();
        let auth = handshake.and_then(|handshake| handshake.auth::<Raw>().ok().flatten());
        match auth {
            Some(auth) => socket.emit("auth", auth),
            None => socket.emit("auth", json!({})),
        }
    });
}
