//! A few words of a body that was not written for us, to be shown in a message.

/// The most characters that are shown.
pub const MAX_CHARS: usize = 200;

/// The beginning of the body's text.
pub fn of(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .trim()
        .chars()
        .take(MAX_CHARS)
        .collect()
}

/// The message in a body of JSON, be it an error of the relay protocol or a refusal of middleware; else the body's
/// beginning.
pub fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Said {
        Error { error: Message },
        Refusal(Message),
    }
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Said::Error { error } | Said::Refusal(error)) => error.message,
        Err(_) => of(body),
    }
}
