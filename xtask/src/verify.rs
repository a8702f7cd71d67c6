//! Checks and measurements: every test, the lints, the benchmarks.

use std::path::PathBuf;

use anyhow::Result;

use crate::build::{self, COMPONENTS, FIXTURES};
use crate::fuzz;
use crate::needs;
use crate::tools::{self, WASM, cargo, say};
use crate::torture;

/// For how long CI fuzzes each target. It is to show that the kept inputs are still taken and that the targets
/// still work; findings are looked for with `cargo xtask fuzz`.
const CI_FUZZ_SECONDS: &str = "5";

const TESTS: &str = "tests";
const BENCH_PEERS: &str = "bench/peers";

/// What is built for Wasm and has logic that is tested natively.
const GUESTS: &[&str] = &[
    "parlour-sdk",
    "parlour-envelope",
    "handshake",
    "router",
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
    needs::for_tests()?;
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
    tools::need_rust_components(&["rustfmt", "clippy"])?;
    say("Formatting");
    cargo(&["fmt", "--all", "--check"])?;
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
    torture::run(torture::IN_CI)?;
    fuzz::run(&["--seconds".into(), CI_FUZZ_SECONDS.into()])?;
    deny()
}

/// What the dependencies may be. Known vulnerabilities are looked up in a copy of the RustSec database that
/// `cargo deny fetch` has made; this never goes to the network for it.
pub fn deny() -> Result<()> {
    tools::need_cargo_tool("cargo-deny", "0.20.2")?;
    say("Dependencies: licences, sources, bans");
    cargo(&["deny", "--locked", "check", "licenses", "sources", "bans"])?;
    if !has_advisories() {
        say(
            "NOT CHECKED: known vulnerabilities of the dependencies, for there is no copy of the RustSec \
             database here. `cargo deny fetch db` makes one where the network allows it",
        );
        return Ok(());
    }
    say("Dependencies: known vulnerabilities");
    cargo(&["deny", "--locked", "--offline", "check", "advisories"])
}

/// Whether cargo-deny's folder has a copy of an advisory database.
fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok())
        .is_some_and(|mut folders| folders.any(|folder| folder.is_ok_and(|it| it.path().is_dir())))
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
