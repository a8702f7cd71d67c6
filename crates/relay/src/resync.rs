//! Ends connections so that their clients come back and are given what they have missed. Not all at once:
//! each comes back with requests to the app.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::RESYNC_SPREAD;
use crate::connection::{Connection, How, close};
use crate::reason;
use crate::shared::Shared;

/// Ends the connections that are older than the stamp. Returns how many there were.
pub async fn run(shared: &Arc<Shared>, stamp: u32) -> usize {
    let mut ends: Vec<(Duration, Arc<Connection>)> = shared
        .connections
        .all()
        .into_iter()
        // Stamps begin anew some day.
        .filter(|connection| stamp.wrapping_sub(connection.stamp).wrapping_sub(1) < u32::MAX / 2)
        .map(|connection| {
            let after = RESYNC_SPREAD.mul_f64(rand::random_range(0.0..1.0));
            (after, connection)
        })
        .collect();
    ends.sort_unstable_by_key(|(after, _)| *after);
    let count = ends.len();
    let start = Instant::now();
    for (after, connection) in ends {
        tokio::time::sleep_until(start + after).await;
        close(shared, &connection, reason::TRANSPORT_ERROR, How::Orderly);
    }
    shared.metrics.resyncs.add(1);
    shared.metrics.resynced_connections.add(count);
    count
}
