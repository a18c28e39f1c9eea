//! The tools of MCP servers as one Job has them: what is pinned for its Build, the names its model knows them by, and the sessions in which they are
//! called.
//!
//! A call is made only under the definition that its intent names. The server is asked for it before each call, in the same session; if it says
//! something else by then, nothing is called, and a person decides. What comes back is data: it is marked as that, and nothing is taken from it.

mod outcome;

use std::collections::BTreeMap;
use std::time::Duration;

use agent::workspace::Workspace;
use domain::builds::McpTool;
use domain::runs::{Event, Run};
use domain::tools::{Definition, Offer, offered_name};
use domain::turns::{Outcome, Replay, Target, ToolCall, ToolSpec};
use mcp::{Failure, Session};
use storage::work::Lease;
use storage::{StoreError, pins as stored};
use tokio::time::{Instant, timeout_at};

use crate::pins::{self, Mcp};
use crate::plan::Plan;
use crate::shop::Shop;

/// The tools of a Job.
pub(crate) struct Remote {
    /// By `server_label`.
    pinned: BTreeMap<String, Offer>,
    /// By the name that the model knows.
    offered: BTreeMap<String, Offered>,
    /// The Job's own tools and these.
    specs: Vec<ToolSpec>,
    sessions: BTreeMap<String, Session>,
    /// When servers could not be asked what they offer, and until when they are let be.
    resting: Option<Instant>,
}

/// A tool that the model is offered.
struct Offered {
    target: Target,
    replay: Replay,
}

impl Remote {
    /// What is pinned so far. Without servers it costs nothing.
    pub(crate) async fn load(shop: &Shop, lease: Lease, plan: &Plan) -> Result<Self, StoreError> {
        let mut remote = Self {
            pinned: BTreeMap::new(),
            offered: BTreeMap::new(),
            specs: vec![],
            sessions: BTreeMap::new(),
            resting: None,
        };
        if !plan.servers.is_empty() {
            remote.read(shop, lease, plan).await?;
        }
        Ok(remote)
    }

    async fn read(&mut self, shop: &Shop, lease: Lease, plan: &Plan) -> Result<(), StoreError> {
        let (team, build) = (lease.team, plan.build);
        let pinned = shop.parts.db.read(async |tx| stored::of_build(tx, team, build).await).await?;
        self.pinned = pinned.into_iter().collect();
        self.offered.clear();
        self.specs = shop.specs(plan.json_object).to_vec();
        for server in &plan.servers {
            let Some(offer) = self.pinned.get(&server.server_label) else { continue };
            for tool in offer.tools.iter().filter(|tool| server.allows(&tool.name)) {
                let taken = |name: &str| self.specs.iter().any(|spec| spec.name == name);
                let name = offered_name(&server.server_label, &tool.name, taken);
                self.specs.push(spec(name.clone(), tool));
                let target = target(server, tool);
                let repeat =
                    shop.parts.mcp.as_ref().is_some_and(|mcp| mcp.servers.may_repeat(&server.server_url, &tool.name));
                let replay = if repeat { Replay::Safe } else { Replay::Never };
                self.offered.insert(name, Offered { target, replay });
            }
        }
        Ok(())
    }

    /// All tools that the model is offered; `own` where there are no others.
    pub(crate) fn specs<'s>(&'s self, own: &'s [ToolSpec]) -> &'s [ToolSpec] {
        if self.specs.is_empty() { own } else { &self.specs }
    }

    /// Asks those servers what they offer that have not said so yet, each at most once in a while; what readers of the transcript should know of it.
    pub(crate) async fn pin(&mut self, shop: &Shop, lease: Lease, plan: &Plan) -> Result<Vec<Event>, StoreError> {
        let missing: Vec<McpTool> =
            plan.servers.iter().filter(|server| !self.pinned.contains_key(&server.server_label)).cloned().collect();
        let rests = self.resting.is_some_and(|until| Instant::now() < until);
        let Some(mcp) = shop.parts.mcp.as_ref().filter(|_| !missing.is_empty() && !rests) else { return Ok(vec![]) };
        let first = self.resting.is_none();
        let failed = pins::pin(&shop.parts.db, &*shop.parts.ambient, mcp, (lease.team, plan.build), &missing).await?;
        self.resting = Instant::now().checked_add(pins::AGAIN);
        self.read(shop, lease, plan).await?;
        let mut notes = Vec::new();
        for server in &missing {
            for why in self.pinned.get(&server.server_label).iter().flat_map(|offer| &offer.refused) {
                notes.push(format!("Of the server {:?}, {why}, so it is not offered.", server.server_label));
            }
        }
        for (server, failure) in failed.iter().filter(|_| first) {
            notes.push(format!(
                "The server {server:?} could not be asked for its tools, so the Job goes on without them for now: {} ({}).",
                failure.why, failure.code
            ));
        }
        Ok(notes.into_iter().map(|text| Event::Noted { text }).collect())
    }

    /// For which tool a call of this name is, and what may be done with it after a crash. A definition that a person has accepted in this Job stands for
    /// the pinned one.
    pub(crate) fn target(&self, run: &Run, name: &str) -> Option<(Target, Replay)> {
        let offered = self.offered.get(name)?;
        let mut target = offered.target.clone();
        if let Some(accepted) = run.accepted(&target.server, &target.tool) {
            accepted.clone_into(&mut target.definition);
        }
        Some((target, offered.replay))
    }

    /// Makes a call, or says that its tool has changed.
    pub(crate) async fn call(
        &mut self,
        shop: &Shop,
        lease: Lease,
        plan: &Plan,
        call: &ToolCall,
        target: &Target,
        workspace: &Workspace,
    ) -> Event {
        let finished = |outcome| Event::ToolFinished { key: call.key, outcome };
        let deadline = Instant::now() + Duration::from_millis(shop.parts.limits.tool_ms);
        let now = match timeout_at(deadline, self.current(shop, lease, plan, target)).await {
            Ok(Ok(now)) => now,
            Ok(Err(why)) => return finished(Outcome::Error(format!("{why}. The call was not made."))),
            Err(_late) => {
                self.sessions.remove(&target.server);
                let why = "the server did not say in time what its tools are (limits.tool_ms). The call was not made.";
                return finished(Outcome::Error(format!("mcp_timed_out: {why}")));
            }
        };
        let trusted = faults::sabotaged(faults::Sabotage::TrustDefinitions);
        if now.hash() != target.definition && !trusted {
            let pinned = self
                .pinned
                .get(&target.server)
                .and_then(|offer| offer.tools.iter().find(|tool| tool.name == target.tool));
            let difference = pinned.map_or_else(String::new, |pinned| pinned.difference(&now));
            let request = shop.parts.ambient.id(shop.now());
            return Event::ToolChanged { key: call.key, request, definition: now.hash(), difference };
        }
        let Some(session) = self.sessions.get(&target.server) else {
            return finished(Outcome::Error("mcp_closed: the session is gone. The call was not made.".into()));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match session.call(&target.tool, &call.arguments, left).await {
            Ok(results) => finished(outcome::of(target, call.key, results, workspace).await),
            Err(failure) => {
                // Whatever it is, the next call has a session of its own.
                if !failure.known || failure.expired {
                    self.sessions.remove(&target.server);
                }
                tracing::warn!(code = failure.code, known = failure.known, "a tool call of an MCP server failed");
                let unsure = !failure.known && call.replay == Replay::Never;
                finished(if unsure { Outcome::Unknown } else { Outcome::Error(failure.to_string()) })
            }
        }
    }

    /// What the server says now that the tool is, in the session in which it is then called.
    async fn current(&mut self, shop: &Shop, lease: Lease, plan: &Plan, target: &Target) -> Result<Definition, String> {
        let server = plan.servers.iter().find(|server| server.server_label == target.server);
        let (Some(mcp), Some(server)) = (shop.parts.mcp.as_ref(), server) else {
            return Err("mcp_unknown: there is no such server here".into());
        };
        let kept = self.sessions.get(&target.server).is_some_and(|session| !session.is_closed());
        if !kept {
            self.open(shop, mcp, lease, plan, server).await?;
        }
        let mut offer = self.tools(target).await;
        if kept && offer.is_err() {
            // It was good when it was last used; another one may be good now.
            self.open(shop, mcp, lease, plan, server).await?;
            offer = self.tools(target).await;
        }
        let offer = offer.map_err(|failure| failure.to_string())?;
        offer.tools.into_iter().find(|tool| tool.name == target.tool).ok_or_else(|| {
            let named = format!("{:?}", target.tool);
            let refused = offer.refused.into_iter().find(|why| why.contains(&named));
            refused.map_or_else(
                || format!("mcp_error: the server has no tool {named} any more"),
                |why| format!("mcp_error: of the server's tools, {why}"),
            )
        })
    }

    async fn tools(&self, target: &Target) -> Result<Offer, Failure> {
        match self.sessions.get(&target.server) {
            Some(session) => session.tools().await,
            None => Ok(Offer::default()),
        }
    }

    async fn open(
        &mut self,
        shop: &Shop,
        mcp: &Mcp,
        lease: Lease,
        plan: &Plan,
        server: &McpTool,
    ) -> Result<(), String> {
        self.sessions.remove(&server.server_label);
        let place = pins::place(&shop.parts.db, mcp, (lease.team, plan.build), server).await;
        let place = place.map_err(|error| {
            tracing::error!(%error, "the headers of an MCP server cannot be read");
            "mcp_header: the stored headers of the server cannot be read at the moment".to_owned()
        })?;
        let session = mcp.servers.open(&place).await.map_err(|failure| failure.to_string())?;
        self.sessions.insert(server.server_label.clone(), session);
        Ok(())
    }
}

fn target(server: &McpTool, tool: &Definition) -> Target {
    Target {
        server: server.server_label.clone(),
        tool: tool.name.clone(),
        definition: tool.hash(),
        request: None,
        approval: server.asks(&tool.name),
    }
}

fn spec(name: String, tool: &Definition) -> ToolSpec {
    let description = tool.description.clone().or_else(|| tool.title.clone()).unwrap_or_default();
    ToolSpec { name: name.into(), description: description.into(), parameters: tool.input_schema.clone().into() }
}
