//! The check of a set-up (`docs/relay-protocol.md`, "Checks"): what is asked, and what each component answers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The body of a batch of the lane [`CHECK_LANE`](super::CHECK_LANE).
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Question<'a> {
    /// The namespace that is meant. Absent: the component that is asked is itself meant.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
}

/// What a component says of itself.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is: `handshake`, `router` or `namespace`.
    pub component: String,
    /// The version of its sources.
    pub version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Which component is which namespace. Only the router knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Served>,
}

/// A namespace, or the pattern of several, and the component that serves it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    pub namespace: String,
    pub component: String,
}

/// Something that is wrong with a set-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// One line: what is wrong, and what to do about it.
    pub message: String,
    #[serde(default)]
    pub severity: Severity,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Clients cannot be served like this.
    #[default]
    Error,
    /// It may pass, or concerns only some clients.
    Warning,
}

impl Finding {
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(message.into(), Severity::Error)
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(message.into(), Severity::Warning)
    }

    fn new(message: String, severity: Severity) -> Self {
        // The words of others, of a database for example, may have several lines.
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { message, severity }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same, said of something: `the namespace /: …`.
    pub fn of(self, whose: &str) -> Self {
        Self::new(format!("{whose}: {}", self.message), self.severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding::error("the database\n  is away").of("the namespace /");
        assert_eq!(finding.message, "the namespace /: the database is away");
    }

    #[test]
    fn a_report_says_no_more_than_there_is() {
        let report = Report {
            component: "router".into(),
            version: "1.0.0".into(),
            findings: vec![Finding::warning("it is late")],
            namespaces: Vec::new(),
        };
        let text = serde_json::to_string(&report).unwrap();
        let expected = r#"{"component":"router","version":"1.0.0","findings":[{"message":"it is late","severity":"warning"}]}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        assert_eq!(serde_json::to_string(&Question::default()).unwrap(), "{}");
    }
}
