//! What a namespace's log says of events that failed. A client can make events fail as often as it likes, so one
//! batch writes only so many lines, each of a bounded length.

use std::cell::Cell;

/// Lines that one batch writes.
const MAX_LINES: u32 = 20;

/// Characters of a name or of an error.
const SHOWN: usize = 300;

#[derive(Default)]
pub(crate) struct Log {
    lines: Cell<u32>,
}

impl Log {
    /// An event failed: in which namespace, which event, and why.
    pub fn failed(&self, namespace: &str, event: &str, problem: &str) {
        let line = self.lines.get();
        self.lines.set(line + 1);
        if line < MAX_LINES {
            eprintln!("{}", text(namespace, event, problem));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let more = self.lines.get().saturating_sub(MAX_LINES);
        if more > 0 {
            eprintln!("and {more} more events of the same batch failed");
        }
    }
}

/// Names and errors can quote what a client sent.
fn text(namespace: &str, event: &str, problem: &str) -> String {
    let shown = |text: &str| -> String {
        let start = text.chars().take(SHOWN);
        start.flat_map(char::escape_debug).collect()
    };
    let (namespace, event) = (shown(namespace), shown(event));
    format!("{namespace}: the event {event} failed: {}", shown(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_not_too_long() {
        let line = text("/a", "add\n2026 INFO all is well", &"x".repeat(10_000));
        assert_eq!(line.lines().count(), 1);
        assert!(line.starts_with("/a: the event add\\n2026"), "{line}");
        assert!(line.len() < 1_000);
    }
}
