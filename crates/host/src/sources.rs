//! What an application is made from: the commands that build its components, and the files that it is loaded from. For
//! those who build and watch; the host itself only loads.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::manifest::{Commands, Component, ComponentRef, FilesMount, Manifest, Source};

/// What an application is made from.
#[derive(Debug, PartialEq, Eq)]
pub struct Sources {
    pub builds: Vec<Build>,
    /// What is loaded and not built, relative to the manifest: Wasm files, and what `files` mounts, which can be globs.
    pub loaded: Vec<String>,
}

/// `build` of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub component: String,
    /// For the shell, in this order.
    pub commands: Vec<String>,
    pub workdir: PathBuf,
    /// What it is built from: paths or globs, relative to `workdir`.
    pub watch: Vec<String>,
}

impl Sources {
    /// Reads the manifest, and nothing else.
    pub fn read(manifest: &Path) -> Result<Sources> {
        let path = std::path::absolute(manifest)
            .with_context(|| format!("the path {}", manifest.display()))?;
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        let manifest = Manifest::read(&path)?;
        let mut sources = Sources {
            builds: Vec::new(),
            loaded: Vec::new(),
        };
        for (id, component) in &manifest.components {
            sources.add(&base, &id.to_string(), component);
        }
        for trigger in &manifest.triggers.http {
            if let Some(ComponentRef::Inline(component)) = &trigger.component {
                sources.add(&base, "in a trigger", component);
            }
        }
        Ok(sources)
    }

    fn add(&mut self, base: &Path, name: &str, component: &Component) {
        match (&component.build, &component.source) {
            (Some(build), _) => self.builds.push(Build {
                component: name.to_owned(),
                commands: match &build.command {
                    Commands::One(command) => vec![command.clone()],
                    Commands::Several(commands) => commands.clone(),
                },
                workdir: base.join(build.workdir.as_deref().unwrap_or_default()),
                watch: build.watch.clone(),
            }),
            (None, Source::Local(path)) => self.loaded.push(path.clone()),
            (None, Source::Remote(_)) => {}
        }
        let mounted = component.files.iter().map(|mount| match mount {
            FilesMount::Pattern(pattern) => pattern.clone(),
            FilesMount::Placement { source, .. } => source.clone(),
        });
        self.loaded.extend(mounted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_and_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("spin.toml");
        let text = r#"
            spin_manifest_version = 2
            [application]
            name = "test"
            [[trigger.http]]
            route = "/in"
            component = { source = "in.wasm", build = { command = "make in" } }
            [component.one]
            source = "target/one.wasm"
            files = ["notes/*.txt", { source = "page", destination = "/" }]
            build = { command = ["first", "second"], workdir = "one", watch = ["src/**/*.rs"] }
            [component.two]
            source = "two.wasm"
        "#;
        std::fs::write(&manifest, text).unwrap();
        let build = |component: &str, commands: &[&str], workdir: &str, watch: &[&str]| Build {
            component: component.into(),
            commands: commands.iter().map(|&it| it.into()).collect(),
            workdir: folder.path().join(workdir),
            watch: watch.iter().map(|&it| it.into()).collect(),
        };
        let expected = Sources {
            builds: vec![
                build("one", &["first", "second"], "one", &["src/**/*.rs"]),
                build("in a trigger", &["make in"], "", &[]),
            ],
            loaded: ["notes/*.txt", "page", "two.wasm"].map(String::from).into(),
        };
        assert_eq!(Sources::read(&manifest).unwrap(), expected);
    }

    #[test]
    fn a_command_is_a_text_or_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("spin.toml");
        let text = "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
                    [component.one]\nsource = \"one.wasm\"\nbuild = { command = 1 }\n";
        std::fs::write(&manifest, text).unwrap();
        let error = format!("{:#}", Sources::read(&manifest).unwrap_err());
        assert!(error.contains("a command, or a list"), "{error}");
    }
}
