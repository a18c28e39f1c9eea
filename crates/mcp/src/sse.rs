//! The transport before Streamable HTTP (2024-11-05): one stream of events from the server, whose first says where messages go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use egress::{HeaderName, HeaderValue, Url};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rmcp::RoleClient;
use rmcp::model::ClientJsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_client::{SseError, StreamableHttpClient as _, StreamableHttpError};
use sse_stream::Sse;

use crate::http::Http;

/// How long the server may take to say where messages go.
const WELCOME: Duration = Duration::from_secs(10);

/// A connection: the stream that is open, and where to send.
pub(crate) struct OldSse {
    http: Http,
    events: BoxStream<'static, Result<Sse, SseError>>,
    endpoint: Arc<str>,
    headers: HashMap<HeaderName, HeaderValue>,
}

impl OldSse {
    /// Opens the stream. Messages go to where it was opened, or to another path there: what a server says leads nowhere else, and no header
    /// follows it.
    pub(crate) async fn open(
        http: Http,
        url: &str,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Self, StreamableHttpError<egress::Error>> {
        let unexpected = |what: &'static str| StreamableHttpError::UnexpectedServerResponse(what.into());
        let mut events = http.get_stream(url.into(), None, None, None, headers.clone()).await?;
        let first = async {
            while let Some(event) = events.next().await {
                let event = event?;
                if event.event.as_deref() == Some("endpoint") {
                    return event.data.ok_or_else(|| unexpected("an endpoint without a place"));
                }
            }
            Err(StreamableHttpError::UnexpectedEndOfStream)
        };
        let said = tokio::time::timeout(WELCOME, first).await.map_err(|_late| unexpected("no endpoint in time"))??;
        let base = Url::parse(url).map_err(|_| unexpected("no base for the endpoint"))?;
        let endpoint = base.join(said.trim()).map_err(|_| unexpected("an endpoint that is no URL"))?;
        if endpoint.origin() != base.origin() {
            return Err(unexpected("an endpoint of another server"));
        }
        Ok(Self { http, events, endpoint: endpoint.as_str().into(), headers })
    }
}

impl Transport<RoleClient> for OldSse {
    type Error = StreamableHttpError<egress::Error>;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let (http, endpoint, headers) = (self.http.clone(), Arc::clone(&self.endpoint), self.headers.clone());
        let message: ClientJsonRpcMessage = message;
        // What is answered to it comes over the stream.
        async move { http.tell(&endpoint, &message, headers).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let event = match self.events.next().await? {
                Ok(event) => event,
                Err(error) => {
                    tracing::debug!(%error, "the stream of an MCP server broke");
                    return None;
                }
            };
            // What is no message is passed over, as the SDK does.
            if let Some(Ok(message)) = event.data.map(|data| serde_json::from_str(&data)) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.events = futures_util::stream::empty().boxed();
        Ok(())
    }
}
