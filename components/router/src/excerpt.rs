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
