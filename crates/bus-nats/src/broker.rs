//! One connection to the broker, and what can go wrong with it in words for who runs the relay.

use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, Event, RequestErrorKind, Subscriber};
use tokio::sync::mpsc;

use crate::address::Address;
use crate::subject::Subjects;

/// Bytes that the broker must take in one message: an event has at most a third more than `--max-payload`, and
/// a batch of events 4 MiB.
pub const MIN_MAX_PAYLOAD: usize = 4 * 1024 * 1024;

/// How long an attempt to connect may take, and an answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A broker that does not answer pings is noticed after three times this.
const PING_EVERY: Duration = Duration::from_secs(2);

/// The longest pause between two attempts.
pub const MAX_PAUSE: Duration = Duration::from_secs(1);

const MIN_PAUSE: Duration = Duration::from_millis(50);

/// Messages that have come and are not read yet. Then more are lost, and that is noticed.
const MAX_UNREAD: usize = 64 * 1024;

pub struct Broker {
    pub client: Client,
    pub messages: Subscriber,
    pub events: mpsc::UnboundedReceiver<Event>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Refusal {
    /// It can be otherwise soon.
    Away(String),
    /// Somebody must do something.
    Wrong(String),
}

/// Connects and listens.
pub async fn connect(
    address: &Address,
    subjects: &Subjects,
    relay: &str,
) -> Result<Broker, Refusal> {
    let (tell, events) = mpsc::unbounded_channel();
    let client = address
        .options()
        .name(format!("parlour relay {relay}"))
        .no_echo()
        .ping_interval(PING_EVERY)
        .connection_timeout(TIMEOUT)
        .subscription_capacity(MAX_UNREAD)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            let _ = tell.send(event);
            async {}
        })
        .connect(address.servers.as_slice())
        .await
        .map_err(|error| refusal(error.kind(), &error))?;
    let max_payload = client.server_info().max_payload;
    if max_payload < MIN_MAX_PAYLOAD {
        return Err(Refusal::Wrong(format!(
            "it takes only {max_payload} bytes in a message, which an event may have more than: \
             set max_payload to at least 4MB in the broker's configuration"
        )));
    }
    let away = |error: &dyn std::fmt::Display| Refusal::Away(error.to_string());
    let messages = client.subscribe(subjects.all()).await;
    let messages = messages.map_err(|error| away(&error))?;
    if !listens(&client, subjects).await {
        return Err(Refusal::Away(subjects.unanswered()));
    }
    Ok(Broker {
        client,
        messages,
        events,
    })
}

/// Waits until the broker has heard what we have said so far, above all where we listen: it answers in order,
/// also that nobody is there.
pub async fn listens(client: &Client, subjects: &Subjects) -> bool {
    let question = client.request(subjects.nobody(), Vec::new().into());
    match tokio::time::timeout(TIMEOUT, question).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == RequestErrorKind::NoResponders,
        Err(_) => false,
    }
}

/// Before the n-th attempt, from 1 on.
pub fn pause(attempt: usize) -> Duration {
    let doubled = MIN_PAUSE * 2u32.pow(attempt.clamp(1, 6) as u32 - 1);
    doubled.min(MAX_PAUSE)
}

fn refusal(kind: ConnectErrorKind, error: &async_nats::ConnectError) -> Refusal {
    match kind {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            Refusal::Wrong("it does not accept the user and password, or token, of the URL".into())
        }
        ConnectErrorKind::Tls => Refusal::Wrong(format!("TLS fails: {error}")),
        _ => Refusal::Away(error.to_string()),
    }
}
