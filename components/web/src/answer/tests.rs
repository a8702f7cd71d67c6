use super::*;

use tempfile::TempDir;

const SCRIPT: &str = "// Socket.IO's client, as it was written by hand and not compressed";

/// A site with a page, an asset, a script with compressed twins, and what is outside of it.
struct Site(TempDir);

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in [
            ("secret.txt", "outside"),
            ("site/index.html", "<!doctype html>"),
            ("site/assets/index-DJQFxaTb.js", "1"),
            ("site/socket.io/socket.io.js", SCRIPT),
            ("site/socket.io/socket.io.js.br", "br"),
            ("site/socket.io/socket.io.js.gz", "gzip"),
            ("site/socket.io/socket.io.js.map", "{}"),
            ("site/help/index.html", "help"),
            ("site/two words é.PNG", "a picture"),
            ("site/README", "?"),
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
        Site(folder)
    }

    fn ask(&self, method: Method, path: &str, headers: &HeaderMap) -> Answer {
        let settings = Settings {
            root: &self.0.path().join("site"),
            policy: None,
            immutable: Some("assets/".into()),
        };
        settings.answer(&method, path, headers)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &HeaderMap::new())
    }

    fn get_with(&self, path: &str, name: &'static str, value: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        self.ask(Method::GET, path, &headers)
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[test]
fn the_page_is_asked_for_each_time_and_may_load_only_our_own() {
    let site = Site::new();
    let page = site.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "cache-control"), "no-cache");
    assert!(header(&page, "content-security-policy").contains("default-src 'none'"));
    assert_eq!(page.body, site.get("/index.html").body);
    assert_eq!(site.get("/help/").body, b"help");
}

#[test]
fn the_variables_say_what_a_page_may_load_and_what_is_kept_for_good() {
    let site = Site::new();
    let settings = Settings {
        root: &site.0.path().join("site"),
        policy: Some("default-src *".into()),
        immutable: None,
    };
    let get = |path| settings.answer(&Method::GET, path, &HeaderMap::new());
    assert_eq!(
        header(&get("/"), "content-security-policy"),
        "default-src *"
    );
    let asset = get("/assets/index-DJQFxaTb.js");
    assert_eq!(header(&asset, "cache-control"), "no-cache");
}

#[test]
fn what_has_its_hash_in_its_name_is_kept_for_good() {
    let asset = Site::new().get("/assets/index-DJQFxaTb.js");
    assert_eq!(asset.status, 200);
    assert!(header(&asset, "cache-control").contains("immutable"));
}

#[test]
fn socket_ios_client_is_there_with_its_map() {
    let site = Site::new();
    let script = site.get("/socket.io/socket.io.js");
    assert_eq!(script.body, SCRIPT.as_bytes());
    let kind = "application/javascript; charset=utf-8";
    assert_eq!(header(&script, "content-type"), kind);
    assert_eq!(header(&script, "cache-control"), "public, max-age=0");
    assert_eq!(header(&script, "access-control-allow-origin"), "*");
    let map = site.get("/socket.io/socket.io.js.map");
    assert_eq!(
        header(&map, "content-type"),
        "application/json; charset=utf-8"
    );
}

#[test]
fn names_may_have_any_letters_and_unknown_kinds_are_bytes() {
    let site = Site::new();
    let picture = site.get("/two%20words%20%C3%A9.PNG");
    assert_eq!(picture.body, b"a picture");
    assert_eq!(header(&picture, "content-type"), "image/png");
    let unknown = site.get("/README");
    assert_eq!(header(&unknown, "content-type"), "application/octet-stream");
}

#[test]
fn who_has_it_already_is_told_so() {
    let site = Site::new();
    let etag = header(&site.get("/"), "etag").to_owned();
    for known in [
        etag.clone(),
        etag.trim_start_matches("W/").to_owned(),
        format!("\"other\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = site.get_with("/", "if-none-match", &known);
        assert_eq!(answer.status, 304, "{known}");
        assert!(answer.body.is_empty());
        assert_eq!(header(&answer, "etag"), etag);
    }
    let other = site.get_with("/", "if-none-match", "\"other\"");
    assert_eq!(other.status, 200);
    std::fs::write(site.0.path().join("site/index.html"), "changed").unwrap();
    assert_eq!(site.get_with("/", "if-none-match", &etag).status, 200);
}

#[test]
fn it_is_compressed_for_those_who_take_it() {
    let site = Site::new();
    let path = "/socket.io/socket.io.js";
    for (accept, coding) in [
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("br;q=0, gzip;q=0.0", ""),
        ("identity", ""),
    ] {
        let answer = site.get_with(path, "accept-encoding", accept);
        assert_eq!(header(&answer, "content-encoding"), coding, "{accept}");
        assert_eq!(header(&answer, "vary"), "accept-encoding");
        let expected = match coding {
            "" => SCRIPT,
            coding => coding,
        };
        assert_eq!(answer.body, expected.as_bytes());
        let length = answer.body.len().to_string();
        assert_eq!(header(&answer, "content-length"), length);
    }
    let plain = site.get_with("/help/", "accept-encoding", "br");
    assert_eq!(header(&plain, "content-encoding"), "", "it has no twin");
}

#[test]
fn head_is_get_without_the_body() {
    let site = Site::new();
    let head = site.ask(Method::HEAD, "/", &HeaderMap::new());
    assert!(head.body.is_empty());
    assert_eq!(head.headers, site.get("/").headers);
}

#[test]
fn what_is_not_there_or_outside_is_not_found() {
    let site = Site::new();
    for path in [
        "/nothing",
        "/assets/",
        "/assets",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/help/../index.html",
        "/./index.html",
        "//index.html",
        "//",
        "*",
        "/%ff",
        "/index.html%00",
        "/..%5csecret.txt",
    ] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
}

#[test]
fn nothing_can_be_written() {
    let answer = Site::new().ask(Method::POST, "/", &HeaderMap::new());
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "GET, HEAD");
}
