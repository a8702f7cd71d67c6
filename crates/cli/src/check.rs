//! `parlour check`: asks an app whether it is set up as it must be, be it one that runs elsewhere or that of a manifest, and
//! prints what is wrong, a line each.

use anyhow::{Context as _, Result, anyhow, bail};
use parlour_relay::HttpOrigin;

use crate::embedded::Embedded;
use crate::flags;
use crate::run;
use crate::secrets::{self, Secret};
use crate::setup::{self, Outcome};

/// `parlour check`.
pub async fn check(flags: flags::Check) -> Result<()> {
    let outcome = match &flags.origin.url {
        Some(url) => elsewhere(url, &flags).await?,
        None => here(&flags).await?,
    };
    let errors = outcome.errors().len();
    for finding in &outcome.findings {
        let severity = if finding.is_error() {
            "error"
        } else {
            "warning"
        };
        println!("{severity}: {}", finding.message);
    }
    match errors {
        0 => println!("{}", summary(&outcome)),
        1 => bail!("the set-up has an error"),
        more => bail!("the set-up has {more} errors"),
    }
    Ok(())
}

fn summary(outcome: &Outcome) -> String {
    let namespaces = outcome.namespaces.iter();
    let namespaces = namespaces.map(|it| format!("{} is {}", it.namespace, it.component));
    let namespaces = namespaces.collect::<Vec<_>>().join(", ");
    match outcome.findings.len() {
        0 => format!("Everything is set up as it must be: {namespaces}"),
        _ => format!("Clients can be served: {namespaces}"),
    }
}

async fn elsewhere(url: &str, flags: &flags::Check) -> Result<Outcome> {
    let origin = HttpOrigin::trusting(url, flags.origin.authorities.as_deref())?;
    let state_dir = run::state_dir(&flags.application);
    let secret = secrets::find(Secret::Relay, &state_dir)?;
    let outcome = setup::check(&origin, &run::sendable(secret)?).await;
    outcome.map_err(|setup::Away(problem)| anyhow!("{problem}"))
}

/// Loads the application as `parlour up` does, but listens nowhere.
async fn here(flags: &flags::Check) -> Result<Outcome> {
    let secrets = secrets::kept_or_passing(&run::state_dir(&flags.application))?;
    let app = run::load(&flags.application, secrets).await?;
    let secret = run::relay_secret(&app);
    let outcome = match secret {
        Ok(secret) => setup::check(&Embedded::new(app.clone()), &secret)
            .await
            .map_err(|setup::Away(problem)| anyhow!(problem))
            .context("the app cannot be asked"),
        Err(error) => Err(error),
    };
    app.shutdown().await;
    outcome
}
