//! One order: whatever the bus does, every relay delivers a namespace's log in the log's order, each entry once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::Fault;
use crate::bus::{Message, Pair, bring, pair};
use crate::client::WebSocket;
use crate::{Server, config, start_with};

/// A client in room `r`.
async fn member(server: &Server) -> WebSocket {
    let (mut socket, _) = WebSocket::connect(server.address).await;
    assert_eq!(socket.call(1, "[\"join\",\"r\"]").await, json!([]));
    socket
}

/// Emits to the room, and waits until the app has it.
async fn say(socket: &mut WebSocket, word: &str) {
    socket
        .send(&format!("427[\"room\",\"r\",\"{word}\"]"))
        .await;
}

/// The words of the next events to the room; acks are left out.
async fn heard(socket: &mut WebSocket, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    while words.len() < count {
        let text = socket.text().await;
        if let Some(event) = text.strip_prefix("42") {
            let event: Value = serde_json::from_str(event).unwrap();
            words.push(event[2].as_str().unwrap().to_owned());
        }
    }
    words
}

#[tokio::test]
async fn messages_in_any_order_lost_or_doubled_are_delivered_in_order_and_once() {
    let Pair {
        left,
        right,
        mut for_right,
        ..
    } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    for word in ["1", "2", "3", "4", "5"] {
        say(&mut a, word).await;
        heard(&mut a, 1).await;
    }
    let mut messages = Vec::new();
    for _ in 0..5 {
        messages.push(for_right.recv().await.unwrap());
    }
    // The second is lost.
    for index in [3, 3, 0, 2, 0, 4] {
        bring(&right.relay, "left", messages[index].clone());
    }
    assert_eq!(heard(&mut b, 5).await, ["1", "2", "3", "4", "5"]);
    for message in messages {
        bring(&right.relay, "left", message);
    }
    assert!(b.has_nothing().await);
    let batches = right.app.batches("/");
    let asked = batches.iter().filter(|batch| batch.body["replay"] == true);
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn an_answer_comes_after_everything_that_was_committed_before_it() {
    let Pair {
        left,
        right,
        mut for_right,
        ..
    } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    say(&mut a, "from a").await;
    heard(&mut a, 1).await;
    // The bus has not brought it yet.
    say(&mut b, "from b").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    bring(&right.relay, "left", for_right.recv().await.unwrap());
    assert_eq!(heard(&mut b, 2).await, ["from a", "from b"]);
    // Nor does it ever.
    say(&mut a, "lost").await;
    heard(&mut a, 1).await;
    say(&mut b, "next").await;
    assert_eq!(heard(&mut b, 2).await, ["lost", "next"]);
}

#[tokio::test]
async fn who_joins_hears_everything_from_then_on_and_nothing_of_before() {
    let Pair {
        left,
        right,
        mut for_right,
        ..
    } = pair().await;
    let mut a = member(&left).await;
    let (mut b, _) = WebSocket::connect(right.address).await;
    say(&mut a, "before").await;
    heard(&mut a, 1).await;
    let before = for_right.recv().await.unwrap();
    // It is committed after the join, and arrives sooner than the answer to that.
    right.app.order(&[Fault::LoseAnswer]);
    b.send("421[\"join\",\"r\"]").await;
    let joined = right.app.batches("/").len();
    right.app.batch("/", joined).await;
    say(&mut a, "after").await;
    heard(&mut a, 1).await;
    bring(&right.relay, "left", for_right.recv().await.unwrap());
    bring(&right.relay, "left", before);
    assert_eq!(heard(&mut b, 1).await, ["after"]);
    assert!(b.has_nothing().await);
}

#[tokio::test]
async fn without_a_bus_at_this_moment_other_relays_are_heard_by_asking() {
    let Pair {
        left,
        right,
        is_connected,
        ..
    } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    is_connected.store(false, Ordering::Relaxed);
    right.relay.suspect();
    say(&mut a, "1").await;
    heard(&mut a, 1).await;
    assert_eq!(heard(&mut b, 1).await, ["1"]);
    // Each batch asks as well.
    say(&mut a, "2").await;
    heard(&mut a, 1).await;
    say(&mut b, "3").await;
    assert_eq!(heard(&mut b, 2).await, ["2", "3"]);
}

#[tokio::test]
async fn a_long_gap_is_filled_page_by_page() {
    let Pair { left, right, .. } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    left.app.replay_page(2);
    let words: Vec<String> = (0..7).map(|number| number.to_string()).collect();
    for word in &words {
        say(&mut a, word).await;
        heard(&mut a, 1).await;
    }
    right.relay.hear_of("/", 3);
    assert_eq!(heard(&mut b, 7).await, words);
    assert!(b.has_nothing().await);
}

#[tokio::test]
async fn where_the_log_does_not_reach_back_clients_must_come_again() {
    let Pair { left, right, .. } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    say(&mut a, "gone").await;
    heard(&mut a, 1).await;
    left.app.forget_log();
    right.relay.suspect();
    b.closed().await;
    let mut b = member(&right).await;
    say(&mut a, "next").await;
    right.relay.suspect();
    assert_eq!(heard(&mut b, 1).await, ["next"]);
}

#[tokio::test]
async fn what_is_volatile_needs_no_place_in_the_log() {
    let Pair {
        left,
        right,
        mut for_right,
        ..
    } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    say(&mut a, "missing").await;
    heard(&mut a, 1).await;
    let missing = for_right.recv().await.unwrap();
    a.send("42[\"volatile\",1]").await;
    bring(&right.relay, "left", for_right.recv().await.unwrap());
    assert_eq!(b.text().await, "42[\"volatile\",1]");
    bring(&right.relay, "left", missing);
    assert_eq!(heard(&mut b, 1).await, ["missing"]);
}

#[tokio::test]
async fn what_another_namespace_emits_stands_in_the_same_order() {
    let server = start_with(config()).await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    b.enter("/custom,").await;
    // The answer that has the first event for `/custom` is late; that with the second is not.
    server.app.order_for("/", &[Fault::LoseAnswer]);
    a.send("42[\"elsewhere\",\"/custom\",\"first\"]").await;
    while server.app.handled("elsewhere") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    b.send("42/custom,[\"all\",\"x\",\"second\"]").await;
    let mut words = Vec::new();
    for _ in 0..2 {
        let text = b.text().await;
        let event: Value = serde_json::from_str(text.strip_prefix("42/custom,").unwrap()).unwrap();
        words.push(event[2].clone());
    }
    assert_eq!(words, ["first", "second"]);
    assert!(b.has_nothing().await);
}

#[tokio::test]
async fn two_busy_relays_deliver_the_same_sequence() {
    let Pair {
        left,
        right,
        mut for_left,
        mut for_right,
        ..
    } = pair().await;
    let (mut a, mut b) = (member(&left).await, member(&right).await);
    let (to_left, to_right) = (left.relay.clone(), right.relay.clone());
    tokio::spawn(async move {
        let mut late: Option<Message> = None;
        loop {
            let (message, relay, from) = tokio::select! {
                Some(message) = for_left.recv() => (message, &to_left, "right"),
                Some(message) = for_right.recv() => (message, &to_right, "left"),
                else => return,
            };
            // One in three is lost, one in three comes late.
            match rand::random_range(0..3) {
                0 => {}
                1 => bring(
                    relay,
                    from,
                    late.replace(message.clone()).unwrap_or(message),
                ),
                _ => bring(relay, from, message),
            }
        }
    });
    // What is lost last is told by nobody else.
    let relays = [left.relay.clone(), right.relay.clone()];
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            relays.iter().for_each(parlour_relay::Relay::suspect);
        }
    });
    const EACH: usize = 200;
    for number in 0..EACH {
        say(&mut a, &format!("a{number}")).await;
        say(&mut b, &format!("b{number}")).await;
    }
    let (at_a, at_b) = tokio::join!(heard(&mut a, 2 * EACH), heard(&mut b, 2 * EACH));
    assert_eq!(at_a, at_b);
    for (who, all) in [("a", &at_a), ("b", &at_a)] {
        let own: Vec<&String> = all.iter().filter(|word| word.starts_with(who)).collect();
        let expected: Vec<String> = (0..EACH).map(|number| format!("{who}{number}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}
