//! Applications, run by the host. Each case is a manifest in `cases/`; the components are the
//! examples of `guest/`.

#[path = "host/chaining.rs"]
mod chaining;
#[path = "host/dependencies.rs"]
mod dependencies;
#[path = "host/errors.rs"]
mod errors;
#[path = "host/lifecycle.rs"]
mod lifecycle;
#[path = "host/limits.rs"]
mod limits;
#[path = "host/outbound.rs"]
mod outbound;
#[path = "host/routes.rs"]
mod routes;
#[path = "host/running.rs"]
mod running;
#[path = "host/sqlite.rs"]
mod sqlite;
#[path = "host/variables.rs"]
mod variables;
