//! A client's bytes on a WebSocket: however the network cuts them, the same messages come out, none is over
//! the limit, and what comes after a violation is not looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parlour_relay::fuzzing::{End, Flow, Handler, Reader};

const MAX_PAYLOAD: usize = 300;

#[derive(Default)]
struct Seen(Vec<(char, Vec<u8>)>);

impl Handler for Seen {
    type Until = ();

    fn text(&mut self, text: &str) -> Flow<()> {
        self.0.push(('t', text.into()));
        // Sometimes the handler wants a pause, and is called again.
        match text.len() % 4 {
            3 => Flow::Pause(()),
            _ => Flow::Continue,
        }
    }
    fn binary(&mut self, data: &[u8]) -> Flow<()> {
        self.0.push(('b', data.into()));
        Flow::Continue
    }
    fn ping(&mut self, data: &[u8]) -> Flow<()> {
        self.0.push(('p', data.into()));
        Flow::Continue
    }
}

fn read<'a>(
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<(char, Vec<u8>)>, Result<Flow<()>, End>) {
    let (mut reader, mut seen) = (Reader::default(), Seen::default());
    for chunk in chunks {
        let mut flow = reader.feed(&mut chunk.to_vec(), MAX_PAYLOAD, &mut seen);
        while flow == Ok(Flow::Pause(())) {
            flow = reader.feed(&mut [], MAX_PAYLOAD, &mut seen);
        }
        if flow != Ok(Flow::Continue) {
            return (seen.0, flow);
        }
    }
    (seen.0, Ok(Flow::Continue))
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
