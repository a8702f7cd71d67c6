//! Keeps the database from growing without end. It deletes sessions and answers whose time is over, emissions that no
//! session can be resumed with any more, emissions that a room's policy does not keep, and sockets of absent relays. It
//! works in small portions, in the transaction of a batch that is committed anyway.

use parlour_sqlite::Value;

use super::{
    Transaction,
    log::now,
    recovery::{EPHEMERAL, UNNOTICED},
    sockets,
};
use crate::{
    database::{Database, integer, list, number},
    interface::Error,
    sql::gc as sql,
};

/// Milliseconds between two collections of a namespace's garbage.
pub(super) const EVERY: u64 = 60_000;

/// Milliseconds until the next time where there was too much to do at once.
const SOON: u64 = 1_000;

/// Rooms that are looked at each time.
const ROOMS: u64 = 500;

/// Emissions of rooms that have too many that are looked at each time.
const LOOKED_AT: i64 = 100_000;

/// Offsets that are looked at each time for ephemeral emissions; emissions of rooms that are deleted.
const PORTION: u64 = 20_000;

/// Milliseconds that everything in a log is kept, whatever else is said: for a relay that has not delivered it yet,
/// because it cannot reach the database, or the faster way by which it gets the entries of others is interrupted.
const UNDELIVERED: u64 = 10 * 60 * 1000;

/// Milliseconds that answers to events which happen once are kept.
const ANSWERS: u64 = 24 * 60 * 60 * 1000;

/// Where the last collection ended.
#[derive(Default)]
struct Cursor {
    ephemeral: u64,
    room: String,
}

impl Transaction {
    /// Deletes a portion of what need not be kept, from where the last collection ended.
    pub(super) async fn collect_garbage(&self, database: &Database) -> Result<(), Error> {
        sockets::evict_absent(database).await?;
        let now = now();
        let before = |age: u64| number(now.saturating_sub(age));
        let sessions = [self.namespace(), before(self.policy.recovery)];
        database.run(sql::FORGET_SESSIONS, sessions).await?;
        let answers = [self.namespace(), before(ANSWERS)];
        database.run(sql::FORGET_ANSWERS, answers).await?;

        let Cursor { ephemeral, room } = self.cursor(database).await?;
        let delivered = self.last_before(database, now, UNDELIVERED).await?;
        // A session misses only what is younger than the time in which it can be resumed plus the time until a
        // lost connection is noticed.
        let age = self.policy.recovery.saturating_add(UNNOTICED);
        let last = match age > UNDELIVERED {
            true => self.last_before(database, now, age).await?,
            false => delivered,
        };
        let (ephemeral, is_behind) = self.forget_ephemeral(database, ephemeral, last).await?;
        let room = self.forget_old(database, &room, now, delivered).await?;
        let is_done = !is_behind && room.is_empty();
        let at = if is_done { now } else { now + SOON - EVERY };
        let kept = [
            self.namespace(),
            number(at),
            number(ephemeral),
            Value::Text(room),
        ];
        database.run(sql::KEEP_CURSOR, kept).await
    }

    /// The last offset of what is older than `age`.
    async fn last_before(&self, database: &Database, now: u64, age: u64) -> Result<u64, Error> {
        let last = self.progress.get().ends.last;
        offset_at(database, last, now.saturating_sub(age)).await
    }

    async fn cursor(&self, database: &Database) -> Result<Cursor, Error> {
        let row = database.row(sql::CURSOR, [self.namespace()]).await?;
        Ok(match row.as_deref() {
            Some([ephemeral, Value::Text(room)]) => Cursor {
                ephemeral: integer(ephemeral).unwrap_or(0),
                room: room.clone(),
            },
            _ => Cursor::default(),
        })
    }

    /// Deletes ephemeral emissions, and commands, after the offset `from` and up to `last`; says how far it came, and
    /// whether there are more.
    async fn forget_ephemeral(
        &self,
        database: &Database,
        from: u64,
        last: u64,
    ) -> Result<(u64, bool), Error> {
        let row = database.row(sql::HAS_EPHEMERAL, [self.namespace()]).await?;
        if row.and_then(|row| integer(row.first()?)) == Some(0) {
            return Ok((last.max(from), false));
        }
        let end = last.min(from.saturating_add(PORTION));
        if end <= from {
            return Ok((from, false));
        }
        let range = || [self.namespace(), number(from), number(end)];
        let [namespace, after, to] = range();
        let mark = [namespace, after, to, Value::Text(EPHEMERAL.to_owned())];
        database.run(sql::MARK_EPHEMERAL, mark).await?;
        database.run(sql::FORGET_EPHEMERAL, range()).await?;
        Ok((end, end < last))
    }

    /// Deletes what the policy does not keep of some rooms, up to the offset `delivered`; says after which room to go
    /// on, "" being the first.
    async fn forget_old(
        &self,
        database: &Database,
        after: &str,
        now: u64,
        delivered: u64,
    ) -> Result<String, Error> {
        let (max_age, max_count) = (self.policy.max_age, self.policy.max_count);
        if max_age == 0 && max_count == 0 {
            return Ok(String::new());
        }
        let rooms = [
            self.namespace(),
            Value::Text(after.to_owned()),
            number(ROOMS),
        ];
        let found: Vec<(String, i64)> = database.json(sql::ROOMS_AFTER, rooms).await?;
        let portion = portion(&found, max_count);
        let names: Vec<&str> = portion.iter().map(|(room, _)| room.as_str()).collect();
        if max_age > 0 {
            let end = match max_age > UNDELIVERED {
                true => self.last_before(database, now, max_age).await?,
                false => delivered,
            };
            let old = [
                self.namespace(),
                list(&names)?,
                number(end),
                number(PORTION),
            ];
            self.forget(database, sql::OLD, old).await?;
        }
        let crowded: Vec<&str> = portion
            .iter()
            .filter(|(_, count)| max_count > 0 && *count > max_count as i64)
            .map(|(room, _)| room.as_str())
            .collect();
        if !crowded.is_empty() {
            let rooms = list(&crowded)?;
            let many = [
                self.namespace(),
                rooms,
                number(max_count),
                number(PORTION),
                number(delivered),
            ];
            self.forget(database, sql::TOO_MANY, many).await?;
        }
        // After the last room comes the first.
        let is_all = portion.len() == found.len() && (found.len() as u64) < ROOMS;
        Ok(match names.last() {
            Some(last) if !is_all => (*last).to_owned(),
            _ => String::new(),
        })
    }

    /// Deletes the emissions that `which` finds, and remembers that they were there.
    async fn forget<const N: usize>(
        &self,
        database: &Database,
        which: &str,
        parameters: [Value; N],
    ) -> Result<(), Error> {
        let offsets: Vec<u64> = database.json(which, parameters).await?;
        if offsets.is_empty() {
            return Ok(());
        }
        let offsets = list(&offsets)?;
        database.run(sql::MARK_OLD, [offsets.clone()]).await?;
        database.run(sql::DISCOUNT, [offsets.clone()]).await?;
        database.run(sql::FORGET_OLD, [offsets]).await
    }
}

/// As many rooms, one at least, as can be looked at together.
fn portion(rooms: &[(String, i64)], max_count: u64) -> &[(String, i64)] {
    let mut looked_at = 0;
    let fits = rooms.iter().take_while(|(_, count)| {
        let before = looked_at;
        if max_count > 0 && *count > max_count as i64 {
            looked_at += count;
        }
        before < LOOKED_AT
    });
    &rooms[..fits.count()]
}

/// The last offset of an emission made before `time`, by bisection: offsets rise with time.
async fn offset_at(database: &Database, last: u64, time: u64) -> Result<u64, Error> {
    let (mut before, mut after) = (0, last + 1);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        let row = database.row(sql::NEXT, [number(middle)]).await?;
        match row.as_deref() {
            Some([offset, at]) if integer(at).is_some_and(|at| at < time) => {
                before = integer(offset).unwrap_or(middle).max(middle);
            }
            _ => after = middle,
        }
    }
    Ok(before)
}
