//! Makes the table of files that the component embeds, out of what Vite built in `client/dist`.
//! It builds nothing itself: a build script that ran npm would run it for every `cargo check`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

const DIST: &str = "client/dist";

/// The bytes of a file's SHA-256 that are its ETag.
const ETAG_BYTES: usize = 12;

/// Compressed twins that Vite's build puts beside a file: the coding's name and the twin's ending.
const CODINGS: &[(&str, &str)] = &[("br", "br"), ("gzip", "gz")];

fn main() {
    println!("cargo::rerun-if-changed={DIST}");
    let dist = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(DIST);
    let table = files(&dist).and_then(|files| {
        if !files.contains(&dist.join("index.html")) {
            return Err(io::Error::other("it has no index.html"));
        }
        table(&dist, &files)
    });
    match table {
        Ok(table) => {
            let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
            fs::write(out.join("files.rs"), table).expect("OUT_DIR can be written");
        }
        Err(error) => println!(
            "cargo::error=the web client is not built ({}: {error}): run `cargo xtask build`, which builds it first",
            dist.display()
        ),
    }
}

/// All files below a folder, sorted.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn table(dist: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut table = String::from("&[\n");
    for file in files {
        if CODINGS.iter().any(|(_, ending)| ends_with(file, ending)) {
            continue;
        }
        let path = file.strip_prefix(dist).expect("it was found below dist");
        let path = path.to_str().expect("Vite names files in ASCII");
        let kind = content_type(path).ok_or_else(|| {
            io::Error::other(format!("{path} is of a kind that build.rs does not know"))
        })?;
        let etag: String = Sha256::digest(fs::read(file)?)
            .iter()
            .take(ETAG_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut codings = String::new();
        for (coding, ending) in CODINGS {
            let twin = with_ending(file, ending);
            if files.contains(&twin) {
                write!(codings, "({coding:?}, include_bytes!({twin:?})), ").expect("to a String");
            }
        }
        writeln!(
            table,
            "    File {{ path: {path:?}, content_type: {kind:?}, etag: {etag:?}, body: include_bytes!({file:?}), codings: &[{codings}] }},"
        )
        .expect("to a String");
    }
    table.push(']');
    Ok(table)
}

fn ends_with(file: &Path, ending: &str) -> bool {
    file.extension()
        .is_some_and(|extension| extension == ending)
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "application/javascript; charset=utf-8",
        "map" | "json" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}
