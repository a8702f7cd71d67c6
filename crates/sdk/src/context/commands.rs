//! The commands of a batch as JSON, one after the other in one buffer: most are written once, and leave as
//! they were written.

use std::{collections::BTreeMap, io::Write};

use parlour_protocol::relay::Command;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    error::{Result, unwritable},
    interface::Extent,
};

#[derive(Default)]
pub(super) struct Commands {
    /// Each with a comma behind it.
    json: Vec<u8>,
    places: Vec<Place>,
    /// What is added to commands but offsets, each beginning with a comma, by the command.
    more: BTreeMap<usize, String>,
    /// Secrets of sessions that are given out, as JSON, by the command that does.
    pids: BTreeMap<usize, String>,
    /// Bytes of those that were not taken back.
    size: usize,
}

/// Where a command is. One that was taken back is nowhere.
#[derive(Clone, Copy, Default)]
struct Place {
    start: usize,
    end: usize,
    /// In a log: to be added. 0: none.
    offset: u64,
}

impl Place {
    fn size(&self) -> usize {
        let offset = if self.offset > 0 { OFFSET_BYTES } else { 0 };
        self.end - self.start + offset
    }
}

const BEGINNING: &[u8] = b"{\"commands\":[";

/// What a command grows by when it gets its offset, at most.
const OFFSET_BYTES: usize = 32;

/// What an `accept` grows by when it gets its secret, at most.
const PID_BYTES: usize = 512;

/// How much of a batch was done, if not all of it.
pub(crate) struct Part {
    pub done: usize,
    /// For each `connect` event that is left.
    pub progress: Vec<Box<RawValue>>,
}

impl Commands {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes of the answer, about, and not fewer than it will have.
    pub fn size(&self) -> usize {
        self.size + self.pids.len() * PID_BYTES
    }

    pub fn push(&mut self, command: &Command<'_>) -> Result<()> {
        let place = self.write(command)?;
        self.add(place);
        Ok(())
    }

    /// `data` is the JSON array of the answer's arguments. Acks are what there is most of: no
    /// [`Command`] is made of them first.
    pub fn push_ack(&mut self, socket: &str, id: u64, data: &[u8], attachments: &[String]) {
        let start = self.json.len();
        self.json.extend_from_slice(b"{\"ack\":{\"socket\":");
        self.value(socket);
        self.json.extend_from_slice(b",\"id\":");
        self.value(&id);
        self.json.extend_from_slice(b",\"data\":");
        self.json.extend_from_slice(data);
        if !attachments.is_empty() {
            self.json.extend_from_slice(b",\"attachments\":");
            self.value(attachments);
        }
        self.json.extend_from_slice(b"}},");
        let place = self.since(start);
        self.add(place);
    }

    /// Keeps a place for a command that is not known yet.
    pub fn reserve(&mut self) {
        self.places.push(Place::default());
    }

    /// Puts a command where another one was.
    pub fn replace(&mut self, index: usize, command: &Command<'_>) -> Result<()> {
        let place = self.write(command)?;
        self.take_back(index);
        self.size += place.size();
        self.places[index] = place;
        Ok(())
    }

    pub fn take_back(&mut self, index: usize) {
        let before = std::mem::take(&mut self.places[index]);
        self.size -= before.size();
    }

    /// What was written of the command that was pushed last.
    pub fn last(&self) -> &str {
        let place = self.places.last().copied().unwrap_or_default();
        let json = &self.json[place.start..place.end];
        let json = json.strip_suffix(b",").unwrap_or(json);
        std::str::from_utf8(json).expect("JSON is made of text")
    }

    /// Gives a command its offset.
    pub fn set_offset(&mut self, index: usize, offset: u64) {
        let place = &mut self.places[index];
        self.size -= place.size();
        place.offset = offset;
        self.size += place.size();
    }

    /// Adds a member, by its name and with a value of JSON, to a command that has its offset.
    pub fn add_member(&mut self, index: usize, name: &str, value: &impl Serialize) {
        let value = serde_json::to_string(value).expect("it has nothing that is not JSON");
        let member = format!(",\"{name}\":{value}");
        self.size += member.len();
        self.more.entry(index).or_default().push_str(&member);
    }

    /// Gives an `accept` its `pid`.
    pub fn set_pid(&mut self, index: usize, pid: &str) {
        self.pids
            .insert(index, serde_json::Value::from(pid).to_string());
    }

    /// Takes back all commands but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        let gone = self.places.drain(len..).map(|place| place.size());
        self.size -= gone.sum::<usize>();
        self.size -= self
            .more
            .split_off(&len)
            .values()
            .map(String::len)
            .sum::<usize>();
        self.pids.retain(|index, _| *index < len);
    }

    /// The body of the answer, and what is stored of it: all but the secrets.
    pub fn responses(&self, part: Option<&Part>, extent: Option<Extent>) -> (String, String) {
        let response = self.response(&self.pids, part, extent);
        let stored = match self.pids.is_empty() {
            true => response.clone(),
            false => self.response(&BTreeMap::new(), part, extent),
        };
        (response, stored)
    }

    fn response(
        &self,
        pids: &BTreeMap<usize, String>,
        part: Option<&Part>,
        extent: Option<Extent>,
    ) -> String {
        let mut response = Vec::with_capacity(self.size + 64);
        response.extend_from_slice(BEGINNING);
        // What lies as it was written is copied as one piece.
        let mut piece = 0..0;
        let places = self.places.iter().enumerate();
        for (index, place) in places.filter(|(_, place)| place.start < place.end) {
            if place.start != piece.end {
                response.extend_from_slice(&self.json[piece]);
                piece = place.start..place.start;
            }
            piece.end = place.end;
            let pid = pids.get(&index);
            if place.offset > 0 || pid.is_some() {
                piece.end -= "}},".len();
                response.extend_from_slice(&self.json[piece]);
                let _ = match pid {
                    Some(pid) => write!(response, ",\"pid\":{pid}}}}},"),
                    None => {
                        let more = self.more.get(&index).map_or("", String::as_str);
                        write!(response, ",\"offset\":{}{more}}}}},", place.offset)
                    }
                };
                piece = place.end..place.end;
            }
        }
        response.extend_from_slice(&self.json[piece]);
        if response.len() > BEGINNING.len() {
            response.pop();
        }
        response.push(b']');
        if let Some(Part { done, progress }) = part {
            let _ = write!(response, ",\"done\":{done}");
            if !progress.is_empty() {
                response.extend_from_slice(b",\"progress\":");
                serde_json::to_writer(&mut response, progress).expect("it is JSON");
            }
        }
        if let Some(Extent { previous, head }) = extent {
            let _ = write!(response, ",\"previous\":{previous},\"head\":{head}");
        }
        response.push(b'}');
        String::from_utf8(response).expect("JSON is made of text")
    }

    fn write(&mut self, command: &Command<'_>) -> Result<Place> {
        let start = self.json.len();
        if let Err(error) = serde_json::to_writer(&mut self.json, command) {
            self.json.truncate(start);
            return Err(unwritable(error));
        }
        self.json.push(b',');
        Ok(self.since(start))
    }

    fn add(&mut self, place: Place) {
        self.size += place.size();
        self.places.push(place);
    }

    fn since(&self, start: usize) -> Place {
        Place {
            start,
            end: self.json.len(),
            offset: 0,
        }
    }

    /// What cannot fail: a text, a number, a list of texts.
    fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.json, value).expect("it has nothing that is not JSON");
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use parlour_protocol::relay::{self, Ack, Response};
    use serde_json::value::RawValue;

    use super::*;

    fn join(socket: &str) -> Command<'_> {
        Command::Join(relay::Rooms {
            socket: socket.into(),
            rooms: vec!["a".into()],
            offset: None,
        })
    }

    fn emit(data: &RawValue) -> Command<'_> {
        let emit = format!(r#"{{"emit":{{"data":{data}}}}}"#);
        let emit: &'static str = emit.leak();
        serde_json::from_str(emit).unwrap()
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    /// What the relay reads.
    fn read(commands: &Commands) -> Vec<String> {
        let (response, _) = commands.responses(None, None);
        let response: Response<'_> = serde_json::from_str(&response).unwrap();
        let json = |command| serde_json::to_string(command).unwrap();
        response.commands.iter().map(json).collect()
    }

    #[test]
    fn acks_are_what_the_relay_protocol_says() {
        for attachments in [Vec::new(), vec!["AAA=".to_owned(), "AQI=".to_owned()]] {
            let mut commands = Commands::default();
            commands.push_ack("a\"b", 7, b"[\"x\",1]", &attachments);
            let ack = Command::Ack(Ack {
                socket: Cow::Borrowed("a\"b"),
                id: 7,
                data: &raw("[\"x\",1]"),
                attachments: attachments.iter().map(Into::into).collect(),
            });
            let ack = serde_json::to_string(&ack).unwrap();
            let expected = format!(r#"{{"commands":[{ack}]}}"#);
            assert_eq!(commands.responses(None, None).0, expected);
        }
    }

    #[test]
    fn without_commands_there_is_an_empty_list() {
        let mut commands = Commands::default();
        assert_eq!(commands.responses(None, None).0, r#"{"commands":[]}"#);
        commands.reserve();
        assert_eq!(commands.responses(None, None).0, r#"{"commands":[]}"#);
    }

    #[test]
    fn a_secret_is_in_the_answer_and_not_in_what_is_stored() {
        let mut commands = Commands::default();
        commands.push(&join("1")).unwrap();
        commands.push(&join("2")).unwrap();
        commands.set_pid(0, "secret");
        let abandoned = commands.len();
        commands.push(&join("3")).unwrap();
        commands.set_pid(2, "taken back");
        commands.truncate(abandoned);
        commands.push(&join("4")).unwrap();
        let (response, stored) = commands.responses(None, None);
        let secret = r#","pid":"secret""#;
        assert_eq!(response.replace(secret, ""), stored);
        assert_eq!(response.matches("pid").count(), 1);
        assert!(response.contains(r#"{"join":{"socket":"1","rooms":["a"],"pid":"secret"}},"#));
    }

    #[test]
    fn commands_can_be_put_in_front_taken_back_and_completed() {
        let mut commands = Commands::default();
        commands.reserve();
        commands.push(&join("1")).unwrap();
        commands.push(&emit(&raw("[\"a\"]"))).unwrap();
        commands.push(&emit(&raw("[\"b\"]"))).unwrap();
        commands.push(&join("2")).unwrap();
        let abandoned = commands.len();
        commands.push(&join("3")).unwrap();
        commands.truncate(abandoned);
        commands.push(&join("4")).unwrap();
        commands.replace(0, &join("0")).unwrap();
        commands.take_back(1);
        commands.set_offset(2, 17);
        let expected = [
            r#"{"join":{"socket":"0","rooms":["a"]}}"#,
            r#"{"emit":{"data":["a"],"offset":17}}"#,
            r#"{"emit":{"data":["b"]}}"#,
            r#"{"join":{"socket":"2","rooms":["a"]}}"#,
            r#"{"join":{"socket":"4","rooms":["a"]}}"#,
        ];
        assert_eq!(read(&commands), expected);
        let size = commands.responses(None, None).0.len();
        assert!((size - 20..size + OFFSET_BYTES).contains(&commands.size()));
    }

    #[test]
    fn a_command_in_a_log_has_its_place_and_what_belongs_to_it_and_the_answer_its_extent() {
        let mut commands = Commands::default();
        commands.push(&join("1")).unwrap();
        assert_eq!(commands.last(), r#"{"join":{"socket":"1","rooms":["a"]}}"#);
        commands.push(&emit(&raw("[\"a\"]"))).unwrap();
        let abandoned = commands.len();
        let size = commands.size();
        commands.push(&emit(&raw("[\"b\"]"))).unwrap();
        commands.set_offset(2, 9);
        commands.add_member(2, "previous", &7);
        commands.truncate(abandoned);
        assert_eq!(commands.size(), size);
        commands.set_offset(0, 8);
        commands.set_offset(1, 9);
        commands.add_member(1, "asked", &[("s", "r1")]);
        let extent = Extent {
            previous: 7,
            head: 9,
        };
        let expected = r#"{"commands":[{"join":{"socket":"1","rooms":["a"],"offset":8}},{"emit":{"data":["a"],"offset":9,"asked":[["s","r1"]]}}],"previous":7,"head":9}"#;
        let (response, stored) = commands.responses(None, Some(extent));
        assert_eq!((&*response, &*stored), (expected, expected));
        assert!(commands.size() + 64 >= expected.len());
    }

    #[test]
    fn an_answer_to_a_part_says_how_much_was_done_and_what_is_known_of_the_rest() {
        let mut commands = Commands::default();
        commands.push(&join("1")).unwrap();
        let part = |progress| Part { done: 3, progress };
        let join = r#"{"join":{"socket":"1","rooms":["a"]}}"#;
        let expected = format!(r#"{{"commands":[{join}],"done":3}}"#);
        assert_eq!(commands.responses(Some(&part(vec![])), None).0, expected);
        let expected = format!(r#"{{"commands":[{join}],"done":3,"progress":[{{"claims":1}}]}}"#);
        let progress = vec![raw(r#"{"claims":1}"#)];
        assert_eq!(commands.responses(Some(&part(progress)), None).0, expected);
    }
}
