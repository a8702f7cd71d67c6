//! A client that is in shows another token (the event `auth`): the middleware has authorized it as it does
//! those who enter. A good one replaces what was known of the client, a bad one changes nothing.

use std::rc::Rc;

use parlour_protocol::relay::{self, Command};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    answer::{answer_error, ours},
    connect,
};
use crate::{
    claims::Claims,
    context::Context,
    decode::decode,
    error::{Error, Result},
    interface,
    socket::Socket,
};

pub(super) fn run(context: &Rc<Context>, event: &relay::Renew<'_>) -> Result<(), interface::Error> {
    let answer = match renewed(context, event) {
        Ok(expires) => event.id.map_or(Ok(()), |id| {
            context.ack(event.socket, id, &json!({ "expires": expires }))
        }),
        Err(error) => return answer_error(context, event.socket, event.id, &error),
    };
    answer.map_err(ours)
}

/// Gives when the new token ends, in milliseconds since 1970.
fn renewed(context: &Rc<Context>, event: &relay::Renew<'_>) -> Result<Option<u64>> {
    if let Some(refused) = event.refused {
        return Err(refusal(refused));
    }
    let Some(claims) = event.claims.filter(|claims| claims.get() != "null") else {
        let message = "This namespace has no middleware that authorizes tokens";
        return Err(Error::new("not_judged", message));
    };
    let socket = Socket::new(context, event.socket);
    let before = socket.claims().map_or_else(
        |_| Subject::default(),
        |claims: Claims<Subject>| claims.0.as_ref().clone(),
    );
    let now: Subject = decode(claims).unwrap_or_default();
    if before.sub != now.sub {
        // Its rooms, its data and what others know of it are those of the one who came in.
        let message = "The token is somebody else's: connect anew";
        return Err(Error::new("another_subject", message));
    }
    let expires = connect::expiry(claims);
    context.set_claims(event.socket, claims.to_owned());
    connect::renew(&socket, expires);
    if let Some(state) = socket.peer().to_relay() {
        socket.context.command(&Command::State(relay::State {
            socket: socket.id().into(),
            state: &state,
            offset: None,
        }))?;
    }
    context.command(&Command::Renew(relay::Renewed {
        socket: socket.id().into(),
        expires,
    }))?;
    Ok(expires)
}

/// Whom claims are about.
#[derive(Clone, Default, Deserialize)]
struct Subject {
    #[serde(default)]
    sub: Option<serde_json::Value>,
}

/// What the middleware said, as an error of an event.
fn refusal(json: &RawValue) -> Error {
    #[derive(Deserialize)]
    struct Data {
        code: String,
    }
    let refusal = connect::refusal(json);
    let data = refusal.data;
    let code = data
        .as_ref()
        .and_then(|data| decode::<Data>(data).ok())
        .map_or_else(|| "refused".to_owned(), |data| data.code);
    Error {
        data,
        ..Error::new(code, refusal.message.into_owned())
    }
}
