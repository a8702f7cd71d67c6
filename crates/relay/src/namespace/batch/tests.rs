use super::*;
use crate::core::ledger::Hold;
use crate::namespace::registry::tests::connection;

/// Clients in a namespace, and what they have sent.
struct Fixture {
    registry: Registry,
    queue: Queue,
    places: Vec<Place>,
}

impl Fixture {
    fn new(clients: u32) -> Fixture {
        let mut registry = Registry::default();
        let places = (0..clients).map(|key| registry.insert(Sid::random(), connection(key)));
        let places = places.collect();
        Fixture {
            registry,
            queue: Queue::new(false),
            places,
        }
    }

    /// Each of these clients sends an event; its data is the position in all of them.
    fn send(&mut self, clients: &[usize]) {
        for (number, client) in clients.iter().enumerate() {
            let socket = self.registry.at(self.places[*client]).unwrap();
            let data = format!("[{number}]");
            self.queue.push_packet(socket, None, &data, &[]);
        }
    }

    fn connect(&mut self, client: usize, auth: &str) {
        let socket = self.registry.at(self.places[client]).unwrap();
        let claims = auth.contains("pid");
        self.queue.push_connect(socket, Some(auth), claims);
    }

    fn disconnect(&mut self, client: usize) {
        let socket = self.registry.at(self.places[client]).unwrap();
        self.queue.push_disconnect(socket, "gone");
    }

    /// An `acks` event to which this client has replied.
    fn acks(&mut self, client: usize) {
        let socket = self.registry.at(self.places[client]).unwrap();
        let account = socket.connection.account();
        let reply = format!(r#"{{"socket":"{}","data":[]}}"#, socket.id);
        let acks = format!(r#"{{"acks":{{"handler":"h","replies":[{reply}],"missing":[]}}}}"#);
        self.queue
            .push_acks(&acks, account.charge(Hold::Passing, acks.len()));
    }

    fn take(&mut self) -> Option<Batch> {
        self.queue.take(|id| self.registry.account_of(id))
    }

    fn size(&mut self, client: usize) -> usize {
        let socket = self.registry.at(self.places[client]).unwrap();
        socket.connection.account().size()
    }

    /// Of a batch: what each event is, with the client and the number that it has.
    fn shown(&self, batch: &Batch) -> Vec<String> {
        let events: Vec<serde_json::Value> = serde_json::from_str(&batch.events_json()).unwrap();
        let shown = events.iter().map(|event| {
            let (kind, event) = event.as_object().unwrap().iter().next().unwrap();
            let Some(index) = event["socket"].as_u64() else {
                return kind.clone();
            };
            let slot = batch.socket(index as usize).unwrap();
            let client = self.places.iter().position(|it| it.slot == slot).unwrap();
            match kind.as_str() {
                "packet" => format!("{client}:{}", event["data"][0]),
                kind => format!("{client} {kind}"),
            }
        });
        shown.collect()
    }

    /// The app does so many events of the next batch.
    fn done_of_next(&mut self, done: usize) -> Vec<String> {
        let batch = self.take().unwrap();
        let has_passed = batch.has_passed();
        let (first, rest) = batch.split_at(done);
        if has_passed {
            self.queue.put_behind_parts(rest);
        } else {
            self.queue.put_back_rest(rest);
        }
        self.shown(&first)
    }

    fn next(&mut self) -> Vec<String> {
        let batch = self.take().unwrap();
        self.shown(&batch)
    }
}

#[test]
fn what_is_cut_in_two_is_noted_where_its_events_are() {
    let mut clients = Fixture::new(3);
    clients.connect(0, "{}");
    clients.send(&[1, 2, 1]);
    clients.connect(2, "{}");
    clients.disconnect(1);
    clients.acks(0);
    let (first, rest) = clients.take().unwrap().split_at(3);
    assert_eq!(clients.shown(&first), ["0 connect", "1:0", "2:1"]);
    let others = ["1:2", "2 connect", "1 disconnect", "acks"];
    assert_eq!(clients.shown(&rest), others);
    assert_eq!(Vec::from_iter(first.connecting()), [clients.places[0]]);
    assert_eq!(Vec::from_iter(rest.connecting()), [clients.places[2]]);
    assert_eq!(first.leaving().count(), 0);
    assert_eq!(Vec::from_iter(rest.leaving()), [clients.places[1].slot]);
    assert_eq!((first.unjudged(), rest.unjudged()), (1, 1));
    let kept: Vec<usize> = (0..3).map(|client| clients.size(client)).collect();
    drop((first, rest));
    for (client, kept) in kept.into_iter().enumerate() {
        assert!(clients.size(client) < kept, "what is done is not counted");
    }
}

#[test]
fn who_has_nothing_in_what_is_left_goes_first_and_then_it_has_its_turn() {
    let mut clients = Fixture::new(4);
    clients.send(&[0, 0, 1, 0, 0]);
    assert_eq!(clients.done_of_next(1), ["0:0"]);
    clients.send(&[2, 0, 1, 3, 2]);
    clients.connect(3, "{}");
    clients.disconnect(2);
    let batch = clients.take().unwrap();
    let first = ["2:0", "3:3", "2:4", "3 connect", "2 disconnect"];
    assert_eq!(clients.shown(&batch), first);
    assert_eq!(Vec::from_iter(batch.leaving()), [clients.places[2].slot]);
    assert_eq!(Vec::from_iter(batch.connecting()), [clients.places[3]]);
    // Somebody else again: but it is the turn of what is left.
    clients.send(&[3]);
    assert_eq!(clients.done_of_next(2), ["0:1", "1:2"]);
    assert_eq!(clients.next(), ["3:0"]);
    assert_eq!(clients.next(), ["0:3", "0:4"]);
    assert_eq!(clients.next(), ["0:1", "1:2"]);
    assert!(clients.take().is_none());
    assert_eq!((clients.queue.bytes(), clients.queue.recoveries()), (0, 0));
}

#[test]
fn what_is_left_of_those_who_went_first_comes_after_what_they_have_passed() {
    let mut clients = Fixture::new(4);
    clients.send(&[0, 0]);
    assert_eq!(clients.done_of_next(1), ["0:0"]);
    clients.send(&[1, 2, 1]);
    assert_eq!(clients.done_of_next(1), ["1:0"]);
    clients.send(&[1, 3]);
    assert_eq!(clients.next(), ["0:1"]);
    assert_eq!(clients.next(), ["3:1"]);
    assert_eq!(clients.next(), ["2:1", "1:2"]);
    assert_eq!(clients.next(), ["1:0"]);
    assert!(clients.take().is_none());
    assert_eq!(clients.queue.bytes(), 0);
}

#[test]
fn who_asks_for_an_earlier_session_or_has_acknowledged_something_does_not_pass_what_is_its_own() {
    let mut clients = Fixture::new(4);
    clients.send(&[0, 0]);
    assert_eq!(clients.done_of_next(1), ["0:0"]);
    // The session may be that of the client that has something left.
    clients.connect(1, r#"{"pid":"x"}"#);
    clients.acks(0);
    clients.acks(2);
    clients.send(&[1, 2]);
    clients.queue.push_tick();
    assert_eq!(clients.queue.recoveries(), 1);
    assert_eq!(clients.next(), ["acks", "2:1", "tick"]);
    assert_eq!(clients.queue.recoveries(), 1);
    assert_eq!(clients.next(), ["0:1"]);
    assert_eq!(clients.next(), ["1 connect", "acks", "1:0"]);
    assert_eq!((clients.queue.bytes(), clients.queue.recoveries()), (0, 0));
}
