//! Streamable HTTP by the egress client: the SDK says what is sent and reads what comes, here is how it goes over the wire.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use egress::{Answer, HeaderName, HeaderValue, Method, Request, StatusCode};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

/// The largest answer, in bytes.
pub(crate) const MOST: u64 = 16 * 1024 * 1024;
/// How long a stream of news may stay open; the SDK opens it again.
const STREAM: Duration = Duration::from_mins(10);
/// Headers that are the protocol's own.
const RESERVED: [&str; 5] = ["accept", "content-type", "last-event-id", "mcp-protocol-version", "mcp-session-id"];

type Error = StreamableHttpError<egress::Error>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// The way to servers.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) client: egress::Client,
    /// How long one request may take, its answer included.
    pub(crate) total: Duration,
}

impl Http {
    /// A request with the headers that all have.
    fn request(
        &self,
        method: Method,
        url: &str,
        session: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Request, Error> {
        let url = self.client.policy().check(url).map_err(Error::Client)?;
        let mut request = Request::new(method, url).most(MOST).total(self.total);
        let session = session.map(|session| ("mcp-session-id", session));
        for (name, value) in [("accept", "text/event-stream, application/json")].into_iter().chain(session) {
            request = request.header(name, value).map_err(Error::Client)?;
        }
        for (name, value) in headers {
            // The SDK sets the version itself, among the others.
            if name != "mcp-protocol-version" && RESERVED.contains(&name.as_str()) {
                return Err(Error::ReservedHeaderConflict(name.to_string()));
            }
            // Header values were text when they were given.
            request = request.header(name.as_str(), value.to_str().unwrap_or_default()).map_err(Error::Client)?;
        }
        Ok(request)
    }

    /// Sends a message whose answer, if it has one, comes another way.
    pub(crate) async fn tell(
        &self,
        url: &str,
        message: &ClientJsonRpcMessage,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Error> {
        let request = self.request(Method::POST, url, None, headers)?;
        let request = request.header("content-type", "application/json").map_err(Error::Client)?;
        let answer = self.send(request.body(serde_json::to_vec(message)?)).await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(HttpStatusError::new(answer.status().as_u16(), None).into())
        }
    }

    async fn send(&self, request: Request) -> Result<Answer, Error> {
        let answer = self.client.send(request).await.map_err(Error::Client)?;
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
            return Err(Error::AuthRequired(AuthRequiredError::new(challenge.unwrap_or_default().to_owned())));
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            return Err(HttpStatusError::new(status.as_u16(), after.map(str::to_owned)).into());
        }
        Ok(answer)
    }
}

impl StreamableHttpClient for Http {
    type Error = egress::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let request = self.request(Method::POST, &uri, session.as_deref(), headers)?;
        let request = request.header("content-type", "application/json").map_err(Error::Client)?;
        let answer = self.send(request.body(serde_json::to_vec(&message)?)).await?;
        let status = answer.status();
        match status {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => return Ok(StreamableHttpPostResponse::Accepted),
            StatusCode::NOT_FOUND if session.is_some() => return Err(Error::SessionExpired),
            // What needs no answer: some servers give one all the same, and it means nothing.
            _ if status.is_success() && !matches!(message, ClientJsonRpcMessage::Request(_)) => {
                return Ok(StreamableHttpPostResponse::Accepted);
            }
            _ => {}
        }
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (given, kind) = (header("mcp-session-id"), media_type(&answer));
        match kind.as_deref() {
            Some("text/event-stream") if status.is_success() => {
                Ok(StreamableHttpPostResponse::Sse(events(answer), given))
            }
            Some("application/json") => {
                let body = answer.bytes().await.map_err(Error::Client)?;
                match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
                    Ok(message) if status.is_success() || matches!(message, ServerJsonRpcMessage::Error(_)) => {
                        Ok(StreamableHttpPostResponse::Json(message, given))
                    }
                    Ok(_) => Err(HttpStatusError::new(status.as_u16(), None).into()),
                    Err(_) if !status.is_success() => Err(HttpStatusError::new(status.as_u16(), None).into()),
                    Err(error) => Err(error.into()),
                }
            }
            _ if !status.is_success() => Err(HttpStatusError::new(status.as_u16(), None).into()),
            kind => Err(Error::UnexpectedContentType(kind.map(str::to_owned))),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Error> {
        // Whatever it answers: servers need not know how to end one.
        self.send(self.request(Method::DELETE, &uri, Some(&session), headers)?).await.map(drop)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Error> {
        let mut request = self.request(Method::GET, &uri, session.as_deref(), headers)?.total(STREAM);
        if let Some(last) = last_event {
            request = request.header("last-event-id", &last).map_err(Error::Client)?;
        }
        let answer = self.send(request).await?;
        match (answer.status(), media_type(&answer).as_deref()) {
            (status, Some("text/event-stream")) if status.is_success() => Ok(events(answer)),
            _ => Err(Error::ServerDoesNotSupportSse),
        }
    }
}

/// The kind of an answer's body, without its parameters.
pub(crate) fn media_type(answer: &Answer) -> Option<String> {
    let kind = answer.headers().get("content-type")?.to_str().ok()?;
    Some(kind.split(';').next()?.trim().to_ascii_lowercase())
}

/// The body as events. It ends with the answer, whatever ends that.
pub(crate) fn events(answer: Answer) -> Events {
    SseStream::from_bytes_stream(answer.into_stream().boxed()).boxed()
}
