//! Requests that are turned away: with Engine.IO's errors, or because a limit of the relay is reached.

use http::{HeaderValue, Response, StatusCode, header};
use tokio::net::TcpStream;

use crate::core::addresses::TooMany;
use crate::core::origin::Body;
use crate::server::respond::respond;
use crate::shared::Shared;

/// Seconds. Clients that are refused at one time add some of their own, as socket.io-client does.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Engine.IO's errors: code, message. Their HTTP status is 400, for `FORBIDDEN` 403.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: u8,
    message: String,
    /// It is over a limit of the relay, which Engine.IO has no code for: this is the status of the answer.
    limit: Option<StatusCode>,
}

impl Refusal {
    const FORBIDDEN: u8 = 4;

    pub fn unknown_transport() -> Refusal {
        Refusal::new(0, "Transport unknown")
    }

    pub fn unknown_session() -> Refusal {
        Refusal::new(1, "Session ID unknown")
    }

    pub fn bad_handshake_method() -> Refusal {
        Refusal::new(2, "Bad handshake method")
    }

    pub fn bad_request() -> Refusal {
        Refusal::new(3, "Bad request")
    }

    pub fn unsupported_version() -> Refusal {
        Refusal::new(5, "Unsupported protocol version")
    }

    pub fn new(code: u8, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: message.into(),
            limit: None,
        }
    }

    pub fn too_many(why: TooMany) -> Refusal {
        let (status, message) = match why {
            TooMany::InAll => (StatusCode::SERVICE_UNAVAILABLE, "Too many connections"),
            TooMany::FromAddress => {
                let message = "Too many connections from this address";
                (StatusCode::TOO_MANY_REQUESTS, message)
            }
            TooMany::TooOften => {
                let message = "Too many new connections from this address";
                (StatusCode::TOO_MANY_REQUESTS, message)
            }
        };
        Refusal {
            limit: Some(status),
            ..Refusal::new(3, message)
        }
    }

    /// The handshake is kept as long as the connection, and goes with every CONNECT.
    pub fn too_large() -> Refusal {
        Refusal {
            limit: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            ..Refusal::new(3, "The request's headers are too large")
        }
    }

    /// The relay keeps as much for its clients as it may.
    pub fn full() -> Refusal {
        Refusal {
            limit: Some(StatusCode::SERVICE_UNAVAILABLE),
            ..Refusal::new(3, "The server is full")
        }
    }

    pub fn response(&self) -> Response<Body> {
        if let Some(status) = self.limit {
            return over_limit(status, &self.message);
        }
        let status = if self.code == Refusal::FORBIDDEN {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::BAD_REQUEST
        };
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string();
        respond(status, "application/json", body)
    }

    /// Instead of a WebSocket the reference answers with the bare message, always 400.
    pub fn upgrade_response(self) -> Response<Body> {
        if let Some(status) = self.limit {
            return over_limit(status, &self.message);
        }
        let mut response = respond(StatusCode::BAD_REQUEST, "text/html", self.message);
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// The answer to a request that the relay has no room for.
pub fn full(shared: &Shared) -> Response<Body> {
    shared.metrics.refused.add(1);
    Refusal::full().response()
}

/// Ends a TCP connection that is one too many, with an answer to whatever it was to ask.
pub async fn turn_away(shared: &Shared, stream: TcpStream, why: TooMany) {
    shared.metrics.refused.add(1);
    let Refusal { limit, message, .. } = Refusal::too_many(why);
    let status = limit.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let answer = format!(
        "HTTP/1.1 {status}\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{message}.\n",
        message.len() + 2
    );
    let _ = stream.try_write(answer.as_bytes());
}

/// Turns a request away. Its TCP connection is closed: it costs as much as a client's.
fn over_limit(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = respond(status, "text/plain; charset=utf-8", format!("{message}.\n"));
    let headers = response.headers_mut();
    if status != StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
