//! Events as JSON, as far as batches look into them.

use serde_json::value::RawValue;

pub const CONNECT: &str = "{\"connect\"";

/// How a `connect` event goes on after the index of its socket that comes again. Nothing that a client has sent
/// can stand there.
const PROGRESS: &str = ",\"progress\":";

/// Whether the app has seen this `connect` event before, by what comes after the index of its socket.
pub fn comes_again(event: &str) -> bool {
    event.starts_with(PROGRESS)
}

/// The same with what the app gave back for it, which is an object, instead of what it gave back before.
pub fn with_progress(event: &str, progress: &RawValue) -> String {
    let rest = event.strip_prefix(PROGRESS).map_or(event, |before| {
        let mut values = serde_json::Deserializer::from_str(before).into_iter::<&RawValue>();
        let value = values.next().and_then(Result::ok);
        &before[value.map_or(0, |value| value.get().len())..]
    });
    match progress.get().starts_with('{') {
        true => format!("{PROGRESS}{progress}{rest}"),
        false => rest.to_owned(),
    }
}

/// Splits an event around the index of its socket.
pub fn cut_at_socket(event: &str) -> Option<(&str, usize, &str)> {
    const KEY: &str = r#":{"socket":"#;
    let at = event.find(':').filter(|at| event[*at..].starts_with(KEY))? + KEY.len();
    let digits = event[at..].bytes().take_while(u8::is_ascii_digit).count();
    let index = event[at..at + digits].parse().ok()?;
    Some((&event[..at], index, &event[at + digits..]))
}
