//! One session with one server.

use std::time::Duration;

use domain::tools::{Definition, Offer, TOOLS_MAX};
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, PaginatedRequestParams, ServerResult};
use rmcp::service::{Peer, PeerRequestOptions, RequestHandle, RunningService};
use rmcp::{RoleClient, Service};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::results::Results;
use crate::stdio::Program;

/// Pages of a list that are read; more than any server of at most [`TOOLS_MAX`] tools has.
const PAGES: usize = 32;

/// A session. Dropping it ends it, and the program behind it.
pub struct Session {
    peer: Peer<RoleClient>,
    // In this order: first the session ends, then the program.
    _service: Box<dyn Send + Sync>,
    _program: Option<Program>,
}

impl Session {
    pub(crate) fn new<S: Service<RoleClient>>(
        service: RunningService<RoleClient, S>,
        program: Option<Program>,
    ) -> Self {
        Self { peer: service.peer().clone(), _service: Box::new(service), _program: program }
    }

    /// Whether the server has gone.
    pub fn is_closed(&self) -> bool {
        self.peer.is_transport_closed()
    }

    /// What the server says now that its tools are.
    ///
    /// # Errors
    /// Why it does not say.
    pub async fn tools(&self) -> Result<Offer, Failure> {
        let mut offer = Offer::default();
        let mut cursor = None;
        for _page in 0..PAGES {
            let asked = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.peer.list_tools(Some(asked)).await.map_err(|error| Failure::of_service(&error))?;
            for tool in page.tools {
                let name = tool.name.to_string();
                let entry =
                    serde_json::to_value(&tool).map_err(|error| Failure::new("mcp_protocol", error.to_string()))?;
                match Definition::read(entry) {
                    _ if offer.tools.len() >= TOOLS_MAX => {
                        offer.refused.push(format!("the tool {name:?} is one more than {TOOLS_MAX}"));
                    }
                    Ok(tool) if offer.tools.iter().any(|other| other.name == tool.name) => {
                        offer.refused.push(format!("the tool {name:?} is listed twice"));
                    }
                    Ok(tool) => offer.tools.push(tool),
                    Err(why) => offer.refused.push(format!("the tool {name:?} {why}")),
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(offer);
            }
        }
        Err(Failure::new("mcp_protocol", format!("its list of tools has more than {PAGES} pages")))
    }

    /// Makes a call. Dropping the future tells the server that nobody waits any more.
    ///
    /// # Errors
    /// Why there is no result. A tool that says itself that it failed has one.
    pub async fn call(&self, tool: &str, arguments: &Map<String, Value>, most: Duration) -> Result<Results, Failure> {
        let request =
            CallToolRequest::new(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone()));
        let options = PeerRequestOptions::with_timeout(most);
        let sent = self.peer.send_cancellable_request(ClientRequest::CallToolRequest(request), options).await;
        let mut waiting = Waiting(Some(sent.map_err(|error| Failure::of_service(&error))?));
        let answer = match &mut waiting.0 {
            Some(handle) => tokio::time::timeout(most, &mut handle.rx).await,
            None => return Err(Failure::new("mcp_protocol", "the call was lost")),
        };
        match answer {
            Ok(Ok(answered)) => {
                waiting.0 = None;
                match answered.map_err(|error| Failure::of_service(&error))? {
                    ServerResult::CallToolResult(result) => Ok(Results::read(result)),
                    _ => Err(Failure::new("mcp_protocol", "the server answered something else than a result")),
                }
            }
            Ok(Err(_gone)) => Err(Failure::new("mcp_closed", "the server closed the connection")),
            Err(_late) => Err(Failure::new("mcp_timed_out", "the server did not answer in time")),
        }
    }
}

/// A call that is under way. Whoever stops waiting for it says so.
struct Waiting(Option<RequestHandle<RoleClient>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { handle.cancel(Some("nobody waits for it any more".into())).await });
        }
    }
}
