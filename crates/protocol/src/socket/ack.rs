//! The id of an acknowledgement. JavaScript reads it as a number, so it is one here: beyond 2^53 it
//! is rounded, and printed as JavaScript prints it.

use std::fmt;

/// An acknowledgement's id as a JavaScript number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AckId(f64);

/// JavaScript's `Number.MAX_SAFE_INTEGER`.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

impl AckId {
    /// Reads the characters between namespace and payload as `Number(text)` does.
    pub(super) fn parse(text: &str) -> AckId {
        AckId(js_number(text))
    }

    /// The id as an integer, unless it is one that only approximates what the client wrote.
    pub fn exact(self) -> Option<u64> {
        (self.0 >= 0.0 && self.0 <= MAX_EXACT && self.0.fract() == 0.0).then_some(self.0 as u64)
    }
}

impl From<u32> for AckId {
    fn from(id: u32) -> AckId {
        AckId(f64::from(id))
    }
}

/// As JavaScript prints a number that is not negative.
impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if number.is_nan() {
            f.write_str("NaN")
        } else if number.is_infinite() {
            f.write_str("Infinity")
        } else if number < 1e21 {
            write!(f, "{number}")
        } else {
            f.write_str(&format!("{number:e}").replace('e', "e+"))
        }
    }
}

/// JavaScript's `Number(text)`, without hexadecimal and its like, which no packet has.
pub(super) fn js_number(text: &str) -> f64 {
    // What clients send.
    if let Ok(number) = text.parse::<u32>() {
        return f64::from(number);
    }
    let text = text.trim_matches(is_js_space);
    if text.is_empty() {
        return 0.0;
    }
    let decimal =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    if text.bytes().all(decimal) {
        text.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}

/// White space for `Number`: a single one of these is equal to 0.
pub(super) fn is_js_space(character: char) -> bool {
    matches!(character, '\u{9}'..='\u{d}' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}'
        | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}
