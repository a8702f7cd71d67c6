use super::*;

fn get_with(path: &str, name: &'static str, value: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    to(&Method::GET, path, &headers)
}

fn get(path: &str) -> Answer {
    to(&Method::GET, path, &HeaderMap::new())
}

fn hashed_asset() -> String {
    let html = std::str::from_utf8(get("/").body).unwrap();
    let start = html.find("/assets/").expect("the page names its script");
    html[start..].split('"').next().unwrap().to_owned()
}

#[test]
fn the_page_is_asked_for_each_time_and_may_load_only_our_own() {
    let page = get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.headers["cache-control"], "no-cache");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'"));
    assert_eq!(page.body, get("/index.html").body);
}

#[test]
fn what_has_its_hash_in_its_name_is_kept_for_good() {
    let asset = get(&hashed_asset());
    assert_eq!(asset.status, 200);
    let cache = asset.headers["cache-control"].to_str().unwrap();
    assert!(cache.contains("immutable"));
}

#[test]
fn socket_ios_client_is_there_with_its_maps() {
    for name in ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"] {
        let script = get(&format!("/socket.io/{name}"));
        assert_eq!(script.status, 200, "{name}");
        assert_eq!(
            script.headers["content-type"],
            "application/javascript; charset=utf-8"
        );
        assert_eq!(script.headers["cache-control"], "public, max-age=0");
        let map = get(&format!("/socket.io/{name}.map"));
        assert_eq!(
            map.headers["content-type"],
            "application/json; charset=utf-8"
        );
    }
}

#[test]
fn who_has_it_already_is_told_so() {
    let etag = get("/").headers["etag"].to_str().unwrap().to_owned();
    for known in [
        etag.clone(),
        etag.trim_start_matches("W/").to_owned(),
        format!("\"other\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = get_with("/", "if-none-match", &known);
        assert_eq!(answer.status, 304, "{known}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.headers["etag"], etag.as_str());
    }
    assert_eq!(get_with("/", "if-none-match", "\"other\"").status, 200);
}

#[test]
fn it_is_compressed_for_those_who_take_it() {
    let path = "/socket.io/socket.io.js";
    let plain = get(path);
    assert!(!plain.headers.contains_key("content-encoding"));
    for (accept, coding) in [
        ("gzip, deflate, br", Some("br")),
        ("gzip, deflate", Some("gzip")),
        ("GZIP;q=0.5", Some("gzip")),
        ("br;q=0, gzip;q=0.0", None),
        ("identity", None),
    ] {
        let answer = get_with(path, "accept-encoding", accept);
        let got = answer.headers.get("content-encoding");
        assert_eq!(got.map(|value| value.to_str().unwrap()), coding, "{accept}");
        assert_eq!(answer.headers["vary"], "accept-encoding");
        assert_eq!(coding.is_some(), answer.body.len() < plain.body.len());
        let length = answer.body.len().to_string();
        assert_eq!(answer.headers["content-length"], length.as_str());
    }
}

#[test]
fn head_is_get_without_the_body() {
    let head = to(&Method::HEAD, "/", &HeaderMap::new());
    let page = get("/");
    assert!(head.body.is_empty());
    assert_eq!(head.headers, page.headers);
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in ["/nothing", "/assets/", "/../Cargo.toml", "//", "*"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
}

#[test]
fn nothing_can_be_written() {
    let answer = to(&Method::POST, "/", &HeaderMap::new());
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "GET, HEAD");
}
