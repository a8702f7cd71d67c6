//! What a namespace's log has after an offset, for a relay that has not got everything by a faster way. Takes no lock.

use parlour_sqlite::Value;

use crate::{
    database::{Database, integer, number},
    durable,
    interface::{Error, Located, Logged, Replayed, ReplayedCommand, ReplayedEmission, What},
    pending::COMMAND,
    pool, sql,
    transaction::{Target, now},
};

/// The most entries that are given at once, however small they are.
const MAX_ENTRIES: u64 = 10_000;

/// offset, ephemeral, room, target, data, attachments, sender
type Row = (
    u64,
    Option<u8>,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    Option<String>,
);

pub async fn run(
    namespace: String,
    relay: String,
    after: u64,
    bytes: u32,
) -> Result<Replayed, Error> {
    let database = pool::take().await?;
    let replayed = read(&database, namespace, after, bytes).await?;
    durable::assure(&database, &relay, now()).await?;
    pool::give_back(database);
    Ok(replayed)
}

async fn read(
    database: &Database,
    namespace: String,
    after: u64,
    bytes: u32,
) -> Result<Replayed, Error> {
    let values = [
        Value::Text(namespace),
        number(after),
        number(bytes.into()),
        number(MAX_ENTRIES),
    ];
    let row = database.row(sql::REPLAY, values).await?.unwrap_or_default();
    let [head, count, lost, in_page, Value::Text(rows)] = row.as_slice() else {
        let text = "the row of what is replayed is not as expected";
        return Err(Error::Storage(text.into()));
    };
    let rows: Vec<Row> = serde_json::from_str(rows)
        .map_err(|error| Error::Storage(format!("what is replayed is no JSON: {error}")))?;
    let count = integer(count).unwrap_or(0);
    let is_all = integer(in_page) == Some(count) && count < MAX_ENTRIES;
    let head = integer(head).unwrap_or(0);
    let until = match rows.last() {
        Some((offset, ..)) if !is_all => *offset,
        _ => head,
    };
    Ok(Replayed {
        entries: rows.into_iter().map(logged).collect(),
        until,
        head,
        lost: integer(lost) == Some(1),
    })
}

fn logged((offset, ephemeral, room, target, data, attachments, sender): Row) -> Logged {
    if ephemeral == Some(COMMAND) {
        let sockets: Vec<(String, String)> = parsed(target);
        let located = |(socket, relay)| Located { socket, relay };
        let command = ReplayedCommand {
            json: data,
            relay: sender.unwrap_or_default(),
            sockets: sockets.into_iter().map(located).collect(),
        };
        let what = What::Command(command);
        return Logged { offset, what };
    }
    let Target { rooms, except } = parsed(target);
    let what = What::Emission(ReplayedEmission {
        rooms: room.map_or(rooms, |room| vec![room]),
        except,
        data,
        attachments: parsed(attachments),
    });
    Logged { offset, what }
}

/// What a column of JSON has; nothing where it is NULL.
fn parsed<T: Default + serde::de::DeserializeOwned>(json: Option<String>) -> T {
    let value = json.and_then(|json| serde_json::from_str(&json).ok());
    value.unwrap_or_default()
}
