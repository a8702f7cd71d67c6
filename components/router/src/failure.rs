//! Why the router cannot have a batch done.

use parlour_envelope as envelope;
use spin_sdk::http::StatusCode;
use spin_sdk::wasip3::http::types::{self, ErrorCode};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Failure {
    /// It is nothing to do with the namespace's component.
    #[error(transparent)]
    Envelope(#[from] envelope::Failure),
    #[error("{component} did not answer {path}: {problem}")]
    Component {
        component: String,
        path: &'static str,
        problem: String,
    },
    #[error(
        "the middleware before {component} refused a batch ({status}: {said:?}): no client's headers come with \
         a batch, so middleware that judges every request belongs before a door, see docs/middleware.md"
    )]
    Refused {
        component: String,
        status: StatusCode,
        said: String,
    },
    #[error("{component} is not there to answer {path}: {status}")]
    Away {
        component: String,
        path: &'static str,
        status: StatusCode,
    },
    #[error("{component} cannot do its work: {problem}")]
    Unready { component: String, problem: String },
}

impl Failure {
    /// What the relay does with each status is in docs/relay-protocol.md: after a 500 it sends halves of the
    /// batch, so that one poisonous event does not hold up the others; after a 503 it waits.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Envelope(failure) => failure.status(),
            Self::Component { .. } | Self::Refused { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Away { .. } | Self::Unready { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::Envelope(failure) => failure.code(),
            Self::Component { .. } | Self::Refused { .. } => "component",
            Self::Away { .. } | Self::Unready { .. } => "unavailable",
        }
    }

    /// What the router answers then.
    pub fn respond(&self) -> Result<types::Response, ErrorCode> {
        envelope::respond("router", self.status(), self.code(), self)
    }
}
