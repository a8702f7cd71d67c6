//! Makes in target/dist what one would download: the binary, small, with completions, manual pages, a container file,
//! and the checksums of all of it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::build;
use crate::tools::{cargo, say};

const DIST: &str = "target/dist";

/// The profile in Cargo.toml, and with it the folder of what it builds.
const PROFILE: &str = "slim";

/// Where each shell looks for the completions of `parlour`, as installers put them.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "parlour.bash"),
    ("fish", "parlour.fish"),
    ("zsh", "_parlour"),
];

const CHECKSUMS: &str = "SHA256SUMS";

/// `--binary FILE` packs one that is built already, and `--to FOLDER` puts all of it elsewhere.
pub fn run(options: &[String]) -> Result<()> {
    let mut binary = None;
    let mut to = DIST;
    for pair in options.chunks(2) {
        match pair {
            [flag, value] if flag == "--binary" => binary = Some(value.as_str()),
            [flag, value] if flag == "--to" => to = value,
            _ => bail!(
                "dist takes --binary FILE and --to FOLDER, not {}",
                pair.join(" ")
            ),
        }
    }
    let built = format!("target/{PROFILE}/parlour");
    if binary.is_none() {
        build()?;
    }
    pack(Path::new(binary.unwrap_or(&built)), Path::new(to))
}

fn build() -> Result<()> {
    build::all_but_the_binary()?;
    say("Building the binary to be downloaded (the first time, Wasmtime is compiled once more)");
    cargo(&["build", "--profile", PROFILE, "--package", "parlour"])
}

fn pack(binary: &Path, dist: &Path) -> Result<()> {
    if dist.exists() {
        fs::remove_dir_all(dist)?;
    }
    fs::create_dir_all(dist.join("completions"))?;
    let parlour = dist.join("parlour");
    copy(binary, &parlour)?;
    for name in ["Containerfile", "LICENSE"] {
        copy(Path::new(name), &dist.join(name))?;
    }
    for (shell, file) in COMPLETIONS {
        let text = output(&parlour, ".", &["completions", shell])?;
        fs::write(dist.join("completions").join(file), text)?;
    }
    let man = dist.join("man");
    output(&parlour, ".", &["man", &man.to_string_lossy()])?;
    checksums(dist)?;
    let version = output(&parlour, ".", &["--version"])?;
    let bytes = fs::metadata(&parlour)?.len();
    say(&format!(
        "{} has it: {}, {:.1} MB",
        dist.display(),
        String::from_utf8_lossy(&version).trim(),
        bytes as f64 / 1e6
    ));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to);
    copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// `sha256sum --check SHA256SUMS` reads it.
fn checksums(dist: &Path) -> Result<()> {
    let listed = output("find", dist, &[".", "-type", "f"])?;
    let listed = String::from_utf8(listed)?;
    let mut files: Vec<&str> = listed
        .lines()
        .map(|file| file.trim_start_matches("./"))
        .collect();
    files.sort_unstable();
    let sums = output("sha256sum", dist, &files)?;
    fs::write(dist.join(CHECKSUMS), sums)?;
    Ok(())
}

fn output(
    program: impl AsRef<OsStr>,
    folder: impl AsRef<Path>,
    arguments: &[&str],
) -> Result<Vec<u8>> {
    let name = program.as_ref().display();
    let output = Command::new(program.as_ref())
        .args(arguments)
        .current_dir(folder)
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
