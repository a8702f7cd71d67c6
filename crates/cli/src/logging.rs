//! The process's own log, on standard error: what is in it, by `RUST_LOG`, and how it looks.

use std::io::IsTerminal as _;

use anyhow::{Result, anyhow, bail};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::flags::LogFormat;

const VARIABLE: &str = "RUST_LOG";

/// What is logged, unless RUST_LOG says otherwise. The client of NATS leaves it to us to say what it means; of
/// OpenTelemetry only its troubles are news.
const LOGGED: &str = "info,async_nats=off,opentelemetry=warn";

/// Logs go to standard error, so that standard output has only what a script wants to read.
pub fn start(format: LogFormat) -> Result<()> {
    let wanted = std::env::var_os(VARIABLE).unwrap_or_default();
    let filter = filter(&wanted.to_string_lossy())?;
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_colour)
        .with_target(false)
        // A full disk under the log: the complaint about it would go there, too, and panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        // One object a line: timestamp, level, message, and the fields of the event beside them.
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

fn filter(wanted: &str) -> Result<EnvFilter> {
    let wanted = wanted.trim();
    if wanted.is_empty() {
        return Ok(EnvFilter::new(LOGGED));
    }
    const FORM: &str = "write a level (error, warn, info, debug, trace, off), or levels of parts of the program, such \
                        as info,parlour_relay=debug";
    let words: Vec<&str> = wanted.split(',').map(str::trim).collect();
    // The filter would take a word that is no level for the name of a part, and log nothing else.
    let is_wrong = |word: &&&str| {
        let (part, level) = word.rsplit_once('=').unwrap_or(("all", word));
        let is_simple = !word.is_empty() && !word.contains('[');
        is_simple && (part.is_empty() || level.is_empty() || level.parse::<LevelFilter>().is_err())
    };
    if let Some(wrong) = words.iter().find(is_wrong) {
        bail!("{VARIABLE} is {wanted:?}, and {wrong:?} is no level: {FORM}");
    }
    EnvFilter::builder()
        .parse(words.join(","))
        .map_err(|error| {
            anyhow!("{VARIABLE} is {wanted:?}, which cannot be read ({error}): {FORM}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_for_all_and_for_parts() {
        for good in [
            "",
            " ",
            "info",
            "DEBUG",
            "off",
            "warn,parlour_relay=debug",
            "info, hyper=trace",
            "[span]=info",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_no_level_is_named_with_those_there_are() {
        for wrong in [
            "verbose",
            "inof",
            "info,parlour_relay",
            "info,parlour=loud",
            "parlour=",
            "=x=y",
        ] {
            let problem = filter(wrong).map(|_| ()).unwrap_err().to_string();
            assert!(
                problem.contains(wrong) && problem.contains("parlour_relay=debug"),
                "{wrong}: {problem}"
            );
        }
    }
}
