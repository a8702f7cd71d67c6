//! The resource `transaction` of `wit/rooms.wit`: one batch, at most one SQLite transaction.
//!
//! Invariant: while a method runs it owns the connection. If it fails, or its caller goes away in
//! the middle, the connection is dropped with it, and SQLite rolls back.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use parlour_sqlite::Value;

use crate::{
    database::{Database, integer, list, number},
    digest::digest,
    durable,
    interface::{
        self, Applied, Batch, Begun, Change, Claim, Entry, Error, Extent, GuestTransaction, Member,
        Page, Place, Policy, Position, Recovery, Repetition, Room,
    },
    pending::Pending,
    plan::{self, Plan, Step, steps},
    pool, sql,
};

mod gc;
mod log;
mod recovery;
mod sockets;

pub use log::now;
pub use recovery::Target;

pub struct Transaction {
    batch: Batch,
    policy: Policy,
    /// None while a method runs, after a failure and after the commit.
    database: RefCell<Option<Database>>,
    progress: Cell<Progress>,
    /// What was found without the lock.
    guard: Cell<Option<Guard>>,
    /// Belongs into the log before anything is read.
    pending: RefCell<Option<Pending>>,
    /// The heads of other namespaces' logs that were asked for.
    heads: RefCell<HashMap<String, u64>>,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// The write lock is held.
    locked: bool,
    /// Something was written that only a commit keeps.
    written: bool,
    /// There is a savepoint; the ends at that time.
    savepoint: Option<Ends>,
    ends: Ends,
    /// The head of the namespace's log before this batch.
    previous: u64,
    /// No other relay is alive.
    alone: bool,
    /// It is time to delete what need not be kept.
    is_gc_due: bool,
}

/// Where the logs end.
#[derive(Clone, Copy, Default)]
struct Ends {
    /// The last offset in use, in whatever namespace.
    last: u64,
    /// The last one in the batch's namespace.
    head: u64,
}

/// What [`Transaction::open`] finds.
enum Opened {
    Done(String),
    Fresh(Box<Transaction>),
}

/// What the database says about a batch before anything is done.
#[derive(Clone, Copy)]
struct Guard {
    /// Whether this is the first batch of a new life of the relay, and whether it had one before.
    new_life: bool,
    had_older_life: bool,
    ends: Ends,
    /// No other relay is alive.
    alone: bool,
    /// When the namespace's garbage was last collected, in milliseconds since 1970.
    gc_at: u64,
    /// It should be noted that the relay is there.
    unheard: bool,
}

impl GuestTransaction for Transaction {
    async fn begin(batch: Batch, policy: Policy) -> Result<Begun, Error> {
        Ok(match Self::open(batch, policy).await? {
            Opened::Done(response) => Begun::Done(response),
            Opened::Fresh(transaction) => Begun::Fresh(interface::Transaction::new(*transaction)),
        })
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Applied, Error> {
        let database = self.locked().await?;
        self.written();
        let mut applied = Applied {
            stored: Vec::new(),
            repetitions: Vec::new(),
        };
        let changes = self.needed(changes);
        for step in steps(changes) {
            match step {
                Step::Plan(plan) => self.carry_out(&database, plan, &mut applied).await?,
                Step::Move(movement) => self.move_sockets(&database, &movement).await?,
                Step::Address(index, json, target) => {
                    let sockets = self.located(&database, &target).await?;
                    let entry = (index, plan::Entry::Addressed(json, sockets));
                    self.store(&database, vec![entry], &mut applied).await?;
                }
            }
        }
        self.put_back(database);
        Ok(applied)
    }

    async fn is_alone(&self, lock: bool) -> Result<bool, Error> {
        if self.progress.get().locked {
            return Ok(self.progress.get().alone);
        }
        let (database, alone) = if lock {
            let database = self.locked().await?;
            (database, self.progress.get().alone)
        } else {
            let database = self.take()?;
            let guard = self.guard(&database).await?;
            self.guard.set(Some(guard));
            (database, guard.alone)
        };
        self.put_back(database);
        Ok(alone)
    }

    async fn members(
        &self,
        namespace: Option<String>,
        room: Option<String>,
    ) -> Result<Vec<Member>, Error> {
        let database = self.locked().await?;
        let namespace = self.namespace_or(namespace.as_deref());
        let rows: Vec<(String, String)> = match room {
            Some(room) => {
                let parameters = [namespace, Value::Text(room)];
                database.json(sql::MEMBERS, parameters).await?
            }
            None => database.json(sql::SOCKETS, [namespace]).await?,
        };
        self.put_back(database);
        Ok(rows
            .into_iter()
            .map(|(socket, data)| Member { socket, data })
            .collect())
    }

    async fn page(&self, room: String, after: Option<String>, limit: u32) -> Result<Page, Error> {
        let database = self.locked().await?;
        let page = self.page_of_members(&database, room, after, limit).await?;
        self.put_back(database);
        Ok(page)
    }

    async fn sockets_of(&self, places: Vec<Place>) -> Result<Vec<u32>, Error> {
        let database = self.locked().await?;
        let rows: Vec<_> = places
            .iter()
            .map(|place| (&place.room, &place.user))
            .collect();
        let values = [list(&rows)?, self.namespace()];
        let found: Vec<(usize, u32)> = database.json(sql::SOCKETS_OF, values).await?;
        self.put_back(database);
        let mut sockets = vec![0; places.len()];
        for (place, number) in found {
            sockets[place] = number;
        }
        Ok(sockets)
    }

    async fn rooms_of(
        &self,
        namespace: Option<String>,
        socket: String,
    ) -> Result<Vec<String>, Error> {
        let database = self.locked().await?;
        let namespace = self.namespace_or(namespace.as_deref());
        let parameters = [namespace, Value::Text(socket)];
        let rooms = database.json(sql::ROOMS_OF, parameters).await?;
        self.put_back(database);
        Ok(rooms)
    }

    async fn connected(&self, sockets: Vec<(String, String)>) -> Result<Vec<bool>, Error> {
        let database = self.locked().await?;
        let rows = sockets.iter().map(|(id, by)| (id, digest(by)));
        let rows = list(&rows.collect::<Vec<_>>())?;
        let found: Vec<usize> = database.json(sql::CONNECTED, [rows]).await?;
        self.put_back(database);
        let mut connected = vec![false; sockets.len()];
        for index in found {
            connected[index] = true;
        }
        Ok(connected)
    }

    async fn recover(
        &self,
        claim: Claim,
        connection: String,
        after: u64,
        page: u32,
    ) -> Result<Recovery, Error> {
        let database = self.locked().await?;
        let recovery = self
            .resume(&database, claim, connection, after, page)
            .await?;
        self.put_back(database);
        Ok(recovery)
    }

    async fn answer(
        &self,
        sender: String,
        event: String,
        id: String,
    ) -> Result<Option<String>, Error> {
        let database = self.locked().await?;
        let [sender, id, event] = [sender, id, event].map(Value::Text);
        let key = [self.namespace(), sender, id, event];
        let row = database.row(sql::ANSWER, key).await?;
        self.put_back(database);
        Ok(match row.and_then(|row| row.into_iter().next()) {
            Some(Value::Text(ack)) => Some(ack),
            _ => None,
        })
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
    ) -> Result<Vec<Entry>, Error> {
        let database = self.locked().await?;
        let page = self
            .page_of_history(&database, room, event, until, limit)
            .await?;
        self.put_back(database);
        Ok(page)
    }

    async fn offsets_of(&self, room: String, event: String, id: String) -> Result<Vec<u64>, Error> {
        let database = self.locked().await?;
        let [id, room, event] = [id, room, event].map(Value::Text);
        let key = [self.namespace(), id, room, event];
        let offsets = database.json(sql::OFFSETS_OF, key).await?;
        self.put_back(database);
        Ok(offsets)
    }

    async fn extent(&self) -> Result<Extent, Error> {
        if !self.progress.get().locked {
            let database = self.locked().await?;
            self.put_back(database);
        }
        let Progress { previous, ends, .. } = self.progress.get();
        let head = ends.head;
        Ok(Extent { previous, head })
    }

    async fn savepoint(&self) -> Result<(), Error> {
        let database = self.locked().await?;
        let progress = self.progress.get();
        if progress.savepoint.is_some() {
            database.run(sql::RELEASE, []).await?;
        }
        database.run(sql::SAVEPOINT, []).await?;
        self.progress.set(Progress {
            savepoint: Some(progress.ends),
            ..progress
        });
        self.put_back(database);
        Ok(())
    }

    async fn rollback(&self) -> Result<(), Error> {
        let database = self.locked().await?;
        let progress = self.progress.get();
        let Some(ends) = progress.savepoint else {
            self.put_back(database);
            return Err(Error::Storage("rollback without a savepoint".into()));
        };
        database.run(sql::ROLLBACK, []).await?;
        database.run(sql::RELEASE, []).await?;
        self.progress.set(Progress {
            savepoint: None,
            ends,
            ..progress
        });
        self.heads.take();
        self.put_back(database);
        Ok(())
    }

    async fn commit(&self, response: String) -> Result<(), Error> {
        let database = if self.progress.get().locked {
            self.take()?
        } else {
            // Nothing was asked of the database. Unless the relay is new, or was silent, there is nothing
            // to keep.
            let database = self.take()?;
            let guard = match self.guard.take() {
                Some(guard) => guard,
                None => self.guard(&database).await?,
            };
            if self.batch.attempt == 1 && !guard.new_life && !guard.unheard {
                pool::give_back(database);
                return Ok(());
            }
            self.put_back(database);
            self.locked().await?
        };
        // A first attempt that changed nothing may run again, should its response be lost: nobody
        // has seen it. A second attempt is kept, so that a late first one finds itself outrun.
        if self.progress.get().written || self.batch.attempt > 1 {
            if self.progress.get().is_gc_due {
                self.collect_garbage(&database).await?;
            }
            let pending = self.pending.take().unwrap_or_default();
            self.finish(&database, pending, Some(response)).await?;
        } else if !durable::is_certain() {
            durable::write(&database, &self.batch.relay, log::now()).await?;
        }
        database.commit().await?;
        durable::has_committed();
        pool::give_back(database);
        Ok(())
    }
}

impl Transaction {
    async fn open(batch: Batch, policy: Policy) -> Result<Opened, Error> {
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
                durable::assure(&database, &batch.relay, log::now()).await?;
                pool::give_back(database);
                let response = String::from_utf8(response);
                let response = response.map_err(|error| {
                    Error::Storage(format!("the batch's response is no text: {error}"))
                })?;
                return Ok(Opened::Done(response));
            }
        }
        Ok(Opened::Fresh(Box::new(Self {
            batch,
            policy,
            database: RefCell::new(Some(database)),
            progress: Cell::default(),
            guard: Cell::default(),
            pending: RefCell::default(),
            heads: RefCell::default(),
        })))
    }

    fn namespace(&self) -> Value {
        Value::Text(self.batch.namespace.clone())
    }

    /// The namespace that is named, or else the batch's.
    fn namespace_or(&self, other: Option<&str>) -> Value {
        Value::Text(other.unwrap_or(&self.batch.namespace).to_owned())
    }

    fn relay(&self) -> Value {
        Value::Text(self.batch.relay.clone())
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

    /// The connection, with the write lock and everything applied so far in the database.
    async fn locked(&self) -> Result<Database, Error> {
        let database = self.take()?;
        if self.progress.get().locked {
            if let Some(pending) = self.pending.take() {
                self.finish(&database, pending, None).await?;
            }
            return Ok(database);
        }
        database.begin().await?;
        let guard = self.guard(&database).await?;
        self.progress.set(Progress {
            locked: true,
            written: guard.new_life,
            savepoint: None,
            ends: guard.ends,
            previous: guard.ends.head,
            alone: guard.alone,
            is_gc_due: guard.gc_at + gc::EVERY <= log::now(),
        });
        if guard.new_life {
            self.begin_life(&database, guard.had_older_life).await?;
        } else if guard.unheard {
            self.note_life(&database).await?;
        }
        Ok(database)
    }

    /// Refuses a relay that was replaced and a batch that was overtaken.
    async fn guard(&self, database: &Database) -> Result<Guard, Error> {
        let batch = &self.batch;
        let alive = log::now().saturating_sub(sockets::ABSENT);
        let key = [
            Value::Text(batch.relay.clone()),
            self.namespace(),
            number(alive),
        ];
        let row = database.row(sql::GUARD, key).await?;
        let column = |n: usize| row.as_ref().and_then(|row| integer(row.get(n)?));
        let (known, batch_epoch, sequence) = (column(0), column(1), column(2));
        if let Some(known) = known
            && known > batch.epoch
        {
            return Err(Error::Stale(known));
        }
        if batch_epoch == Some(batch.epoch) && sequence >= Some(batch.sequence) {
            return Err(Error::Overtaken(format!(
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
            ends: Ends {
                last: column(3).unwrap_or(0),
                head: column(6).unwrap_or(0),
            },
            alone: column(7) == Some(0),
            gc_at: column(4).unwrap_or(0),
            unheard: column(5).unwrap_or(0) + sockets::HEARD <= log::now(),
        })
    }

    /// Something is in the database that only a commit keeps.
    fn written(&self) {
        self.progress.set(Progress {
            written: true,
            ..self.progress.get()
        });
    }

    /// The changes, each with its place, without what would be stored for other relays alone, and is for none.
    fn needed(&self, changes: Vec<Change>) -> Vec<(u32, Change)> {
        let alone = self.progress.get().alone;
        let is_needed = |change: &Change| match change {
            Change::Emit(emission) => !(alone && emission.transient),
            Change::Command(command) => !alone || command.namespace.is_some(),
            _ => true,
        };
        let mut changes: Vec<(u32, Change)> = (0..).zip(changes).collect();
        changes.retain_mut(|(_, change)| {
            let namespace = match change {
                Change::Emit(emission) => &mut emission.namespace,
                Change::Command(command) => &mut command.namespace,
                _ => return true,
            };
            let is_other = |name: &String| *name != self.batch.namespace;
            *namespace = namespace.take().filter(is_other);
            is_needed(change)
        });
        changes
    }

    async fn carry_out(
        &self,
        database: &Database,
        mut plan: Plan,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let repetitions: Vec<Repetition> = self.repetitions(database, &mut plan).await?;
        applied.repetitions.extend(repetitions);
        self.come(database, &plan).await?;
        let entries = std::mem::take(&mut plan.entries);
        self.store(database, entries, applied).await?;
        if !plan.answers.is_empty() {
            let rows: Vec<_> = plan
                .answers
                .iter()
                .map(|answer| (&answer.sender, &answer.id, &answer.event, &answer.ack))
                .collect();
            let values = [list(&rows)?, self.namespace(), number(log::now())];
            database.run(sql::KEEP_ANSWERS, values).await?;
        }
        self.go(database, &plan).await
    }
}

/// Which of the claims on sessions could be met now.
pub async fn recoverable(
    namespace: &str,
    policy: &Policy,
    claims: &[Claim],
) -> Result<Vec<bool>, Error> {
    let database = pool::take().await?;
    let answers = recovery::recoverable(&database, namespace, policy, claims).await?;
    pool::give_back(database);
    Ok(answers)
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

#[cfg(test)]
mod tests;
