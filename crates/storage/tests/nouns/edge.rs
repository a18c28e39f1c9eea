//! What stands between a request and what it changes: answers that are kept, requests that are counted, the log of changes.

use std::sync::Arc;

use domain::ApiKeyId;
use domain::audit::{BEGINNING, Change, Who};
use storage::answers::{self, Answer, Known, Once};
use storage::rates::{self, Share};
use storage::{Db, StoreError, audit};

use crate::house::{Engine, House, at};

const DAY: i64 = answers::KEPT_MS;

fn answer(body: &[u8]) -> Answer {
    Answer { status: 201, headers: r#"{"x-a":"b"}"#.to_owned(), body: body.to_vec(), sealed: false }
}

async fn look(db: &Db, once: &Once, asked: [u8; 32], now: i64) -> Known {
    db.read(async |tx| answers::look(tx, once, &asked, at(now), false).await).await.unwrap()
}

both!(an_answer_is_kept_for_a_day_for_the_same_request);
async fn an_answer_is_kept_for_a_day_for_the_same_request(engine: Engine) {
    let house = House::new(engine).await;
    let once = |team| Once { team, route: "POST /v1/runs".to_owned(), key: "k".to_owned() };
    let (own, db) = (once(house.team), &house.db);
    assert_eq!(look(db, &own, [1; 32], 10).await, Known::New);
    let keep = async |body: &'static [u8], asked: [u8; 32], now: i64| {
        let own = own.clone();
        db.write(async move |tx| answers::keep(tx, &own, &asked, &answer(body), at(now)).await).await.unwrap();
    };
    keep(b"\xff{}", [1; 32], 10).await;
    assert_eq!(look(db, &own, [1; 32], 10 + DAY - 1).await, Known::Answered(answer(b"\xff{}")));
    assert_eq!(look(db, &own, [2; 32], 11).await, Known::Other);
    assert_eq!(look(db, &once(house.strangers), [1; 32], 11).await, Known::New);
    assert_eq!(look(db, &Once { route: "POST /v1/builds".into(), ..own.clone() }, [1; 32], 11).await, Known::New);
    // A day later it may be another request.
    assert_eq!(look(db, &own, [2; 32], 10 + DAY).await, Known::New);
    keep(b"later", [2; 32], 10 + DAY).await;
    assert_eq!(look(db, &own, [2; 32], 11 + DAY).await, Known::Answered(answer(b"later")));
    let sweep = async |now: i64| db.write(async move |tx| answers::sweep(tx, at(now), 10).await).await.unwrap();
    assert_eq!(sweep(9 + 2 * DAY).await, 0);
    assert_eq!(sweep(10 + 2 * DAY).await, 1);
    assert_eq!(look(db, &own, [2; 32], 11 + DAY).await, Known::New);
}

both!(of_equal_requests_at_once_one_is_done);
async fn of_equal_requests_at_once_one_is_done(engine: Engine) {
    let house = House::new(engine).await;
    let once = Arc::new(Once { team: house.team, route: "POST /v1/agents".to_owned(), key: "k".to_owned() });
    let attempts = (0..40_u8).map(|number| {
        let (db, once) = (house.db.clone(), Arc::clone(&once));
        tokio::spawn(async move {
            db.write(async move |tx| {
                let known = answers::look(tx, &once, &[1; 32], at(1), true).await?;
                if known == Known::New {
                    answers::keep(tx, &once, &[1; 32], &answer(&[number]), at(1)).await?;
                }
                Ok::<_, StoreError>(known)
            })
            .await
            .unwrap()
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut done = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Known::New => done += 1,
            Known::UnderWay | Known::Answered(_) => {}
            Known::Other => unreachable!("the same body"),
        }
    }
    assert_eq!(done, 1);
}

both!(a_minute_is_given_out_once_however_many_ask);
async fn a_minute_is_given_out_once_however_many_ask(engine: Engine) {
    let house = House::new(engine).await;
    let key = ApiKeyId(house.id());
    let take = |minute: i64, want: u32| {
        let db = house.db.clone();
        tokio::spawn(
            async move { db.write(async move |tx| rates::take(tx, key, minute, want, 100).await).await.unwrap() },
        )
    };
    assert_eq!(take(7, 30).await.unwrap(), Share { got: 30, left: 70 });
    let takers: Vec<_> = (0..50).map(|_| take(7, 3)).collect();
    let mut got = 30;
    for taker in takers {
        got += taker.await.unwrap().got;
    }
    assert_eq!(got, 100);
    assert_eq!(take(7, 1).await.unwrap(), Share { got: 0, left: 0 });
    assert_eq!(take(8, 2).await.unwrap(), Share { got: 2, left: 98 });
    // A clock that is behind counts into the minute that has begun.
    assert_eq!(take(7, 5).await.unwrap(), Share { got: 5, left: 93 });
}

both!(changes_made_at_once_stand_in_one_chain_a_team);
async fn changes_made_at_once_stand_in_one_chain_a_team(engine: Engine) {
    let house = House::new(engine).await;
    let change = |number: u32| Change {
        who: Who::Key(ApiKeyId(uuid::Uuid::from_u128(5))),
        what: "run.start",
        object: number.to_string(),
        before: number.is_multiple_of(2).then_some([1; 32]),
        after: Some([2; 32]),
        request_id: Some("req".to_owned()),
    };
    let writers = (0..60).map(|number| {
        let (db, change) = (house.db.clone(), change(number));
        let team = if number.is_multiple_of(3) { house.strangers } else { house.team };
        tokio::spawn(async move {
            db.write(async move |tx| {
                audit::append(tx, team, at(number.into()), change).await?;
                // Some transactions come to nothing, and leave no gap.
                if number.is_multiple_of(5) { Err(StoreError::Busy) } else { Ok(()) }
            })
            .await
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        let _some_are_undone = writer.await.unwrap();
    }
    for (team, count) in [(house.team, 32), (house.strangers, 16)] {
        let mut last = (0, BEGINNING);
        loop {
            let page = house.db.read(async |tx| audit::page(tx, team, last.0, 10).await).await.unwrap();
            if page.is_empty() {
                break;
            }
            for entry in page {
                assert!(entry.follows(last), "{entry:?} after {last:?}");
                assert_eq!((entry.what.as_str(), entry.after), ("run.start", Some([2; 32])));
                last = (entry.seq, entry.hash);
            }
        }
        assert_eq!(last.0, count);
    }
}
