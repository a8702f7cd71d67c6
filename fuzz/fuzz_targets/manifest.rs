//! The text of a `spin.toml`. The two files are compiled in as they are, because the host's crate brings
//! Wasmtime with it.
#![no_main]

#[path = "../../crates/host/src/manifest.rs"]
mod manifest;
#[path = "../../crates/host/src/names.rs"]
mod names;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = manifest::Manifest::parse(text) {
        assert!(!format!("{error:#}").is_empty());
    }
});
