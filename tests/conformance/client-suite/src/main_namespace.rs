//! The namespace `/`: echoes, acknowledgements both ways, dates, text and binary.

use std::time::SystemTime;

use parlour_sdk::{Acks, Args, Binary, Error, Handshake, Namespace, Nsp, Result, Socket, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::refused;

/// Text in several scripts, sent in this order.
const TEXTS: [&str; 5] = [
    "てすと",
    "Я Б Г Д Ж Й",
    "Ä ä Ü ü ß",
    "utf8 — string",
    "utf8 — string",
];

/// The content of every attachment that is sent.
const BYTES: &[u8] = b"asdfasdf";

/// Which packets of a series a socket has sent: they must come in order.
#[derive(Default, Serialize, Deserialize)]
struct Sent {
    abuff1: bool,
    blob1: bool,
    blob2: bool,
}

#[derive(Deserialize)]
struct Mixed {
    hello: String,
    #[serde(rename = "message")]
    _message: Binary,
    goodbye: String,
}

pub fn register(ns: &mut Namespace) {
    ns.on_connect(async |handshake: Handshake| {
        match handshake.query().any(|(name, _)| name == "fail") {
            true => Err(refused("main")),
            false => Ok(()),
        }
    });
    acknowledgements(ns);
    values(ns);
    binary(ns);
}

fn acknowledgements(ns: &mut Namespace) {
    ns.on("echo", async |argument: Value| Ok(argument));
    ns.on("getId", async |socket: Socket| Ok(socket.id().to_owned()));
    ns.on("getHandshake", async |handshake: Handshake| Ok(handshake));
    ns.on("getAckDate", async || Ok(date()));
    ns.on("ack", async |socket: Socket| {
        socket.emit_with_ack("ack", (), "acknowledged", ())
    });
    ns.on_ack("acknowledged", async |nsp: Nsp, acks: Acks| {
        for reply in &acks.replies {
            let Args((number, object)): Args<(u64, Value)> = reply.args()?;
            if number == 5 && object["test"] == true {
                nsp.to(&*reply.socket).emit("got it", ())?;
            }
        }
        Ok(())
    });
}

fn values(ns: &mut Namespace) {
    ns.on("hi", async |socket: Socket| socket.emit("hi", ()));
    ns.on("false", async |socket: Socket| socket.emit("false", false));
    ns.on("getDate", async |socket: Socket| {
        socket.emit("takeDate", date())
    });
    ns.on("getDateObj", async |socket: Socket| {
        socket.emit("takeDateObj", json!({ "date": date() }))
    });
    ns.on("getUtf8", async |socket: Socket| {
        for text in TEXTS {
            socket.emit("takeUtf8", text)?;
        }
        Ok(())
    });
}

fn binary(ns: &mut Namespace) {
    let bytes = || Binary(BYTES.to_vec());
    ns.on("doge", async move |socket: Socket| {
        socket.emit("doge", bytes())
    });
    ns.on("getbin", async move |socket: Socket| {
        socket.emit("takebin", bytes())
    });
    ns.on("buffa", async |socket: Socket, _: Binary| {
        socket.emit("buffack", ())
    });
    ns.on("blob", async |socket: Socket, _: Binary| {
        socket.emit("back", ())
    });
    for (event, answer) in [("jsonbuff", "jsonbuff-ack"), ("jsonblob", "jsonblob-ack")] {
        ns.on(event, async move |socket: Socket, mixed: Mixed| {
            if (&*mixed.hello, &*mixed.goodbye) != ("lol", "gotcha") {
                return Err(Error::bad_request("other texts were due"));
            }
            socket.emit(answer, ())
        });
    }
    ns.on("abuff1", async |socket: Socket, _: Binary| {
        note(&socket, |sent| sent.abuff1 = true)
    });
    ns.on("abuff2", async |socket: Socket, _: Value| {
        answer_in_order(&socket, "abuff2-ack", |sent| sent.abuff1)
    });
    ns.on("blob1", async |socket: Socket, _: Binary| {
        note(&socket, |sent| sent.blob1 = true)
    });
    ns.on("blob2", async |socket: Socket, text: String| {
        if text != "second" || !sent(&socket)?.blob1 {
            return Err(Error::bad_request("blob1 and `second` were due"));
        }
        note(&socket, |sent| sent.blob2 = true)
    });
    ns.on("blob3", async |socket: Socket, _: Binary| {
        answer_in_order(&socket, "blob3-ack", |sent| sent.blob1 && sent.blob2)
    });
}

fn sent(socket: &Socket) -> Result<Sent> {
    Ok(socket.data()?.unwrap_or_default())
}

fn note(socket: &Socket, what: impl FnOnce(&mut Sent)) -> Result<()> {
    let mut sent = sent(socket)?;
    what(&mut sent);
    socket.set_data(sent)
}

fn answer_in_order(socket: &Socket, event: &str, is_due: impl FnOnce(&Sent) -> bool) -> Result<()> {
    if is_due(&sent(socket)?) {
        socket.emit(event, ())
    } else {
        Err(Error::bad_request("something else was due before"))
    }
}

/// As JSON has dates: in ISO 8601.
fn date() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
