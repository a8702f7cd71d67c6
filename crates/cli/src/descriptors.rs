//! Open files: each connection is one. Before clients come, the process takes as many as it may have, and
//! says so if they are too few for the connections that it is set up for.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides clients' connections: databases, listeners, requests and batches on their way to the app.
const OTHERS: u64 = 500;

/// Raises the soft limit to the hard one. That one is the administrator's word; the soft one is low for the sake of
/// old programs, which cannot use a descriptor above 1023.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Whether there are enough. Too few for a number that somebody has asked for is an error; too few for one that
/// is only the default is worth a warning.
pub fn check(connections: u64, is_asked_for: bool) -> Result<()> {
    let Some(complaint) = complaint(connections, getrlimit(Resource::Nofile).current) else {
        return Ok(());
    };
    if is_asked_for {
        bail!(complaint);
    }
    tracing::warn!("{complaint}");
    Ok(())
}

/// `limit`: none is any number.
fn complaint(connections: u64, limit: Option<u64>) -> Option<String> {
    let needed = connections.saturating_add(OTHERS);
    let limit = limit.filter(|limit| *limit < needed)?;
    let remedy = match limit.saturating_sub(OTHERS) {
        0 => String::new(),
        fewer => format!(", or set --max-connections to {fewer}"),
    };
    Some(format!(
        "--max-connections is {connections}, which needs {needed} open files, and this process may have {limit}: \
         raise the limit (ulimit -Hn, LimitNOFILE=){remedy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_named_with_both_figures_and_the_remedy() {
        assert_eq!(complaint(1000, None), None);
        assert_eq!(complaint(1000, Some(1500)), None);
        let said = complaint(100_000, Some(20_000)).unwrap();
        for part in ["100000", "100500", "20000", "--max-connections to 19500"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert!(!complaint(1000, Some(256)).unwrap().contains("or set"));
    }
}
