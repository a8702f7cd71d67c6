//! A batch as the app reads it from a relay: what was read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_protocol::relay::{Batch, from_slice};

fuzz_target!(|body: &[u8]| {
    let Ok(batch) = from_slice::<Batch<'_>>(body) else {
        return;
    };
    let written = serde_json::to_vec(&batch).expect("a batch is JSON");
    let again: Batch<'_> = from_slice(&written).expect("what was written is a batch");
    assert_eq!(serde_json::to_vec(&again).expect("a batch is JSON"), written);
});
