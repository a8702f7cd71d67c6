//! `spin:sqlite`: which databases there are, who may open them, and how guests reach them.

mod check;
mod connection;
mod copy;
mod databases;
mod file;
mod host;
mod statement;

pub use check::verify;
pub use copy::{back_up, restore};
pub use databases::{DEFAULT_LABEL, DatabaseConfig, Databases};
pub use file::beside;
pub use host::{SqliteData, SqliteState, SqliteView};
