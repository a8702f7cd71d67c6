//! What a client has seen of what was emitted: the text at the end of its events, which it gives back to
//! recover its session.

use std::fmt::Write;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What the name of a source does not need escapes for.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_');

/// The most spans that are read: one or two for each source. Each row of the log is compared with all.
const MAX_SPANS: usize = 100;

/// Everything up to an offset, and of some sources more. As text: the offset, then for each span `;`, the
/// source percent-encoded, `:`, and how far behind the offset the span begins (if it does) and ends:
/// `1200;relay-1:17;relay-2:5-9`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub offset: u64,
    pub beyond: Vec<Span>,
}

/// Every emission of a source after an offset, up to another. The emissions of one source arrive in the
/// order of their offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// See [`source`].
    pub source: String,
    pub after: u64,
    pub until: u64,
}

/// Whose batches emitted: the relay's name, and behind it the namespace of the batch where that is another
/// than the emission's own.
pub fn source(relay: &str, namespace: &str, emitted_to: &str) -> String {
    match namespace == emitted_to {
        true => relay.into(),
        false => format!("{relay}{namespace}"),
    }
}

/// Adds a [`Seen`] as text: the offset and the spans (source, after, until) that it does not cover.
pub fn write_seen<'a>(
    text: &mut String,
    offset: u64,
    spans: impl Iterator<Item = (&'a str, u64, u64)>,
) {
    // Writing to a string does not fail.
    let _ = write!(text, "{offset}");
    for (source, after, until) in spans.filter(|(_, _, until)| *until > offset) {
        let source = utf8_percent_encode(source, ESCAPED);
        let (after, until) = (after.saturating_sub(offset), until - offset);
        let _ = match after {
            0 => write!(text, ";{source}:{until}"),
            after => write!(text, ";{source}:{after}-{until}"),
        };
    }
}

impl Span {
    /// As [`write_seen`] takes it.
    pub fn parts(&self) -> (&str, u64, u64) {
        (&self.source, self.after, self.until)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not say what a client has seen")]
pub struct NotSeen;

impl FromStr for Seen {
    type Err = NotSeen;

    fn from_str(text: &str) -> Result<Seen, NotSeen> {
        let mut parts = text.split(';');
        let offset = number(parts.next().unwrap_or_default())?;
        let mut seen = Seen {
            offset,
            beyond: Vec::new(),
        };
        for part in parts {
            if seen.beyond.len() == MAX_SPANS {
                return Err(NotSeen);
            }
            seen.beyond.push(span(part, offset)?);
        }
        Ok(seen)
    }
}

fn span(text: &str, offset: u64) -> Result<Span, NotSeen> {
    let (source, ends) = text.split_once(':').ok_or(NotSeen)?;
    let (after, until) = match ends.split_once('-') {
        Some((after, until)) => (number(after)?, number(until)?),
        None => (0, number(ends)?),
    };
    let source = percent_decode_str(source).decode_utf8();
    let from_start = |distance: u64| offset.checked_add(distance).ok_or(NotSeen);
    Ok(Span {
        source: source.map_err(|_| NotSeen)?.into_owned(),
        after: from_start(after)?,
        until: from_start(until)?,
    })
}

/// Digits only: Rust also reads a sign.
fn number(text: &str) -> Result<u64, NotSeen> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| NotSeen),
        false => Err(NotSeen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<'a>(offset: u64, spans: impl Iterator<Item = (&'a str, u64, u64)>) -> String {
        let mut text = String::new();
        write_seen(&mut text, offset, spans);
        text
    }

    #[test]
    fn what_was_seen_is_read_as_it_was_written() {
        let span = |source: &str, after, until| Span {
            source: source.into(),
            after,
            until,
        };
        let seen = Seen {
            offset: 1200,
            beyond: vec![
                span("relay-1", 1200, 1217),
                span("relay_2.b", 1205, 1209),
                span(&source("relay-1", "/ä;:-\"", "/"), 1200, u64::MAX),
            ],
        };
        let text = written(seen.offset, seen.beyond.iter().map(Span::parts));
        assert!(text.starts_with("1200;relay-1:17;relay_2.b:5-9;relay-1/%C3%A4%3B%3A-%22:"));
        assert_eq!(text.parse(), Ok(seen));
        let plain = Seen {
            offset: 17,
            beyond: vec![],
        };
        assert_eq!("17".parse(), Ok(plain));
        assert_eq!(source("relay-1", "/", "/"), "relay-1");
    }

    #[test]
    fn a_span_that_the_offset_covers_is_left_out() {
        let spans = [("a", 3, 10), ("b", 3, 11), ("c", 12, 14)];
        assert_eq!(written(10, spans.into_iter()), "10;b:1;c:2-4");
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            "-1",
            "+1",
            "x",
            "1;",
            "1;a",
            "1;a:",
            "1;a:x",
            "1;a:1-",
            "1;a:1-2-3",
            "1;a:-2",
            "1;%FF:1",
            "1:here.5",
            "18446744073709551616",
            "2;a:18446744073709551615",
            &format!("1{}", ";a:1".repeat(MAX_SPANS + 1)),
        ] {
            assert_eq!(text.parse::<Seen>(), Err(NotSeen), "{text}");
        }
    }
}
