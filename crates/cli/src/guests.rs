//! The flags that bound what the application's components may do, with Spin's names where Spin has
//! the flag.

use std::time::Duration;

use clap::Args;

#[derive(Args)]
pub struct Guests {
    /// How long a component may take to answer a request, waiting or computing: 20s, 500ms, …, or none.
    /// Less than the 30 s that a relay waits for an answer
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

/// As Spin reads times: a number of seconds, or one with a unit.
fn timeout(text: &str) -> Result<Timeout, String> {
    if text == "none" {
        return Ok(Timeout(None));
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let time = digits.parse().ok().and_then(|number: u64| {
        Some(match &text[digits.len()..] {
            "" | "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            "us" | "μs" => Duration::from_micros(number),
            "ns" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    match time {
        Some(time) if !time.is_zero() => Ok(Timeout(Some(time))),
        _ => Err("write it as 30s, 500ms, … or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_spin_reads_them() {
        let read = |text| timeout(text).map(|it| it.0);
        assert_eq!(read("30"), Ok(Some(Duration::from_secs(30))));
        assert_eq!(read("30s"), Ok(Some(Duration::from_secs(30))));
        assert_eq!(read("500ms"), Ok(Some(Duration::from_millis(500))));
        assert_eq!(read("none"), Ok(None));
        for wrong in ["", "0", "s", "1m", "-1", "1.5s"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
