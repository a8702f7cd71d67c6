//! `cargo xtask fuzz`: runs the fuzz targets. Each begins with its seeds, which were written by hand, and its
//! corpus, which earlier runs found. What a run finds stays outside the repository, unless `--keep` makes a new
//! corpus of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::needs;
use crate::tools::{self, cargo, say};

const FUZZ: &str = "fuzz";

/// No code here is unsafe, so there is nothing for an address sanitizer to find; and without one, the fuzzer
/// runs on stable Rust.
const SANITIZER: [&str; 4] = ["--sanitizer", "none", "--fuzz-dir", FUZZ];

/// An input that keeps a target busy for longer, in seconds, is a finding.
const INPUT_TIMEOUT: u32 = 20;

/// So is one with which a target needs more memory.
const MAX_MEGABYTES: u32 = 1024;

/// How many inputs a corpus keeps. From these, a run finds the rest of what was known within seconds.
const MAX_KEPT: usize = 100;

struct Options {
    seconds: u32,
    keep: bool,
    targets: Vec<String>,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let options = options(arguments)?;
    needs::for_fuzzing()?;
    tools::need_cargo_tool("cargo-fuzz", "0.13.2")?;
    say("Building the fuzz targets");
    let mut build = vec!["fuzz", "build"];
    build.extend(SANITIZER);
    cargo(&build)?;
    for target in &options.targets {
        fuzz(target, options.seconds)?;
        if options.keep {
            keep(target)?;
        }
    }
    say(&format!(
        "Fuzzing: {} targets, no finding",
        options.targets.len()
    ));
    Ok(())
}

fn options(arguments: &[String]) -> Result<Options> {
    let known = targets()?;
    let mut options = Options {
        seconds: 60,
        keep: false,
        targets: Vec::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--keep" => options.keep = true,
            "--seconds" => {
                let seconds = arguments.next().and_then(|text| text.parse().ok());
                options.seconds = seconds
                    .filter(|seconds| *seconds > 0)
                    .context("--seconds needs a number of seconds, 1 or more")?;
            }
            target if known.iter().any(|known| known == target) => {
                options.targets.push(target.to_owned());
            }
            other => bail!(
                "{other:?} is no fuzz target; there are {}",
                known.join(", ")
            ),
        }
    }
    if options.targets.is_empty() {
        options.targets = known;
    }
    Ok(options)
}

/// Each file in `fuzz_targets` is one.
fn targets() -> Result<Vec<String>> {
    let folder = Path::new(FUZZ).join("fuzz_targets");
    let files = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let names = files.map(|file| {
        let path = file?.path();
        let name = path.file_stem().context("a file has a name")?;
        Ok(name.to_string_lossy().into_owned())
    });
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// The folders of a target's inputs.
struct Inputs {
    seeds: PathBuf,
    corpus: PathBuf,
    /// Where a run puts what it finds.
    found: PathBuf,
}

impl Inputs {
    fn of(target: &str) -> Result<Inputs> {
        let folder = |name: &str| {
            let folder = Path::new(FUZZ).join(name).join(target);
            std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            anyhow::Ok(folder)
        };
        Ok(Inputs {
            seeds: folder("seeds")?,
            corpus: folder("corpus")?,
            found: folder("target/found")?,
        })
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let inputs = Inputs::of(target)?;
    say(&format!("Fuzzing {target} for {seconds} s"));
    let artifacts = format!("{FUZZ}/artifacts/{target}/");
    std::fs::create_dir_all(&artifacts).context("cannot make the folder of findings")?;
    let arguments = [
        // The first folder is the one that the fuzzer writes to.
        text(&inputs.found),
        text(&inputs.corpus),
        text(&inputs.seeds),
        format!("-artifact_prefix={artifacts}"),
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_TIMEOUT}"),
        format!("-rss_limit_mb={MAX_MEGABYTES}"),
        // Only findings, and how many inputs were run.
        "-verbosity=0".into(),
        "-print_funcs=0".into(),
        "-print_final_stats=1".into(),
    ];
    start(target, &arguments)
        .with_context(|| format!("{target} found something: the input is in {artifacts}"))
}

/// Runs a target that is built.
fn start(target: &str, arguments: &[String]) -> Result<()> {
    let host = tools::host_triple()?;
    let program = format!("{FUZZ}/target/{host}/release/{target}");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    tools::run(".", &program, &arguments)
}

/// Makes a new corpus of all that is known: of the inputs that together reach everything, the largest, for
/// such a one reaches more than a small one.
fn keep(target: &str) -> Result<()> {
    let inputs = Inputs::of(target)?;
    let merged = inputs.found.with_extension("merged");
    let _ = std::fs::remove_dir_all(&merged);
    std::fs::create_dir_all(&merged)?;
    let mut arguments = [&merged, &inputs.corpus, &inputs.seeds, &inputs.found]
        .map(|path| text(path))
        .to_vec();
    let merge = ["-set_cover_merge=1", "-use_counters=0", "-verbosity=0"];
    arguments.extend(merge.map(str::to_owned));
    start(target, &arguments)?;
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for file in std::fs::read_dir(&merged)? {
        let file = file?;
        files.push((file.metadata()?.len(), file.path()));
    }
    files.sort_by(|one, other| other.cmp(one));
    std::fs::remove_dir_all(&inputs.corpus)?;
    std::fs::create_dir_all(&inputs.corpus)?;
    for (_, path) in files.iter().take(MAX_KEPT) {
        let name = path.file_name().context("a file has a name")?;
        std::fs::copy(path, inputs.corpus.join(name))?;
    }
    Ok(())
}
