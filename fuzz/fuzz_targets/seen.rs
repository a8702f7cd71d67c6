//! What a client says that it has seen, to recover its session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_protocol::relay::{Seen, Span, write_seen};

fuzz_target!(|text: &str| {
    let Ok(mut seen) = text.parse::<Seen>() else {
        return;
    };
    let mut written = String::new();
    write_seen(&mut written, seen.offset, seen.beyond.iter().map(Span::parts));
    // A span that the offset covers says nothing.
    seen.beyond.retain(|span| span.until > seen.offset);
    assert_eq!(written.parse(), Ok(seen));
});
