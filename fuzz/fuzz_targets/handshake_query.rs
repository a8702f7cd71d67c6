//! The query of a handshake: nothing panics, and the three parameters are read again as they were read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_relay::fuzzing::query;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fuzz_target!(|text: &str| {
    let [revision, transport, sid] = query(text);
    let escape = |value| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let written = format!(
        "sid={}&EIO={}&x&transport={}",
        escape(&sid),
        escape(&revision),
        escape(&transport)
    );
    assert_eq!(query(&written), [revision, transport, sid]);
});
