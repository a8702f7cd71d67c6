//! `files` of a component: copied into a directory of its own, which the guest sees read-only.
//! The directory goes with the application.

use std::path::{Component as PathPart, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use glob::{MatchOptions, Pattern};
use tempfile::TempDir;

use crate::manifest::FilesMount;

/// As in a shell, `*` stands for no slash and no leading dot… except that Spin takes dots.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Copies what the mounts name below `base`. None if there is nothing to mount.
pub fn mount(base: &Path, mounts: &[FilesMount], exclude: &[String]) -> Result<Option<TempDir>> {
    if mounts.is_empty() {
        return Ok(None);
    }
    let exclude = exclude
        .iter()
        .map(|pattern| Pattern::new(pattern).with_context(|| format!("exclude_files: {pattern:?}")))
        .collect::<Result<Vec<_>>>()?;
    let root = tempfile::Builder::new()
        .prefix("parlour-files-")
        .tempdir()?;
    let copier = Copier {
        base,
        root: root.path(),
        exclude,
    };
    for mount in mounts {
        match mount {
            FilesMount::Pattern(pattern) => copier.pattern(pattern),
            FilesMount::Placement {
                source,
                destination,
            } => copier.placement(source, destination),
        }
        .with_context(|| format!("files: {mount:?}"))?;
    }
    Ok(Some(root))
}

struct Copier<'a> {
    base: &'a Path,
    root: &'a Path,
    exclude: Vec<Pattern>,
}

impl Copier<'_> {
    fn pattern(&self, pattern: &str) -> Result<()> {
        ensure!(
            pattern != ".." && !pattern.ends_with("/.."),
            "a pattern cannot end in a parent directory"
        );
        let path = self.base.join(pattern);
        if path.exists() {
            return self.copy(&path, &self.inside(Path::new(pattern))?);
        }
        let base = Pattern::escape(&self.base.to_string_lossy());
        let mut found = false;
        for entry in glob::glob_with(&format!("{base}/{pattern}"), MATCHING)? {
            let entry = entry?;
            if entry.is_file() {
                found = true;
                let relative = entry.strip_prefix(self.base)?;
                self.copy(&entry, &self.inside(relative)?)?;
            }
        }
        if !found {
            tracing::warn!("files: the pattern {pattern:?} matches nothing");
        }
        Ok(())
    }

    fn placement(&self, source: &str, destination: &str) -> Result<()> {
        ensure!(
            destination.starts_with('/'),
            "destination must be an absolute path"
        );
        let relative = destination.trim_start_matches('/');
        self.copy(&self.base.join(source), &self.inside(Path::new(relative))?)
    }

    /// The place in the copy; never outside of it.
    fn inside(&self, relative: &Path) -> Result<PathBuf> {
        for part in relative.components() {
            if !matches!(part, PathPart::Normal(_) | PathPart::CurDir) {
                bail!(
                    "{} leaves the directory of the manifest",
                    relative.display()
                );
            }
        }
        Ok(self.root.join(relative))
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        if from.is_dir() {
            for entry in std::fs::read_dir(from)? {
                let entry = entry?;
                self.copy(&entry.path(), &to.join(entry.file_name()))?;
            }
            return Ok(());
        }
        let relative = from.strip_prefix(self.base).unwrap_or(from);
        if self
            .exclude
            .iter()
            .any(|pattern| pattern.matches_path_with(relative, MATCHING))
        {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }
}
