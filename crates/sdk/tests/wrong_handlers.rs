//! What the compiler says of a handler that is none: which handler, and what one can be.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Cargo has put this test, and the library that it is linked with.
fn artifacts() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    test.parent().expect("it is in a folder").to_owned()
}

/// The library as it was built last.
fn library(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("the folder can be read");
    let paths = files.filter_map(|file| Some(file.ok()?.path()));
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libparlour_sdk-") && name.ends_with(".rlib"))
    };
    let built = |path: &PathBuf| fs::metadata(path).and_then(|it| it.modified()).ok();
    let newest = paths.filter(is_library).max_by_key(built);
    newest.expect("Cargo builds the library before its tests")
}

/// What the compiler says of an app with this in it.
fn compiled(line: &str) -> Result<(), String> {
    let folder = artifacts();
    let name = line
        .bytes()
        .fold(0_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("handler_{name}.rs"));
    let text =
        format!("#![allow(unused)]\nuse parlour_sdk::*;\npub fn app(io: &mut Io) {{\n{line}\n}}\n");
    fs::write(&source, text).expect("can write to Cargo's folder for tests");
    let output = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .arg("-o")
        .arg(source.with_extension("rmeta"))
        .arg(format!("-Ldependency={}", folder.display()))
        .arg(format!(
            "--extern=parlour_sdk={}",
            library(&folder).display()
        ))
        .arg(&source)
        .output()
        .expect("rustc runs");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn a_right_handler_compiles() {
    compiled(r#"io.on("a", async |socket: Socket, text: String| socket.emit("b", text));"#)
        .unwrap();
}

#[test]
fn a_wrong_handler_is_told_what_handlers_can_be() {
    for (kind, line) in [
        (
            "Event",
            r#"io.on("a", async |thread: std::thread::Thread| {});"#,
        ),
        ("Event", r#"io.on("a", async |reason: Reason| {});"#),
        ("Event", r#"io.on("a", |text: String| {});"#),
        ("Event", r#"io.on("a", async |text: String| 5);"#),
        ("Connect", "io.on_connect(async |text: String| {});"),
        ("Connect", "io.on_connect(async |ack: Ack| {});"),
        ("Disconnect", "io.on_disconnect(async |ack: Ack| {});"),
        (
            "Acknowledgements",
            r#"io.on_ack("a", async |socket: Socket| {});"#,
        ),
        ("AnyEvent", "io.on_any(async |text: String| {});"),
    ] {
        let said = compiled(line).expect_err(line);
        for expected in [
            "this cannot be a handler of `".into(),
            // With its path, where the name alone means something else as well.
            format!("{kind}`"),
            "a handler is an `async` closure or function that takes what it names".into(),
        ] {
            assert!(said.contains(&expected), "{line}: {said}");
        }
        // It is one mistake, so it is one error, at the handler.
        assert_eq!(said.matches("error[").count(), 1, "{said}");
    }
}

#[test]
fn what_cannot_be_sent_is_named() {
    let said = compiled(r#"io.on("a", async || Ok(std::thread::current()));"#).unwrap_err();
    assert!(
        said.contains("`Thread` cannot be sent to clients"),
        "{said}"
    );
}
