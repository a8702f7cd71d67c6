//! Has its dependency try what the request's body says.
#![allow(unsafe_code)] // in what `generate!` writes

use spin_sdk::{
    http::{Request, Result, body::IncomingBodyExt},
    http_service,
};

spin_sdk::wit_bindgen::generate!({
    world: "user",
    path: "wit",
    runtime_path: "spin_sdk::wit_bindgen::rt",
    generate_all,
    async: true,
});

#[http_service]
async fn handle(request: Request) -> Result<String> {
    let what = request.into_body().bytes().await?;
    let what = String::from_utf8_lossy(&what).into_owned();
    Ok(test::provider::capabilities::attempt(what).await)
}
