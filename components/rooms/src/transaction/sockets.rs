//! Sockets of the namespace: who enters, changes, moves between rooms and leaves, and whose relay has
//! begun a new life or will not come back.

use parlour_sqlite::Value;

use super::{Transaction, log};
use crate::{
    database::{Database, integer, list, number},
    digest::digest,
    interface::{
        Batch, Direction, Error, Located, Member, Movement, Newcomer, Page, Renewal, Target,
    },
    plan::Plan,
    sql,
};

/// Milliseconds after which the sockets of a relay that was not heard are evicted. It would have sent
/// a `tick` every hour. So any that was heard within this time may be alive.
pub(super) const ABSENT: u64 = 3 * 60 * 60 * 1000;

/// The most users that one page of a room has.
const MAX_PAGE: u32 = 1_000;

/// Milliseconds for which it is enough to have noted that a relay was heard.
pub(super) const HEARD: u64 = 10 * 60 * 1000;

impl Transaction {
    /// Notes the new life of the batch's relay. If it had older ones, their sockets are gone.
    pub(super) async fn begin_life(
        &self,
        database: &Database,
        had_older: bool,
    ) -> Result<(), Error> {
        let Batch { relay, epoch, .. } = &self.batch;
        if had_older {
            end_lives(database, relay, *epoch).await
        } else {
            self.note_life(database).await
        }
    }

    /// Notes the life of the batch's relay, and that it is heard.
    pub(super) async fn note_life(&self, database: &Database) -> Result<(), Error> {
        let Batch { relay, epoch, .. } = &self.batch;
        database.run(sql::NOTE_LIFE, at(relay, *epoch)).await
    }

    /// Sockets that enter, change and move.
    pub(super) async fn come(&self, database: &Database, plan: &Plan) -> Result<(), Error> {
        let last = self.progress.get().ends.last;
        let since = |place: u32| last + plan.entries_before(place);
        if !plan.connected.is_empty() {
            let row = |(place, new): &(u32, Newcomer)| {
                serde_json::json!([
                    new.socket,
                    new.data,
                    digest(&new.connection),
                    new.private,
                    new.pid.as_deref().map(digest),
                    since(*place),
                    new.expires
                ])
            };
            let rows = list(&plan.connected.iter().map(row).collect::<Vec<_>>())?;
            let epoch = number(self.batch.epoch);
            let values = [rows, self.namespace(), self.relay(), epoch];
            database.run(sql::CONNECT, values).await?;
        }
        for (statement, rows) in [(sql::UPDATE, &plan.updated), (sql::LEAVE, &plan.left)] {
            if !rows.is_empty() {
                let values = [list(rows)?, self.namespace(), self.relay()];
                database.run(statement, values).await?;
            }
        }
        if !plan.renewed.is_empty() {
            let row = |new: &Renewal| serde_json::json!([new.socket, new.private, new.expires]);
            let rows = list(&plan.renewed.iter().map(row).collect::<Vec<_>>())?;
            let values = [rows, self.namespace(), self.relay()];
            database.run(sql::RENEW, values).await?;
        }
        if !plan.joined.is_empty() {
            let row = |(place, socket, room): &(u32, String, String)| {
                serde_json::json!([socket, room, since(*place)])
            };
            let rows = list(&plan.joined.iter().map(row).collect::<Vec<_>>())?;
            let values = [rows, self.namespace(), self.relay()];
            database.run(sql::JOIN, values).await?;
        }
        Ok(())
    }

    /// Sockets that leave.
    pub(super) async fn go(&self, database: &Database, plan: &Plan) -> Result<(), Error> {
        if !plan.suspended.is_empty() && self.policy.recovery > 0 {
            let values = [list(&plan.suspended)?, number(log::now())];
            database.run(sql::SUSPEND, values).await?;
        }
        if !plan.gone.is_empty() {
            let gone = list(&plan.gone)?;
            database.run(sql::FORGET_MEMBERS, [gone.clone()]).await?;
            database.run(sql::FORGET_SOCKETS, [gone]).await?;
        }
        Ok(())
    }

    pub(super) async fn page_of_members(
        &self,
        database: &Database,
        room: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page, Error> {
        let values = [
            self.namespace(),
            Value::Text(room),
            Value::Text(after.unwrap_or_default()),
            number(limit.min(MAX_PAGE).into()),
        ];
        let row = database.row(sql::PAGE, values).await?;
        let Some([count, Value::Text(members)]) = row.as_deref() else {
            let text = "SQLite gave no page of a room's members";
            return Err(Error::Storage(text.into()));
        };
        let members: Vec<(String, String)> = serde_json::from_str(members)
            .map_err(|error| Error::Storage(format!("a page of a room is no JSON: {error}")))?;
        Ok(Page {
            count: integer(count).unwrap_or(0) as u32,
            members: members
                .into_iter()
                .map(|(socket, data)| Member { socket, data })
                .collect(),
        })
    }

    /// The sockets of the namespace that are meant.
    pub(super) async fn located(
        &self,
        database: &Database,
        target: &Target,
    ) -> Result<Vec<Located>, Error> {
        let (rooms, except) = (list(&target.rooms)?, list(&target.except)?);
        let values = [rooms, self.namespace(), except];
        let found: Vec<(String, String)> = database.json(sql::LOCATED, values).await?;
        let located = |(socket, relay)| Located { socket, relay };
        Ok(found.into_iter().map(located).collect())
    }

    pub(super) async fn move_sockets(
        &self,
        database: &Database,
        movement: &Movement,
    ) -> Result<(), Error> {
        let namespace = self.namespace_or(movement.namespace.as_deref());
        let rooms = list(&movement.rooms)?;
        let (except, places) = (list(&movement.except)?, list(&movement.places)?);
        match movement.direction {
            Direction::Into => {
                let since = number(self.progress.get().ends.last);
                let values = [rooms, namespace, except, places, since];
                database.run(sql::MOVE_INTO, values).await
            }
            Direction::OutOf => {
                let values = [rooms, namespace, except, places];
                database.run(sql::MOVE_OUT, values).await
            }
        }
    }
}

/// Evicts the sockets of relays that were not heard for so long. If such a relay sends a batch after all, the batch is
/// stale, because its epoch is over.
pub(super) async fn evict_absent(database: &Database) -> Result<(), Error> {
    let time = number(log::now().saturating_sub(ABSENT));
    let absent: Vec<(String, u64)> = database.json(sql::ABSENT, [time]).await?;
    for (relay, epoch) in absent {
        end_lives(database, &relay, epoch + 1).await?;
    }
    Ok(())
}

/// Removes the sockets of the relay's epochs before this one; sessions that can be resumed are kept.
async fn end_lives(database: &Database, relay: &str, epoch: u64) -> Result<(), Error> {
    database.run(sql::NOTE_LIFE, at(relay, epoch)).await?;
    let suspended = at(relay, epoch);
    database.run(sql::SUSPEND_OLD_LIVES, suspended).await?;
    for statement in [sql::FORGET_MEMBERS_OF_OLD_LIVES, sql::FORGET_OLD_LIVES] {
        let life = [Value::Text(relay.to_owned()), number(epoch)];
        database.run(statement, life).await?;
    }
    Ok(())
}

/// relay, epoch, now
fn at(relay: &str, epoch: u64) -> [Value; 3] {
    let relay = Value::Text(relay.to_owned());
    [relay, number(epoch), number(log::now())]
}
