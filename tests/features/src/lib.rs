//! A namespace whose clients say what the server is to do: each event is one of Socket.IO's features, its
//! argument says on whom. Who is in the room `watchers` hears who comes and goes.

mod elsewhere;
mod emit;

use parlour_sdk::{Args, BroadcastOperator, Error, Namespace, Once, Raw, Result, Socket, json};
use serde::Deserialize;
use serde_json::Value;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    parlour_sdk::serve(features, request).await
}

/// Whom something is for.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Whom {
    /// Rooms.
    to: Vec<String>,
    /// More rooms.
    and: Vec<String>,
    except: Vec<String>,
    /// Not the sender.
    others: bool,
}

impl Whom {
    fn of(&self, socket: &Socket) -> BroadcastOperator {
        let target = match self.others {
            true => socket.to(&self.to),
            false => socket.nsp().in_(&self.to),
        };
        target.to(&self.and).except(&self.except)
    }
}

/// What is done to each socket that was fetched.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Remote {
    Emit(Vec<Raw>),
    Join(Vec<String>),
    Leave(Vec<String>),
    Disconnect(bool),
}

/// What a client says in `auth`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    workspace: Option<String>,
}

fn features(ns: &mut Namespace) {
    sockets(ns);
    many(ns);
    emit::register(ns);
    elsewhere::register(ns);
    failures(ns);
    catch_all(ns);
}

/// Whoever asks for `/workspace-a` must know that it is `a`.
fn admit(socket: &Socket) -> Result<()> {
    let handshake = socket.handshake();
    if handshake.is_some_and(|it| it.header("x-refuse").is_some()) {
        return Err(Error::new("refused", "not you").with_data(json!({ "why": "x-refuse" })));
    }
    let nsp = socket.nsp();
    let Some(workspace) = nsp.name().strip_prefix("/workspace-") else {
        return Ok(());
    };
    let auth = handshake.and_then(|it| it.auth::<Auth>().ok().flatten());
    match auth.unwrap_or_default().workspace {
        Some(known) if known == workspace => Ok(()),
        _ => Err(Error::new("nowhere", "Invalid namespace")),
    }
}

fn sockets(ns: &mut Namespace) {
    ns.on_connect(async |socket| {
        admit(&socket)?;
        let watchers = socket.nsp().to("watchers");
        watchers.emit("saw", Args(("connect", socket.id(), socket.recovered())))
    });
    ns.on_disconnecting(async |socket, reason| {
        let what = ("disconnecting", socket.id(), socket.rooms(), reason);
        socket.to("watchers").emit("saw", Args(what))
    });
    ns.on_disconnect(async |socket, reason| {
        let what = ("disconnect", socket.id(), socket.rooms(), reason);
        socket.to("watchers").emit("saw", Args(what))
    });
    ns.on("join", async |socket, rooms: Vec<String>, ack| {
        socket.join(&rooms)?;
        ack.send(socket.rooms())
    });
    ns.on("leave", async |socket, room: String, ack| {
        socket.leave(&room)?;
        ack.send(socket.rooms())
    });
    ns.on("set-data", async |socket, data: Value, ack| {
        socket.set_data(&data)?;
        ack.send(data)
    });
    ns.on("about", async |socket, _: Args<()>, ack| {
        ack.send(json!({
            "id": socket.id(),
            "nsp": socket.nsp().name(),
            "rooms": socket.rooms(),
            "data": socket.data::<Value>()?,
            "claims": socket.claims::<Value>()?,
        }))
    });
    ns.on("disconnect-me", async |socket, close: bool, _| {
        socket.disconnect(close)
    });
}

fn many(ns: &mut Namespace) {
    ns.on("fetch-sockets", async |socket, whom: Whom, ack| {
        let mut found = Vec::new();
        for other in whom.of(&socket).fetch_sockets().await? {
            let mut rooms = other.rooms().await?;
            rooms.sort();
            found.push(json!({ "id": &*other.id, "data": other.data::<Value>()?, "rooms": rooms }));
        }
        ack.send(found)
    });
    ns.on(
        "sockets-join",
        async |socket, Args((whom, rooms)): Args<(Whom, Vec<String>)>, ack| {
            whom.of(&socket).sockets_join(&rooms)?;
            ack.send(socket.rooms())
        },
    );
    ns.on(
        "sockets-leave",
        async |socket, Args((whom, rooms)): Args<(Whom, Vec<String>)>, ack| {
            whom.of(&socket).sockets_leave(&rooms)?;
            ack.send(socket.rooms())
        },
    );
    ns.on(
        "disconnect-sockets",
        async |socket, Args((whom, close)): Args<(Whom, bool)>, ack| {
            whom.of(&socket).disconnect_sockets(close)?;
            ack.send(Args(()))
        },
    );
    ns.on(
        "remote",
        async |socket, Args((whom, what)): Args<(Whom, Remote)>, ack| {
            for other in whom.of(&socket).fetch_sockets().await? {
                match &what {
                    Remote::Emit(args) => other.emit("remote", Args(args.clone()))?,
                    Remote::Join(rooms) => other.join(rooms)?,
                    Remote::Leave(rooms) => other.leave(rooms)?,
                    Remote::Disconnect(close) => other.disconnect(*close)?,
                }
            }
            ack.send(Args(()))
        },
    );
    ns.on("history", async |socket, room: String, ack| {
        let end = parlour_sdk::Position::End;
        let page = socket.nsp().history(&room, "said", end, 100).await?;
        let texts: Vec<Raw> = page.iter().filter_map(|entry| entry.argument()).collect();
        ack.send(texts)
    });
}

fn failures(ns: &mut Namespace) {
    ns.use_packet(async |socket, packet| match packet.event.as_str() {
        "forbidden" => Err(Error::new("forbidden", "this event is not for you")),
        "seen" => socket.emit("seen", Args((packet.event, packet.args))),
        _ => Ok(()),
    });
    ns.on("forbidden", async |_, _: Args<()>, ack| ack.send("it ran"));
    ns.on("fail", async |socket, room: String, _| {
        socket.join(&room)?;
        socket.nsp().to(&room).emit("said", "never")?;
        Err(Error::new("failed", "as you wished"))
    });
    ns.on("panic", async |_, _: Args<()>, _| panic!("as you wished"));
    ns.on("loop", async |_, _: Args<()>, _| endless());
    ns.on("trap", async |_, _: Args<()>, _| std::process::abort());
    ns.on("allocate", async |_, _: Args<()>, _| {
        let mut kept = Vec::new();
        loop {
            kept.push(vec![1_u8; 1 << 20]);
            std::hint::black_box(&kept);
        }
    });
    // A retried order is one order.
    ns.on_once(
        "order",
        |_, order: &Order| {
            Ok(Once {
                id: order.id.clone(),
                sender: order.by.clone(),
            })
        },
        async |socket, order: Order, ack| {
            socket.nsp().emit("ordered", &order.id)?;
            ack.send(json!({ "order": order.id, "socket": socket.id() }))
        },
    );
    ns.on("echo", async |_, args: Args<Vec<Raw>>, ack| ack.send(args));
}

fn endless() -> Result<()> {
    loop {
        std::hint::spin_loop();
    }
}

/// A client whose data is `listening` is told of every event that it sends.
fn catch_all(ns: &mut Namespace) {
    ns.on_any(async |socket, packet| {
        match socket.data::<Value>()?.as_ref().and_then(Value::as_str) {
            Some("listening") => socket.emit("any", Args((packet.event, packet.args))),
            _ => Ok(()),
        }
    });
}

#[derive(Deserialize)]
struct Order {
    id: String,
    by: String,
}
