//! Finds and runs the programs that a build needs, and says how to get one that is missing.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The oldest Node.js whose npm builds the web client.
const MIN_NODE: u32 = 20;

/// The target of the components.
pub const WASM: &str = "wasm32-wasip2";

/// The root of the workspace.
pub fn root() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(folder
        .parent()
        .context("xtask has no parent folder")?
        .to_owned())
}

/// Says what is being done, on standard error; in bold where that is a terminal.
pub fn say(what: &str) {
    match std::io::stderr().is_terminal() {
        true => eprintln!("\x1b[1m==> {what}\x1b[0m"),
        false => eprintln!("==> {what}"),
    }
}

/// Runs a program to its end, its output being ours.
pub fn run(folder: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed in {folder} ({status})");
    }
    Ok(())
}

/// The cargo that runs us, so that a toolchain chosen with `+` stays chosen.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(".", &cargo, arguments)
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Node.js and npm, new enough.
pub fn need_node() -> Result<()> {
    let Some(version) = output("node", &["--version"]) else {
        bail!(
            "Node.js is missing: it builds the web client and runs the tests' clients. \
             Install version {MIN_NODE} or newer (Debian: apt-get install nodejs npm)"
        );
    };
    let major: u32 = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or(0);
    if major < MIN_NODE {
        bail!("Node.js {version} is too old: install version {MIN_NODE} or newer");
    }
    if output("npm", &["--version"]).is_none() {
        bail!(
            "npm is missing: it comes with Node.js, or as a package of its own (Debian: apt-get install npm)"
        );
    }
    Ok(())
}

/// Adds the components' target to the toolchain where it is missing.
pub fn need_wasm_target() -> Result<()> {
    let sysroot = output("rustc", &["--print", "sysroot"])
        .context("rustc does not run; install Rust with rustup")?;
    if Path::new(&sysroot)
        .join("lib/rustlib")
        .join(WASM)
        .join("lib")
        .is_dir()
    {
        return Ok(());
    }
    say(&format!("Adding the Rust target {WASM}"));
    run(".", "rustup", &["target", "add", WASM])
        .with_context(|| format!("the Rust target {WASM} is missing and rustup could not add it"))
}

/// The triple of this machine.
pub fn host_triple() -> Result<String> {
    let version =
        output("rustc", &["-vV"]).context("rustc does not run; install Rust with rustup")?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say its host")?.to_owned())
}

/// Adds components of the toolchain that are missing, such as `clippy`.
pub fn need_rust_components(components: &[&str]) -> Result<()> {
    let program = |component: &str| match component {
        "rustfmt" => "cargo-fmt".to_owned(),
        component => format!("cargo-{component}"),
    };
    let runs = |component: &&str| output(&program(component), &["--version"]).is_some();
    for component in components.iter().filter(|component| !runs(component)) {
        say(&format!("Adding the Rust component {component}"));
        run(".", "rustup", &["component", "add", component])?;
    }
    Ok(())
}

/// A command of cargo's that is a package of its own, in this version or one that is installed already.
pub fn need_cargo_tool(package: &str, version: &str) -> Result<()> {
    let command = package.trim_start_matches("cargo-");
    let cargo_path = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    if output(&cargo_path, &[command, "--version"]).is_some() {
        return Ok(());
    }
    say(&format!("Installing {package} {version}"));
    cargo(&["install", "--locked", package, "--version", version])
}

/// `npm ci`, unless what it installed is as new as the lock file.
pub fn npm_install(folder: &str) -> Result<()> {
    let installed = Path::new(folder).join("node_modules/.package-lock.json");
    if is_newer(&installed, &[&Path::new(folder).join("package-lock.json")]) {
        return Ok(());
    }
    say(&format!("Installing npm packages in {folder}"));
    run(folder, "npm", &["ci", "--no-audit", "--no-fund"])
}

/// Whether `made` exists and is newer than all that it was made from (folders: all files below).
pub fn is_newer(made: &Path, sources: &[&Path]) -> bool {
    let Ok(made) = std::fs::metadata(made).and_then(|data| data.modified()) else {
        return false;
    };
    sources
        .iter()
        .all(|source| newest(source).is_some_and(|source| source <= made))
}

fn newest(path: &Path) -> Option<std::time::SystemTime> {
    let data = std::fs::metadata(path).ok()?;
    let mut newest_time = data.modified().ok()?;
    if data.is_dir() {
        for entry in std::fs::read_dir(path).ok()? {
            newest_time = newest_time.max(newest(&entry.ok()?.path())?);
        }
    }
    Some(newest_time)
}
