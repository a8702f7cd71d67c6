// The Rust of docs/from-socket-io.md, for the build scripts of the components that are made of it.

use std::{env, fs, path::Path};

/// Below the root of the repository.
const PAGE: &str = "docs/from-socket-io.md";

/// The sections that have Rust, in their order: the heading, and what stands in the section's block.
pub fn rust_of(root: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(root).join(PAGE);
    println!("cargo::rerun-if-changed={}", path.display());
    let page = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let mut found = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
        if let Some((_, code)) = text.split_once("```rust\n") {
            let (code, _) = code.split_once("```").expect("a block that is closed");
            found.push((heading.to_owned(), code.to_owned()));
        }
    }
    found
}

/// Writes a file that the crate includes.
pub fn write(name: &str, text: &str) {
    let folder = env::var("OUT_DIR").expect("Cargo sets OUT_DIR");
    fs::write(Path::new(&folder).join(name), text).expect("can write to OUT_DIR");
}
