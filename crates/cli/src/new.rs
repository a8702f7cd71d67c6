//! `parlour new`: makes a project of one's own, which needs nothing of Parlour's sources.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::kit::{self, Kit};

#[derive(Args)]
pub struct Flags {
    /// The project's name, and the folder that is made for it: lower-case words with hyphens between them
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// What it begins with
    #[arg(long, value_enum, default_value = "chat", value_name = "TEMPLATE")]
    template: Template,
}

#[derive(Clone, Copy, ValueEnum)]
enum Template {
    /// A chat with rooms
    Chat,
    /// The least that works
    Empty,
    /// A namespace for authorised users only
    Members,
}

/// The name that a template's files have in the place of the project's; the second form is Rust's.
const PLACEHOLDERS: [&str; 2] = ["parlour-project", "parlour_project"];

/// What a package cannot be called, because Rust or another package of the project is.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "parlour-protocol",
    "parlour-sdk",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "spin-sdk",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The characters that a name has at most; it becomes part of file names.
const MAX_NAME: usize = 64;

macro_rules! template {
    ($folder:literal: $($file:literal),*) => {
        &[$(($file, include_str!(concat!("../templates/", $folder, "/", $file)))),*]
    };
}

type Texts = &'static [(&'static str, &'static str)];

/// What all projects have. A leading dot or capital would have tools take the template for a project.
const COMMON: Texts = template!("common": "Cargo.toml.in", "gitignore", "package.json", "page/icon.svg", "page/style.css", "test/server.mjs");

impl Template {
    fn texts(self) -> Texts {
        match self {
            Template::Chat => template!(
                "chat": "spin.toml", "README.md", "src/lib.rs", "page/index.html", "page/chat.js", "test/chat.test.mjs"
            ),
            Template::Empty => template!(
                "empty": "spin.toml", "README.md", "src/lib.rs", "page/index.html", "page/main.js", "test/main.test.mjs"
            ),
            Template::Members => template!(
                "members": "spin.toml", "README.md", "src/lib.rs", "page/index.html", "page/members.js", "test/members.test.mjs"
            ),
        }
    }
}

impl Flags {
    pub fn make(&self) -> Result<()> {
        let name = name(&self.folder)?;
        let kit = Kit::own()?;
        make_empty(&self.folder)?;
        for (file, text) in COMMON.iter().chain(self.template.texts()) {
            let path = self.folder.join(place(file));
            kit::write(&path, fill(text, &name).as_bytes())?;
        }
        let lock = fill(&kit.lock, &name);
        kit::write(&self.folder.join(kit::LOCK), lock.as_bytes())?;
        kit.write(&self.folder)?;
        println!(
            "Made {}. Next:\n\n  cd {0}\n  parlour dev      # builds and runs it, and does so again whenever you save a file\n  \
             npm test         # in another terminal: its test, with a real client",
            self.folder.display()
        );
        Ok(())
    }
}

/// The project's name, from its folder.
fn name(folder: &Path) -> Result<String> {
    let last = folder.file_name().and_then(|name| name.to_str());
    let name = last.with_context(|| {
        format!(
            "{} is no name for a project: name the folder that is to be made, such as `parlour new my-chat`",
            folder.display()
        )
    })?;
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if name.len() > MAX_NAME || !name.split('-').all(is_word) {
        bail!(
            "{name:?} is no name for a project: use words of a-z and 0-9 that begin with a letter, with - between them, such \
             as my-chat, and {MAX_NAME} characters at most"
        );
    }
    if TAKEN.contains(&name) {
        bail!(
            "{name:?} is no name for a project, because Rust or a package that the project needs has it: take another, such \
             as my-{name}"
        );
    }
    Ok(name.to_owned())
}

/// Makes the folder, unless there is one that is empty.
fn make_empty(folder: &Path) -> Result<()> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!(
                    "{} is there already and is not empty: take another name, or move it away",
                    folder.display()
                );
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = std::fs::create_dir_all(folder);
            made.with_context(|| format!("cannot make the folder {}", folder.display()))
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "{} is there already and is no folder that can be used",
                folder.display()
            )
        }),
    }
}

/// Where a template's file is in the project.
fn place(file: &str) -> &str {
    match file {
        "gitignore" => ".gitignore",
        file => file.strip_suffix(".in").unwrap_or(file),
    }
}

fn fill(text: &str, name: &str) -> String {
    let [kebab, snake] = PLACEHOLDERS;
    text.replace(kebab, name)
        .replace(snake, &name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_rust_spin_and_npm_take() {
        for good in ["chat", "my-chat", "a", "chat2", "x1-y2", "sub/folder/chat"] {
            assert!(name(Path::new(good)).is_ok(), "{good}");
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "", ".", "..", "/", "Chat", "my_chat", "my chat", "2chat", "my-2", "-chat", "chat-",
            "a--b", "käse", "chat.js", &long,
        ] {
            let error = format!("{:#}", name(Path::new(bad)).unwrap_err());
            assert!(error.contains("my-chat"), "{bad}: {error}");
        }
        for taken in ["match", "self", "test", "serde", "parlour-sdk"] {
            let error = name(Path::new(taken)).unwrap_err().to_string();
            assert!(error.contains(&format!("my-{taken}")), "{error}");
        }
    }

    #[test]
    fn a_folder_that_has_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        make_empty(folder.path()).unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        let error = make_empty(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        let file = folder.path().join("mine");
        assert!(make_empty(&file).is_err());
    }

    #[test]
    fn templates_have_the_projects_name_in_its_two_forms_and_no_other() {
        for template in Template::value_variants() {
            for (file, text) in COMMON.iter().chain(template.texts()) {
                let filled = fill(text, "my-chat");
                assert!(!filled.contains("parlour-project"), "{file}");
                assert!(!filled.contains("parlour_project"), "{file}");
            }
            let manifest = template.texts().iter().find(|it| it.0 == "spin.toml");
            let manifest = fill(manifest.unwrap().1, "my-chat");
            assert!(manifest.contains("name = \"my-chat\""), "{manifest}");
            assert!(manifest.contains("release/my_chat.wasm"), "{manifest}");
        }
    }
}
