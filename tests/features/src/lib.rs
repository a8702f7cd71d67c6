//! A namespace whose clients say what the server is to do: each event is one of Socket.IO's features, its
//! argument says on whom. Who is in the room `watchers` hears who comes and goes.

mod elsewhere;
mod emit;

use parlour_sdk::{
    Args, BroadcastOperator, Claims, Error, Handshake, Io, Nsp, Once, Packet, Raw, Reason, Result,
    Socket, json,
};
use serde::Deserialize;
use serde_json::Value;

parlour_sdk::main!(features);

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

fn features(io: &mut Io) {
    sockets(io);
    many(io);
    emit::register(io);
    elsewhere::register(io);
    failures(io);
    catch_all(io);
}

/// Whoever asks for `/workspace-a` must know that it is `a`.
fn admit(io: &Nsp, handshake: &Handshake) -> Result<()> {
    if handshake.header("x-refuse").is_some() {
        return Err(Error::new("refused", "not you").with_data(json!({ "why": "x-refuse" })));
    }
    let Some(workspace) = io.name().strip_prefix("/workspace-") else {
        return Ok(());
    };
    let auth: Auth = handshake.auth().unwrap_or_default();
    match auth.workspace {
        Some(known) if known == workspace => Ok(()),
        _ => Err(Error::new("nowhere", "Invalid namespace")),
    }
}

fn sockets(io: &mut Io) {
    io.on_connect(async |io: Nsp, socket: Socket, handshake: Handshake| {
        admit(&io, &handshake)?;
        io.to("watchers")
            .emit("saw", Args(("connect", socket.id(), socket.recovered())))
    });
    io.on_disconnecting(async |socket: Socket, reason: Reason| {
        let what = ("disconnecting", socket.id(), socket.rooms(), reason);
        socket.to("watchers").emit("saw", Args(what))
    });
    io.on_disconnect(async |socket: Socket, reason: Reason| {
        let what = ("disconnect", socket.id(), socket.rooms(), reason);
        socket.to("watchers").emit("saw", Args(what))
    });
    io.on("join", async |socket: Socket, rooms: Vec<String>| {
        socket.join(&rooms)?;
        Ok(socket.rooms())
    });
    io.on("leave", async |socket: Socket, room: String| {
        socket.leave(&room)?;
        Ok(socket.rooms())
    });
    io.on("set-data", async |socket: Socket, data: Value| {
        socket.set_data(&data)?;
        Ok(data)
    });
    io.on(
        "about",
        async |socket: Socket, claims: Option<Claims<Value>>| {
            Ok(json!({
                "id": socket.id(),
                "nsp": socket.nsp().name(),
                "rooms": socket.rooms(),
                "data": socket.data::<Value>()?,
                "claims": claims,
            }))
        },
    );
    io.on("disconnect-me", async |socket: Socket, close: bool| {
        socket.disconnect(close)
    });
}

/// What is known of the sockets that it is for.
async fn described<N>(whom: BroadcastOperator<N>) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for other in whom.fetch_sockets().await? {
        let mut rooms = other.rooms().await?;
        rooms.sort();
        found.push(json!({ "id": &*other.id, "data": other.data::<Value>()?, "rooms": rooms }));
    }
    Ok(found)
}

/// Does it to each of the sockets that it is for, by itself.
async fn to_each<N>(whom: BroadcastOperator<N>, what: &Remote) -> Result<()> {
    for other in whom.fetch_sockets().await? {
        match what {
            Remote::Emit(args) => other.emit("remote", Args(args.clone()))?,
            Remote::Join(rooms) => other.join(rooms)?,
            Remote::Leave(rooms) => other.leave(rooms)?,
            Remote::Disconnect(close) => other.disconnect(*close)?,
        }
    }
    Ok(())
}

fn many(io: &mut Io) {
    io.on("fetch-sockets", async |socket: Socket, whom: Whom| {
        described(whom.of(&socket)).await
    });
    io.on(
        "sockets-join",
        async |socket: Socket, whom: Whom, rooms: Vec<String>| {
            whom.of(&socket).sockets_join(&rooms)?;
            Ok(socket.rooms())
        },
    );
    io.on(
        "sockets-leave",
        async |socket: Socket, whom: Whom, rooms: Vec<String>| {
            whom.of(&socket).sockets_leave(&rooms)?;
            Ok(socket.rooms())
        },
    );
    io.on(
        "disconnect-sockets",
        async |socket: Socket, whom: Whom, close: bool| {
            whom.of(&socket).disconnect_sockets(close)?;
            Ok(())
        },
    );
    io.on(
        "remote",
        async |socket: Socket, whom: Whom, what: Remote| to_each(whom.of(&socket), &what).await,
    );
    io.on("history", async |socket: Socket, room: String| {
        let end = parlour_sdk::Position::End;
        let page = socket.nsp().history(&room, "said", end, 100).await?;
        let texts: Vec<Raw> = page.iter().filter_map(|entry| entry.argument()).collect();
        Ok(texts)
    });
}

fn failures(io: &mut Io) {
    io.use_packet(
        async |socket: Socket, packet: Packet| match packet.event.as_str() {
            "forbidden" => Err(Error::new("forbidden", "this event is not for you")),
            "seen" => socket.emit("seen", Args((packet.event, packet.args))),
            _ => Ok(()),
        },
    );
    io.on("forbidden", async || Ok("it ran"));
    io.on("fail", async |socket: Socket, room: String| -> Result {
        socket.join(&room)?;
        socket.nsp().to(&room).emit("said", "never")?;
        Err(Error::new("failed", "as you wished"))
    });
    io.on("panic", async || -> Result { panic!("as you wished") });
    io.on("loop", async || endless());
    io.on("trap", async || -> Result { std::process::abort() });
    io.on("allocate", async || -> Result {
        let mut kept = Vec::new();
        loop {
            kept.push(vec![1_u8; 1 << 20]);
            std::hint::black_box(&kept);
        }
    });
    // A retried order is one order.
    io.on_once(
        "order",
        async |order: Order| {
            Ok(Once {
                id: order.id,
                sender: order.by,
            })
        },
        async |socket: Socket, order: Order| {
            socket.nsp().emit("ordered", &order.id)?;
            Ok(json!({ "order": order.id, "socket": socket.id() }))
        },
    );
    io.on("echo", async |args: Args<Vec<Raw>>| Ok(args));
}

fn endless() -> Result<()> {
    loop {
        std::hint::spin_loop();
    }
}

/// A client whose data is `listening` is told of every event that it sends.
fn catch_all(io: &mut Io) {
    io.on_any(async |socket: Socket, packet: Packet| {
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
