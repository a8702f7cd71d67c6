//! The app's answer as a relay reads it: what was read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_protocol::relay::{Response, from_slice};

fuzz_target!(|body: &[u8]| {
    let Ok(response) = from_slice::<Response<'_>>(body) else {
        return;
    };
    let written = serde_json::to_vec(&response).expect("an answer is JSON");
    let again: Response<'_> = from_slice(&written).expect("what was written is an answer");
    assert_eq!(serde_json::to_vec(&again).expect("an answer is JSON"), written);
});
