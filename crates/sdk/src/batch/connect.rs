//! A client asks to enter: it resumes its session, or is a new socket; then the handler decides.

use std::{borrow::Cow, rc::Rc};

use parlour_protocol::relay::{self, Batch, Command, Event, Owner};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    answer::ours,
    claim::{MAX_PID, claim, wants_session},
    disconnect::Stale,
};
use crate::{
    context::Context,
    decode::decode,
    error::Error,
    extract::Call,
    handshake::Handshake,
    interface::{self, Change, Claim, Newcomer, Recovery, Renewal, Session},
    namespace::Namespace,
    sid,
    socket::{Recovered, Socket},
};

/// The shortest that is given out.
const MIN_PID: usize = 20;

/// The latest time that JSON and SQLite have exactly, in milliseconds: 285 000 years from now.
const MAX_TIME: f64 = 9_007_199_254_740_991.0;

pub(super) async fn run(
    namespace: &Namespace,
    context: &Rc<Context>,
    connect: &relay::Connect<'_>,
    stale: &mut Stale,
) -> Result<(), interface::Error> {
    if let Some(names) = &namespace.names_instead {
        return refuse_all(context, connect.socket, names);
    }
    let again = connect.progress.map(Progress::of);
    let connect = &*match &again {
        Some(progress) => Cow::Owned(progress.put_into(connect)),
        None => Cow::Borrowed(connect),
    };
    let after = again.as_ref().map_or(0, |progress| progress.after);
    if let Some(refused) = connect.refused {
        return refuse(context, connect.socket, &refusal(refused));
    }
    context.reserve_first();
    let claim = claim_of(connect).filter(|_| context.is_recovering());
    let pid = claim.as_ref().map(|claim| claim.pid.clone());
    let recovery = match claim {
        Some(claim) => {
            let connection = &context.sockets[connect.socket].connection;
            context.recover(claim, connection, after).await?
        }
        None => Recovery::None,
    };
    let session = match recovery {
        Recovery::None => None,
        Recovery::Taken(session) => Some(session),
        Recovery::Contested(owner) => {
            let command = Command::Contest(relay::Contest {
                socket: (&context.sockets[connect.socket].given_id).into(),
                owner: owner.socket.into(),
                relay: owner.relay.into(),
            });
            return context.command(&command).map_err(ours);
        }
    };
    if session.is_none() && connect.unjudged {
        // Between the question whether it could be recovered and now, the session has gone: its client has said
        // goodbye, maybe, and comes back at once. It is a new one, and judged as one.
        let command = Command::Anew(relay::Anew {
            socket: (&context.sockets[connect.socket].given_id).into(),
        });
        return context.command(&command).map_err(ours);
    }
    if let Some(session) = session.as_ref().filter(|session| session.has_more) {
        return page(context, connect, session).map_err(ours);
    }
    let handshake = Handshake::new(&connect.handshake, connect.auth);
    let socket = Socket {
        recovered: session.as_ref().map(|session| Recovered {
            had_left: session.had_left,
        }),
        handshake: Some(Rc::new(handshake)),
        ..Socket::new(context, connect.socket)
    };
    let expires = connect.claims.and_then(expiry);
    let entrance = match session {
        Some(session) => {
            resume(&socket, &session, stale);
            introduce(namespace, &socket, connect);
            if connect.claims.is_some() {
                renew(&socket, expires);
            }
            Entrance {
                pid,
                expires: connect.claims.map_or(session.expires, |_| expires),
                session: Some(session),
            }
        }
        None => {
            introduce(namespace, &socket, connect);
            Entrance {
                pid: enter(&socket, connect, expires),
                expires,
                session: None,
            }
        }
    };
    let mut outcome = handled(namespace, &socket).await;
    if outcome.is_ok() {
        outcome = accept(&socket, &entrance);
    }
    match outcome {
        Ok(()) => {
            socket.peer().is_in.set(true);
            Ok(())
        }
        Err(error) => {
            context.abandon_event().await?;
            if error.is_internal() {
                let namespace = &context.scope.namespace;
                context.log.failed(namespace, "connect", &error.to_string());
            }
            refuse_for(context, connect.socket, &error)
        }
    }
}

/// Runs the handlers, until one refuses.
async fn handled(namespace: &Namespace, socket: &Socket) -> Result<(), Error> {
    for handler in &namespace.connect {
        handler(Call::of(socket, "connect"))?.await?;
    }
    Ok(())
}

/// Nobody may enter a namespace that the app does not have. Its log says which it has.
fn refuse_all(context: &Context, socket: usize, names: &str) -> Result<(), interface::Error> {
    let problem = format!(
        "the app has no handlers for this namespace, but for {names}: name it by `io.of` in the app, or take it out of \
         `namespaces` in spin.toml"
    );
    let namespace = &context.scope.namespace;
    context.log.failed(namespace, "connect", &problem);
    let refusal = Refusal {
        message: "Invalid namespace".into(),
        data: None,
    };
    refuse(context, socket, &refusal)
}

/// How a client comes in.
struct Entrance {
    /// The secret of its session.
    pid: Option<String>,
    /// Milliseconds since 1970: when its token ends.
    expires: Option<u64>,
    /// The session that it has resumed.
    session: Option<Session>,
}

/// The session that the client claims. None if another connection has it and has answered that it is alive.
fn claim_of(connect: &relay::Connect<'_>) -> Option<Claim> {
    let claim = claim(connect.auth)?;
    match connect.owner {
        None => Some(claim),
        Some(Owner::Answers) => None,
        Some(Owner::Silent) => Some(Claim {
            from_connected: true,
            ..claim
        }),
    }
}

/// The client's `connect_error` for a handler's error.
pub(super) fn refuse_for(
    context: &Context,
    socket: usize,
    error: &Error,
) -> Result<(), interface::Error> {
    let code = || to_raw_value(&serde_json::json!({ "code": error.code })).ok();
    let data = error.data.clone().or_else(code);
    let message = error.public_message().into();
    refuse(context, socket, &Refusal { message, data })
}

/// What the relay gives back with a `connect` event that was not finished: what the middleware has said of the
/// client, and how much it was given of what it has missed.
#[derive(Serialize, Deserialize, Default)]
struct Progress<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    claims: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    refused: Option<&'a RawValue>,
    #[serde(default)]
    unjudged: bool,
    /// Everything that it has missed up to this offset was sent to it. It is not in the namespace yet.
    #[serde(default)]
    after: u64,
}

impl<'a> Progress<'a> {
    fn of(json: &'a RawValue) -> Self {
        serde_json::from_str(json.get()).unwrap_or_default()
    }

    fn put_into(&self, connect: &relay::Connect<'a>) -> relay::Connect<'a> {
        relay::Connect {
            claims: self.claims,
            refused: self.refused,
            // Who was sent a page and cannot resume the session after all begins anew, and is judged anew.
            unjudged: self.unjudged || self.after > 0,
            ..connect.clone()
        }
    }
}

/// What the relay gives back with each of these events that is a `connect`.
pub(super) fn progress(events: &[Event<'_>]) -> Vec<Box<RawValue>> {
    let connects = events.iter().filter_map(|event| match event {
        Event::Connect(connect) => Some(connect),
        _ => None,
    });
    let progress = |connect: &relay::Connect<'_>| match connect.progress {
        Some(progress) => progress.to_owned(),
        None => not_begun(connect, 0),
    };
    connects.map(progress).collect()
}

fn not_begun(connect: &relay::Connect<'_>, after: u64) -> Box<RawValue> {
    let progress = Progress {
        claims: connect.claims,
        refused: connect.refused,
        unjudged: connect.unjudged,
        after,
    };
    to_raw_value(&progress).expect("raw JSON, truth and a number always serialise")
}

/// A part of what the client has missed, before it can resume its session.
fn page(context: &Context, connect: &relay::Connect<'_>, session: &Session) -> Result<(), Error> {
    let data = data_of(session)?;
    let progress = not_begun(connect, session.offset);
    let page = relay::Page {
        socket: (&context.sockets[connect.socket].given_id).into(),
        missed: missed(session, &data),
        progress: &progress,
    };
    context.command_first(&Command::Page(Box::new(page)))
}

fn data_of(session: &Session) -> Result<Vec<Box<RawValue>>, Error> {
    let raw = |entry: &interface::Entry| RawValue::from_string(entry.data.clone());
    let data: Result<_, _> = session.missed.iter().map(raw).collect();
    data.map_err(|error| Error::internal(format!("the log has no JSON: {error}")))
}

fn missed<'a>(session: &'a Session, data: &'a [Box<RawValue>]) -> Vec<relay::Missed<'a>> {
    let entries = session.missed.iter().zip(data.iter().map(|data| &**data));
    let missed = |(entry, data): (&'a interface::Entry, &'a RawValue)| relay::Missed {
        offset: entry.offset,
        data,
        attachments: entry.attachments.iter().map(Into::into).collect(),
    };
    entries.map(missed).collect()
}

/// Notes what is new of the client: what the middleware said, if it was asked, and how it came.
fn introduce(namespace: &Namespace, socket: &Socket, connect: &relay::Connect<'_>) {
    if let Some(claims) = connect.claims.filter(|claims| claims.get() != "null") {
        socket.peer().set_claims(claims.to_owned());
    }
    let mut state = socket.peer().state().borrow_mut();
    if namespace.keeps_handshake
        && let Some(handshake) = &socket.handshake
    {
        state.handshake = to_raw_value(&handshake.kept()).ok();
    }
}

/// When the claims end, in milliseconds since 1970: a token's `exp` is in seconds, maybe with a fraction.
pub(super) fn expiry(claims: &RawValue) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims: Claims = decode(claims).ok()?;
    Some((claims.exp * 1000.0).min(MAX_TIME) as u64)
}

/// Notes in the database that the socket has other claims.
pub(super) fn renew(socket: &Socket, expires: Option<u64>) {
    let is_recovering = socket.context.is_recovering();
    let renewal = Change::Renew(Renewal {
        socket: socket.id().to_owned(),
        private: is_recovering.then(|| socket.peer().private()).flatten(),
        expires,
    });
    socket.context.change(socket.index, renewal);
}

/// The secret that the relay proposes, or a random one. A random one is not in the batch, so it cannot be added again
/// to an answer that is sent a second time.
fn secret(connect: &relay::Connect<'_>) -> String {
    proposed(connect).map_or_else(sid::random, str::to_owned)
}

fn proposed<'a>(connect: &'a relay::Connect<'_>) -> Option<&'a str> {
    let is_one = |secret: &&str| (MIN_PID..=MAX_PID).contains(&secret.len());
    connect.secret.as_deref().filter(is_one)
}

/// The socket is a new one. Gives the secret of its session, where sessions can be recovered.
fn enter(socket: &Socket, connect: &relay::Connect<'_>, expires: Option<u64>) -> Option<String> {
    let peer = socket.peer();
    let is_recovering = socket.context.is_recovering();
    let pid = (is_recovering && wants_session(connect)).then(|| secret(connect));
    let newcomer = Change::Connect(Newcomer {
        socket: socket.id().to_owned(),
        connection: peer.connection.clone(),
        data: peer.data(),
        private: is_recovering.then(|| peer.private()).flatten(),
        pid: pid.clone(),
        expires,
    });
    socket.context.change(socket.index, newcomer);
    pid
}

/// The socket is the one that it was before.
fn resume(socket: &Socket, session: &Session, stale: &mut Stale) {
    let peer = socket.peer();
    peer.resume(session.socket.clone());
    peer.restore(&session.data, session.private.as_deref());
    socket
        .context
        .set_rooms(socket.index, session.rooms.clone());
    stale.all_but(&session.socket, &peer.connection);
}

/// The first command of the event: whatever the handler wants done comes after it.
fn accept(socket: &Socket, entrance: &Entrance) -> Result<(), Error> {
    let state = socket.peer().to_relay();
    let session = entrance.session.as_ref();
    let data = session.map(data_of).transpose()?.unwrap_or_default();
    let recovered = session.map(|session| relay::Recovered {
        id: (&session.socket).into(),
        rooms: session.rooms.iter().map(Into::into).collect(),
        missed: missed(session, &data),
    });
    let accept = relay::Accept {
        socket: (&socket.peer().given_id).into(),
        pid: None,
        state: state.as_deref(),
        expires: entrance.expires,
        recovered: recovered.map(Box::new),
    };
    socket.context.command_first(&Command::Accept(accept))?;
    if let Some(pid) = &entrance.pid {
        socket.context.pid_of_first(pid);
    }
    Ok(())
}

/// Puts the secrets into the answer to a batch that was committed before: they are not stored, but they are
/// in the batch, which was sent again.
pub(crate) fn with_pids(batch: &Batch<'_>, response: String) -> String {
    let Ok(mut answer) = serde_json::from_str::<relay::Response<'_>>(&response) else {
        return response;
    };
    let connect_of = |socket: &str| {
        let mut connects = batch.events.iter().filter_map(|event| match event {
            Event::Connect(connect) => Some(connect),
            _ => None,
        });
        connects.find(|connect| batch.sockets[connect.socket].id == socket)
    };
    for command in &mut answer.commands {
        let Command::Accept(accept) = command else {
            continue;
        };
        let connect = connect_of(&accept.socket);
        accept.pid = match accept.recovered {
            Some(_) => connect
                .and_then(|connect| claim(connect.auth))
                .map(|claim| claim.pid.into()),
            None => connect
                .filter(|connect| wants_session(connect))
                .and_then(proposed)
                .map(Into::into),
        };
    }
    serde_json::to_string(&answer).unwrap_or_else(|_| response.clone())
}

/// What the client's `connect_error` says.
#[derive(Deserialize)]
pub(super) struct Refusal<'a> {
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
}

pub(super) fn refusal(json: &RawValue) -> Refusal<'_> {
    let unnamed = |_| Refusal {
        message: "Unauthorized".into(),
        data: None,
    };
    decode(json).unwrap_or_else(unnamed)
}

fn refuse(context: &Context, socket: usize, refusal: &Refusal) -> Result<(), interface::Error> {
    let command = Command::Refuse(relay::Refuse {
        socket: (&context.sockets[socket].given_id).into(),
        message: (&*refusal.message).into(),
        data: refusal.data.as_deref(),
    });
    context.command(&command).map_err(ours)
}
