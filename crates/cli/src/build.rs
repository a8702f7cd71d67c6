//! Runs the commands that build an application's components, as `spin build` does: those of `build` in the manifest.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use parlour_host::{Build, Sources};
use tokio::process::Command;

/// Builds every component that says how.
pub async fn all(manifest: &Path) -> Result<()> {
    run(&Sources::read(manifest)?.builds).await
}

/// One after the other; the first that fails is the last.
pub async fn run(builds: &[Build]) -> Result<()> {
    // Components of one workspace may have the same command.
    let mut done: Vec<(&Path, &str)> = Vec::new();
    for build in builds {
        for command in &build.commands {
            let step = (build.workdir.as_path(), command.as_str());
            if !done.contains(&step) {
                say(&format!("Building {}: {command}", build.component));
                shell(&build.component, &build.workdir, command).await?;
                done.push(step);
            }
        }
    }
    Ok(())
}

/// What it prints goes to standard error: on standard output is only what a script wants to read.
async fn shell(component: &str, workdir: &Path, command: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(workdir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot run `{command}` in {}", workdir.display()))?;
    if !status.success() {
        bail!(
            "the component {component} does not build: `{command}` ended with {status}, see above"
        );
    }
    Ok(())
}

/// Says what is being done, on standard error; in bold where that is a terminal.
pub fn say(what: &str) {
    match std::io::stderr().is_terminal() {
        true => eprintln!("\x1b[1m==> {what}\x1b[0m"),
        false => eprintln!("==> {what}"),
    }
}
