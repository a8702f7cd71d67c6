//! The apps of docs/from-socket-io.md. The component's variable `section` says which of them this is.

use spin_sdk::{
    http::{IntoResponse, Request},
    http_service, variables,
};

include!(concat!(env!("OUT_DIR"), "/apps.rs"));

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let section = variables::get("section").await;
    let section = section.expect("spin.toml has the variable section");
    parlour_sdk::serve(|io| app_of(&section, io), request).await
}
