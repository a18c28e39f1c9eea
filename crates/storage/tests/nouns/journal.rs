//! The journal: one sequence, of which the transcript is a view.

use domain::runs::{Event, Status};
use domain::turns::{Reply, Stop, Usage};
use serde_json::json;
use storage::journal;
use storage::runs::Then;

use crate::house::{Engine, House, at, noted, step};

fn replied(text: &str) -> Event {
    let carry = Some(json!({ "signature": "secret words" }));
    let reply =
        Reply { text: text.into(), calls: vec![], stop: Stop::Done, model: "m".into(), usage: Usage::default(), carry };
    Event::Replied { turn: 1, reply }
}

both!(commits_go_on_where_the_last_one_ended);
async fn commits_go_on_where_the_last_one_ended(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let mut claimed = house.claim_one(at(20)).await;
    for (text, tail) in [("a", (5, 3)), ("b", (7, 5))] {
        let events = vec![noted(text), replied(text)];
        let step = step(&claimed, events, Status::Running, Then::Hold(9_000), at(30));
        claimed.tail = house.commit(step).await.unwrap().0;
        assert_eq!(claimed.tail, tail);
    }
    let journal = house.journal(run).await;
    assert_eq!(journal[3..], ["4 noted", "5 replied", "6 noted", "7 replied"]);
    let row = house.row(run).await;
    assert_eq!((row.last_seq, row.message_count), (7, 5));
}

both!(what_a_provider_wants_back_is_replayed_but_never_shown);
async fn what_a_provider_wants_back_is_replayed_but_never_shown(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    house.commit(step(&claimed, vec![replied("hi")], Status::Running, Then::Release, at(30))).await.unwrap();
    let entries = house.db.read(async |tx| journal::replay(tx, run).await).await.unwrap();
    assert_eq!(entries.last().map(|entry| &entry.event), Some(&replied("hi")));
    let shown = house.db.read(async |tx| journal::after(tx, house.team, run, 3, 10).await).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert!(shown[0].body.contains("hi") && !shown[0].body.contains("secret"), "{}", shown[0].body);
}

both!(messages_page_through_the_entries_that_show);
async fn messages_page_through_the_entries_that_show(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    // Silent entries lie between those that show.
    let events = vec![noted("m1"), replied(""), noted("m2"), replied(""), replied(""), noted("m3"), noted("m4")];
    house.commit(step(&claimed, events, Status::Running, Then::Release, at(30))).await.unwrap();
    let page = async |limit, offset| {
        let read = house.db.read(async |tx| journal::messages(tx, house.team, run, limit, offset).await);
        read.await.unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(page(100, 0).await, [2, 4, 6, 9, 10]);
    assert_eq!(page(2, 0).await, [2, 4]);
    assert_eq!(page(2, 2).await, [6, 9]);
    assert_eq!(page(2, 4).await, [10]);
    assert_eq!(page(2, 5).await, Vec::<u64>::new());
    assert_eq!(page(2, u64::MAX).await, Vec::<u64>::new());
}

both!(the_stream_reads_on_after_any_entry);
async fn the_stream_reads_on_after_any_entry(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    house.claim_one(at(20)).await;
    let after = async |seq, limit| {
        let read = house.db.read(async |tx| journal::after(tx, house.team, run, seq, limit).await);
        read.await.unwrap().iter().map(|line| (line.seq, line.at)).collect::<Vec<_>>()
    };
    assert_eq!(after(0, 2).await, [(1, at(10)), (2, at(10))]);
    assert_eq!(after(2, 2).await, [(3, at(20))]);
    assert_eq!(after(3, 2).await, []);
}
