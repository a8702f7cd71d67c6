//! What a transaction reads from the log and appends to it.

use std::{
    collections::{BTreeSet, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use parlour_sqlite::Value;

use super::{Progress, Transaction};
use crate::{
    database::{Database, list, number},
    interface::{Applied, Batch, Entry, Error, Position, Repetition, Stored},
    pending::Pending,
    plan::{self, Key, Plan},
    sql,
};

/// The most entries of history one call returns.
const MAX_HISTORY: u32 = 1_000;

/// Bytes of them after which there are no more.
const MAX_HISTORY_BYTES: u64 = 4 * 1024 * 1024;

impl Transaction {
    pub(super) async fn repetitions(
        &self,
        database: &Database,
        plan: &mut Plan,
    ) -> Result<Vec<Repetition>, Error> {
        let keys = plan.keys();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // What an earlier step of the same changes has emitted counts as well.
        if let Some(pending) = self.pending.take() {
            self.finish(database, pending, None).await?;
        }
        let rows: Vec<_> = keys.iter().map(row).collect();
        let parameters = [list(&rows)?, self.namespace()];
        let found: Vec<(usize, String)> = database.json(sql::REPETITIONS, parameters).await?;
        let known: HashMap<Key, String> = found
            .into_iter()
            .filter_map(|(place, ack)| Some((keys.get(place)?.clone(), ack)))
            .collect();
        let repetitions = plan.take_repetitions(known).into_iter();
        Ok(repetitions
            .map(|(index, ack)| Repetition { index, ack })
            .collect())
    }

    /// Gives what goes into a log, each with its place among the changes, its offset.
    pub(super) async fn store(
        &self,
        database: &Database,
        entries: Vec<(u32, plan::Entry)>,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        self.learn_heads(database, &entries).await?;
        let progress = self.progress.get();
        let mut ends = progress.ends;
        let mut pending = self.pending.take().unwrap_or_else(|| Pending {
            first: ends.last + 1,
            entries: Vec::new(),
        });
        let mut heads = self.heads.borrow_mut();
        for (index, entry) in entries {
            ends.last += 1;
            let head = match entry.elsewhere() {
                None => &mut ends.head,
                Some(other) => heads.get_mut(other).expect("it was learnt"),
            };
            let previous = std::mem::replace(head, ends.last);
            let sockets = match &entry {
                plan::Entry::Addressed(_, sockets) => sockets.clone(),
                _ => Vec::new(),
            };
            applied.stored.push(Stored {
                index,
                offset: ends.last,
                previous,
                sockets,
            });
            pending.entries.push(entry);
        }
        self.pending.replace(Some(pending));
        self.progress.set(Progress { ends, ..progress });
        Ok(())
    }

    /// Asks for the heads of the other namespaces' logs that something goes into, as far as they are not known.
    async fn learn_heads(
        &self,
        database: &Database,
        entries: &[(u32, plan::Entry)],
    ) -> Result<(), Error> {
        let unknown: BTreeSet<&str> = {
            let known = self.heads.borrow();
            let others = entries.iter().filter_map(|(_, entry)| entry.elsewhere());
            others.filter(|other| !known.contains_key(*other)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found: Vec<(String, u64)> = database.json(sql::HEADS, [list(&unknown)?]).await?;
        let mut heads = self.heads.borrow_mut();
        // A namespace that nobody has said anything in has none.
        heads.extend(unknown.into_iter().map(|other| (other.to_owned(), 0)));
        heads.extend(found);
        Ok(())
    }

    /// Stores what is pending and, at the end, the response.
    pub(super) async fn finish(
        &self,
        database: &Database,
        pending: Pending,
        response: Option<String>,
    ) -> Result<(), Error> {
        let Batch {
            namespace, relay, ..
        } = &self.batch;
        let [plain, complete, counts, heads, first] = pending.values(namespace, relay)?;
        let response = response.map_or(Value::Null, |json| Value::Blob(json.into_bytes()));
        let values = [
            plain,
            complete,
            counts,
            heads,
            self.namespace(),
            first,
            number(now()),
            Value::Text(relay.clone()),
            number(self.batch.epoch),
            number(self.batch.sequence),
            response,
        ];
        database.run(sql::FINISH, values).await
    }

    pub(super) async fn page_of_history(
        &self,
        database: &Database,
        room: String,
        event: String,
        until: Position,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let room = Value::Text(room);
        let event = Value::Text(event);
        let before = match until {
            Position::End => i64::MAX as u64,
            Position::Before(offset) => offset,
        };
        let limit = number(limit.min(MAX_HISTORY).into());
        let bytes = number(MAX_HISTORY_BYTES);
        let parameters = [self.namespace(), room, event, number(before), limit, bytes];
        let rows: Vec<(u64, String, Option<String>)> =
            database.json(sql::HISTORY, parameters).await?;
        let entry = |(offset, data, attachments): (u64, String, Option<String>)| {
            let attachments = attachments.and_then(|list| serde_json::from_str(&list).ok());
            Entry {
                offset,
                data,
                attachments: attachments.unwrap_or_default(),
            }
        };
        Ok(rows.into_iter().rev().map(entry).collect())
    }
}

/// The row of [`REPETITIONS`](sql::REPETITIONS).
fn row(key: &Key) -> impl serde::Serialize + '_ {
    let (room, rooms) = match key.rooms.as_slice() {
        [] => (None, None),
        [room] => (Some(room), None),
        rooms => (None, Some(rooms)),
    };
    (
        &key.id,
        &key.sender,
        &key.event,
        room,
        rooms,
        &key.namespace,
    )
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
