//! What a relay has missed of its namespace's log, as commands that it carries out.

use parlour_protocol::relay::{Batch, Command, Emit, REPLAY_BYTES, Replay};
use serde_json::value::RawValue;

use crate::interface::{self, Located, Logged, Replayed, ReplayedCommand, ReplayedEmission, What};

/// What the batch asks for, as JSON.
pub(crate) async fn of(
    key: &interface::Batch,
    batch: &Batch<'_>,
) -> Result<Option<String>, interface::Error> {
    let Some(after) = batch.delivered.filter(|_| batch.replay) else {
        return Ok(None);
    };
    let (namespace, relay) = (key.namespace.clone(), key.relay.clone());
    let replayed = interface::replay(namespace, relay, after, REPLAY_BYTES as u32).await?;
    Ok(Some(json(&replayed)))
}

/// The answer with it. It is never stored.
pub(crate) fn added(mut answer: String, replay: &str) -> String {
    // The answer is an object, and has commands at least.
    answer.pop();
    answer.push_str(",\"replay\":");
    answer.push_str(replay);
    answer.push('}');
    answer
}

fn json(replayed: &Replayed) -> String {
    let replay = Replay {
        commands: replayed.entries.iter().filter_map(command).collect(),
        until: replayed.until,
        head: replayed.head,
        lost: replayed.lost,
    };
    serde_json::to_string(&replay).expect("what was read as JSON can be written")
}

/// None for what is not understood: another version may have written it.
fn command(logged: &Logged) -> Option<Command<'_>> {
    let offset = logged.offset;
    let command = match &logged.what {
        What::Emission(emission) => emit(emission, offset),
        What::Command(command) => logged_command(command, offset),
    };
    if command.is_none() {
        eprintln!("what the log has at {offset} is no command, and is not replayed");
    }
    command
}

fn emit(emission: &ReplayedEmission, offset: u64) -> Option<Command<'_>> {
    let data: &RawValue = serde_json::from_str(&emission.data).ok()?;
    Some(Command::Emit(Box::new(Emit {
        rooms: emission.rooms.iter().map(Into::into).collect(),
        except: emission.except.iter().map(Into::into).collect(),
        data,
        attachments: emission.attachments.iter().map(Into::into).collect(),
        offset: Some(offset),
        namespace: None,
        previous: None,
        volatile: false,
        local: false,
        ack: None,
        asked: None,
        asker: None,
    })))
}

fn logged_command(logged: &ReplayedCommand, offset: u64) -> Option<Command<'_>> {
    let mut command: Command<'_> = serde_json::from_str(&logged.json).ok()?;
    let place = match &mut command {
        Command::Emit(emit) => {
            let pair = |it: &'_ Located| (it.socket.clone().into(), it.relay.clone().into());
            emit.asked = Some(logged.sockets.iter().map(pair).collect());
            emit.asker = Some((&logged.relay).into());
            &mut emit.offset
        }
        Command::Join(rooms) | Command::Leave(rooms) => &mut rooms.offset,
        Command::Sockets(sockets) => &mut sockets.offset,
        Command::State(state) => &mut state.offset,
        Command::Disconnect(kick) => &mut kick.offset,
        Command::Report(report) => &mut report.offset,
        _ => return None,
    };
    *place = Some(offset);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_comes_as_commands_with_their_places() {
        let emission = What::Emission(ReplayedEmission {
            rooms: vec!["r".into()],
            except: vec!["e".into()],
            data: "[\"m\" , 1.0]".into(),
            attachments: vec!["AA==".into()],
        });
        let command = |json: &str, sockets: &[&str]| {
            let located = |&socket: &&str| Located {
                socket: socket.into(),
                relay: "r2".into(),
            };
            What::Command(ReplayedCommand {
                json: json.into(),
                relay: "r1".into(),
                sockets: sockets.iter().map(located).collect(),
            })
        };
        let entries = [
            emission,
            command(r#"{"join":{"socket":"s","rooms":["r"]}}"#, &[]),
            command(r#"{"leave":{"socket":"s","rooms":["r"]}}"#, &[]),
            command(r#"{"state":{"socket":"s","state":{"a" : 1}}}"#, &[]),
            command(r#"{"disconnect":{"socket":"s","close":true}}"#, &[]),
            command(r#"{"sockets":{"rooms":["r"],"disconnect":false}}"#, &[]),
            command(
                r#"{"report":{"to":"r3","number":5,"report":{"missing":["s"]}}}"#,
                &[],
            ),
            command(
                r#"{"emit":{"data":["q"],"ack":{"handler":"","timeout":5}}}"#,
                &["s"],
            ),
            command(r#"{"something":{"else":1}}"#, &[]),
            command(r#"{"ack":{"socket":"s","id":1,"data":[]}}"#, &[]),
        ];
        let replayed = Replayed {
            entries: (7..)
                .zip(entries)
                .map(|(offset, what)| Logged { offset, what })
                .collect(),
            until: 20,
            head: 21,
            lost: true,
        };
        let expected = [
            r#"{"emit":{"rooms":["r"],"except":["e"],"data":["m" , 1.0],"attachments":["AA=="],"offset":7}}"#,
            r#"{"join":{"socket":"s","rooms":["r"],"offset":8}}"#,
            r#"{"leave":{"socket":"s","rooms":["r"],"offset":9}}"#,
            r#"{"state":{"socket":"s","state":{"a" : 1},"offset":10}}"#,
            r#"{"disconnect":{"socket":"s","close":true,"offset":11}}"#,
            r#"{"sockets":{"rooms":["r"],"disconnect":false,"offset":12}}"#,
            r#"{"report":{"to":"r3","number":5,"report":{"missing":["s"]},"offset":13}}"#,
            r#"{"emit":{"data":["q"],"offset":14,"ack":{"handler":"","timeout":5},"asked":[["s","r2"]],"asker":"r1"}}"#,
        ];
        let expected = format!(
            r#"{{"commands":[{}],"until":20,"head":21,"lost":true}}"#,
            expected.join(",")
        );
        assert_eq!(json(&replayed), expected);
        let answer = r#"{"commands":[],"done":0}"#.to_owned();
        let with_it = added(answer, &expected);
        assert_eq!(
            with_it,
            format!(r#"{{"commands":[],"done":0,"replay":{expected}}}"#)
        );
    }
}
