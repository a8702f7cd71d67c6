//! What clients are told of what they have seen, to recover their sessions: what an event's packet ends with.
//! It stores no event and knows no socket.

use std::borrow::Cow;

use parlour_protocol::relay::{Emit, Missed, Seen, Span, write_seen};

/// One more argument that is no string. See [`Offsets::tail`].
const NO_OFFSET: &str = ",0]";

pub struct Offsets {
    /// This relay's name, with which its own sources begin.
    own: Box<str>,
    /// A socket of this namespace got a `pid`: only such a client reads offsets.
    are_read: bool,
    /// Everything up to here was sent, whatever its source.
    certain: u64,
    /// What else was sent.
    sources: Vec<Source>,
    /// The highest that was sent.
    highest: u64,
    /// Up to here everything of other sources was sent than that of what is sent now. None: all there is.
    others: Option<u64>,
    /// Something of other relays may be missing before what comes next of them.
    is_doubtful: bool,
}

struct Source {
    name: Box<str>,
    /// After which offset everything was sent, up to which. The last one grows.
    spans: Vec<(u64, u64)>,
    /// Something may be missing before what comes next.
    is_doubtful: bool,
}

impl Offsets {
    pub fn new(own: &str) -> Offsets {
        Offsets {
            own: own.into(),
            are_read: false,
            certain: 0,
            sources: Vec::new(),
            highest: 0,
            others: Some(0),
            is_doubtful: false,
        }
    }

    /// From now on events have them.
    pub fn begin(&mut self) {
        self.are_read = true;
    }

    /// The highest that was sent.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Until the next call: up to where everything was sent of other sources than that of what is sent now.
    /// None: all there is.
    pub fn set_others(&mut self, certain: Option<u64>) {
        self.others = certain;
    }

    /// Everything up to here was sent.
    pub fn advance(&mut self, certain: u64) {
        if certain > self.certain {
            self.certain = certain;
            self.sources.retain_mut(|source| {
                source.spans.retain(|(_, until)| *until > certain);
                !source.spans.is_empty()
            });
        }
    }

    /// Something of other relays may be missing; or nothing is to those who are here, as they came later or
    /// nothing ever was.
    pub fn doubt(&mut self, doubt: bool) {
        self.is_doubtful = doubt;
        for source in &mut self.sources {
            if doubt {
                source.is_doubtful |= !is_of(&source.name, &self.own);
                continue;
            }
            source.is_doubtful = false;
            if let [(after, _), .., (_, until)] = source.spans[..] {
                source.spans = vec![(after, until)];
            }
        }
    }

    /// An emission of a source is sent.
    fn push(&mut self, source: &str, offset: u64) {
        self.advance(self.others.unwrap_or(offset).min(offset));
        if offset <= self.certain {
            return;
        }
        let known = self.sources.iter().position(|it| *it.name == *source);
        let at = known.unwrap_or_else(|| {
            self.sources.push(Source {
                name: source.into(),
                spans: Vec::new(),
                is_doubtful: self.is_doubtful && !is_of(source, &self.own),
            });
            self.sources.len() - 1
        });
        let Source {
            spans, is_doubtful, ..
        } = &mut self.sources[at];
        match (std::mem::take(is_doubtful), spans.last_mut()) {
            (false, Some((_, until))) => *until = offset.max(*until),
            (false, None) => spans.push((0, offset)),
            (true, _) => spans.push((offset - 1, offset)),
        }
    }

    /// What an event ends with instead of its bracket; nothing, if it stays as it is. `source`: see
    /// [`parlour_protocol::relay::source`].
    ///
    /// A client takes the last argument of any event that is not to be acknowledged for its offset, if
    /// that is a string (the bare name of an event without arguments, too), and gives the last one back
    /// when it recovers. So an event that was stored has its offset there, and one that was not must not
    /// end with a string: nobody could tell what such a client has seen. That one gets a zero, which is
    /// no string and leaves alone what the client remembers.
    pub fn tail(&mut self, emit: &Emit<'_>, source: &str) -> Cow<'static, str> {
        let offset = emit.offset.filter(|_| !emit.volatile);
        self.highest = self.highest.max(offset.unwrap_or(0));
        if !self.are_read {
            return "".into();
        }
        let Some(offset) = offset else {
            let ends_with_string = ends_with_string(emit.data.get());
            return if ends_with_string { NO_OFFSET } else { "" }.into();
        };
        self.push(source, offset);
        let spans = self.sources.iter().flat_map(|source| {
            let spans = source.spans.iter();
            spans.map(move |(after, until)| (&*source.name, *after, *until))
        });
        argument(self.certain, spans).into()
    }
}

/// What an event ends with that one client has missed, and gets now in its order. `seen`: what that client has
/// besides.
pub fn tail_of_missed(missed: &Missed<'_>, seen: &Seen) -> String {
    argument(missed.offset, seen.beyond.iter().map(Span::parts))
}

fn argument<'a>(offset: u64, spans: impl Iterator<Item = (&'a str, u64, u64)>) -> String {
    let mut text = String::from(",\"");
    write_seen(&mut text, offset, spans);
    text.push_str("\"]");
    text
}

/// Whether a source is of this relay. No namespace begins with a character that a relay's name can have.
fn is_of(source: &str, relay: &str) -> bool {
    source
        .strip_prefix(relay)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a valid JSON array's last element is a string.
fn ends_with_string(array: &str) -> bool {
    array
        .strip_suffix(']')
        .is_some_and(|elements| elements.trim_ascii_end().ends_with('"'))
}

#[cfg(test)]
mod tests;
