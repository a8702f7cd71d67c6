//! Who may enter a namespace that has middleware (docs/middleware.md): each client's `connect` becomes
//! one `POST /connect`, and what the middleware says of it is put into the batch. So does each `renew`, by
//! which one that is in shows another token.

mod decision;
mod question;
mod recovery;
mod trial;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use parlour_envelope as envelope;
use parlour_protocol::relay::{self, Batch, Event, Handshake};
use parlour_protocol::routes::Route;
use serde_json::value::RawValue;
use spin_sdk::http::Request;
use spin_sdk::wasip3::http::types;

use crate::failure::Failure;
use crate::{forward, refuse};
use decision::Decision;
use question::Question;

pub use recovery::is_wanted as skips_recovered;
pub use trial::trial;

/// The path of a namespace that judges.
const CONNECT: &str = "/connect";

/// How many clients of one batch are judged at once: as many requests as an instance takes.
const MAX_AT_ONCE: usize = 16;

/// Has every client of the batch that shows something judged at the door, but those who come back to a session,
/// then hands the batch with the decisions in it on to the component. The door may be the component itself.
pub async fn then_forward(
    request: Request,
    namespace: &str,
    door: &str,
    route: &Route,
) -> Result<types::Response, Failure> {
    let component = &*route.component;
    let headers = forward::batch_headers(request.headers());
    let body = envelope::body(request).await?;
    let mut batch: Batch<'_> = relay::from_slice(&body).map_err(envelope::Failure::Batch)?;
    let skip = envelope::optional_variable("recovery_skip_middlewares").await?;
    let coming_back = if recovery::is_wanted(skip.as_deref())? {
        recovery::coming_back(&batch, namespace, component).await?
    } else {
        Vec::new()
    };
    let judged = judged(&batch, namespace, door, route, &coming_back).await?;
    let decisions = proven(judged, namespace, door, route).await?;
    let body = with_decisions(&mut batch, &decisions)?;
    forward::judged(headers, component, body).await
}

/// A decision, and what is missing of the proof that it is one.
type Judged = (Decision, Option<String>);

/// The decisions, but that nobody is let in where nothing proves that the middleware is there which must judge.
async fn proven(
    judged: Vec<Judged>,
    namespace: &str,
    door: &str,
    route: &Route,
) -> Result<Vec<Decision>, Failure> {
    let missing = judged.iter().find_map(|(_, missing)| missing.clone());
    let Some(missing) = missing else {
        return Ok(judged.into_iter().map(|(decision, _)| decision).collect());
    };
    let is_proven = route.is_proven_by_refusal() && refuses_strangers(namespace, door).await?;
    if !is_proven {
        eprintln!(
            "{namespace} is closed: {missing} must stand before {door}, and nothing shows that it has judged who \
             wants to enter; see docs/middleware.md"
        );
    }
    let judged = judged.into_iter();
    let decisions = judged.map(|(decision, missing)| match missing {
        Some(_) if !is_proven => decision::unguarded(),
        _ => decision,
    });
    Ok(decisions.collect())
}

/// Whether somebody is refused who has nothing to show.
async fn refuses_strangers(namespace: &str, door: &str) -> Result<bool, Failure> {
    let Ok(Question { headers, body }) = question::about_nobody(namespace)? else {
        return Ok(false);
    };
    let answer = forward::ask(door, CONNECT, headers, body).await?;
    let decision = decision::from_answer(&answer, door)?;
    Ok(matches!(decision, Decision::Refused(_)))
}

/// One decision for each client of the batch that is judged, in order.
async fn judged(
    batch: &Batch<'_>,
    namespace: &str,
    door: &str,
    route: &Route,
    coming_back: &[bool],
) -> Result<Vec<Judged>, Failure> {
    let questions = questions(batch, namespace)?;
    let questions = questions.into_iter().enumerate();
    stream::iter(questions.map(|(place, question)| async move {
        match question {
            _ if coming_back.get(place) == Some(&true) => Ok((Decision::Skipped, None)),
            Ok(Question { headers, body }) => {
                let answer = forward::ask(door, CONNECT, headers, body).await?;
                let decision = decision::from_answer(&answer, door)?;
                let missing = match decision {
                    Decision::Admitted(_) => decision::missing(&answer, route),
                    Decision::Refused(_) | Decision::Skipped => None,
                };
                Ok((decision, missing))
            }
            Err(refused) => Ok((refused, None)),
        }
    }))
    .buffered(MAX_AT_ONCE)
    .try_collect()
    .await
}

/// What an event shows that must be judged: whose, how it came, what it says.
fn shown<'b, 'a>(event: &'b Event<'a>) -> Option<(usize, &'b Handshake<'a>, Option<&'a RawValue>)> {
    match event {
        // It comes again, with what was said the first time.
        Event::Connect(connect) if connect.progress.is_some() => None,
        Event::Connect(connect) => Some((connect.socket, &connect.handshake, connect.auth)),
        Event::Renew(renew) => Some((renew.socket, &renew.handshake, renew.auth)),
        _ => None,
    }
}

/// What to ask of each client that is judged, or why it is refused without asking.
fn questions(
    batch: &Batch<'_>,
    namespace: &str,
) -> Result<Vec<Result<Question, Decision>>, Failure> {
    let mut questions = Vec::new();
    for event in &batch.events {
        if let Some((socket, handshake, auth)) = shown(event) {
            let socket = batch.sockets.get(socket).ok_or_else(refuse::no_socket)?;
            questions.push(question::about(handshake, auth, &socket.id, namespace)?);
        }
    }
    Ok(questions)
}

fn with_decisions<'a>(
    batch: &mut Batch<'a>,
    decisions: &'a [Decision],
) -> Result<Vec<u8>, Failure> {
    let judged = batch
        .events
        .iter_mut()
        .filter(|event| shown(event).is_some());
    for (event, decision) in judged.zip(decisions) {
        let (claims, refused) = match decision {
            Decision::Admitted(claims) => (Some::<&RawValue>(claims), None),
            Decision::Refused(refusal) => (None, Some::<&RawValue>(refusal)),
            Decision::Skipped => (None, None),
        };
        match event {
            Event::Connect(connect) => {
                (connect.claims, connect.refused) = (claims, refused);
                connect.unjudged = matches!(decision, Decision::Skipped);
            }
            Event::Renew(renew) => (renew.claims, renew.refused) = (claims, refused),
            _ => {}
        }
    }
    Ok(serde_json::to_vec(&batch).map_err(envelope::Failure::Encode)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connect_gets_its_own_decision_and_the_rest_stays_as_it_was() {
        let body = r#"{"sockets":[{"id":"s1","connection":"c1"},{"id":"s2","connection":"c2"}],"events":[{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1},"auth":{"token" : "t"},"claims":{"sub":"root"},"unjudged":true}},{"packet":{"socket":0,"data":["a" , 1.0]}},{"connect":{"socket":1,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1}}}]}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let decisions = [
            Decision::Refused(raw(r#"{"message":"no"}"#)),
            Decision::Admitted(raw(r#"{"sub":"ann"}"#)),
        ];
        let changed = String::from_utf8(with_decisions(&mut batch, &decisions).unwrap()).unwrap();
        let expected = body
            .replace(
                r#","claims":{"sub":"root"},"unjudged":true"#,
                r#","refused":{"message":"no"}"#,
            )
            .replace(
                r#""time":1}}}]}"#,
                r#""time":1},"claims":{"sub":"ann"}}}]}"#,
            );
        assert_eq!(changed, expected);
    }

    #[test]
    fn what_the_relay_has_delivered_and_asks_for_stays_with_a_batch_that_is_judged() {
        let body = r#"{"sockets":[{"id":"s1","connection":"c1"}],"events":[{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1}}}],"delivered":0,"replay":true}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        let decisions = [Decision::Admitted(
            RawValue::from_string("8".into()).unwrap(),
        )];
        let changed = with_decisions(&mut batch, &decisions).unwrap();
        let expected = body.replace(r#""time":1}}}]"#, r#""time":1},"claims":8}}]"#);
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
    }

    #[test]
    fn a_token_that_is_renewed_gets_its_decision_in_its_turn() {
        let body = r#"{"sockets":[{"id":"s1","connection":"c1"}],"events":[{"renew":{"socket":0,"id":7,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1},"auth":{"token":"t"},"claims":{"sub":"root"}}},{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1}}}]}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        assert_eq!(questions(&batch, "/members").unwrap().len(), 2);
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let decisions = [
            Decision::Refused(raw(r#"{"message":"no"}"#)),
            Decision::Admitted(raw("1")),
        ];
        let changed = String::from_utf8(with_decisions(&mut batch, &decisions).unwrap()).unwrap();
        let expected = body
            .replace(
                r#","claims":{"sub":"root"}"#,
                r#","refused":{"message":"no"}"#,
            )
            .replace(r#""time":1}}}]}"#, r#""time":1},"claims":1}}]}"#);
        assert_eq!(changed, expected);
    }

    #[test]
    fn who_comes_again_in_the_rest_of_a_batch_is_not_judged_again() {
        let body = r#"{"sockets":[{"id":"s1","connection":"c1"},{"id":"s2","connection":"c2"}],"events":[{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1},"progress":{"claims":7}}},{"connect":{"socket":1,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1}}}]}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        assert_eq!(questions(&batch, "/").unwrap().len(), 1);
        let decisions = [Decision::Admitted(
            RawValue::from_string("8".into()).unwrap(),
        )];
        let changed = with_decisions(&mut batch, &decisions).unwrap();
        let expected = body.replace(r#""time":1}}}]}"#, r#""time":1},"claims":8}}]}"#);
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
    }

    #[test]
    fn who_was_not_judged_is_told_from_who_was() {
        let body = r#"{"events":[{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1},"refused":{"message":"no"}}}]}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        let changed = with_decisions(&mut batch, &[Decision::Skipped]).unwrap();
        let expected = body.replace(r#""refused":{"message":"no"}"#, r#""unjudged":true"#);
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
    }
}
