//! Sockets of the namespace: who enters, changes, moves between rooms and leaves, and whose relay has
//! begun a new life.

use spin_sdk::sqlite::Value;

use super::{Transaction, log};
use crate::{
    database::{Database, list, number},
    interface::{Direction, Error, Movement, Newcomer},
    plan::Plan,
    sql,
};

impl Transaction {
    /// Declares the sockets of the relay's older lives gone.
    pub(super) async fn begin_life(
        &self,
        database: &Database,
        had_older: bool,
    ) -> Result<(), Error> {
        let life = || {
            [
                Value::Text(self.batch.relay.clone()),
                number(self.batch.epoch),
            ]
        };
        database.run(sql::NEW_LIFE, life()).await?;
        if had_older {
            let [relay, epoch] = life();
            let suspended = [relay, epoch, number(log::now())];
            database.run(sql::SUSPEND_OLD_LIVES, suspended).await?;
            database
                .run(sql::FORGET_MEMBERS_OF_OLD_LIVES, life())
                .await?;
            database.run(sql::FORGET_OLD_LIVES, life()).await?;
        }
        Ok(())
    }

    /// Sockets that enter, change and move.
    pub(super) async fn come(&self, database: &Database, plan: &Plan) -> Result<(), Error> {
        let last = self.progress.get().last;
        let since = |place: u32| last + plan.emitted_before(place);
        if !plan.connected.is_empty() {
            let row = |(place, new): &(u32, Newcomer)| {
                serde_json::json!([
                    new.socket,
                    new.data,
                    new.connection,
                    new.private,
                    new.pid,
                    since(*place)
                ])
            };
            let rows = list(&plan.connected.iter().map(row).collect::<Vec<_>>())?;
            let relay = Value::Text(self.batch.relay.clone());
            let values = [rows, self.namespace(), relay, number(self.batch.epoch)];
            database.run(sql::CONNECT, values).await?;
        }
        for (statement, rows) in [(sql::UPDATE, &plan.updated), (sql::LEAVE, &plan.left)] {
            if !rows.is_empty() {
                let values = [list(rows)?, self.namespace()];
                database.run(statement, values).await?;
            }
        }
        if !plan.joined.is_empty() {
            let row = |(place, socket, room): &(u32, String, String)| {
                serde_json::json!([socket, room, since(*place)])
            };
            let rows = list(&plan.joined.iter().map(row).collect::<Vec<_>>())?;
            database.run(sql::JOIN, [rows, self.namespace()]).await?;
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

    pub(super) async fn move_sockets(
        &self,
        database: &Database,
        movement: &Movement,
    ) -> Result<(), Error> {
        let rooms = list(&movement.rooms)?;
        let (except, places) = (list(&movement.except)?, list(&movement.places)?);
        match movement.direction {
            Direction::Into => {
                let since = number(self.progress.get().last);
                let values = [rooms, self.namespace(), except, places, since];
                database.run(sql::MOVE_INTO, values).await
            }
            Direction::OutOf => {
                let values = [rooms, self.namespace(), except, places];
                database.run(sql::MOVE_OUT, values).await
            }
        }
    }
}
