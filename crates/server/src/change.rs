//! Every request that changes something: done once, written down, answered.
//!
//! [`Shared::change`] is the only way for a handler to write. In one transaction it looks whether the request was answered before
//! (`Idempotency-Key`), does what the handler says, adds a row to the audit log and keeps the answer. What a handler gives it is a [`Done`].

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::RunId;
use domain::audit::{self, Hash, Who};
use domain::master_key::Sealed;
use faults::{Sabotage, sabotaged};
use serde::Serialize;
use storage::answers::{self, Answer, Known, Once};
use storage::master_keys::{self, Keyring};
use storage::{StoreError, Tx, work};
use tracing::field::display;
use tracing::{Instrument as _, Span};

use crate::Shared;
use crate::auth::{Caller, Right};
use crate::edge::RequestId;
use crate::errors::ApiError;

/// Lets a client send a request again without it being done again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on answers that were given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in bytes.
const KEY_MAX: usize = 255;

/// A request to change something, by a key that has the right `R`.
pub(crate) struct Change<R> {
    /// Who asked.
    pub(crate) caller: Caller<R>,
    request_id: String,
    once: Option<Once>,
    /// While this is held, no other request with its `Idempotency-Key` is begun here.
    under_way: Option<Entered>,
}

/// What a handler did, and says about it.
pub(crate) struct Done {
    answer: Answer,
    what: &'static str,
    object: String,
    before: Option<Hash>,
    secret: bool,
}

impl Done {
    /// The operation `what` (noun and verb) was done to the object with this id; `body` is what it is now.
    pub(crate) fn new(
        status: StatusCode,
        body: &impl Serialize,
        what: &'static str,
        object: impl Display,
    ) -> Result<Self, ApiError> {
        let answer = Answer { status: status.as_u16(), headers: "{}".to_owned(), body: json(body)?, sealed: false };
        Ok(Self { answer, what, object: object.to_string(), before: None, secret: false })
    }

    /// The object was there before, and was this.
    pub(crate) fn after(self, was: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { before: Some(audit::hash(&json(was)?)), ..self })
    }

    /// The answer holds a right or a secret: kept for a request that comes again, it is sealed.
    pub(crate) fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The answer has these headers, too.
    pub(crate) fn with(
        mut self,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self, ApiError> {
        let headers = headers.into_iter();
        let texts = headers.map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let texts: Option<BTreeMap<String, String>> = texts.collect();
        let texts = texts.ok_or_else(|| ApiError::Internal("a header that is no text".into()))?;
        self.answer.headers = serde_json::to_string(&texts).map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(self)
    }
}

impl Shared {
    /// Does what the handler wants done; `asked` is the hash of the request's body. A job that is about a run names it: the run is held until the
    /// commit, and its worker is woken after it. All of it is done also when the request is dropped half-way, as it is when its client hangs up.
    pub(crate) async fn change<R, F>(
        &self,
        change: Change<R>,
        asked: Hash,
        run: Option<RunId>,
        job: F,
    ) -> Result<Response, ApiError>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<Done, ApiError> + Send + 'static,
        R: Send + 'static,
    {
        let mut change = change;
        self.begin(&mut change)?;
        let under_way = change.under_way.take();
        let (db, bell, keys) = (self.app.db.clone(), self.app.bell.clone(), self.app.keyring.clone());
        let now = self.app.ambient.now();
        let writing = async move {
            let _until_it_is_answered = under_way;
            let written = db.write(async move |tx: &mut Tx<'_>| {
                if let Some(run) = run {
                    // What the job reads of the run holds until it commits.
                    work::hold(tx, run).await?;
                }
                faults::point("api.write");
                if let Some(once) = &change.once
                    && let Some(answer) = known(answers::look(tx, once, &asked, now, true).await?)?
                {
                    return Ok((opened(tx, &keys, once, answer).await?, true));
                }
                let done = job(tx).await?;
                if let Some(once) = change.once.as_ref().filter(|_| !sabotaged(Sabotage::ForgetAnswers)) {
                    let kept = if done.secret { &sealed(tx, &keys, once, &done.answer).await? } else { &done.answer };
                    answers::keep(tx, once, &asked, kept, now).await?;
                }
                if !sabotaged(Sabotage::SkipAudit) {
                    // Last: see there.
                    storage::audit::append(tx, change.caller.team, now, change.entry(&done)).await?;
                }
                Ok((done.answer, false))
            });
            let written: Result<_, ApiError> = written.await;
            let written = written?;
            faults::point("api.written");
            if let Some(run) = run {
                bell.ring_work();
                bell.ring_run(run.0);
            }
            faults::point("api.rung");
            Ok(written)
        };
        let written = tokio::spawn(writing.in_current_span())
            .await
            .unwrap_or_else(|broken| Err(ApiError::Internal(format!("a write: {broken}"))));
        let (answer, replayed) = written?;
        if let Some(run) = run.filter(|_| !replayed) {
            Span::current().record("run", display(run));
        }
        respond(answer, replayed)
    }

    fn begin<R>(&self, change: &mut Change<R>) -> Result<(), ApiError> {
        if let (Some(once), None) = (&change.once, &change.under_way) {
            change.under_way = Some(self.under_way.begin(once)?);
        }
        Ok(())
    }

    /// The answer that the request got before, for what a handler does outside of a transaction: from here on until [`Shared::change`] is done, this node
    /// begins no other request with its key.
    pub(crate) async fn replay<R>(&self, change: &mut Change<R>, asked: Hash) -> Result<Option<Response>, ApiError> {
        self.begin(change)?;
        let Some(once) = &change.once else { return Ok(None) };
        let (now, keys) = (self.app.ambient.now(), &self.app.keyring);
        let look = async |tx: &mut Tx<'_>| match known(answers::look(tx, once, &asked, now, false).await?)? {
            Some(answer) => Ok(Some(opened(tx, keys, once, answer).await?)),
            None => Ok(None),
        };
        let found = self.app.db.read::<_, ApiError, _>(look).await?;
        found.map(|answer| respond(answer, true)).transpose()
    }
}

impl<R> Change<R> {
    fn entry(&self, done: &Done) -> audit::Change {
        audit::Change {
            who: Who::Key(self.caller.key),
            what: done.what,
            object: done.object.clone(),
            before: done.before,
            after: Some(audit::hash(&done.answer.body)),
            request_id: Some(self.request_id.clone()),
        }
    }
}

impl<R: Right, S: Send + Sync> FromRequestParts<S> for Change<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let route = route(parts, state).await?;
        let request_id =
            parts.extensions.get::<RequestId>().map(|RequestId(id)| id.to_str().unwrap_or_default().to_owned());
        let once = idempotency_key(&parts.headers)?.map(|key| Once { team: caller.team, route, key: key.to_owned() });
        Ok(Self { caller, request_id: request_id.unwrap_or_default(), once, under_way: None })
    }
}

/// Method and path of a request, the same however the ids in it are spelled.
async fn route<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, ApiError> {
    let Some(path) = parts.extensions.get::<MatchedPath>().cloned() else {
        return Ok(format!("{} {}", parts.method, parts.uri.path()));
    };
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|error| ApiError::InvalidRequest(format!("the path: {error}")))?;
    let filled = parameters.iter().fold(path.as_str().to_owned(), |path, (name, value)| {
        let id = value.parse::<RunId>().map_or_else(|_| value.to_owned(), |id| id.to_string());
        path.replace(&format!("{{{name}}}"), &id)
    });
    Ok(format!("{} {filled}", parts.method))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_MAX).contains(&key.len()));
    if let (Some(key), None) = (key, values.next()) {
        return Ok(Some(key));
    }
    let wanted = format!("expected one value of 1 to {KEY_MAX} printable ASCII characters");
    Err(ApiError::InvalidRequest(format!("The header Idempotency-Key: {wanted}.")))
}

/// Requests with an `Idempotency-Key` that this process is about to write.
#[derive(Default)]
pub(crate) struct UnderWay(Arc<Mutex<HashSet<Once>>>);

/// Ends with the request.
struct Entered(Arc<Mutex<HashSet<Once>>>, Once);

impl UnderWay {
    fn begin(&self, once: &Once) -> Result<Entered, ApiError> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(once.clone()) {
            Ok(Entered(Arc::clone(&self.0), once.clone()))
        } else {
            Err(ApiError::IdempotencyKeyInUse)
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

fn known(known: Known) -> Result<Option<Answer>, ApiError> {
    match known {
        Known::New => Ok(None),
        Known::Answered(answer) => Ok(Some(answer)),
        Known::UnderWay => Err(ApiError::IdempotencyKeyInUse),
        Known::Other => Err(ApiError::IdempotencyKeyReused),
    }
}

/// The answer as it is kept if it is a secret.
async fn sealed(tx: &mut Tx<'_>, keys: &Keyring, once: &Once, answer: &Answer) -> Result<Answer, StoreError> {
    let sealed = master_keys::seal(tx, keys, once.place(), &answer.body).await?;
    Ok(Answer { body: sealed.as_bytes().to_vec(), sealed: true, ..answer.clone() })
}

/// The answer as it went out.
async fn opened(tx: &mut Tx<'_>, keys: &Keyring, once: &Once, answer: Answer) -> Result<Answer, StoreError> {
    if !answer.sealed {
        return Ok(answer);
    }
    let body = master_keys::open(tx, keys, once.place(), &Sealed::from_bytes(answer.body.clone())).await?;
    Ok(Answer { body: body.to_vec(), sealed: false, ..answer })
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(body).map_err(|error| ApiError::Internal(format!("an answer: {error}")))
}

fn respond(answer: Answer, replayed: bool) -> Result<Response, ApiError> {
    let broken = |what: &dyn Display| ApiError::Internal(format!("answers: {what}"));
    let status = StatusCode::from_u16(answer.status).map_err(|error| broken(&error))?;
    let texts: BTreeMap<String, String> = serde_json::from_str(&answer.headers).map_err(|error| broken(&error))?;
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response();
    for (name, value) in texts {
        let name = HeaderName::try_from(name).map_err(|error| broken(&error))?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|error| broken(&error))?);
    }
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
