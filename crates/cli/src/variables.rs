//! What `--variable` says, in Spin's words: `KEY=VALUE`, `KEY=@FILE`, `@FILE.json` or `@FILE.toml`. A
//! secret is not taken from the command line itself, which every user of the machine can read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use parlour_host as host;

use crate::nearest::instead;
use crate::secrets::Secret;

/// Where values of variables come from.
#[derive(Clone)]
pub enum Source {
    /// A variable and its value.
    Literal(String, String),
    /// A variable, and the file whose content is its value, to the last byte.
    Content(String, PathBuf),
    /// A file of variables and their values.
    Table(PathBuf, Format),
}

#[derive(Clone, Copy)]
pub enum Format {
    Json,
    Toml,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        if let Some(path) = text.strip_prefix('@') {
            let path = PathBuf::from(path);
            let format = match path.extension().and_then(|end| end.to_str()) {
                Some("json") => Format::Json,
                Some("toml") => Format::Toml,
                _ => return Err("a file of variables must end in .json or .toml".to_owned()),
            };
            return Ok(Source::Table(path, format));
        }
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(match value.strip_prefix('@') {
                Some(path) => Source::Content(key.to_owned(), PathBuf::from(path)),
                None => Source::Literal(key.to_owned(), value.to_owned()),
            }),
            _ => Err("write it as KEY=VALUE, KEY=@FILE, @FILE.json or @FILE.toml".to_owned()),
        }
    }
}

/// The values, in order; of several for one variable the last counts. `manifest` says which are secret.
pub fn read(sources: &[Source], manifest: &Path) -> Result<Vec<(String, String)>> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let mut secret = host::secret_variables(manifest)?;
    secret.extend([Secret::Relay, Secret::Auth].map(|it| it.variable().to_owned()));
    let mut values = Vec::new();
    for source in sources {
        match source {
            Source::Literal(key, _) if secret.contains(key) => refuse(key)?,
            Source::Literal(key, value) => values.push((key.clone(), value.clone())),
            Source::Content(key, path) => values.push((key.clone(), content(path)?)),
            Source::Table(path, format) => values.extend(table(path, *format)?),
        }
    }
    let known = host::variable_names(manifest)?;
    for (key, _) in &values {
        if !known.contains(key) {
            let known = known.iter().map(String::as_str);
            let manifest = manifest.display();
            bail!(
                "--variable {key}: the application {manifest} has no such variable: {}",
                instead(key, known)
            );
        }
    }
    Ok(values)
}

/// The environment may have variables for other applications, too; so one that this application has not is only worth
/// a line.
pub fn warn_of_unknown(manifest: &Path) -> Result<()> {
    let known = host::variable_names(manifest)?;
    let ours = [Secret::Relay, Secret::Auth].map(|it| it.variable().to_owned());
    for (key, _) in std::env::vars_os() {
        let Some(name) = key
            .to_str()
            .and_then(|key| key.strip_prefix(host::ENVIRONMENT_PREFIX))
        else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if !known.contains(&name) && !ours.contains(&name) {
            let known = known.iter().map(String::as_str);
            tracing::warn!(
                "{} is set, and the application has no variable {name}: {}",
                host::environment_key(&name),
                instead(&name, known)
            );
        }
    }
    Ok(())
}

fn refuse(key: &str) -> Result<()> {
    let environment = host::environment_key(key);
    bail!(
        "the variable {key} is a secret, and whoever may list processes on this machine can read it in \
         `--variable {key}=…`: set {environment} in the environment, or name a file that has it with \
         --variable {key}=@FILE"
    )
}

fn content(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn table(path: &Path, format: Format) -> Result<BTreeMap<String, String>> {
    let text = content(path)?;
    // A parser's message could quote the file, which may have secrets.
    let (values, form) = match format {
        Format::Json => (serde_json::from_str(&text).ok(), "a JSON object"),
        Format::Toml => (toml::from_str(&text).ok(), "a TOML table"),
    };
    values.with_context(|| format!("{} is not {form} of strings", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "test"
        [variables]
        limit = { default = "1" }
        api_key = { required = true, secret = true }
        [component.one]
        source = "one.wasm"
    "#;

    /// What these `--variable`s mean. `{dir}` is a directory with a file for each of `files`.
    fn values(given: &[&str], files: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files.iter().chain(&[("spin.toml", MANIFEST)]) {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let path = dir.path().display().to_string();
        let sources = given
            .iter()
            .map(|text| text.replace("{dir}", &path).parse());
        let sources: Vec<Source> = sources
            .collect::<Result<_, _>>()
            .map_err(anyhow::Error::msg)?;
        read(&sources, &dir.path().join("spin.toml"))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn values_come_from_the_command_line_and_from_files() {
        let given = [
            "limit=a=b",
            "api_key=@{dir}/key",
            "@{dir}/more.json",
            "@{dir}/more.toml",
            "limit=",
        ];
        let files = [
            ("key", "k\n"),
            ("more.json", r#"{"limit": "2"}"#),
            ("more.toml", "api_key = 't'"),
        ];
        assert_eq!(
            values(&given, &files).unwrap(),
            pairs(&[
                ("limit", "a=b"),
                ("api_key", "k\n"),
                ("limit", "2"),
                ("api_key", "t"),
                ("limit", "")
            ])
        );
    }

    #[test]
    fn a_variable_that_there_is_not_is_named_with_the_one_that_was_meant() {
        let files = [("more.json", r#"{"limitt": "2"}"#)];
        for given in ["limitt=1", "@{dir}/more.json"] {
            let error = format!("{:#}", values(&[given], &files).unwrap_err());
            assert!(
                error.contains("--variable limitt") && error.contains("did you mean limit?"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused_with_the_ways_to_give_it() {
        for (given, environment) in [
            ("api_key=hush", "SPIN_VARIABLE_API_KEY"),
            ("relay_secret=hush", "SPIN_VARIABLE_RELAY_SECRET"),
            ("auth_secret=hush", "SPIN_VARIABLE_AUTH_SECRET"),
        ] {
            let error = format!("{:#}", values(&[given], &[]).unwrap_err());
            assert!(
                error.contains(environment) && error.contains("=@FILE"),
                "{error}"
            );
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_values() {
        for given in [
            "limit",
            "=1",
            "@{dir}/variables.txt",
            "@{dir}/none.json",
            "api_key=@{dir}/none",
        ] {
            assert!(values(&[given], &[]).is_err(), "{given}");
        }
        let files = [
            ("bad.json", r#"{"api_key": ["hush"]}"#),
            ("bad.toml", "api_key = hush"),
        ];
        for given in ["@{dir}/bad.json", "@{dir}/bad.toml"] {
            let error = format!("{:#}", values(&[given], &files).unwrap_err());
            assert!(error.contains("bad.") && !error.contains("hush"), "{error}");
        }
    }
}
