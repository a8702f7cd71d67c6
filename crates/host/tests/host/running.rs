//! Builds the guests once, starts a case with a state directory of its own, and asks it things.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use http_body_util::{BodyExt, Full};
use parlour_host::{App, Body, Options};
use tempfile::{NamedTempFile, TempDir};

/// The components are compiled once for all tests.
pub fn guests() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments =
            "build --quiet --target wasm32-wasip2 --profile wasm -p parlour-host-guest --examples";
        let status = Command::new(cargo)
            .args(arguments.split(' '))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .status();
        let built = status.is_ok_and(|status| status.success());
        assert!(built, "cannot build the guests: cargo {arguments}");
    });
}

pub fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(name)
        .join("spin.toml")
}

/// An application under test.
pub struct Running {
    pub app: App,
    pub state: TempDir,
}

/// What came back.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

pub fn options(name: &str, state: &Path) -> Options {
    guests();
    Options {
        manifest: case(name),
        state_dir: Some(state.to_owned()),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("components")),
        ..Options::default()
    }
}

/// The runtime configuration that the case `databases` needs.
pub fn databases_config() -> NamedTempFile {
    let config = NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "[sqlite_database.other]\ntype = \"spin\"\n").unwrap();
    config
}

pub async fn start(name: &str) -> Running {
    start_with(name, |_| ()).await
}

pub async fn start_with(name: &str, change: impl FnOnce(&mut Options)) -> Running {
    let state = tempfile::tempdir().unwrap();
    let mut options = options(name, state.path());
    change(&mut options);
    let app = App::load(options).await.unwrap();
    Running { app, state }
}

/// The whole text of the error that loading a case must give.
pub async fn load_error(name: &str) -> String {
    let state = tempfile::tempdir().unwrap();
    match App::load(options(name, state.path())).await {
        Ok(_) => panic!("{name} was loaded"),
        Err(error) => format!("{error:#}"),
    }
}

impl Running {
    /// A request with headers and a body.
    pub async fn ask(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let body: Body = Full::new(bytes::Bytes::from(body.to_owned()))
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut request = http::Request::post(path).header("host", "example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.app.handle(request.body(body).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Has the guest `app` do something and expects that it could.
    pub async fn asked_to(&self, task: &str) -> String {
        let answer = self.ask("/", &[("x-do", task)], "").await;
        assert_eq!(answer.status, 200, "{task}");
        answer.body
    }
}
