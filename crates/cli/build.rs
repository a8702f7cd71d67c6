//! Puts the kit into the binary: what a project of one's own gets from Parlour, as `cargo xtask build` has laid it out in
//! target/kit. Without it the binary is built all the same, and `parlour new` says what it lacks.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{env, io};

const KIT: &str = "../../target/kit";

/// The archive is unpacked once in a project's life, so it may take its time to be packed.
const ZSTD_LEVEL: i32 = 19;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={KIT}");
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(KIT);
    // Cargo would run this script at every build as long as the folder is missing.
    fs::create_dir_all(&folder)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let packed = zstd::Encoder::new(File::create(out.join("kit.tar.zst"))?, ZSTD_LEVEL)?;
    let mut archive = tar::Builder::new(packed);
    archive.mode(tar::HeaderMode::Deterministic);
    for file in files(&folder)? {
        let name = file.strip_prefix(&folder).expect("it was found there");
        archive.append_path_with_name(&file, name)?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// All files below a folder, sorted.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}
