//! The HTTP contract of a namespace (`docs/http-contract.md`): `POST /connect`, `POST /recover`, `POST /events`,
//! `POST /probe` and `POST /check`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full};
use parlour_protocol::relay::{self, header};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use spin_sdk::http::Request;

use crate::{
    batch::{self, Committed},
    check,
    context::Scope,
    interface::{self, Begun, Transaction},
    io::Io,
    replay, settings,
};

/// Where the middleware leaves what it knows of the client: base64url of JSON.
const CLAIMS: &str = "parlour-claims";

/// Answers a request of the router with the handlers that the app has.
pub async fn serve(app: impl FnOnce(&mut Io), request: Request) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let outcome = match (request.method(), path) {
        (&Method::POST, "/connect") => claims(request.headers()).map(answer),
        (&Method::POST, "/events") => events(app, request).await,
        (&Method::POST, "/recover") => recoverable(request).await.map(answer),
        (&Method::POST, "/probe") => probe().await.map(answer),
        (&Method::POST, "/check") => Ok(answer(json!(check::report().await).to_string())),
        (method, path) => Err(Failure::NotFound(format!("{method} {path}"))),
    };
    match outcome {
        Ok(answer) => answer,
        Err(failure) => failure.response(),
    }
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "a namespace has POST /connect, POST /events, POST /recover, POST /probe and POST /check, not {0}"
    )]
    NotFound(String),
    #[error("{0}")]
    Misconfigured(String),
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Batch(#[from] batch::Failed),
}

impl From<interface::Error> for Failure {
    fn from(error: interface::Error) -> Self {
        Self::Batch(error.into())
    }
}

impl Failure {
    /// The status, by which the relay knows what to do, and a code and a message for people.
    fn parts(&self) -> (StatusCode, &'static str, String) {
        use batch::Failed;
        use interface::Error;
        let internal = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", self.to_string()),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", self.to_string()),
            Self::Misconfigured(_) => (internal, "configuration", self.to_string()),
            Self::Batch(Failed::TooLarge(_)) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", self.to_string())
            }
            Self::Batch(Failed::Storage(error)) => match error {
                Error::Stale(epoch) => {
                    let message = format!("this epoch of the relay is over, {epoch} is not");
                    (StatusCode::CONFLICT, "stale", message)
                }
                Error::NewerSchema(text) => (internal, "newer_schema", text.clone()),
                Error::Storage(text) => (internal, "storage", text.clone()),
                Error::Unavailable(text) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "unavailable", text.clone())
                }
                Error::Overtaken(text) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "overtaken", text.clone())
                }
            },
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let (status, code, message) = self.parts();
        if status != StatusCode::NOT_FOUND {
            eprintln!("{status}: {message}");
        }
        let body = json!({ "error": { "code": code, "message": message } });
        let mut response = response(status, body.to_string().into());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn answer(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(StatusCode::OK, body.into())
}

/// The answer to a batch that was committed now, with how long that took.
fn committed(batch: Committed) -> Response<Full<Bytes>> {
    let mut response = answer(batch.response);
    let milliseconds = batch.took.as_secs_f64() * 1000.0;
    let timing = format!("{};dur={milliseconds:.3}", header::COMMIT);
    if let Ok(timing) = timing.try_into() {
        response.headers_mut().insert(header::SERVER_TIMING, timing);
    }
    response
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    // With its length known, the answer leaves in one piece.
    let length = body.len();
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Whoever comes this far has passed the middleware; its claims come back with the `connect` event.
fn claims(headers: &HeaderMap) -> Result<Vec<u8>, Failure> {
    let Some(claims) = headers.get(CLAIMS) else {
        return Ok(b"null".to_vec());
    };
    let claims = URL_SAFE_NO_PAD.decode(claims.as_bytes()).ok();
    claims
        .filter(|claims| serde_json::from_slice::<&RawValue>(claims).is_ok())
        .ok_or_else(|| Failure::Malformed(format!("`{CLAIMS}` must be JSON in base64url")))
}

async fn events(
    app: impl FnOnce(&mut Io),
    request: Request,
) -> Result<Response<Full<Bytes>>, Failure> {
    let key = key(request.headers())?;
    let max_rooms = max_rooms(request.headers())?;
    let body = body(request).await?;
    let batch: relay::Batch = relay::from_slice(&body)
        .map_err(|error| Failure::Malformed(format!("the batch is not one: {error}")))?;
    batch::check(&batch).map_err(Failure::Malformed)?;
    let policy = settings::policy().await.map_err(Failure::Misconfigured)?;
    let scope = Scope {
        namespace: key.namespace.clone(),
        policy,
        max_rooms,
    };
    // Before the batch takes the lock, and anew for each attempt: the relay may have fallen behind further.
    let replay = replay::of(&key, &batch).await?;
    let with_replay = |answer: String| match &replay {
        Some(replay) => replay::added(answer, replay),
        None => answer,
    };
    match Transaction::begin(key, policy).await? {
        Begun::Done(response) if policy.recovery > 0 => {
            Ok(answer(with_replay(batch::with_pids(&batch, response))))
        }
        Begun::Done(response) => Ok(answer(with_replay(response))),
        Begun::Fresh(transaction) => {
            let mut io = Io::new(&scope.namespace);
            app(&mut io);
            let namespace = io.into_asked();
            let batch = batch::run(&namespace, scope, batch, Box::new(transaction)).await?;
            Ok(committed(Committed {
                response: with_replay(batch.response),
                ..batch
            }))
        }
    }
}

/// Which of the clients that ask to enter could resume a session of theirs.
async fn recoverable(request: Request) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Question<'a> {
        namespace: String,
        /// What each client said in `auth`.
        #[serde(borrow)]
        clients: Vec<Option<&'a RawValue>>,
    }
    let body = body(request).await?;
    let Question { namespace, clients } = relay::from_slice(&body)
        .map_err(|error| Failure::Malformed(format!("the question is not one: {error}")))?;
    let policy = settings::policy().await.map_err(Failure::Misconfigured)?;
    let claims = batch::claims(&clients);
    let mut answers = vec![false; claims.len()];
    let (places, claims): (Vec<usize>, Vec<_>) = (0..)
        .zip(claims)
        .filter_map(|(place, claim)| Some((place, claim?)))
        .unzip();
    if policy.recovery > 0 && !claims.is_empty() {
        let found = interface::recoverable(namespace, policy, claims).await?;
        for (place, found) in places.into_iter().zip(found) {
            answers[place] = found;
        }
    }
    Ok(json!({ "recoverable": answers }).to_string())
}

/// Whether a batch could be committed now, as far as that does not depend on the batch.
async fn probe() -> Result<String, Failure> {
    settings::policy().await.map_err(Failure::Misconfigured)?;
    interface::probe().await?;
    Ok("{}".to_owned())
}

async fn body(request: Request) -> Result<Bytes, Failure> {
    let body = request.into_body().collect().await;
    let body =
        body.map_err(|error| Failure::Malformed(format!("cannot read the request: {error}")))?;
    Ok(body.to_bytes())
}

/// Which batch it is, by its headers.
fn key(headers: &HeaderMap) -> Result<interface::Batch, Failure> {
    let lane = text(headers, header::LANE)?;
    let namespace = percent_decode_str(lane)
        .decode_utf8()
        .map_err(|_| Failure::Malformed(format!("`{}` is not UTF-8: {lane}", header::LANE)))?;
    let attempt = number(headers, header::ATTEMPT)?;
    Ok(interface::Batch {
        relay: text(headers, header::RELAY)?.to_owned(),
        epoch: number(headers, header::EPOCH)?,
        namespace: namespace.into_owned(),
        sequence: number(headers, header::SEQUENCE)?,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
    })
}

/// Relays that set no limit do not send it.
fn max_rooms(headers: &HeaderMap) -> Result<Option<usize>, Failure> {
    match headers.contains_key(header::MAX_ROOMS) {
        true => {
            let limit = number(headers, header::MAX_ROOMS)?;
            Ok(usize::try_from(limit).ok())
        }
        false => Ok(None),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Failure> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Failure::Malformed(format!("the header `{name}` is missing")))
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, Failure> {
    let value = text(headers, name)?;
    value
        .parse()
        .map_err(|_| Failure::Malformed(format!("`{name}: {value}` is not a number")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_answer_to_a_batch_says_how_long_the_commit_took() {
        let answer = committed(Committed {
            response: "{}".into(),
            took: Duration::from_micros(1250),
        });
        assert_eq!(answer.headers()[header::SERVER_TIMING], "commit;dur=1.250");
    }

    #[test]
    fn claims_are_passed_on_and_anything_else_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(claims(&headers).unwrap(), b"null");
        let value = URL_SAFE_NO_PAD.encode(r#"{"sub":"ada"}"#);
        headers.insert(CLAIMS, value.parse().unwrap());
        assert_eq!(claims(&headers).unwrap(), br#"{"sub":"ada"}"#);
        headers.insert(CLAIMS, "{".parse().unwrap());
        assert!(claims(&headers).is_err());
    }

    #[test]
    fn a_batch_is_known_by_its_headers() {
        let mut headers = HeaderMap::new();
        let values = [
            (header::RELAY, "r1"),
            (header::EPOCH, "1700000000000"),
            (header::LANE, "/caf%C3%A9"),
            (header::SEQUENCE, "7"),
        ];
        for (name, value) in values {
            headers.insert(name, value.parse().unwrap());
        }
        let error = key(&headers).unwrap_err().to_string();
        assert!(error.contains("parlour-attempt"), "{error}");
        headers.insert(header::ATTEMPT, "2".parse().unwrap());
        assert_eq!(max_rooms(&headers).unwrap(), None);
        headers.insert(header::MAX_ROOMS, "1000".parse().unwrap());
        assert_eq!(max_rooms(&headers).unwrap(), Some(1000));
        let batch = key(&headers).unwrap();
        assert_eq!(
            (batch.namespace.as_str(), batch.sequence, batch.attempt),
            ("/café", 7, 2)
        );
        headers.insert(header::LANE, "%FF".parse().unwrap());
        let error = key(&headers).unwrap_err().to_string();
        assert!(error.contains("is not UTF-8: %FF"), "{error}");
    }
}
