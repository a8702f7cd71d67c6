//! Does what the request's `x-do` header says, and answers with what came of it.

use http::{HeaderMap, HeaderName};
use http_body_util::Full;
use spin_sdk::{
    http::{Request, Result, body::IncomingBodyExt},
    http_service,
    sqlite::{Connection, Value},
    variables,
};

#[http_service]
async fn handle(request: Request) -> Result<String> {
    let headers = request.headers().clone();
    let (what, argument) = task(&headers);
    match what.as_str() {
        "who" => Ok(format!(
            "{} {} {}",
            std::env::var("NAME").unwrap_or_default(),
            last(&headers, "spin-raw-component-route"),
            last(&headers, "spin-path-info"),
        )),
        "headers" => Ok(headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
            .collect()),
        "uri" => Ok(request.uri().to_string()),
        "echo" => Ok(String::from_utf8_lossy(&request.into_body().bytes().await?).into_owned()),
        "variable" => Ok(format!("{:?}", variables::get(&argument).await)),
        "get" => Ok(get(&argument, &headers).await),
        "print" => {
            println!("{argument}");
            eprintln!("{argument}");
            Ok(String::new())
        }
        "loop" => loop {
            std::hint::spin_loop();
        },
        "allocate" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&kept);
            }
        }
        "read" => Ok(format!("{:?}", std::fs::read_to_string(&argument))),
        "write" => Ok(format!("{:?}", std::fs::write(&argument, "x").is_ok())),
        "sql" => {
            let script = request.into_body().bytes().await?;
            Ok(sql(&String::from_utf8_lossy(&script)).await)
        }
        other => panic!("asked to {other}"),
    }
}

/// `x-do: what argument`
fn task(headers: &HeaderMap) -> (String, String) {
    let text = last(headers, "x-do");
    match text.split_once(' ') {
        Some((what, argument)) => (what.to_owned(), argument.to_owned()),
        None if text.is_empty() => ("who".to_owned(), String::new()),
        None => (text, String::new()),
    }
}

fn last(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get_all(name).iter().next_back();
    value.map_or_else(String::new, |v| {
        String::from_utf8_lossy(v.as_bytes()).into_owned()
    })
}

/// Sends a GET, with `x-then` as the other's `x-do`.
async fn get(url: &str, headers: &HeaderMap) -> String {
    let mut request = match http::Request::get(url).body(Full::new(&b""[..])) {
        Ok(request) => request,
        Err(error) => return format!("{error:?}"),
    };
    if let Some(then) = headers.get("x-then") {
        request
            .headers_mut()
            .insert(HeaderName::from_static("x-do"), then.clone());
    }
    match spin_sdk::http::send(request).await {
        Ok(response) => {
            let status = response.status();
            let out: Vec<_> = response
                .headers()
                .get_all("x-out")
                .iter()
                .cloned()
                .collect();
            let body = response.into_body().bytes().await.unwrap_or_default();
            format!("{status} {out:?} {}", String::from_utf8_lossy(&body))
        }
        Err(error) => format!("{error:?}"),
    }
}

/// Runs a script, one step a line: `open LABEL`, `use INDEX`, `close`, `run SQL` (waits for the
/// result), `start SQL` (does not), `changes`, `rowid`. Answers a line for each.
async fn sql(script: &str) -> String {
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut current = 0;
    let mut answer = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (step, argument) = line.split_once(' ').unwrap_or((line, ""));
        let result = match step {
            "open" => match Connection::open(argument).await {
                Ok(connection) => {
                    current = connections.len();
                    connections.push(Some(connection));
                    "opened".to_owned()
                }
                Err(error) => format!("{error:?}"),
            },
            "use" => {
                current = argument.parse().unwrap_or_default();
                "used".to_owned()
            }
            "close" => {
                connections[current] = None;
                "closed".to_owned()
            }
            _ => match &connections[current] {
                Some(connection) => statement(connection, step, argument).await,
                None => "no connection".to_owned(),
            },
        };
        answer.push_str(&result);
        answer.push('\n');
    }
    answer
}

async fn statement(connection: &Connection, step: &str, sql: &str) -> String {
    match step {
        "changes" => connection.changes().await.to_string(),
        "rowid" => connection.last_insert_rowid().await.to_string(),
        // The text after a `|` is the first parameter.
        _ => {
            let (sql, parameters) = match sql.split_once('|') {
                Some((sql, text)) => (sql, vec![Value::Text(text.to_owned())]),
                None => (sql, Vec::new()),
            };
            let result = match connection.execute(sql, parameters).await {
                Ok(result) => result,
                Err(error) => return format!("execute: {error:?}"),
            };
            if step == "start" {
                return "started".to_owned();
            }
            let columns = result.columns().join(",");
            match result.collect().await {
                Ok(rows) => {
                    let rows: Vec<_> = rows.iter().map(|row| show(&row.values)).collect();
                    format!("{columns} [{}]", rows.join(" "))
                }
                Err(error) => format!("result: {error:?}"),
            }
        }
    }
}

fn show(values: &[Value]) -> String {
    let shown: Vec<_> = values
        .iter()
        .map(|value| match value {
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => format!("{value:?}"),
            Value::Text(value) => format!("{value:?}"),
            Value::Blob(value) => format!("{value:x?}"),
            Value::Null => "null".to_owned(),
        })
        .collect();
    shown.join(",")
}
