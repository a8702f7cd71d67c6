//! Which files an application is made from, and what is to be built when one of them changes. It only looks at paths.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use parlour_host::{Build, Sources};

/// Folders of tools: what they write is not what somebody edits, even where a glob takes it in.
const NOT_EDITED: &[&str] = &["target", "node_modules", ".git", ".spin"];

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

#[derive(PartialEq)]
pub struct Rules {
    manifest: PathBuf,
    rules: Vec<Rule>,
    builds: Vec<Build>,
}

/// What has to be watched: a place and whether all below it.
pub type Place = (PathBuf, bool);

#[derive(PartialEq)]
struct Rule {
    /// A file or a folder.
    base: PathBuf,
    /// What is meant below the base. None: the base itself, and all that is in it.
    rest: Option<Pattern>,
    /// What is built from it: an index of `builds`. None: it is only loaded.
    build: Option<usize>,
}

impl Rules {
    pub fn new(manifest: &Path, sources: &Sources) -> Rules {
        let folder = manifest.parent().unwrap_or(Path::new("/"));
        let mut rules = Vec::new();
        for (index, build) in sources.builds.iter().enumerate() {
            let watched = build.watch.iter();
            rules.extend(watched.filter_map(|it| Rule::new(&build.workdir, it, Some(index))));
        }
        let loaded = sources.loaded.iter();
        rules.extend(loaded.filter_map(|it| Rule::new(folder, it, None)));
        Rules {
            manifest: resolve(manifest.to_owned()),
            rules,
            builds: sources.builds.clone(),
        }
    }

    /// What is to be built because this file has changed, which may be nothing; none if it does not matter at all.
    pub fn of(&self, path: &Path) -> Option<Vec<&Build>> {
        if path == self.manifest {
            return Some(self.builds.iter().collect());
        }
        let mut found = None;
        for rule in self.rules.iter().filter(|rule| rule.is_for(path)) {
            let builds: &mut Vec<&Build> = found.get_or_insert_default();
            builds.extend(rule.build.map(|index| &self.builds[index]));
        }
        found
    }

    /// Where changes show.
    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.rules.iter().map(Rule::place).collect();
        // Many editors write a file anew and rename it: only its folder sees that.
        let folder = self.manifest.parent().unwrap_or(Path::new("/"));
        places.push((folder.to_owned(), false));
        places.sort();
        // Of the two ways to watch a place, the one that sees all.
        places.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            earlier.1 |= is_same && later.1;
            is_same
        });
        places
    }
}

impl Rule {
    fn new(folder: &Path, watched: &str, build: Option<usize>) -> Option<Rule> {
        let parts: Vec<&str> = watched.split('/').collect();
        let is_plain = |part: &&&str| !part.contains(['*', '?', '[']);
        let plain = parts.iter().take_while(is_plain).count();
        let base = resolve(folder.join(parts[..plain].join("/")));
        let rest = parts[plain..].join("/");
        let rest = match rest.as_str() {
            "" => None,
            rest => Some(
                Pattern::new(rest)
                    .inspect_err(|error| tracing::warn!("cannot watch {watched:?}: {error}"))
                    .ok()?,
            ),
        };
        Some(Rule { base, rest, build })
    }

    fn is_for(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.base) else {
            return false;
        };
        let is_tools = |part: &std::ffi::OsStr| NOT_EDITED.iter().any(|name| part == *name);
        match &self.rest {
            Some(pattern) => {
                !below.iter().any(is_tools) && pattern.matches_path_with(below, MATCHING)
            }
            None => true,
        }
    }

    fn place(&self) -> Place {
        match &self.rest {
            None if !self.base.is_dir() => {
                let folder = self.base.parent().unwrap_or(Path::new("/"));
                (folder.to_owned(), false)
            }
            None => (self.base.clone(), true),
            Some(pattern) => (self.base.clone(), pattern.as_str().contains('/')),
        }
    }
}

/// As the system names it when it says what has changed.
fn resolve(path: PathBuf) -> PathBuf {
    let whole = path.canonicalize().ok();
    let by_folder = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    whole.or_else(by_folder).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, Rules) {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "src/inner",
            "shared/src",
            "page",
            "target",
            "parlour/components",
        ] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("parlour/components/web.wasm"), "").unwrap();
        let build = |component: &str, watch: &[&str]| Build {
            component: component.into(),
            commands: vec!["true".into()],
            workdir: folder.path().to_owned(),
            watch: watch.iter().map(|&it| it.into()).collect(),
        };
        let sources = Sources {
            builds: vec![
                build("one", &["src/**/*.rs", "Cargo.toml", "shared/src/*.rs"]),
                build("two", &["**/*.rs"]),
            ],
            loaded: vec!["page".into(), "parlour/components/web.wasm".into()],
        };
        let rules = Rules::new(&folder.path().join("spin.toml"), &sources);
        (folder, rules)
    }

    #[test]
    fn a_file_has_that_built_which_is_made_from_it() {
        let (folder, rules) = project();
        let folder = folder.path().canonicalize().unwrap();
        let of = |name: &str| {
            let builds = rules.of(&folder.join(name))?;
            Some(
                builds
                    .iter()
                    .map(|it| it.component.as_str())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(of("src/lib.rs"), Some(vec!["one", "two"]));
        assert_eq!(of("src/inner/deep.rs"), Some(vec!["one", "two"]));
        assert_eq!(of("Cargo.toml"), Some(vec!["one"]));
        assert_eq!(of("shared/src/lib.rs"), Some(vec!["one", "two"]));
        assert_eq!(of("other/lib.rs"), Some(vec!["two"]));
        assert_eq!(of("spin.toml"), Some(vec!["one", "two"]));
        assert_eq!(of("page/index.html"), Some(vec![]));
        assert_eq!(of("parlour/components/web.wasm"), Some(vec![]));
        for other in [
            "target/release/build/made.rs",
            "README.md",
            "src/lib.rs.swp",
            "Cargo.lock",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn files_are_watched_by_their_folders_and_folders_as_a_whole() {
        let (folder, rules) = project();
        let folder = folder.path().canonicalize().unwrap();
        let expected = [
            ("", true),
            ("page", true),
            ("parlour/components", false),
            ("shared/src", false),
            ("src", true),
        ];
        let expected = expected.map(|(name, deep)| match name {
            "" => (folder.clone(), deep),
            name => (folder.join(name), deep),
        });
        assert_eq!(rules.places(), expected);
    }
}
