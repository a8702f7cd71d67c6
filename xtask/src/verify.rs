//! Checks and measurements: every test, the lints, the benchmarks.

use anyhow::Result;

use crate::build::{self, COMPONENTS, FIXTURES};
use crate::tools::{self, WASM, cargo, say};
use crate::torture;

const TESTS: &str = "tests";
const BENCH_PEERS: &str = "bench/peers";

/// What is built for Wasm and has logic that is tested natively.
const GUESTS: &[&str] = &[
    "parlour-sdk",
    "gateway",
    "door",
    "rooms",
    "auth",
    "rate-limit",
    "chat",
    "lobby",
    "members",
    "web",
    "parlour-bench",
];

pub fn test() -> Result<()> {
    tools::need_chromium()?;
    tools::need_nats()?;
    build::everything()?;
    build::components(FIXTURES)?;
    say("Unit tests");
    cargo(&["test", "--release"])?;
    say("Unit tests of the components");
    let mut arguments = vec!["test", "--release"];
    for package in GUESTS {
        arguments.extend(["--package", package]);
    }
    cargo(&arguments)?;
    tools::npm_install(TESTS)?;
    say("End-to-end tests: real clients, a real browser");
    tools::run(TESTS, "npm", &["test"])
}

pub fn ci() -> Result<()> {
    tools::need_node()?;
    tools::need_wasm_target()?;
    say("Formatting");
    cargo(&["fmt", "--all", "--check"])?;
    // The web component embeds what the web client's build makes, so that comes before the lints.
    test()?;
    say("Lints, native");
    cargo(&[
        "clippy",
        "--release",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    say("Lints, components");
    let mut arguments = vec!["clippy", "--target", WASM, "--profile", "wasm"];
    for package in COMPONENTS.iter().chain(FIXTURES) {
        arguments.extend(["--package", package]);
    }
    arguments.extend(["--", "-D", "warnings"]);
    cargo(&arguments)?;
    torture::run(torture::IN_CI)
}

pub fn bench(options: &[String]) -> Result<()> {
    build::everything()?;
    build::components(FIXTURES)?;
    say("Building the load generator");
    cargo(&["build", "--release", "--package", "parlour-bench"])?;
    tools::npm_install(BENCH_PEERS)?;
    say("Measuring");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    tools::run(".", "target/release/parlour-bench", &options)
}
