//! A client's bytes on a WebSocket: however the network cuts them, the same messages come out, none is over
//! the limit, and what comes after a violation is not looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_relay::fuzzing::{Handler, Reader, Step};

const MAX_PAYLOAD: usize = 300;

#[derive(Default)]
struct Seen(Vec<(char, Vec<u8>)>);

impl Handler for Seen {
    fn text(&mut self, text: &str) -> Step {
        self.0.push(('t', text.into()));
        // Sometimes the handler wants a pause, and is called again.
        match text.len() % 4 {
            3 => Step::Pause,
            _ => Step::Continue,
        }
    }
    fn binary(&mut self, data: &[u8]) -> Step {
        self.0.push(('b', data.into()));
        Step::Continue
    }
    fn ping(&mut self, data: &[u8]) -> Step {
        self.0.push(('p', data.into()));
        Step::Continue
    }
}

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<(char, Vec<u8>)>, Step) {
    let (mut reader, mut seen) = (Reader::default(), Seen::default());
    for chunk in chunks {
        let mut step = reader.feed(&mut chunk.to_vec(), MAX_PAYLOAD, &mut seen);
        while step == Step::Pause {
            step = reader.feed(&mut [], MAX_PAYLOAD, &mut seen);
        }
        if step != Step::Continue {
            return (seen.0, step);
        }
    }
    (seen.0, Step::Continue)
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else {
        return;
    };
    let whole = read(std::iter::once(bytes));
    let cut = read(bytes.chunks(usize::from(size).max(1)));
    assert_eq!(whole, cut);
    for (kind, message) in &whole.0 {
        let limit = if *kind == 'p' { 125 } else { MAX_PAYLOAD };
        assert!(message.len() <= limit);
    }
});
