use super::*;

fn segment(previous: u64, offsets: &[u64]) -> Segment {
    let commands: Vec<String> = offsets
        .iter()
        .map(|offset| format!(r#"{{"emit":{{"data":["{offset}"],"offset":{offset}}}}}"#))
        .collect();
    let head = offsets
        .iter()
        .fold(previous, |head, offset| head.max(*offset));
    Segment {
        extent: Extent { previous, head },
        commands: format!("[{}]", commands.join(",")).into(),
        _charge: None,
    }
}

/// The offsets of what is delivered.
fn delivered(log: &mut Log, limit: Option<u64>) -> Vec<u64> {
    let mut offsets = Vec::new();
    while let Some(next) = log.next(limit) {
        let commands: Vec<Command<'_>> = serde_json::from_str(&next.commands).unwrap();
        offsets.extend(next.select(&commands).filter_map(Command::offset));
    }
    offsets
}

fn at(offset: u64) -> Log {
    let mut log = Log::default();
    log.advance(offset);
    log
}

#[test]
fn what_comes_too_early_waits_and_what_comes_again_is_dropped() {
    let mut log = at(10);
    log.arrived(segment(14, &[17]));
    log.arrived(segment(12, &[13, 14]));
    assert!(delivered(&mut log, None).is_empty());
    assert!(log.should_ask());
    log.arrived(segment(10, &[12]));
    assert_eq!(delivered(&mut log, None), [12, 13, 14, 17]);
    assert!(!log.should_ask());
    for again in [
        segment(10, &[12]),
        segment(12, &[13, 14]),
        segment(9, &[10]),
    ] {
        log.arrived(again);
    }
    assert!(delivered(&mut log, None).is_empty());
    assert_eq!(log.delivered(), Some(17));
}

#[test]
fn a_part_that_was_delivered_by_another_way_is_left_out() {
    let mut log = at(10);
    log.arrived(segment(10, &[11, 12, 13, 15]));
    log.advance(12);
    assert_eq!(delivered(&mut log, None), [13, 15]);
    // Both begin at the same place: the longer one counts.
    log.arrived(segment(15, &[16, 17]));
    log.arrived(segment(15, &[16]));
    assert_eq!(delivered(&mut log, None), [16, 17]);
}

#[test]
fn an_answer_has_its_place_between_what_came_before_and_what_comes_after() {
    let mut log = at(10);
    log.arrived(segment(10, &[11, 12, 15, 16]));
    // An answer has 13 and 14.
    assert_eq!(delivered(&mut log, Some(12)), [11, 12]);
    assert!(delivered(&mut log, Some(12)).is_empty());
    log.advance(14);
    assert_eq!(delivered(&mut log, None), [15, 16]);
}

#[test]
fn what_is_volatile_keeps_its_place_and_is_delivered_once() {
    let mut log = at(10);
    let commands = r#"[{"emit":{"data":["a"],"volatile":true}},{"emit":{"data":["b"],"offset":11}},
        {"emit":{"data":["c"],"volatile":true}},{"emit":{"data":["d"],"offset":13}}]"#;
    let extent = Extent {
        previous: 10,
        head: 13,
    };
    log.arrived(Segment {
        extent,
        commands: commands.into(),
        _charge: None,
    });
    let mut heard = Vec::new();
    for limit in [Some(11), None] {
        while let Some(next) = log.next(limit) {
            let commands: Vec<Command<'_>> = serde_json::from_str(&next.commands).unwrap();
            for command in next.select(&commands) {
                let Command::Emit(emit) = command else {
                    panic!()
                };
                heard.push(emit.data.get().to_owned());
            }
        }
    }
    assert_eq!(heard, [r#"["a"]"#, r#"["b"]"#, r#"["c"]"#, r#"["d"]"#]);
}

#[test]
fn what_is_too_much_to_keep_is_asked_for() {
    let mut log = at(10);
    let large = format!(
        r#"[{{"emit":{{"data":["{}"],"offset":14}}}}]"#,
        "x".repeat(MAX_EARLY_BYTES)
    );
    let extent = Extent {
        previous: 12,
        head: 14,
    };
    log.arrived(Segment {
        extent,
        commands: large.into(),
        _charge: None,
    });
    assert_eq!(log.bytes, 0);
    assert!(log.should_ask() && log.ask_at(Instant::now(), None).is_some());
}

#[test]
fn the_app_knows_best_where_its_log_ends() {
    let mut log = at(10);
    log.heard_of(99);
    log.is_asking();
    log.is_at(10);
    assert!(!log.should_ask(), "nobody has given 99");
    log.is_asking();
    log.heard_of(11);
    log.is_at(10);
    assert!(log.should_ask(), "11 was given meanwhile");
    log.arrived(segment(10, &[11]));
    log.is_at(5);
    assert_eq!(
        (log.delivered(), delivered(&mut log, None)),
        (Some(5), vec![])
    );
}

#[test]
fn without_a_place_in_the_log_nothing_is_asked() {
    let mut log = Log::default();
    log.suspect();
    log.heard_of(20);
    assert_eq!(
        log.ask_at(Instant::now(), Some(Duration::from_secs(1))),
        None
    );
    log.advance(20);
    assert!(
        log.ask_at(Instant::now(), None).is_some(),
        "it is suspicious"
    );
    log.is_asking();
    log.is_at(20);
    assert_eq!(log.ask_at(Instant::now(), None), None);
    assert!(
        log.ask_at(Instant::now(), Some(Duration::from_secs(1)))
            .is_some()
    );
    assert_eq!((log.untold(), log.untold()), (Some(20), None));
}
