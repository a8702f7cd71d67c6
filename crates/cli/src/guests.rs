//! The flags that bound what the application's components may do, with Spin's names where Spin has
//! the flag.

use std::time::Duration;

use clap::Args;

use crate::duration::limit;

#[derive(Args)]
pub struct Guests {
    /// How long a component may take to answer a request, waiting or computing: 20s, 500ms, 2m, …, or none; a bare
    /// number is in seconds, as Spin has it. Less than the 30 s that a relay waits for an answer
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = timeout)]
    request_timeout: Timeout,
    /// Bytes of memory that one instance of a component may have
    /// [default: max_instance_memory of the runtime configuration, else 268435456]
    #[arg(long, env = "SPIN_MAX_INSTANCE_MEMORY", value_name = "BYTES")]
    pub max_instance_memory: Option<usize>,
    /// Serve a database that is found malformed after a crash
    #[arg(long)]
    pub allow_malformed_database: bool,
}

impl Guests {
    pub fn request_timeout(&self) -> Option<Duration> {
        self.request_timeout.0
    }
}

#[derive(Clone)]
struct Timeout(Option<Duration>);

fn timeout(text: &str) -> Result<Timeout, String> {
    limit(text).map(Timeout)
}
