//! Lays out in target/kit what a project of one's own gets from Parlour (`parlour new`): components, Socket.IO's client,
//! and the SDK, packaged as cargo would publish it. The build of the `parlour` binary puts it inside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::tools::{self, cargo, say};

const KIT: &str = "target/kit";

/// Where the components are once they are built.
const BUILT: &str = "target/wasm32-wasip2/wasm";

const COMPONENTS: &[&str] = &["auth", "handshake", "rate-limit", "rooms", "router", "web"];

/// Of the web client's build: Socket.IO's client as Socket.IO's server has it, without what is for debugging it.
const CLIENT: &str = "components/web/client/dist/socket.io";
const BUNDLES: &[&str] = &["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"];

/// The crates that are for others: each package's name and its folder in the kit.
const CRATES: &[(&str, &str)] = &[("parlour-protocol", "protocol"), ("parlour-sdk", "sdk")];

/// What cargo adds to a package for registries.
const FOR_REGISTRIES: &[&str] = &["Cargo.toml.orig", ".cargo_vcs_info.json", "Cargo.lock"];

/// Needs the components and the web client.
pub fn lay_out() -> Result<()> {
    say("Laying out target/kit");
    let mut kit = Kit::default();
    for name in COMPONENTS {
        let built = format!("{BUILT}/{}.wasm", name.replace('-', "_"));
        kit.add(&format!("components/{name}.wasm"), read(Path::new(&built))?)?;
    }
    for bundle in BUNDLES {
        kit.add(
            &format!("client/{bundle}"),
            read(&Path::new(CLIENT).join(bundle))?,
        )?;
    }
    package()?;
    for (name, folder) in CRATES {
        kit.add_crate(name, folder)?;
    }
    kit.add("Cargo.lock", lock()?)?;
    kit.remove_others()
}

/// The lock file of a new project: of the workspace's, what a project needs.
fn lock() -> Result<Vec<u8>> {
    let project = Path::new("target/kit-project");
    fs::create_dir_all(project.join("src"))?;
    fs::create_dir_all(project.join("parlour"))?;
    fs::copy(
        "crates/cli/templates/common/Cargo.toml.in",
        project.join("Cargo.toml"),
    )?;
    fs::write(project.join("src/lib.rs"), "")?;
    fs::copy("Cargo.lock", project.join("Cargo.lock"))?;
    for (_, folder) in CRATES {
        let link = project.join("parlour").join(folder);
        if !link.exists() {
            std::os::unix::fs::symlink(Path::new("../../kit").join(folder), link)?;
        }
    }
    // Drops what is not needed and leaves the versions of the rest.
    let manifest = project.join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    cargo(&[
        "update",
        "--quiet",
        "--offline",
        "--workspace",
        "--manifest-path",
        &manifest,
    ])?;
    read(&project.join("Cargo.lock"))
}

/// Has cargo package the crates, from their sources alone, into target/package.
fn package() -> Result<()> {
    let mut arguments = vec!["package", "--offline", "--quiet", "--allow-dirty"];
    // A package is not built here: the test of a new project builds what is in the kit.
    arguments.extend(["--no-verify", "--no-metadata", "--exclude-lockfile"]);
    for (name, _) in CRATES {
        arguments.extend(["--package", name]);
    }
    cargo(&arguments)
}

/// The files that are there now.
#[derive(Default)]
struct Kit(BTreeSet<PathBuf>);

impl Kit {
    /// A file that is the same already keeps its time, so that the binary is not built again for it.
    fn add(&mut self, name: &str, contents: Vec<u8>) -> Result<()> {
        let path = Path::new(KIT).join(name);
        if fs::read(&path).ok().as_ref() != Some(&contents) {
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(&path, contents)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.0.insert(path);
        Ok(())
    }

    /// Unpacks a package. Where it depends on another of ours, which is in no registry, it finds it beside itself.
    fn add_crate(&mut self, name: &str, folder: &str) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let packaged = format!("target/package/{name}-{version}");
        if Path::new(&packaged).exists() {
            fs::remove_dir_all(&packaged)?;
        }
        tools::run(
            "target/package",
            "tar",
            &["xzf", &format!("{name}-{version}.crate")],
        )?;
        for file in files(Path::new(&packaged))? {
            let below = file.strip_prefix(&packaged)?.to_string_lossy().into_owned();
            if FOR_REGISTRIES.contains(&below.as_str()) {
                continue;
            }
            let mut contents = read(&file)?;
            if below == "Cargo.toml" {
                contents = with_paths(String::from_utf8(contents)?)?.into_bytes();
            }
            self.add(&format!("{folder}/{below}"), contents)?;
        }
        Ok(())
    }

    fn remove_others(self) -> Result<()> {
        for file in files(Path::new(KIT))? {
            if !self.0.contains(&file) {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }
}

/// Says where our other crates are, in a manifest that cargo has written.
fn with_paths(mut manifest: String) -> Result<String> {
    for (name, folder) in CRATES {
        let table = format!("[dependencies.{name}]\n");
        manifest = manifest.replace(&table, &format!("{table}path = \"../{folder}\"\n"));
    }
    let ours = manifest.matches("[dependencies.parlour-").count();
    ensure!(
        manifest.matches("path = \"../").count() == ours,
        "the SDK depends on a crate of Parlour's that is not in the kit: add it to CRATES"
    );
    Ok(manifest)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}
