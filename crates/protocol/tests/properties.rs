//! What is written is read as it was: every codec of this crate, with whatever can be in it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlour_protocol::engine::{self, decode_payload, push_packet};
use parlour_protocol::json;
use parlour_protocol::relay::{self, *};
use parlour_protocol::socket::{self, AckId, Head, Kind, MAX_ATTACHMENTS, Reassembler};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;

/// JSON of this text. It is leaked, so that what is made of it can be passed around.
fn raw(text: String) -> &'static RawValue {
    Box::leak(RawValue::from_string(text).unwrap())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Any JSON.
fn json() -> impl Strategy<Value = &'static RawValue> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|it| quoted(&it)),
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        let field = (any::<String>(), inner.clone())
            .prop_map(|(key, value)| format!("{}: {value}", quoted(&key)));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    });
    value.prop_map(raw)
}

/// JSON that may be absent. `null` is the same as absent, so it is not among them.
fn some_json() -> impl Strategy<Value = Option<&'static RawValue>> {
    option::of(json()).prop_map(|json| json.filter(|json| json.get() != "null"))
}

/// An event: an array that begins with a name.
fn event() -> impl Strategy<Value = &'static RawValue> {
    let name = any::<String>().prop_filter("reserved", |name| !socket::is_reserved(name));
    (name, vec(json(), 0..3)).prop_map(|(name, arguments)| {
        let mut items = vec![quoted(&name)];
        items.extend(arguments.iter().map(ToString::to_string));
        raw(format!("[{}]", items.join(",")))
    })
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    any::<String>().prop_map(Cow::Owned)
}

fn texts() -> impl Strategy<Value = Vec<Cow<'static, str>>> {
    vec(text(), 0..3)
}

fn base64() -> impl Strategy<Value = Vec<Cow<'static, str>>> {
    let attachment = vec(any::<u8>(), 0..20).prop_map(|data| STANDARD.encode(data).into());
    vec(attachment, 0..3)
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[^,]{0,20}"]
}

/// A packet as it is written, and as it is read.
fn engine_packet() -> impl Strategy<Value = (String, engine::Packet<'static>)> {
    use engine::Packet;
    let text = || "[^\x1e]{0,40}".prop_map(|text| &*text.leak());
    let data = vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(("1".to_owned(), Packet::Close)),
        Just(("5".to_owned(), Packet::Upgrade)),
        Just(("6".to_owned(), Packet::Noop)),
        text().prop_map(|it| (format!("2{it}"), Packet::Ping(it))),
        text().prop_map(|it| (format!("3{it}"), Packet::Pong(it))),
        text().prop_map(|it| (format!("4{it}"), Packet::Message(it))),
        data.prop_map(|it| (
            format!("b{}", STANDARD.encode(&it)),
            Packet::Binary(it.into())
        )),
    ]
}

/// Any event of a batch. The fields come from JSON, so that one that a later version adds needs nothing here.
fn relay_event() -> impl Strategy<Value = String> {
    let handshake = (any::<String>(), any::<bool>(), any::<u64>()).prop_map(|(url, secure, time)| {
        let url = quoted(&url);
        format!(
            r#"{{"url":{url},"headers":[["host",{url}]],"address":"::1","secure":{secure},"time":{time}}}"#
        )
    });
    let socket = any::<usize>();
    prop_oneof![
        (any::<String>(), handshake.clone()).prop_map(|(connection, handshake)| {
            let connection = quoted(&connection);
            format!(r#"{{"open":{{"connection":{connection},"handshake":{handshake}}}}}"#)
        }),
        (socket, handshake, json(), json()).prop_map(|(socket, handshake, auth, claims)| format!(
            r#"{{"connect":{{"socket":{socket},"handshake":{handshake},"auth":{auth},"claims":{claims},"unjudged":true}}}}"#
        )),
        (any::<usize>(), any::<u64>(), event(), base64()).prop_map(
            |(socket, id, data, attachments)| {
                let attachments = serde_json::to_string(&attachments).unwrap();
                format!(
                    r#"{{"packet":{{"socket":{socket},"id":{id},"data":{data},"attachments":{attachments}}}}}"#
                )
            }
        ),
        (any::<usize>(), any::<String>()).prop_map(|(socket, reason)| {
            let reason = quoted(&reason);
            format!(r#"{{"disconnect":{{"socket":{socket},"reason":{reason}}}}}"#)
        }),
        (any::<String>(), json(), event()).prop_map(|(handler, context, data)| {
            let handler = quoted(&handler);
            format!(
                r#"{{"acks":{{"handler":{handler},"context":{context},"replies":[{{"socket":{handler},"data":{data}}}],"missing":[{handler}]}}}}"#
            )
        }),
        Just(r#"{"tick":{}}"#.to_owned()),
    ]
}

fn emit() -> impl Strategy<Value = Command<'static>> {
    let ack = (text(), some_json(), any::<u64>());
    let ack = ack.prop_map(|(handler, context, timeout)| AckRequest {
        handler,
        context,
        timeout,
    });
    let to = (texts(), texts(), option::of(text()));
    let how = (any::<bool>(), any::<bool>(), option::of(ack));
    let place = (offset(), offset());
    let asked = (option::of(vec((text(), text()), 0..3)), option::of(text()));
    (to, event(), base64(), place, how, asked).prop_map(
        |(
            (rooms, except, namespace),
            data,
            attachments,
            (offset, previous),
            (volatile, local, ack),
            (asked, asker),
        )| {
            Command::Emit(Box::new(Emit {
                rooms,
                except,
                data,
                attachments,
                offset,
                namespace,
                previous,
                volatile,
                local,
                ack,
                asked,
                asker,
            }))
        },
    )
}

/// A place in a log, or none.
fn offset() -> impl Strategy<Value = Option<u64>> {
    option::of(any::<u64>())
}

fn command() -> impl Strategy<Value = Command<'static>> {
    let rooms = || {
        (text(), texts(), offset()).prop_map(|(socket, rooms, offset)| Rooms {
            socket,
            rooms,
            offset,
        })
    };
    let many = (
        texts(),
        texts(),
        texts(),
        texts(),
        option::of(any::<bool>()),
        offset(),
    );
    prop_oneof![
        text().prop_map(|connection| Command::Admit(Admit { connection })),
        (text(), any::<u8>(), text()).prop_map(|(connection, code, message)| {
            Command::Reject(Reject {
                connection,
                code,
                message,
            })
        }),
        (text(), text(), some_json()).prop_map(|(socket, message, data)| {
            Command::Refuse(Refuse {
                socket,
                message,
                data,
            })
        }),
        (text(), any::<u64>(), json(), base64()).prop_map(|(socket, id, data, attachments)| {
            Command::Ack(Ack {
                socket,
                id,
                data,
                attachments,
            })
        }),
        emit(),
        rooms().prop_map(Command::Join),
        rooms().prop_map(Command::Leave),
        (many, option::of(text()), offset()).prop_map(|(many, namespace, previous)| {
            let (rooms, except, join, leave, disconnect, offset) = many;
            Command::Sockets(Box::new(Sockets {
                rooms,
                except,
                join,
                leave,
                disconnect,
                offset,
                namespace,
                previous,
            }))
        }),
        (text(), json(), offset()).prop_map(|(socket, state, offset)| {
            Command::State(State {
                socket,
                state,
                offset,
            })
        }),
        (text(), any::<u64>(), json(), offset()).prop_map(|(to, number, report, offset)| {
            Command::Report(Report {
                to,
                number,
                report,
                offset,
            })
        }),
        (text(), any::<bool>(), offset()).prop_map(|(socket, close, offset)| {
            Command::Disconnect(Kick {
                socket,
                close,
                offset,
            })
        }),
    ]
}

/// The same with all numbers as JavaScript has them, as far as serde_json reads them right: in the last place it does not.
fn normal(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, normal(value)))
            .collect(),
        Value::Number(number) => Value::from(number.as_f64().map(|number| number as f32)),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_polling_payload_is_read_as_it_was_written(packets in vec(engine_packet(), 1..6)) {
        let mut payload = String::new();
        for (written, _) in &packets {
            push_packet(&mut payload, &[written]);
        }
        let read: Vec<_> = decode_payload(&payload).map(Result::unwrap).collect();
        let expected: Vec<_> = packets.into_iter().map(|(_, packet)| packet).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn what_serde_json_reads_is_read_alike_the_long_way(json in json()) {
        // Half a surrogate pair makes serde_json refuse the whole.
        let odd = raw(format!("[{json},\"\\ud83d\"]"));
        let read: Result<(serde_json::Value, String), _> = json::decode(odd);
        let (read, half) = read.unwrap();
        prop_assert_eq!(half, "\u{fffd}");
        if let Ok(expected) = serde_json::from_str(json.get()) {
            prop_assert_eq!(normal(read), normal(expected));
        }
    }

    #[test]
    fn a_socket_io_packet_is_read_as_it_was_written(
        is_ack in any::<bool>(),
        namespace in namespace(),
        id in option::of(any::<u32>()),
        data in event(),
        attachments in 0..=MAX_ATTACHMENTS,
    ) {
        let kind = if is_ack { Kind::Ack } else { Kind::Event };
        let head = Head { kind, attachments, namespace: &namespace, id: id.map(AckId::from) };
        let text = format!("{head}{data}");
        let read = socket::decode(&text).unwrap();
        let binary = if is_ack { Kind::BinaryAck } else { Kind::BinaryEvent };
        prop_assert_eq!(read.kind, if attachments > 0 { binary } else { kind });
        prop_assert_eq!(read.namespace, namespace);
        prop_assert_eq!(read.id, id.map(AckId::from));
        prop_assert_eq!(read.data.map(RawValue::get), Some(data.get()));
        prop_assert_eq!(read.attachments, attachments);
    }

    #[test]
    fn attachments_come_together_with_their_packet(
        attachments in vec(vec(any::<u8>(), 0..30), 1..=MAX_ATTACHMENTS),
    ) {
        let count = attachments.len();
        let head = Head { kind: Kind::Event, attachments: count, namespace: "/n", id: None };
        let placeholders: Vec<String> = (0..count)
            .map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#))
            .collect();
        let text = format!(r#"{head}["x",{}]"#, placeholders.join(","));
        let mut reassembler = Reassembler::new(&socket::decode(&text).unwrap());
        for (index, attachment) in attachments.iter().enumerate() {
            prop_assert_eq!(reassembler.add(attachment), index + 1 == count);
        }
        prop_assert_eq!(reassembler.finish().unwrap().attachments, attachments);
    }

    #[test]
    fn a_batch_is_read_as_it_was_written(
        sockets in vec((text(), text(), some_json(), texts()), 0..3),
        events in vec(relay_event(), 0..5),
        delivered in offset(),
        replay in any::<bool>(),
    ) {
        let sockets = sockets.into_iter().map(|(id, connection, state, rooms)| {
            relay::Socket { id, connection, state, rooms }
        });
        let events: Vec<Event<'_>> =
            events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let batch = Batch { sockets: sockets.collect(), events, delivered, replay };
        let json = serde_json::to_vec(&batch).unwrap();
        let read: Batch<'_> = relay::from_slice(&json).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{batch:?}"));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        commands in vec(command(), 0..6),
        (previous, head) in (offset(), offset()),
        replay in option::of((vec(command(), 0..4), any::<u64>(), any::<u64>(), any::<bool>())),
    ) {
        let replay = replay.map(|(commands, until, head, lost)| Replay { commands, until, head, lost });
        let answer = Response { commands, previous, head, replay, ..Response::default() };
        let json = serde_json::to_vec(&answer).unwrap();
        let read: Response<'_> = relay::from_slice(&json).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{answer:?}"));
        let offsets = |commands: &[Command<'_>]| -> Vec<_> {
            commands.iter().map(Command::offset).collect()
        };
        prop_assert_eq!(offsets(&read.commands), offsets(&answer.commands));
    }
}
