//! What the fuzz targets reach of this crate's inside. Compiled only for them.

use crate::message::Message;
use crate::subject::{Subjects, Topic};

/// Reads a message. What it says is read again as the same once it is written.
pub fn message(payload: &[u8]) {
    let Ok(message) = Message::read(payload) else {
        return;
    };
    let written = message.write().expect("what was read is JSON");
    let again = Message::read(&written).expect("what was written is a message");
    assert_eq!(
        format!("{:?}", again.content),
        format!("{:?}", message.content)
    );
}

/// Reads a subject. That of a namespace is read again as the same once it is written.
pub fn subject(subject: &str) {
    let subjects = Subjects::new("parlour").expect("a word can begin subjects");
    if let Some(Topic::Namespace(namespace)) = subjects.read(subject) {
        let again = subjects.read(&subjects.of(&namespace));
        assert_eq!(again, Some(Topic::Namespace(namespace)));
    }
}
