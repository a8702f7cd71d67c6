//! What the fuzz targets reach of this crate's inside. Compiled only for them.

use crate::letter::{Brought, Content, Letter};
use crate::subject::{Subjects, Topic};

/// Reads a letter. What it says is read again as the same once it is written.
pub fn letter(payload: &[u8]) {
    let Ok(letter) = Letter::read(payload) else {
        return;
    };
    let (_, _) = (letter.relay(), letter.source());
    let Ok(Some(brought)) = letter.brought() else {
        return;
    };
    let content = match &brought {
        Brought::Command(command) => Content {
            command: Some(command),
            ..Content::default()
        },
        Brought::Ask(ask, command) => Content {
            command: Some(command),
            ask: Some(*ask),
            ..Content::default()
        },
        Brought::Report(to, ask, report) => Content {
            report: Some(report),
            to: Some(to),
            ask: Some(*ask),
            ..Content::default()
        },
    };
    let content = serde_json::to_vec(&content).expect("a content is JSON");
    let written = Letter::write("relay@1", letter.sequence, &content);
    let again = Letter::read(&written).expect("what was written is a letter");
    assert_eq!(again.sequence, letter.sequence);
    let again = again.brought().expect("what was written is a letter");
    assert_eq!(format!("{again:?}"), format!("{:?}", Some(brought)));
}

/// Reads a subject. That of a namespace is read again as the same once it is written.
pub fn subject(subject: &str) {
    let subjects = Subjects::new("parlour").expect("a word can begin subjects");
    if let Some(Topic::Namespace(namespace)) = subjects.read(subject) {
        let again = subjects.read(&subjects.of(&namespace));
        assert_eq!(again, Some(Topic::Namespace(namespace)));
    }
}
