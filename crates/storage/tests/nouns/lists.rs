//! Lists of runs and Assignments: order, pages, filters, totals.

use domain::runs::{Event, Status};
use domain::{AgentId, RunId};
use storage::runs::{Filter, Then};
use storage::{agents, runs};

use crate::house::{Engine, House, at, step};

struct Listed {
    house: House,
    agents: [AgentId; 2],
    /// In the order of creation.
    runs: Vec<RunId>,
}

const TITLES: [&str; 4] = ["Invoices MAY", "100% done", "a_b", "aXb"];

/// Four runs of two Assignments by turns; the second one completed.
async fn listed(engine: Engine) -> Listed {
    let house = House::new(engine).await;
    let agents = [house.agent(house.team, "one").await, house.agent(house.team, "two").await];
    let mut runs = Vec::new();
    for (place, title) in TITLES.into_iter().enumerate() {
        let agent = agents[place % 2];
        let build = house.build(house.team, agent).await.unwrap().id;
        let created_at = at(i64::try_from(place).unwrap() * 10);
        runs.push(house.run_of(house.team, agent, build, title, created_at).await.id);
    }
    let mut claimed = house.claim(at(50)).await;
    claimed.retain(|claimed| claimed.lease.run == runs[1]);
    let done = vec![Event::Completed { result: None }];
    house.commit(step(&claimed[0], done, Status::Completed, Then::Release, at(60))).await.unwrap();
    Listed { house, agents, runs }
}

impl Listed {
    /// Which of the runs a list shows, by their place in the order of creation, and its total.
    async fn page(&self, filter: &Filter, newest_first: bool, limit: u32, offset: u64) -> (Vec<usize>, u64) {
        let team = self.house.team;
        let filter = filter.clone();
        let read =
            async move |tx: &mut storage::Tx<'_>| runs::page(tx, team, &filter, newest_first, limit, offset).await;
        let (page, total) = self.house.db.read_slow(read).await.unwrap();
        let place = |id: RunId| self.runs.iter().position(|run| *run == id).unwrap();
        (page.iter().map(|(row, _)| place(row.id)).collect(), total)
    }

    async fn all(&self, filter: Filter) -> Vec<usize> {
        let (all, total) = self.page(&filter, false, 100, 0).await;
        assert_eq!(total, all.len() as u64, "{filter:?}");
        all
    }
}

both!(runs_come_in_the_order_of_creation_both_ways_and_page_by_page);
async fn runs_come_in_the_order_of_creation_both_ways_and_page_by_page(engine: Engine) {
    let listed = listed(engine).await;
    let every = Filter::default();
    assert_eq!(listed.page(&every, true, 100, 0).await, (vec![3, 2, 1, 0], 4));
    assert_eq!(listed.page(&every, false, 100, 0).await, (vec![0, 1, 2, 3], 4));
    assert_eq!(listed.page(&every, true, 3, 0).await, (vec![3, 2, 1], 4));
    assert_eq!(listed.page(&every, true, 3, 3).await, (vec![0], 4));
    assert_eq!(listed.page(&every, true, 3, 4).await, (vec![], 4));
}

both!(each_filter_leaves_what_fits);
async fn each_filter_leaves_what_fits(engine: Engine) {
    let listed = listed(engine).await;
    let everything = Filter::default;
    let agent = |place: usize| Filter { agent: Some(listed.agents[place]), ..everything() };
    assert_eq!(listed.all(agent(0)).await, [0, 2]);
    assert_eq!(listed.all(agent(1)).await, [1, 3]);
    let status = |one, other| Filter { status: Some((one, other)), ..everything() };
    assert_eq!(listed.all(status(Status::Completed, Status::Completed)).await, [1]);
    assert_eq!(listed.all(status(Status::Failed, Status::Starting)).await, [0, 2, 3]);
    assert_eq!(listed.all(Filter { source: Some("api".into()), ..everything() }).await, [0, 1, 2, 3]);
    assert_eq!(listed.all(Filter { source: Some("case".into()), ..everything() }).await, Vec::<usize>::new());
    assert_eq!(listed.all(Filter { since: Some(at(20)), ..everything() }).await, [2, 3]);
    let both = Filter { agent: Some(listed.agents[0]), since: Some(at(1)), ..everything() };
    assert_eq!(listed.all(both).await, [2]);
}

both!(a_search_finds_text_in_any_case_and_knows_no_wildcards);
async fn a_search_finds_text_in_any_case_and_knows_no_wildcards(engine: Engine) {
    let listed = listed(engine).await;
    for (search, found) in
        [("may", vec![0]), ("VOICES m", vec![0]), ("%", vec![1]), ("a_b", vec![2]), ("axb", vec![3]), ("!", vec![])]
    {
        let filter = Filter { search: Some(search.into()), ..Filter::default() };
        assert_eq!(listed.all(filter).await, found, "{search}");
    }
}

both!(assignments_come_newest_first_with_their_total);
async fn assignments_come_newest_first_with_their_total(engine: Engine) {
    let house = House::new(engine).await;
    for name in ["a", "b", "c"] {
        house.agent(house.team, name).await;
    }
    let page = async |limit, offset| {
        let read = house.db.read(async |tx| agents::page(tx, house.team, limit, offset).await);
        let (page, total) = read.await.unwrap();
        (page.into_iter().map(|agent| agent.name).collect::<String>(), total)
    };
    assert_eq!(page(2, 0).await, ("cb".into(), 3));
    assert_eq!(page(2, 2).await, ("a".into(), 3));
    assert_eq!(page(2, u64::MAX).await, (String::new(), 3));
}
