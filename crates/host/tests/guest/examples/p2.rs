//! A component of the older kind: WASI 0.2's `incoming-handler`.
#![allow(unsafe_code)] // in what `export!` writes

use std::io::Write;

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Handler;

impl wasip2::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(answer, Ok(response));
        let mut stream = body.write().expect("the stream is taken once");
        write!(stream, "WASI 0.2 at {path}").expect("the host takes a short text");
        drop(stream);
        OutgoingBody::finish(body, None).expect("nothing else was promised");
    }
}

wasip2::http::proxy::export!(Handler);
