//! Resuming sessions: what is left of a socket whose connection is gone, and what its client has not
//! seen of what was emitted to it.

use parlour_sqlite::Value;
use serde::Deserialize;

use super::{Transaction, log::now};
use crate::{
    database::{Database, integer, list, number},
    digest::digest,
    interface::{Claim, Entry, Error, Owner, Policy, Recovery, Session},
    sql,
};

/// Emissions that a client can have missed. Who missed more begins anew.
const MAX_MISSED: u64 = 10_000;

/// Bytes of them.
const MAX_MISSED_BYTES: u64 = 4 * 1024 * 1024;

/// Milliseconds before its end within which a socket may have missed what was sent to it: a relay
/// notices that a client is gone when it does not answer a ping.
pub(super) const UNNOTICED: u64 = 120_000;

/// The room under which the table `truncation` has the mark of entries that are in no room's history.
pub(super) const EPHEMERAL: &str = "";

/// A session as it is stored.
struct Stored {
    socket: String,
    data: String,
    private: Option<String>,
    /// What came up to here was not for it, or its client has seen it.
    since: u64,
    /// Each with the offset from which on it was in it.
    rooms: Vec<(String, u64)>,
    /// Milliseconds since 1970. None: nobody has noticed yet that its connection is gone.
    gone: Option<u64>,
    /// Where it is connected then.
    relay: Option<String>,
    /// Milliseconds since 1970: when its token ends.
    expires: Option<u64>,
}

/// offset, room, target, data, attachments
type Row = (u64, Option<String>, Option<String>, String, Option<String>);

impl Transaction {
    pub(super) async fn resume(
        &self,
        database: &Database,
        claim: Claim,
        connection: String,
        after: u64,
        page: u32,
    ) -> Result<Recovery, Error> {
        let namespace = &self.batch.namespace;
        let head = self.progress.get().ends.head;
        let found = find(database, namespace, &self.policy, &claim, head).await?;
        let Some((stored, start)) = found else {
            return Ok(Recovery::None);
        };
        if let Some(relay) = stored.relay
            && !claim.from_connected
        {
            let socket = stored.socket;
            return Ok(Recovery::Contested(Owner { socket, relay }));
        }
        let stored = Stored {
            relay: None,
            ..stored
        };
        let from = start.max(after);
        let missed = missed(database, namespace, &stored, from, page).await?;
        let Some(missed) = missed else {
            return Ok(Recovery::None);
        };
        let offset = missed.more_after.unwrap_or(head);
        let stored = Stored {
            since: start,
            ..stored
        };
        if missed.more_after.is_none() {
            self.written();
            self.connect_again(database, &stored, &claim.pid, &connection)
                .await?;
        }
        Ok(Recovery::Taken(Session {
            socket: stored.socket,
            data: stored.data,
            private: stored.private,
            had_left: stored.gone.is_some(),
            rooms: stored.rooms.into_iter().map(|(room, _)| room).collect(),
            missed: missed.entries,
            offset,
            expires: stored.expires,
            has_more: missed.more_after.is_some(),
        }))
    }

    async fn connect_again(
        &self,
        database: &Database,
        stored: &Stored,
        pid: &str,
        connection: &str,
    ) -> Result<(), Error> {
        let text = |text: &str| Value::Text(text.to_owned());
        let pid = Value::Text(digest(pid));
        database.run(sql::END_SESSION, [pid.clone()]).await?;
        let row = [
            text(&stored.socket),
            self.namespace(),
            text(&self.batch.relay),
            number(self.batch.epoch),
            text(&stored.data),
            Value::Text(digest(connection)),
            stored.private.as_deref().map_or(Value::Null, text),
            pid,
            number(stored.since),
            stored.expires.map_or(Value::Null, number),
        ];
        database.run(sql::RESUME, row).await?;
        if !stored.rooms.is_empty() {
            let rooms = [text(&stored.socket), self.namespace(), list(&stored.rooms)?];
            database.run(sql::RESUME_IN_ROOMS, rooms).await?;
        }
        Ok(())
    }
}

/// Which of the claims could be met now.
pub async fn recoverable(
    database: &Database,
    namespace: &str,
    policy: &Policy,
    claims: &[Claim],
) -> Result<Vec<bool>, Error> {
    let key = [Value::Text(namespace.to_owned())];
    let row = database.row(sql::HEAD, key).await?;
    let head = row.and_then(|row| integer(row.first()?)).unwrap_or(0);
    let mut answers = Vec::with_capacity(claims.len());
    for claim in claims {
        let found = find(database, namespace, policy, claim, head).await?;
        answers.push(found.is_some());
    }
    Ok(answers)
}

/// The session, if it can be resumed, and the offset up to which its client misses nothing.
async fn find(
    database: &Database,
    namespace: &str,
    policy: &Policy,
    claim: &Claim,
    head: u64,
) -> Result<Option<(Stored, u64)>, Error> {
    if policy.recovery == 0 {
        return Ok(None);
    }
    let key = [
        Value::Text(digest(&claim.pid)),
        Value::Text(namespace.to_owned()),
    ];
    let row = database.row(sql::SESSION, key).await?;
    let Some(stored) = row.and_then(Stored::of) else {
        return Ok(None);
    };
    let now = now();
    let gone = stored.gone.unwrap_or(now);
    let seen = claim.seen.unwrap_or(0);
    if now > gone.saturating_add(policy.recovery)
        || stored.expires.is_some_and(|expires| now >= expires)
        || seen > head
    {
        return Ok(None);
    }
    let start = seen.max(stored.since);
    let mut rooms: Vec<&str> = stored.rooms.iter().map(|(room, _)| &**room).collect();
    rooms.push(EPHEMERAL);
    let values = [
        Value::Text(namespace.to_owned()),
        list(&rooms)?,
        number(start),
        number(gone.saturating_sub(UNNOTICED)),
    ];
    let row = database.row(sql::IS_TRUNCATED, values).await?;
    let is_incomplete = row.and_then(|row| integer(row.first()?)) != Some(0);
    Ok((!is_incomplete).then_some((stored, start)))
}

/// One page of what a client has missed.
struct Missed {
    entries: Vec<Entry>,
    /// The last offset of the page, if there is more than this page.
    more_after: Option<u64>,
}

/// What was emitted to a session after `start`, at most a page; None if it is too much in all.
async fn missed(
    database: &Database,
    namespace: &str,
    stored: &Stored,
    start: u64,
    page: u32,
) -> Result<Option<Missed>, Error> {
    let values = [
        Value::Text(namespace.to_owned()),
        list(&stored.rooms)?,
        number(start),
        Value::Text(stored.socket.clone()),
        number(MAX_MISSED + 1),
        number(page.into()),
    ];
    let row = database.row(sql::MISSED, values).await?.unwrap_or_default();
    let [count, bytes, in_page, Value::Text(rows)] = row.as_slice() else {
        let text = "the row of what was missed is not as expected";
        return Err(Error::Storage(text.into()));
    };
    let (count, bytes) = (integer(count).unwrap_or(0), integer(bytes).unwrap_or(0));
    if count > MAX_MISSED || bytes > MAX_MISSED_BYTES {
        return Ok(None);
    }
    let rows: Vec<Row> = serde_json::from_str(rows)
        .map_err(|error| Error::Storage(format!("what was missed is no JSON: {error}")))?;
    let has_more = integer(in_page).unwrap_or(0) < count;
    let more_after = rows.last().map(|row| row.0).filter(|_| has_more);
    let rows = rows.into_iter().filter(|row| stored.is_for(row));
    let entry = |(offset, _, _, data, attachments): Row| Entry {
        offset,
        data,
        attachments: attachments
            .and_then(|list| serde_json::from_str(&list).ok())
            .unwrap_or_default(),
    };
    Ok(Some(Missed {
        entries: rows.map(entry).collect(),
        more_after,
    }))
}

/// The column `target` of the log.
#[derive(Default, Deserialize)]
pub struct Target {
    #[serde(default)]
    pub rooms: Vec<String>,
    #[serde(default)]
    pub except: Vec<String>,
}

impl Stored {
    /// Out of a row of [`sql::SESSION`].
    fn of(row: Vec<Value>) -> Option<Self> {
        let [socket, data, private, since, rooms, gone, relay, expires] =
            <[Value; 8]>::try_from(row).ok()?;
        let text = |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        };
        Some(Self {
            socket: text(socket)?,
            data: text(data)?,
            private: text(private),
            since: integer(&since)?,
            rooms: serde_json::from_str(&text(rooms)?).ok()?,
            gone: integer(&gone),
            relay: text(relay),
            expires: integer(&expires),
        })
    }

    /// Whether an emission to more than one room is for this session, and no exception from any.
    fn is_for(&self, (offset, room, target, ..): &Row) -> bool {
        let Some(target) = target else {
            return true;
        };
        let target: Target = serde_json::from_str(target).unwrap_or_default();
        let is_in = |name: &String| {
            *name == self.socket
                || self
                    .rooms
                    .iter()
                    .any(|(room, since)| room == name && offset > since)
        };
        let is_meant = room.is_some() || target.rooms.is_empty() || target.rooms.iter().any(is_in);
        is_meant && !target.except.iter().any(is_in)
    }
}
