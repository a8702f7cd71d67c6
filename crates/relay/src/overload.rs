//! When the relay keeps more for its clients than it may: those for whom most is kept are closed.

use std::sync::Arc;

use crate::core::config::RELIEF_INTERVAL;
use crate::session::close_over_limit;
use crate::shared::Shared;

/// Watches the total for as long as the relay lives.
pub async fn run(shared: Arc<Shared>) {
    loop {
        shared.ledger.exceeded.notified().await;
        // What is closed is not free at once: the app may still have to take the last of it.
        while shared.ledger.is_exceeded() {
            relieve(&shared);
            tokio::time::sleep(RELIEF_INTERVAL).await;
        }
    }
}

/// Closes clients until a tenth of all memory should be free.
fn relieve(shared: &Arc<Shared>) {
    let ledger = &shared.ledger;
    let mut excess = ledger.total().saturating_sub(ledger.limit() / 10 * 9);
    let mut clients: Vec<_> = shared
        .connections
        .all()
        .into_iter()
        .filter(|client| client.lock().open)
        .map(|client| (client.account().size(), client))
        .collect();
    clients.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
    let mut closed = 0;
    for (size, client) in &clients {
        if excess == 0 {
            break;
        }
        close_over_limit(shared, client);
        excess = excess.saturating_sub(*size);
        closed += 1;
    }
    tracing::warn!(
        bytes = ledger.total(),
        limit = ledger.limit(),
        closed,
        of = clients.len(),
        "too much is kept for all clients together: those for whom it is most are closed"
    );
}
