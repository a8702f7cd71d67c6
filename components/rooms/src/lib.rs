//! The component `rooms`: membership, history and exactly-once batches on SQLite, behind
//! `wit/rooms.wit`. The only one that speaks SQL; it knows no Socket.IO packet and no HTTP.

mod database;
mod digest;
mod durable;
mod pending;
mod plan;
mod pool;
mod probe;
mod replay;
mod schema;
mod sql;
mod transaction;

mod bindings {
    // Generated: exports are symbols, and symbols are unsafe.
    #![allow(missing_docs, unsafe_code, clippy::all)]
    spin_sdk::wit_bindgen::generate!({
        world: "provider",
        path: "../../wit",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
        async: true,
    });

    struct Rooms;

    use exports::parlour::rooms::rooms::{Claim, Error, Policy, Replayed};

    impl exports::parlour::rooms::rooms::Guest for Rooms {
        type Transaction = crate::transaction::Transaction;

        async fn recoverable(
            namespace: String,
            policy: Policy,
            claims: Vec<Claim>,
        ) -> Result<Vec<bool>, Error> {
            crate::transaction::recoverable(&namespace, &policy, &claims).await
        }

        async fn replay(
            namespace: String,
            relay: String,
            after: u64,
            bytes: u32,
        ) -> Result<Replayed, Error> {
            crate::replay::run(namespace, relay, after, bytes).await
        }

        async fn probe() -> Result<(), Error> {
            crate::probe::run().await
        }
    }

    export!(Rooms);
}

use bindings::exports::parlour::rooms::rooms as interface;
