//! The resource `transaction` of `wit/rooms.wit`: one batch, at most one SQLite transaction.
//!
//! Invariant: while a method runs it owns the connection. If it fails, or its caller goes away in
//! the middle, the connection is dropped with it, and SQLite rolls back.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value as Json, json};
use spin_sdk::sqlite::Value;

use crate::{
    database::{Database, integer, list, number},
    interface::{
        self, Applied, Batch, Begun, Change, Emission, Entry, Error, GuestTransaction, Member,
        Position, Repetition, Room,
    },
    plan::Plan,
    pool, sql,
};

/// The most entries of history one call returns.
const MAX_HISTORY: u32 = 1_000;

pub struct Transaction {
    batch: Batch,
    /// None while a method runs, after a failure and after the commit.
    database: RefCell<Option<Database>>,
    progress: Cell<Progress>,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// The write lock is held.
    locked: bool,
    /// Something was written that only a commit keeps.
    written: bool,
    /// There is a savepoint; the offset at that time.
    savepoint: Option<u64>,
    /// The last offset in use.
    last: u64,
}

/// What [`Transaction::open`] finds.
enum Opened {
    Done(Vec<u8>),
    Fresh(Transaction),
}

/// What the database says about a batch before anything is done.
struct Guard {
    /// Whether this is the first batch of a new life of the relay, and whether it had one before.
    new_life: bool,
    had_older_life: bool,
    last: u64,
}

impl GuestTransaction for Transaction {
    async fn begin(batch: Batch) -> Result<Begun, Error> {
        Ok(match Self::open(batch).await? {
            Opened::Done(response) => Begun::Done(response),
            Opened::Fresh(transaction) => Begun::Fresh(interface::Transaction::new(transaction)),
        })
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Applied, Error> {
        let database = self.locked().await?;
        let applied = self.carry_out(&database, Plan::of(changes)).await?;
        self.put_back(database);
        Ok(applied)
    }

    async fn members(&self, room: String) -> Result<Vec<Member>, Error> {
        let database = self.locked().await?;
        let parameters = [self.namespace(), Value::Text(room)];
        let rows: Vec<(String, String)> = database.json(sql::MEMBERS, parameters).await?;
        self.put_back(database);
        Ok(rows
            .into_iter()
            .map(|(socket, data)| Member { socket, data })
            .collect())
    }

    async fn rooms(&self, event: String) -> Result<Vec<Room>, Error> {
        let database = self.locked().await?;
        let parameters = [self.namespace(), Value::Text(event)];
        let rows: Vec<(String, u32, u64)> = database.json(sql::ROOMS, parameters).await?;
        self.put_back(database);
        let room = |(name, members, messages)| Room {
            name,
            members,
            messages,
        };
        Ok(rows.into_iter().map(room).collect())
    }

    async fn history(
        &self,
        room: String,
        event: String,
        until: Position,
        limit: u32,
    ) -> Result<Option<Vec<Entry>>, Error> {
        let database = self.locked().await?;
        let page = self.page(&database, room, event, until, limit).await?;
        self.put_back(database);
        Ok(page)
    }

    async fn last_offset(&self) -> Result<u64, Error> {
        let database = self.locked().await?;
        self.put_back(database);
        Ok(self.progress.get().last)
    }

    async fn savepoint(&self) -> Result<(), Error> {
        let database = self.locked().await?;
        let progress = self.progress.get();
        if progress.savepoint.is_some() {
            database.run(sql::RELEASE, []).await?;
        }
        database.run(sql::SAVEPOINT, []).await?;
        self.progress.set(Progress {
            savepoint: Some(progress.last),
            ..progress
        });
        self.put_back(database);
        Ok(())
    }

    async fn rollback(&self) -> Result<(), Error> {
        let database = self.locked().await?;
        let progress = self.progress.get();
        let Some(last) = progress.savepoint else {
            self.put_back(database);
            return Err(Error::Storage("rollback without a savepoint".into()));
        };
        database.run(sql::ROLLBACK, []).await?;
        database.run(sql::RELEASE, []).await?;
        self.progress.set(Progress {
            savepoint: None,
            last,
            ..progress
        });
        self.put_back(database);
        Ok(())
    }

    async fn commit(&self, response: Vec<u8>) -> Result<(), Error> {
        let database = if self.progress.get().locked {
            self.take()?
        } else {
            // Nothing was asked of the database. Unless the relay is new there is nothing to keep.
            let database = self.take()?;
            let guard = self.guard(&database).await?;
            if self.batch.attempt == 1 && !guard.new_life {
                pool::give_back(database);
                return Ok(());
            }
            self.put_back(database);
            self.locked().await?
        };
        // A first attempt that changed nothing may run again, should its response be lost: nobody
        // has seen it. A second attempt is kept, so that a late first one finds itself outrun.
        if self.progress.get().written || self.batch.attempt > 1 {
            let values = [
                Value::Text(self.batch.relay.clone()),
                self.namespace(),
                number(self.batch.epoch),
                number(self.batch.sequence),
                Value::Blob(response),
            ];
            database.run(sql::KEEP_RESPONSE, values).await?;
        }
        database.run(sql::COMMIT, []).await?;
        pool::give_back(database);
        Ok(())
    }
}

impl Transaction {
    async fn open(batch: Batch) -> Result<Opened, Error> {
        let database = pool::take().await?;
        if batch.attempt > 1 {
            let key = [
                Value::Text(batch.relay.clone()),
                Value::Text(batch.namespace.clone()),
                number(batch.epoch),
                number(batch.sequence),
            ];
            let row = database.row(sql::RESPONSE, key).await?;
            if let Some(Value::Blob(response)) = row.and_then(|row| row.into_iter().next()) {
                pool::give_back(database);
                return Ok(Opened::Done(response));
            }
        }
        Ok(Opened::Fresh(Self {
            batch,
            database: RefCell::new(Some(database)),
            progress: Cell::default(),
        }))
    }

    fn namespace(&self) -> Value {
        Value::Text(self.batch.namespace.clone())
    }

    fn take(&self) -> Result<Database, Error> {
        self.database.take().ok_or_else(|| {
            let text = "the transaction is over, or another of its methods is still running";
            Error::Storage(text.into())
        })
    }

    fn put_back(&self, database: Database) {
        self.database.replace(Some(database));
    }

    /// The connection, with the write lock, after the first use of it by this batch.
    async fn locked(&self) -> Result<Database, Error> {
        let database = self.take()?;
        if self.progress.get().locked {
            return Ok(database);
        }
        database.run(sql::BEGIN, []).await?;
        let guard = self.guard(&database).await?;
        self.progress.set(Progress {
            locked: true,
            written: guard.new_life,
            savepoint: None,
            last: guard.last,
        });
        if guard.new_life {
            self.begin_life(&database, guard.had_older_life).await?;
        }
        Ok(database)
    }

    /// Refuses a relay that was replaced and a batch that was overtaken.
    async fn guard(&self, database: &Database) -> Result<Guard, Error> {
        let batch = &self.batch;
        let key = [Value::Text(batch.relay.clone()), self.namespace()];
        let row = database.row(sql::GUARD, key).await?;
        let column = |n: usize| row.as_ref().and_then(|row| integer(row.get(n)?));
        let (known, batch_epoch, sequence) = (column(0), column(1), column(2));
        if let Some(known) = known
            && known > batch.epoch
        {
            return Err(Error::Stale(known));
        }
        if batch_epoch == Some(batch.epoch) && sequence >= Some(batch.sequence) {
            return Err(Error::Storage(format!(
                "batch {} of relay {} in {} was overtaken: {} is committed",
                batch.sequence,
                batch.relay,
                batch.namespace,
                sequence.unwrap_or_default()
            )));
        }
        Ok(Guard {
            new_life: known != Some(batch.epoch),
            had_older_life: known.is_some(),
            last: column(3).unwrap_or(0),
        })
    }

    /// Declares the sockets of the relay's older lives gone.
    async fn begin_life(&self, database: &Database, had_older: bool) -> Result<(), Error> {
        let life = || {
            [
                Value::Text(self.batch.relay.clone()),
                number(self.batch.epoch),
            ]
        };
        database.run(sql::NEW_LIFE, life()).await?;
        if had_older {
            database
                .run(sql::FORGET_MEMBERS_OF_OLD_LIVES, life())
                .await?;
            database.run(sql::FORGET_OLD_LIVES, life()).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, database: &Database, mut plan: Plan) -> Result<Applied, Error> {
        self.progress.set(Progress {
            written: true,
            ..self.progress.get()
        });
        if !plan.gone.is_empty() {
            database
                .run(sql::FORGET_MEMBERS, [list(&plan.gone)?])
                .await?;
            database
                .run(sql::FORGET_SOCKETS, [list(&plan.gone)?])
                .await?;
        }
        if !plan.connected.is_empty() {
            let relay = Value::Text(self.batch.relay.clone());
            let rows = list(&plan.connected)?;
            let values = [rows, self.namespace(), relay, number(self.batch.epoch)];
            database.run(sql::CONNECT, values).await?;
        }
        let memberships = [
            (sql::UPDATE, &plan.updated),
            (sql::LEAVE, &plan.left),
            (sql::JOIN, &plan.joined),
        ];
        for (statement, rows) in memberships {
            if !rows.is_empty() {
                database
                    .run(statement, [list(rows)?, self.namespace()])
                    .await?;
            }
        }
        let repetitions = self.repetitions(database, &mut plan).await?;
        let first = self.store(database, &plan).await?;
        Ok(Applied { first, repetitions })
    }

    async fn repetitions(
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

    /// Appends the emissions to the log; gives the offset of the first.
    async fn store(&self, database: &Database, plan: &Plan) -> Result<u64, Error> {
        if plan.emissions.is_empty() {
            return Ok(0);
        }
        let progress = self.progress.get();
        let first = progress.last + 1;
        let rows: Vec<_> = plan
            .emissions
            .iter()
            .map(|(_, emission)| row(emission))
            .collect();
        let values = [list(&rows)?, self.namespace(), number(first), number(now())];
        database.run(sql::STORE, values).await?;
        let tally = plan.tally();
        if !tally.is_empty() {
            database
                .run(sql::COUNT, [list(&tally)?, self.namespace()])
                .await?;
        }
        let last = progress.last + rows.len() as u64;
        self.progress.set(Progress { last, ..progress });
        Ok(first)
    }

    async fn page(
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
        let parameters = [self.namespace(), room, event, number(before), limit];
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

impl Drop for Transaction {
    /// A connection that holds a transaction is closed, which undoes it; any other can be used again.
    fn drop(&mut self) {
        if !self.progress.get().locked
            && let Some(database) = self.database.take()
        {
            pool::give_back(database);
        }
    }
}

/// A row for [`sql::STORE`].
type Row<'a> = (
    Option<&'a str>,
    Option<String>,
    &'a str,
    &'a str,
    Option<String>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
);

fn row(emission: &Emission) -> Row<'_> {
    let (room, target) = match (emission.rooms.as_slice(), emission.except.as_slice()) {
        ([], []) => (None, None),
        ([room], []) => (Some(room.as_str()), None),
        ([room], except) => (Some(room.as_str()), Some(json!({ "except": except }))),
        ([], except) => (None, Some(json!({ "except": except }))),
        (rooms, except) => (None, Some(json!({ "rooms": rooms, "except": except }))),
    };
    let attachments = match emission.attachments.as_slice() {
        [] => None,
        list => Some(json!(list).to_string()),
    };
    let once = emission.once.as_ref().filter(|_| emission.id.is_some());
    (
        room,
        target.as_ref().map(Json::to_string),
        &emission.event,
        &emission.data,
        attachments,
        emission.id.as_deref(),
        once.map(|once| once.sender.as_str()),
        once.map(|once| once.ack.as_str()),
    )
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests;
