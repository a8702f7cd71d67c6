//! What a transaction reads from the log and appends to it.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use spin_sdk::sqlite::Value;

use super::{Progress, Transaction};
use crate::{
    database::{Database, integer, list, number},
    interface::{Entry, Error, Position, Repetition},
    pending::Pending,
    plan::Plan,
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
        let parameters = [list(&keys)?, self.namespace()];
        let found: Vec<(usize, String)> = database.json(sql::REPETITIONS, parameters).await?;
        let known: HashMap<_, _> = found
            .into_iter()
            .filter_map(|(place, ack)| {
                let (id, sender) = keys.get(place)?;
                Some(((id.to_string(), sender.to_string()), ack))
            })
            .collect();
        let repetitions = plan.take_repetitions(known).into_iter();
        Ok(repetitions
            .map(|(index, ack)| Repetition { index, ack })
            .collect())
    }

    /// Gives the emissions their offsets; returns the first.
    pub(super) async fn store(&self, database: &Database, plan: &Plan) -> Result<u64, Error> {
        if plan.emissions.is_empty() {
            return Ok(0);
        }
        if let Some(pending) = self.pending.take() {
            self.finish(database, pending, None).await?;
        }
        let progress = self.progress.get();
        let first = progress.last + 1;
        self.pending.replace(Some(Pending::of(plan, first)?));
        let last = progress.last + plan.emissions.len() as u64;
        self.progress.set(Progress { last, ..progress });
        Ok(first)
    }

    /// Stores what is pending and, at the end, the response.
    pub(super) async fn finish(
        &self,
        database: &Database,
        pending: Pending,
        response: Option<String>,
    ) -> Result<(), Error> {
        let [plain, complete, counts, first] = pending.into_values();
        let response = response.map_or(Value::Null, |json| Value::Blob(json.into_bytes()));
        let values = [
            plain,
            complete,
            counts,
            self.namespace(),
            first,
            number(now()),
            Value::Text(self.batch.relay.clone()),
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
    ) -> Result<Option<Vec<Entry>>, Error> {
        let room = Value::Text(room);
        let event = Value::Text(event);
        let before = match until {
            Position::End => i64::MAX as u64,
            Position::Before(offset) => offset,
            Position::BeforeId(id) => {
                let key = [
                    self.namespace(),
                    Value::Text(id),
                    room.clone(),
                    event.clone(),
                ];
                let row = database.row(sql::OFFSET_OF, key).await?;
                match row.as_deref().and_then(<[_]>::first).and_then(integer) {
                    Some(offset) => offset,
                    None => return Ok(None),
                }
            }
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
        Ok(Some(rows.into_iter().rev().map(entry).collect()))
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
