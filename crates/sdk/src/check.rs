//! `POST /check`: what is wrong with the set-up of a namespace's component, as far as that shows from inside it.

use parlour_protocol::relay::check::{Finding, Report};

use crate::{
    interface::{self, Error, Policy},
    settings,
};

/// Changes nothing but a database that is new: that one gets its schema.
pub(crate) async fn report() -> Report {
    let mut findings: Vec<Finding> = settings::problems()
        .await
        .into_iter()
        .map(Finding::error)
        .collect();
    findings.extend(database().await);
    Report {
        component: "namespace".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        findings,
        namespaces: Vec::new(),
    }
}

/// Asks for something that nobody has, which needs an open database of the right schema, and no lock.
async fn database() -> Option<Finding> {
    let nothing_kept = Policy {
        recovery: 0,
        max_age: 0,
        max_count: 0,
    };
    let answer = interface::recoverable("/".to_owned(), nothing_kept, Vec::new()).await;
    answer.err().map(finding)
}

fn finding(error: Error) -> Finding {
    match error {
        Error::NewerSchema(text) | Error::Storage(text) => Finding::error(text),
        // Whoever holds it will let go, or makes room.
        Error::Unavailable(text) | Error::Overtaken(text) => Finding::warning(text),
        Error::Stale(_) => Finding::warning("the database took this question for a batch"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_may_come_back_and_a_wrong_one_stays_wrong() {
        assert!(finding(Error::Storage("access denied".into())).is_error());
        assert!(finding(Error::NewerSchema("version 9".into())).is_error());
        assert!(!finding(Error::Unavailable("database is locked".into())).is_error());
    }
}
