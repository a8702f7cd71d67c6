//! The last set of each URL, in the table `auth_jwks` of the SQLite database `default`. A database that fails is
//! no reason to refuse anybody: then the set is fetched each time, and the log says why.

use spin_sdk::sqlite::{Connection, Error, Value};

use super::Copy;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS auth_jwks (
    url TEXT PRIMARY KEY,
    json TEXT,              -- as it was fetched
    fetched REAL NOT NULL,  -- when, in seconds since 1970
    tried REAL NOT NULL,    -- when the last attempt began
    ended REAL NOT NULL     -- when the last one that ended did
)";

const READ: &str = "SELECT json, fetched, tried, ended FROM auth_jwks WHERE url = ?1";

const KEEP: &str = "INSERT INTO auth_jwks (url, json, fetched, tried, ended) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (url) DO UPDATE
SET json = excluded.json, fetched = excluded.fetched, tried = excluded.tried, ended = excluded.ended";

/// What there is; nothing where it cannot be read.
pub async fn read(url: &str) -> Copy {
    // The table is missing in a new database.
    match row(READ, vec![Value::Text(url.to_owned())]).await {
        Ok(Some(
            [
                json,
                Value::Real(fetched),
                Value::Real(tried),
                Value::Real(ended),
            ],
        )) => Copy {
            json: match json {
                Value::Text(json) => Some(json),
                _ => None,
            },
            fetched,
            tried,
            ended,
        },
        _ => Copy::default(),
    }
}

pub async fn keep(url: &str, copy: &Copy) {
    let json = copy.json.clone().map_or(Value::Null, Value::Text);
    let values = vec![
        Value::Text(url.to_owned()),
        json,
        Value::Real(copy.fetched),
        Value::Real(copy.tried),
        Value::Real(copy.ended),
    ];
    let kept = async {
        row(TABLE, Vec::new()).await?;
        row(KEEP, values).await
    };
    if let Err(error) = kept.await {
        eprintln!(
            "auth: cannot keep what is at auth_jwks_url, and will fetch it each time: {error}; does the component have \
             sqlite_databases = [\"default\"], and its middleware inherit them?"
        );
    }
}

/// Runs one statement to its end, before which its effect is not certain, and gives its first row.
async fn row(statement: &str, values: Vec<Value>) -> Result<Option<[Value; 4]>, Error> {
    let connection = Connection::open_default().await?;
    let rows = connection
        .execute(statement, values)
        .await?
        .collect()
        .await?;
    let row = rows.into_iter().next();
    Ok(row.and_then(|row| row.values.try_into().ok()))
}
