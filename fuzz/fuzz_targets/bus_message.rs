//! A message of the bus as it comes from the broker, and the subject it comes on, which is the first line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_bus_nats::fuzzing;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    if let Some(Ok(subject)) = lines.next().map(str::from_utf8) {
        fuzzing::subject(subject);
    }
    fuzzing::message(lines.next().unwrap_or_default());
});
