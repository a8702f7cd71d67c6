//! The offsets that clients keep track of, to recover their sessions: what an event's packet ends with.
//! It stores no event and knows no socket.

use std::borrow::Cow;
use std::time::Instant;

use parlour_protocol::relay::{Emit, Missed};

use super::claim::Claim;
use super::journal::{Journal, Seen};

/// One more argument that is no string. See [`Offsets::tail`].
const NO_OFFSET: &str = ",0]";

#[derive(Default)]
pub struct Offsets {
    /// A socket of this namespace got a `pid`: only such a client reads offsets.
    are_read: bool,
    /// The highest that was sent.
    highest: u64,
    /// Where there are other relays.
    journal: Option<Box<Journal>>,
    /// Others' emissions may be missing. The journal knows since when.
    in_doubt: bool,
}

/// What an event's JSON array ends with instead of its bracket; nothing, if it stays as it is.
pub enum Tail {
    Same(Cow<'static, str>),
    /// There are other relays. Clients are given the highest offset, and how many events were sent here.
    Counted {
        sure: u64,
        highest: u64,
        given: String,
        most: String,
    },
    /// Others' emissions may be missing. Clients are given up to where they have everything, and that.
    Doubtful {
        sure: u64,
        given: String,
        most: String,
    },
}

impl Tail {
    /// For clients that do not need one of their own.
    pub fn for_most(&self) -> &str {
        match self {
            Tail::Same(tail) => tail,
            Tail::Counted { most, .. } | Tail::Doubtful { most, .. } => most,
        }
    }

    /// For one that has everything up to `floor`, if it is not the same.
    pub fn for_one(&self, floor: u64) -> Option<String> {
        match self {
            Tail::Counted {
                sure,
                highest,
                given,
                ..
            } if floor > *sure => Some(argument(*highest, &format!("{given}.{floor}"))),
            Tail::Doubtful { sure, given, .. } if floor > *sure => Some(argument(floor, given)),
            _ => None,
        }
    }
}

impl Offsets {
    /// From now on events have them. `label`: there are other relays, and this is what tells us from them.
    pub fn begin(&mut self, label: Option<&str>) {
        self.are_read = true;
        if let (Some(label), None) = (label, &self.journal) {
            let now = Instant::now();
            let mut journal = Journal::new(label, now, self.highest);
            if self.in_doubt {
                journal.doubt(now);
            }
            self.journal = Some(journal.into());
        }
    }

    /// From now on, and since a little while ago, others' emissions may be missing.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
        if let Some(journal) = &mut self.journal {
            journal.doubt(Instant::now());
        }
    }

    /// Nothing is missing to those who are here.
    pub fn trust(&mut self) {
        self.in_doubt = false;
        if let Some(journal) = &mut self.journal {
            journal.trust(Instant::now());
        }
    }

    /// Whether clients may come back that only this namespace's past knows.
    pub fn are_needed(&self) -> bool {
        let now = Instant::now();
        self.journal.as_ref().is_some_and(|it| it.is_needed(now))
    }

    /// The highest that was sent.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// What a client has that comes back with this. None: nobody knows.
    pub fn seen(&self, text: &str) -> Option<Seen> {
        let plain = |offset| Seen { offset, number: 0 };
        if let Ok(offset) = text.parse() {
            return Some(plain(offset));
        }
        let at = text.find([':', '!'])?;
        let offset: u64 = text[..at].parse().ok()?;
        let mut given = text[at + 1..].split('.');
        let label = given.next()?;
        let number: u64 = given.next()?.parse().ok()?;
        let floor: u64 = given.next().map_or(Some(0), |floor| floor.parse().ok())?;
        let journal = self.journal.as_ref();
        if text[at..].starts_with('!') {
            return journal?.given_in_doubt(label, number, offset);
        }
        let known = journal.and_then(|it| it.given(label, number, floor));
        Some(known.unwrap_or(plain(offset)))
    }

    /// What a client has seen that asks to enter with this `auth`, and what the app is to read there: the
    /// offset up to which the client has everything, or no session where nobody knows that.
    pub fn claim<'a>(&self, auth: Option<&'a str>) -> (Seen, Option<Cow<'a, str>>) {
        let plain = (Seen::default(), auth.map(Cow::Borrowed));
        let Some(claim) = auth.and_then(Claim::read) else {
            return plain;
        };
        match self.seen(&claim.offset) {
            Some(seen) if claim.offset == seen.offset.to_string() => (seen, plain.1),
            Some(seen) => (seen, Some(claim.with_offset(seen.offset).into())),
            // Some other text is for the app to judge.
            None if !claim.offset.contains(['!', ':']) => plain,
            None => (Seen::default(), Some(claim.without_session().into())),
        }
    }

    /// Whether a client that has seen this has seen an event that its offset does not cover.
    pub fn has_seen(&self, seen: Seen, offset: u64) -> bool {
        let journal = self.journal.as_ref();
        seen.number > 0 && journal.is_some_and(|it| it.was_sent(offset, seen.number))
    }

    /// What an event ends with.
    ///
    /// A client takes the last argument of any event that is not to be acknowledged for its offset, if
    /// that is a string (the bare name of an event without arguments, too), and gives the last one back
    /// when it recovers. So an event that was stored has its offset there, and one that was not must not
    /// end with a string: nobody could tell what such a client has seen. That one gets a zero, which is
    /// no string and leaves alone what the client remembers.
    ///
    /// An emission can come after one with a higher offset, if it is of another namespace's batch or of
    /// another relay. It is sent with the highest: a client whose offset went back would get again what
    /// it has.
    ///
    /// Where there are other relays it says more: see `docs/relay-protocol.md`, "Offsets of several relays".
    pub fn tail(&mut self, emit: &Emit<'_>) -> Tail {
        if !self.are_read {
            return Tail::Same("".into());
        }
        let Some(offset) = emit.offset.filter(|_| !emit.volatile) else {
            let ends_with_string = ends_with_string(emit.data.get());
            return Tail::Same(if ends_with_string { NO_OFFSET } else { "" }.into());
        };
        let before = self.highest;
        self.highest = before.max(offset);
        let Some(journal) = &mut self.journal else {
            return Tail::Same(argument(self.highest, "").into());
        };
        let number = journal.push(offset, before, Instant::now());
        if let Some(sure) = journal.sure_in_doubt() {
            let given = format!("!{}.{number}", journal.label());
            let most = argument(sure, &given);
            return Tail::Doubtful { sure, given, most };
        }
        let given = format!(":{}.{number}", journal.label());
        Tail::Counted {
            sure: journal.sure(number).unwrap_or(0),
            highest: self.highest,
            most: argument(self.highest, &given),
            given,
        }
    }

    /// The same for an event that one client has missed: that client gets its events in their order.
    pub fn tail_of_missed(&mut self, missed: &Missed<'_>) -> String {
        self.highest = self.highest.max(missed.offset);
        argument(missed.offset, "")
    }
}

fn argument(offset: u64, given: &str) -> String {
    format!(",\"{offset}{given}\"]")
}

/// Whether a valid JSON array's last element is a string.
fn ends_with_string(array: &str) -> bool {
    array
        .strip_suffix(']')
        .is_some_and(|elements| elements.trim_ascii_end().ends_with('"'))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// What a client gets of an event.
    fn sent(offsets: &mut Offsets, offset: Option<u64>, volatile: bool, data: &str) -> String {
        let raw = RawValue::from_string(data.into()).unwrap();
        let emit = Emit {
            rooms: vec![],
            except: vec![],
            data: &raw,
            attachments: vec![],
            offset,
            namespace: None,
            volatile,
            local: false,
            ack: None,
        };
        let tail = offsets.tail(&emit);
        match tail.for_most() {
            "" => data.into(),
            tail => format!("{}{tail}", &data[..data.len() - 1]),
        }
    }

    #[test]
    fn an_offset_is_a_strings_last_argument_once_somebody_reads_it() {
        let mut offsets = Offsets::default();
        assert_eq!(sent(&mut offsets, Some(16), false, r#"["a"]"#), r#"["a"]"#);
        offsets.begin(None);
        let seventeen = sent(&mut offsets, Some(17), false, r#"["a",{"b":[]}]"#);
        assert_eq!(seventeen, r#"["a",{"b":[]},"17"]"#);
        let largest = sent(&mut offsets, Some(u64::MAX), false, r#"["a"]"#);
        assert_eq!(largest, r#"["a","18446744073709551615"]"#);
    }

    #[test]
    fn a_clients_offset_never_goes_back() {
        let mut offsets = Offsets::default();
        offsets.begin(None);
        for (offset, shown) in [(5, "5"), (9, "9"), (7, "9"), (10, "10")] {
            let data = sent(&mut offsets, Some(offset), false, "[1]");
            assert_eq!(data, format!("[1,\"{shown}\"]"));
        }
        // What one has missed has its own offset, lower or higher than what others got.
        let data = RawValue::from_string("[1]".into()).unwrap();
        for offset in [8, 12] {
            let missed = Missed {
                offset,
                data: &data,
                attachments: vec![],
            };
            assert_eq!(offsets.tail_of_missed(&missed), format!(",\"{offset}\"]"));
        }
        assert_eq!(sent(&mut offsets, Some(11), false, "[1]"), "[1,\"12\"]");
    }

    #[test]
    fn an_event_without_an_offset_does_not_end_with_a_string() {
        let mut offsets = Offsets::default();
        offsets.begin(None);
        for (data, shown) in [
            (r#"["a"]"#, r#"["a",0]"#),
            (r#"["a","b"]"#, r#"["a","b",0]"#),
            (r#"["a","b\"" ]"#, r#"["a","b\"" ,0]"#),
            (r#"["a",1]"#, r#"["a",1]"#),
            (r#"["a",{"b":"c"}]"#, r#"["a",{"b":"c"}]"#),
            (r#"["a",["b"]]"#, r#"["a",["b"]]"#),
        ] {
            assert_eq!(sent(&mut offsets, None, false, data), shown);
            // What may be dropped has no offset, whatever the app says.
            assert_eq!(sent(&mut offsets, Some(3), true, data), shown);
        }
    }

    #[test]
    fn of_several_relays_each_counts_what_it_sends() {
        let mut offsets = Offsets::default();
        offsets.begin(Some("here"));
        assert_eq!(
            sent(&mut offsets, Some(3), false, "[1]"),
            "[1,\"3:here.1\"]"
        );
        assert_eq!(
            sent(&mut offsets, Some(5), false, "[1]"),
            "[1,\"5:here.2\"]"
        );
        // It comes late, by the bus.
        assert_eq!(
            sent(&mut offsets, Some(4), false, "[1]"),
            "[1,\"5:here.3\"]"
        );
        assert_eq!(sent(&mut offsets, None, false, "[1]"), "[1]");
        let missed = |offsets: &Offsets, text| {
            let seen = offsets.seen(text).unwrap();
            let is_missed = |it: &u64| *it > seen.offset && !offsets.has_seen(seen, *it);
            (1..=6).filter(is_missed).collect::<Vec<u64>>()
        };
        assert_eq!(missed(&offsets, "5:here.2"), [1, 2, 4, 6]);
        assert_eq!(missed(&offsets, "5:here.3"), [1, 2, 6]);
        assert_eq!(missed(&offsets, "5:here.3.2"), [6]);
        // Of another relay's it is taken that nothing came late.
        assert_eq!(missed(&offsets, "5:there.2"), [6]);
        assert_eq!(missed(&offsets, "5"), [6]);
        let emit: Emit<'_> = serde_json::from_str(r#"{"data":["a"],"offset":7}"#).unwrap();
        let tail = offsets.tail(&emit);
        assert_eq!(tail.for_one(6).as_deref(), Some(",\"7:here.4.6\"]"));
        assert_eq!(tail.for_one(0), None);
    }

    #[test]
    fn while_something_may_be_missing_a_client_is_given_what_it_has() {
        let mut offsets = Offsets::default();
        offsets.begin(Some("here"));
        sent(&mut offsets, Some(3), false, "[1]");
        offsets.doubt();
        let given = sent(&mut offsets, Some(5), false, "[1]");
        assert_eq!(given, "[1,\"0!here.2\"]");
        let seen = offsets.seen("0!here.2").unwrap();
        let missed: Vec<_> = (1..=6).filter(|it| !offsets.has_seen(seen, *it)).collect();
        assert_eq!(missed, [1, 2, 4, 6]);
        // Who came in the meantime has more.
        let emit: Emit<'_> = serde_json::from_str(r#"{"data":["a"],"offset":7}"#).unwrap();
        let tail = offsets.tail(&emit);
        assert_eq!(tail.for_one(6).as_deref(), Some(",\"6!here.3\"]"));
        assert_eq!(tail.for_one(0), None);
        // What others say, and what nobody says.
        for unknown in [
            "0!there.2",
            "x",
            "",
            "1!here",
            "1!here.x",
            "!here.1",
            "1:here",
            "1:a.b",
        ] {
            assert_eq!(offsets.seen(unknown), None, "{unknown}");
        }
        offsets.trust();
        let given = sent(&mut offsets, Some(8), false, "[1]");
        assert_eq!(given, "[1,\"8:here.4\"]");
        assert!(offsets.seen("0!here.2").is_some() && offsets.are_needed());
    }

    #[test]
    fn the_app_reads_plain_offsets_or_of_no_session() {
        let mut offsets = Offsets::default();
        offsets.begin(Some("here"));
        sent(&mut offsets, Some(3), false, "[1]");
        let read = |auth| {
            let (seen, auth) = offsets.claim(Some(auth));
            (seen.offset, seen.number, auth.unwrap().into_owned())
        };
        for same in [
            r#"{"offset": "3", "pid":"p"}"#,
            r#"{"pid":"p"}"#,
            r#"{"offset":3}"#,
            r#"{"offset":"x"}"#,
            "[\"offset\"]",
        ] {
            assert_eq!(read(same).2, same);
        }
        let auth = r#"{"offset":"3:there.9","pid":"p","n":1.50}"#;
        let plain = r#"{"n":1.50,"offset":"3","pid":"p"}"#;
        assert_eq!(read(auth), (3, 0, plain.into()));
        let auth = r#"{"offset":"3:here.1","pid":"p"}"#;
        assert_eq!(read(auth), (0, 1, r#"{"offset":"0","pid":"p"}"#.into()));
        let auth = r#"{"offset":"3!there.1","pid":"p","n":1}"#;
        assert_eq!(read(auth), (0, 0, r#"{"n":1}"#.into()));
        assert_eq!(offsets.claim(None), (Seen::default(), None));
    }
}
