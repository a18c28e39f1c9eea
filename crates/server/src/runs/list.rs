//! The list of runs: what its filters mean to runs as they are here, and how a row of it looks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use contract::pages::{RunQuery, SortOrder};
use contract::runs::{RunPage, RunRow as Row};
use domain::Timestamp;
use domain::runs::Status;
use storage::Tx;
use storage::runs::{self, Filter, RunRow};

use crate::Shared;
use crate::auth::{Caller, MayRead};
use crate::errors::ApiError;
use crate::query::Query;

/// `run.list`. With a filter the rows are counted, so that is read beside the point reads.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Query(query): Query<RunQuery>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<RunPage>, ApiError> {
    let Some(filter) = filter(&query)? else {
        return Ok(Json(RunPage { data: Vec::new(), total: 0 }));
    };
    let page = query.page;
    let newest_first = query.sort_order == SortOrder::Descending;
    let unfiltered = query == RunQuery { page, sort_order: query.sort_order, ..RunQuery::default() };
    let read = async move |tx: &mut Tx<'_>| {
        Ok(runs::page(tx, caller.team, &filter, newest_first, page.limit, page.offset).await?)
    };
    let (rows, total) =
        if unfiltered { shared.read_page(page, read).await? } else { shared.app.db.read_slow(read).await? };
    Ok(Json(RunPage { data: rows.into_iter().map(listed).collect(), total }))
}

/// The rows that a query means; `None` when no run can be meant.
///
/// A run here has no user, no case queue, no digest and no evaluation: to ask for runs of one is to ask for none, and to ask for runs
/// without issues is to ask for all.
fn filter(query: &RunQuery) -> Result<Option<Filter>, ApiError> {
    let since = query.since.as_deref().map(str::parse::<Timestamp>).transpose();
    let since = since.map_err(|error| ApiError::InvalidRequest(format!("query parameter `since`: {error}")))?;
    let of_nothing_here = [&query.user_id, &query.case_queue_id, &query.digest_id, &query.issue_severity];
    if of_nothing_here.iter().any(|parameter| parameter.is_some()) || query.has_issues == Some(true) {
        return Ok(None);
    }
    let status = match query.status.as_deref() {
        None => None,
        Some(word) => match statuses(word) {
            Some(either) => Some(either),
            None => return Ok(None),
        },
    };
    let agent = query.agent_id.as_deref().map(str::parse).transpose();
    Ok(Some(Filter {
        agent: agent.map_err(|error| ApiError::InvalidRequest(format!("query parameter `agent_id`: {error}")))?,
        status,
        source: query.source.clone(),
        search: query.search.clone().filter(|text| !text.is_empty()),
        since,
    }))
}

/// The one or two statuses behind a word of the filter (contract 2.8); `None` for `not_started`, which no run here ever is.
fn statuses(word: &str) -> Option<(Status, Status)> {
    let one = match word {
        "needs_attention" => return Some((Status::Failed, Status::Waiting)),
        "stopped" => Status::Interrupted,
        word => Status::from_word(word)?,
    };
    Some((one, one))
}

fn listed((run, agent_name): (RunRow, String)) -> Row {
    Row {
        id: run.id.to_string(),
        created_at: run.created_at.to_string(),
        updated_at: run.updated_at.to_string(),
        started_at: run.started_at.map(|at| at.to_string()),
        completed_at: run.completed_at.map(|at| at.to_string()),
        status: run.status.word().to_owned(),
        source: Some(run.source),
        title: run.title,
        run_number: run.number,
        agent_id: run.agent.to_string(),
        agent_name,
        build_id: run.build.to_string(),
        user_id: None,
        case_queue_item_id: None,
        case_queue_id: None,
        case_queue_name: None,
        case_title: None,
        postponed_to: None,
        submitted_prompt_count: run.prompt_count,
        eval_summaries: None,
    }
}
