//! JSON that is put together from parts which are JSON already.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// JSON as it is written.
#[derive(Default)]
pub struct Text(String);

impl Text {
    pub fn with_capacity(bytes: usize) -> Text {
        Text(String::with_capacity(bytes))
    }

    pub fn extend<const N: usize>(&mut self, parts: [&str; N]) {
        for part in parts {
            self.0.push_str(part);
        }
    }

    /// A member, if it has a value.
    pub fn extend_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.extend([name, value]);
        }
    }

    pub fn id(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.extend([",\"id\":", itoa::Buffer::new().format(id)]);
        }
    }

    /// A packet event after the index of its socket, without its end.
    pub fn packet(&mut self, id: Option<u64>, data: &str, attachments: &[Vec<u8>]) {
        self.id(id);
        self.extend([",\"data\":", data]);
        for (index, attachment) in attachments.iter().enumerate() {
            let before = if index == 0 {
                ",\"attachments\":[\""
            } else {
                ",\""
            };
            self.extend([before, &STANDARD.encode(attachment), "\""]);
        }
        if !attachments.is_empty() {
            self.extend(["]"]);
        }
    }

    pub fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// From one event's end to another's.
    pub fn part(&self, from: u32, to: u32) -> &str {
        &self.0[from as usize..to as usize]
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// A packet event after the index of its socket, without its end.
pub fn packet(id: Option<u64>, data: &str, attachments: &[Vec<u8>]) -> Box<str> {
    let mut text = Text::default();
    text.packet(id, data, attachments);
    text.into_string().into()
}
