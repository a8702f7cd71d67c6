//! What there is to build, in order: the web client, the components, the kit of projects, the `parlour` binary.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::kit;
use crate::tools::{self, WASM, cargo, say};

const WEB_CLIENT: &str = "components/web/client";

/// The packages that are Wasm components of the application.
pub const COMPONENTS: &[&str] = &[
    "handshake",
    "router",
    "lobby",
    "members",
    "auth",
    "rate-limit",
    "rooms",
    "web",
];

/// The components that only tests and benchmarks use.
pub const FIXTURES: &[&str] = &[
    "conformance-main",
    "conformance-custom",
    "conformance-client-suite",
    "late-handshake",
    "features",
    "from-socket-io",
    "get-started",
    "api-key",
];

pub fn everything() -> Result<()> {
    all_but_the_binary()?;
    say("Building target/release/parlour (the first time, Wasmtime takes some minutes)");
    // Always the same selection of packages, so that Wasmtime is compiled with one set of features.
    cargo(&["build", "--release"])
}

/// Everything that the binary carries for projects of one's own, and so comes before it.
pub fn all_but_the_binary() -> Result<()> {
    tools::need_node()?;
    tools::need_wasm_target()?;
    web_client()?;
    components(COMPONENTS)?;
    kit::lay_out()
}

fn web_client() -> Result<()> {
    tools::npm_install(WEB_CLIENT)?;
    let folder = Path::new(WEB_CLIENT);
    let sources: Vec<_> = [
        "src",
        "public",
        "index.html",
        "package-lock.json",
        "tsconfig.json",
        "vite.config.ts",
    ]
    .iter()
    .map(|name| folder.join(name))
    .collect();
    let sources: Vec<&Path> = sources.iter().map(|path| path.as_path()).collect();
    if tools::is_newer(&folder.join("dist/index.html"), &sources) {
        return Ok(());
    }
    say("Building the web client");
    tools::run(WEB_CLIENT, "npm", &["run", "build"])
}

pub fn components(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    say(&format!("Building the components {}", packages.join(", ")));
    let mut arguments = vec!["build", "--target", WASM, "--profile", "wasm"];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    cargo(&arguments)
}

/// Becomes `parlour up`: signals reach it, and its exit code is ours.
pub fn start(options: &[String]) -> Result<()> {
    say("Starting parlour up");
    let error = Command::new("target/release/parlour")
        .arg("up")
        .args(options)
        .exec();
    Err(error).context("cannot start target/release/parlour")
}
