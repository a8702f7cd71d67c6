//! Who may enter a namespace that has middleware (docs/middleware.md): each client's `connect` becomes
//! one `POST /connect`, and what the middleware says of it is put into the batch.

mod question;
mod recovery;
mod verdict;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use parlour_protocol::relay::{self, Batch, Event};
use serde_json::value::RawValue;
use spin_sdk::http::Request;
use spin_sdk::wasip3::http::types;

use crate::failure::Failure;
use crate::{forward, refuse};
use question::Question;
use verdict::Verdict;

/// The path of a namespace that judges.
const CONNECT: &str = "/connect";

/// How many clients of one batch are judged at once: as many requests as an instance takes.
const MAX_AT_ONCE: usize = 16;

/// Has every `connect` of the batch judged at the door, but of those who come back to a session, then
/// hands the batch with the verdicts in it on to the component. The door may be the component itself.
pub async fn then_forward(
    request: Request,
    namespace: &str,
    door: &str,
    component: &str,
) -> Result<types::Response, Failure> {
    let headers = forward::batch_headers(request.headers());
    let body = forward::read(request).await?;
    let mut batch: Batch<'_> = relay::from_slice(&body).map_err(Failure::Batch)?;
    let skip = forward::optional_variable("recovery_skip_middlewares").await?;
    let coming_back = if recovery::is_wanted(skip.as_deref())? {
        recovery::coming_back(&batch, namespace, component).await?
    } else {
        Vec::new()
    };
    let verdicts = verdicts(&batch, namespace, door, &coming_back).await?;
    let body = with_verdicts(&mut batch, &verdicts)?;
    forward::judged(headers, component, body).await
}

/// One verdict for each `connect` of the batch, in order.
async fn verdicts(
    batch: &Batch<'_>,
    namespace: &str,
    door: &str,
    coming_back: &[bool],
) -> Result<Vec<Verdict>, Failure> {
    let questions = questions(batch, namespace)?;
    let questions = questions.into_iter().enumerate();
    stream::iter(questions.map(|(place, question)| async move {
        match question {
            _ if coming_back.get(place) == Some(&true) => Ok(Verdict::Skipped),
            Ok(Question { headers, body }) => {
                let (status, body) = forward::ask(door, CONNECT, headers, body).await?;
                verdict::from_answer(status, &body, door)
            }
            Err(refused) => Ok(refused),
        }
    }))
    .buffered(MAX_AT_ONCE)
    .try_collect()
    .await
}

/// What to ask of each `connect`, or why it is refused without asking.
fn questions(
    batch: &Batch<'_>,
    namespace: &str,
) -> Result<Vec<Result<Question, Verdict>>, Failure> {
    let mut questions = Vec::new();
    for event in &batch.events {
        if let Event::Connect(connect) = event {
            let socket = batch
                .sockets
                .get(connect.socket)
                .ok_or_else(refuse::no_socket)?;
            questions.push(question::about(connect, &socket.id, namespace)?);
        }
    }
    Ok(questions)
}

fn with_verdicts<'a>(batch: &mut Batch<'a>, verdicts: &'a [Verdict]) -> Result<Vec<u8>, Failure> {
    let connects = batch.events.iter_mut().filter_map(|event| match event {
        Event::Connect(connect) => Some(connect),
        _ => None,
    });
    for (connect, verdict) in connects.zip(verdicts) {
        (connect.claims, connect.refused) = match verdict {
            Verdict::Admitted(claims) => (Some::<&RawValue>(claims), None),
            Verdict::Refused(refusal) => (None, Some::<&RawValue>(refusal)),
            Verdict::Skipped => (None, None),
        };
        connect.unjudged = matches!(verdict, Verdict::Skipped);
    }
    serde_json::to_vec(&batch).map_err(Failure::Encode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connect_gets_its_own_verdict_and_the_rest_stays_as_it_was() {
        let body = r#"{"sockets":[{"id":"s1","connection":"c1"},{"id":"s2","connection":"c2"}],"events":[{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1},"auth":{"token" : "t"},"claims":{"sub":"root"},"unjudged":true}},{"packet":{"socket":0,"data":["a" , 1.0]}},{"connect":{"socket":1,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1}}}]}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let verdicts = [
            Verdict::Refused(raw(r#"{"message":"no"}"#)),
            Verdict::Admitted(raw(r#"{"sub":"ann"}"#)),
        ];
        let changed = String::from_utf8(with_verdicts(&mut batch, &verdicts).unwrap()).unwrap();
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
    fn who_was_not_judged_is_told_from_who_was() {
        let body = r#"{"events":[{"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","secure":false,"time":1},"refused":{"message":"no"}}}]}"#;
        let mut batch: Batch<'_> = serde_json::from_str(body).unwrap();
        let changed = with_verdicts(&mut batch, &[Verdict::Skipped]).unwrap();
        let expected = body.replace(r#""refused":{"message":"no"}"#, r#""unjudged":true"#);
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
    }
}
