//! How many requests a key may make, and how the answers say so.

use domain::Ambient;
use domain::api_keys::ApiKey;
use serde_json::json;
use testkit::postgres::Cluster;

use crate::house::{Answer, House, KEY, OTHER_KEY};

fn left(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining"))
}

#[tokio::test]
async fn a_key_that_asks_too_much_waits_for_the_next_minute() {
    let mut house = House::new().await;
    house.restart(|app| app.requests_per_minute = 3);
    let minute = house.ambient.now().0.div_euclid(60_000);
    let reset = ((minute + 1) * 60).to_string();
    for remaining in ["2", "1"] {
        let answer = house.get("/v1/agents").await;
        answer.success(200);
        assert_eq!(left(&answer), (Some("3"), Some(remaining)));
        assert_eq!(answer.header("x-ratelimit-reset"), Some(reset.as_str()));
    }
    // A refused request counts as any other.
    let refused = house.post("/v1/agents", json!({})).await;
    refused.refusal(400, "invalid_request");
    assert_eq!(left(&refused), (Some("3"), Some("0")));
    for _ in 0..3 {
        let over = house.get("/v1/agents").await;
        let told = over.refusal(429, "rate_limited");
        assert!(told.contains("3 requests a minute"), "{told}");
        assert_eq!(left(&over), (Some("3"), Some("0")));
        let wait: i64 = over.header("retry-after").expect("a wait").parse().expect("seconds");
        assert_eq!(wait, (minute + 1) * 60 - house.ambient.now().0.div_euclid(1000));
    }
    // Others are not concerned.
    house.get_as(OTHER_KEY, "/v1/agents").await.success(200);
    let left_of_it = 60_000 - house.ambient.now().0.rem_euclid(60_000);
    house.ambient.advance_ms(u64::try_from(left_of_it).expect("a minute"));
    assert_eq!(left(&house.get("/v1/agents").await), (Some("3"), Some("2")));
}

#[tokio::test]
async fn a_key_may_have_its_own_number_and_none_means_none() {
    let mut house = House::new().await;
    let key = |rate| ApiKey { requests_per_minute: Some(rate), ..house.new_key(&format!("dv_key_with_rate_{rate}")) };
    for key in [key(1), key(0)] {
        house.add_key(key).await;
    }
    house.restart(|app| app.requests_per_minute = 300);
    assert_eq!(left(&house.get_as("dv_key_with_rate_1", "/v1/agents").await), (Some("1"), Some("0")));
    house.get_as("dv_key_with_rate_1", "/v1/agents").await.refusal(429, "rate_limited");
    assert_eq!(left(&house.get_as("dv_key_with_rate_0", "/v1/agents").await), (None, None));
    assert_eq!(left(&house.get("/v1/agents").await), (Some("300"), Some("299")));
    house.restart(|app| app.requests_per_minute = 0);
    assert_eq!(left(&house.get_as(KEY, "/v1/agents").await), (None, None));
}

#[tokio::test]
async fn a_burst_is_counted_to_the_request() {
    let mut house = House::new().await;
    house.restart(|app| app.requests_per_minute = 100);
    let asked = (0..160).map(|_| house.get("/v1/agents"));
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 100);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 60);
}

/// What a node took without the database is not given again when that is back.
#[tokio::test]
async fn a_node_serves_no_more_than_the_limit_however_often_the_database_comes_and_goes() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    let mut house = House::on_postgres(&cluster).await;
    house.restart(|app| app.requests_per_minute = 50);
    let mut served = 0;
    for standbys in ["*", "", "*", ""] {
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
        cluster.psql("errand", &set).expect("a setting");
        cluster.psql("errand", "SELECT pg_reload_conf()").expect("a reload");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        for _ in 0..20 {
            served += usize::from(house.get("/v1/agents").await.status == 200);
        }
    }
    assert_eq!(served, 50);
}

/// Reading must not depend on writing: a primary whose standby is away takes no commit, and answers.
#[tokio::test]
async fn a_database_that_takes_no_writes_is_read_all_the_same() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    let mut house = House::on_postgres(&cluster).await;
    house.restart(|app| app.requests_per_minute = 50);
    cluster.psql("errand", "ALTER SYSTEM SET synchronous_standby_names = '*'").expect("a setting");
    cluster.psql("errand", "SELECT pg_reload_conf()").expect("a reload");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let began = std::time::Instant::now();
    let answers = futures_util::future::join_all((0..60).map(|_| house.get("/v1/agents"))).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 50);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 10);
}
