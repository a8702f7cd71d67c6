// Messages in SQLite the way Socket.IO's tutorial keeps them: the `sqlite3` package, one INSERT, and so
// one transaction, for each message, awaited before the broadcast. WAL and synchronous FULL, as Parlour.
import sqlite3 from "sqlite3";

export async function openStore(file) {
  const database = await new Promise((resolve, reject) => {
    const opened = new sqlite3.Database(file, (error) => (error ? reject(error) : resolve(opened)));
  });
  await new Promise((resolve, reject) => {
    database.exec(
      `PRAGMA journal_mode = WAL;
       PRAGMA synchronous = FULL;
       CREATE TABLE IF NOT EXISTS messages (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         room TEXT NOT NULL,
         content TEXT NOT NULL
       );`,
      (error) => (error ? reject(error) : resolve()),
    );
  });
  // One prepared statement: faster than parsing the SQL each time, and its runs keep their order,
  // which those of separate statements on sqlite3's thread pool do not.
  const statement = database.prepare("INSERT INTO messages (room, content) VALUES (?, ?)");

  return {
    insert: (room, content) =>
      new Promise((resolve, reject) => {
        statement.run(room, content, (error) => (error ? reject(error) : resolve()));
      }),
    close: () =>
      new Promise((resolve) => {
        statement.finalize(() => database.close(() => resolve()));
      }),
  };
}
