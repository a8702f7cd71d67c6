//! Connections that are kept between requests of one instance. A transaction has a connection to
//! itself while it is open; one that may hold an unfinished transaction never comes back here.

use std::cell::{Cell, RefCell};

use crate::{database::Database, interface::Error, schema};

/// Connections kept open while nobody uses them: as many as an instance serves requests at once.
const MAX_IDLE: usize = 16;

thread_local! {
    static IDLE: RefCell<Vec<Database>> = const { RefCell::new(Vec::new()) };
    /// Whether this instance has seen that the schema is the one it knows.
    static CHECKED: Cell<bool> = const { Cell::new(false) };
}

/// A connection to a database of the right schema, outside any transaction.
pub async fn take() -> Result<Database, Error> {
    if let Some(database) = IDLE.with_borrow_mut(Vec::pop) {
        return Ok(database);
    }
    let database = Database::open().await?;
    if !CHECKED.get() {
        schema::bring_up_to_date(&database).await?;
        CHECKED.set(true);
    }
    Ok(database)
}

/// Takes back a connection that has no open transaction.
pub fn give_back(database: Database) {
    IDLE.with_borrow_mut(|idle| {
        if idle.len() < MAX_IDLE {
            idle.push(database);
        }
    });
}
