//! A dependency that tries what it is told to and says how that went.
#![allow(unsafe_code)] // in what `generate!` writes

use spin_sdk::{sqlite::Connection, variables};

spin_sdk::wit_bindgen::generate!({
    world: "provider",
    path: "wit",
    runtime_path: "spin_sdk::wit_bindgen::rt",
    generate_all,
    async: true,
});

struct Provider;

impl exports::test::provider::capabilities::Guest for Provider {
    async fn attempt(what: String) -> String {
        match what.as_str() {
            "sqlite" => match Connection::open_default().await {
                Ok(connection) => {
                    let result = connection.execute("SELECT 1", []).await;
                    format!("{:?}", result.map(|_| "opened"))
                }
                Err(error) => format!("{error:?}"),
            },
            "variable" => format!("{:?}", variables::get("secret").await),
            "environment" => format!("{:?}", std::env::var("NAME")),
            url => match spin_sdk::http::get(url).await {
                Ok(response) => response.status().to_string(),
                Err(error) => format!("{error:?}"),
            },
        }
    }
}

export!(Provider);
