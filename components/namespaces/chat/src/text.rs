//! What people write, and when.

use std::time::{SystemTime, UNIX_EPOCH};

use parlour_sdk::{Error, Result};

/// The longest text of a message, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The text, if it is one that can be sent.
pub fn checked_text(text: String) -> Result<String> {
    if text.trim().is_empty() {
        return Err(Error::bad_request("the text is empty"));
    }
    if text.len() > MAX_TEXT_BYTES {
        let message = format!(
            "a text has at most {MAX_TEXT_BYTES} bytes, this has {}",
            text.len()
        );
        return Err(Error::new("too_large", message));
    }
    Ok(text)
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
