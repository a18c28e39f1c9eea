//! A server without a socket, two teams in it, and a judge that looks at every answer.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use agent::workspace::Workspaces;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use domain::api_keys::{self, ApiKey, Scopes};
use domain::human_requests::HumanRequest;
use domain::master_key::MasterKey;
use domain::runs::{Event, Status};
use domain::sandboxes::{FileError, FileInfo, Files, Incoming, SandboxPath};
use domain::uploads::Seal;
use domain::{Ambient, ApiKeyId, TeamId};
use serde_json::{Value, json};
use server::{App, UploadUrls};
use storage::master_keys::{self, Keyring};
use storage::runs::{Commit, Committed, Then};
use storage::work::{self, Claimed, Claiming};
use storage::{Bell, Db, MIGRATIONS, Settings, StoreError, Tx, webhooks};
use testkit::ambient::FakeAmbient;
use testkit::postgres::Cluster;
use testkit::schemas::Contract;
use tower::ServiceExt;

pub(crate) const KEY: &str = "dv_the_key_of_the_first_team";
pub(crate) const OTHER_KEY: &str = "dv_the_key_of_the_other_team";
pub(crate) const NOBODY: &str = "0190a0c5-7e3f-7c1a-9d2b-000000000001";

pub(crate) struct House {
    pub(crate) router: Router,
    pub(crate) app: App,
    pub(crate) ambient: Arc<FakeAmbient>,
    pub(crate) team: TeamId,
    folder: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Expects an error with this status and code; gives its message.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16, code: &str) -> String {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        assert_eq!(self.json()["error"], code, "{body}");
        self.json()["message"].as_str().expect("a message").to_owned()
    }

    /// Expects a success with this status; gives its body.
    #[track_caller]
    pub(crate) fn success(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ambient = Arc::new(FakeAmbient::default());
        let time = Arc::clone(&ambient);
        let db = Db::open(&Settings::new(folder.path().join("errand.db"), Arc::new(move || time.now())));
        Self::with(db.expect("a store"), ambient, folder).await
    }

    /// The same on an empty PostgreSQL. Its leases go by its own clock.
    pub(crate) async fn on_postgres(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::connect(cluster.url().parse().expect("a URL")).await.expect("a store");
        Self::with(db, Arc::new(FakeAmbient::default()), folder).await
    }

    async fn with(db: Db, ambient: Arc<FakeAmbient>, folder: tempfile::TempDir) -> Self {
        db.migrate(MIGRATIONS, ambient.now().0).await.expect("a schema");
        let keyring = Keyring { master: MasterKey::draw(ambient.as_ref()), ambient: ambient.clone() };
        let founding = keyring.clone();
        let founded = db.write::<_, StoreError, _>(async move |tx| master_keys::admit(tx, &founding).await);
        founded.await.expect("a master key");
        let app = App {
            db,
            bell: Bell::default(),
            ambient: ambient.clone(),
            keyring,
            files: Arc::new(TroubledFiles(Workspaces::new(folder.path().join("sandboxes")))),
            upload_urls: UploadUrls {
                seal: Seal::derive(&[7; 32]),
                public_url: Some("https://errand.example.com".into()),
                lifetime: Duration::from_hours(1),
                most: 1 << 30,
            },
            defaults: domain::builds::Defaults::default(),
            // Nothing but this machine, and nothing of it but for webhooks that a test receives.
            egress: egress::Client::new(egress::Policy::new("127.0.0.0/8".parse().expect("a range"))).expect("TLS"),
            build_made: Arc::new(|_, _| {}),
            requests_per_minute: 0,
            api: true,
            ready: Arc::new(AtomicBool::new(true)),
            meters: server::Meters::default(),
        };
        let mut house =
            Self { router: server::router(app.clone()), app, ambient, team: TeamId(uuid::Uuid::nil()), folder };
        house.team = house.add_team(KEY).await;
        house.add_team(OTHER_KEY).await;
        house
    }

    pub(crate) async fn add_team(&self, key: &str) -> TeamId {
        let now = self.ambient.now();
        let team = TeamId(self.ambient.id(now));
        let added =
            self.app.db.write::<_, StoreError, _>(async move |tx| storage::teams::insert(tx, team, "team", now).await);
        added.await.expect("a team");
        self.add_key(ApiKey { team, ..self.new_key(key) }).await;
        team
    }

    /// A key of the first team with every right, not yet stored.
    pub(crate) fn new_key(&self, secret: &str) -> ApiKey {
        let now = self.ambient.now();
        ApiKey {
            id: ApiKeyId(self.ambient.id(now)),
            team: self.team,
            name: "test".to_owned(),
            hash: api_keys::hash(secret),
            scopes: Scopes::ALL,
            requests_per_minute: None,
            created_at: now,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    pub(crate) async fn add_key(&self, key: ApiKey) {
        let added = self.app.db.write::<_, StoreError, _>(async move |tx| storage::api_keys::insert(tx, &key).await);
        added.await.expect("a key");
    }

    /// The same server after a restart, or with other settings.
    pub(crate) fn restart(&mut self, change: impl FnOnce(&mut App)) {
        change(&mut self.app);
        self.router = server::router(self.app.clone());
    }

    /// Where the files of all sandboxes are.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("sandboxes")
    }

    /// Whose key it is.
    pub(crate) async fn team_of(&self, key: &str) -> TeamId {
        let hash = api_keys::hash(key);
        let found = self.app.db.read::<_, StoreError, _>(async |tx| storage::api_keys::find(tx, hash).await);
        found.await.expect("a read").expect("the key").team
    }

    /// Revokes the key of a team.
    pub(crate) async fn revoke(&self, team: TeamId, key: &str) {
        let (hash, now) = (api_keys::hash(key), self.ambient.now());
        let revoked = self.app.db.write::<_, StoreError, _>(async move |tx| {
            let id = storage::api_keys::find(tx, hash).await?.expect("the key").id;
            storage::api_keys::revoke(tx, team, id, now).await
        });
        assert!(revoked.await.expect("a write"));
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, KEY).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn get_as(&self, key: &str, path: &str) -> Answer {
        self.send(request("GET", path, key).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_as(KEY, path, body).await
    }

    pub(crate) async fn post_as(&self, key: &str, path: &str, body: Value) -> Answer {
        self.post_bytes(key, path, "application/json", body.to_string()).await
    }

    pub(crate) async fn post_bytes(&self, key: &str, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = request("POST", path, key).header("content-type", kind);
        self.send(request.body(body.into()).expect("a request")).await
    }

    /// Sends anything, and holds the answer against the contract.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, body };
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{method} {path}: no request id");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-"),
            ("content-security-policy", "default-src 'none'; "),
        ] {
            assert!(answer.header(name).is_some_and(|said| said.starts_with(value)), "{method} {path}: no {name}");
        }
        judge(&method, &path, &answer);
        answer
    }

    /// Does with all that waits to be delivered what a receiver's 410 does.
    pub(crate) async fn give_up_deliveries(&self) {
        let (token, now) = (self.ambient.id(self.ambient.now()), self.ambient.now());
        let give_up = async move |tx: &mut Tx<'_>| {
            for line in webhooks::lines(tx).await? {
                for due in webhooks::claim(tx, token, 1_000, &line, 10).await? {
                    webhooks::finish(tx, &due, webhooks::Then::Gone, "410: nobody is there any more", now).await?;
                }
            }
            Ok(())
        };
        self.app.db.write::<_, StoreError, _>(give_up).await.expect("a write");
    }

    /// An agent with one Build; gives both ids.
    pub(crate) async fn agent(&self) -> (String, String) {
        let body = json!({"name": "Sorter", "build": {"name": "v1", "config": config("Sort.")}});
        let made = self.post("/v1/agents", body).await.success(201);
        (text(&made["agent"]["id"]), text(&made["build"]["id"]))
    }

    pub(crate) async fn run(&self) -> String {
        let (agent, _) = self.agent().await;
        text(&self.post("/v1/runs", json!({"agent_id": agent})).await.success(201)["run"]["id"])
    }

    /// Takes the only run that is due, as a worker does.
    pub(crate) async fn claim(&self) -> Claimed {
        let now = self.ambient.now();
        let token = self.ambient.id(now);
        let wanted = Claiming {
            token,
            now,
            lease_ms: 60_000,
            most: 1,
            stops_only: false,
            team_most: None,
            suspect_from: 1_000,
            suspect: true,
        };
        let claimed = self.app.db.write::<_, StoreError, _>(async move |tx| work::claim(tx, wanted).await);
        claimed.await.expect("a claim").pop().expect("a run that is due")
    }

    /// Commits a step of a claimed run, as a worker does. A run that goes on stays claimed.
    pub(crate) async fn step(&self, claimed: &mut Claimed, events: Vec<Event>, status: Status) {
        let now = self.ambient.now();
        let goes_on = !status.is_terminal() && status != Status::Waiting;
        let (lease, tail, webhook) = (claimed.lease, claimed.tail, claimed.webhook);
        let asked = events.iter().find_map(|event| match event {
            Event::PersonAsked { request } => Some(HumanRequest::clone(request)),
            _ => None,
        });
        let committed = self.app.db.write::<_, StoreError, _>(async move |tx| {
            let waiting = storage::runs::inbox(tx, lease.run, 0).await?;
            let step = Commit {
                lease,
                tail,
                events,
                status,
                taken: waiting.iter().map(|(id, _)| *id).collect(),
                asked,
                overtaken: false,
                webhook,
                then: if goes_on { Then::Hold(60_000) } else { Then::Release },
                now,
            };
            storage::runs::commit(tx, &step, false).await
        });
        let Committed::Done { tail, .. } = committed.await.expect("a commit") else { panic!("a lease that is held") };
        claimed.tail = tail;
        self.app.bell.ring_run(lease.run.0);
    }
}

pub(crate) fn request(method: &str, path: &str, key: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"))
}

pub(crate) fn config(sop: &str) -> Value {
    json!({"version": "v2", "data": {
        "models": {
            "agent": {"model": "claude-sonnet-4-6"},
            "browsing": {"provider": "anthropic", "model": "claude-sonnet-4-5"}
        },
        "input": sop
    }})
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Holds an answer against the server's own document and against the published schemas; successes of extensions are in the first only.
#[track_caller]
fn judge(method: &str, path: &str, answer: &Answer) {
    static OWN: LazyLock<Contract> =
        LazyLock::new(|| Contract::of(server::older_openapi_document()).expect("a document that can be judged by"));
    let template = template(path);
    if method == "HEAD" {
        return;
    }
    let unpublished = OWN.has(method, &template) && !Contract::load().has(method, &template);
    if OWN.has(method, &template) {
        let hint = "see crates/server/src/operations/statuses.rs";
        assert!(OWN.declares(method, &template, answer.status), "{method} {template}, {}: {hint}", answer.status);
        known_code(&method.to_lowercase(), &template, answer);
        known_kind(&method.to_lowercase(), &template, answer);
        known_headers(&method.to_lowercase(), &template, answer);
    }
    if unpublished && answer.status < 400 {
        // The file of an extension may be JSON as well, and is nobody's business.
        if OWN.shows(method, &template, answer.status) {
            OWN.check_response(method, &template, answer.status, &answer.json()).expect("a documented answer");
        }
        return;
    }
    OWN.check_response(method, &template, answer.status, &answer.json()).expect("a documented answer");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {path}");
    assert!(!answer.body.contains(&b'\n'), "one line: {method} {path}");
    Contract::load().check_response(method, &template, answer.status, &answer.json()).expect("a published answer");
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(server::openapi_document);

/// The media type must be one that the document lists for the status.
#[track_caller]
fn known_kind(method: &str, template: &str, answer: &Answer) {
    let kinds = &DOCUMENT["paths"][template][method]["responses"][answer.status.to_string()]["content"];
    let sent = answer.header("content-type").unwrap_or_default();
    let kind = sent.split(';').next().unwrap_or_default();
    assert!(kinds["*/*"].is_object() || kinds[kind].is_object(), "{method} {template}, {}: {sent}", answer.status);
}

/// What the API says in headers must be listed for the status.
#[track_caller]
fn known_headers(method: &str, template: &str, answer: &Answer) {
    const SAYS: [&str; 6] =
        ["x-", "retry-after", "idempotent-replayed", "www-authenticate", "allow", "content-disposition"];
    // What every answer says to browsers and proxies is no news for a client.
    const FOR_OTHERS: [&str; 3] = ["x-content-type-options", "x-frame-options", "x-accel-buffering"];
    let headers = &DOCUMENT["paths"][template][method]["responses"][answer.status.to_string()]["headers"];
    for name in answer.headers.keys().map(axum::http::HeaderName::as_str) {
        let says = SAYS.iter().any(|said| name.starts_with(said)) && !FOR_OTHERS.contains(&name);
        assert!(!says || headers[name].is_object(), "{method} {template}, {}: list {name}", answer.status);
    }
}

/// The code of an error must be one that the document lists for the operation and its status.
#[track_caller]
fn known_code(method: &str, template: &str, answer: &Answer) {
    if answer.status >= 400 {
        let codes = &DOCUMENT["paths"][template][method]["responses"][answer.status.to_string()]["x-errand-codes"];
        let code = &answer.json()["error"];
        let known = codes.as_array().is_some_and(|codes| codes.contains(code));
        assert!(known, "{method} {template}, {}: name {code} in the operation's file under operations/", answer.status);
    }
}

/// `/v1/agents/0190…/builds` as the contract writes it: `/v1/agents/{agent_id}/builds`.
fn template(path: &str) -> String {
    let names = [
        ("agents", "{agent_id}"),
        ("builds", "{build_id}"),
        ("runs", "{run_id}"),
        ("human-requests", "{request_id}"),
        ("sandboxes", "{sandbox_id}"),
        ("dead-letters", "{letter_id}"),
        ("uploads", "{upload_token}"),
    ];
    if let Some(file) = path.strip_prefix("/v1/files/") {
        return if file.ends_with("/content") { "/v1/files/{file_id}/content" } else { "/v1/files/{file_id}" }
            .to_owned();
    }
    let mut before = "";
    let parts = path.split('/').map(|part| {
        let name = names.iter().find(|(noun, _)| *noun == before).map(|(_, name)| *name);
        before = part;
        name.unwrap_or(part)
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Real files, and two names that make trouble.
struct TroubledFiles(Workspaces);

impl Files for TroubledFiles {
    fn list(&self, sandbox: &str, folder: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        Files::list(&self.0, sandbox, folder)
    }

    fn read(&self, sandbox: &str, file: &SandboxPath) -> Result<Vec<u8>, FileError> {
        Files::read(&self.0, sandbox, file)
    }

    fn write(&self, sandbox: &str, file: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        match file.names().last().map(String::as_str) {
            Some("quota") => Err(FileError::Quota("it is".into())),
            Some("broken") => Err(FileError::Io("secret detail".into())),
            _ => Files::write(&self.0, sandbox, file, bytes),
        }
    }

    fn remove(&self, sandbox: &str, file: &SandboxPath) -> Result<(), FileError> {
        Files::remove(&self.0, sandbox, file)
    }

    fn used(&self, sandbox: &str) -> Result<u64, FileError> {
        Files::used(&self.0, sandbox)
    }

    fn team_bytes(&self) -> u64 {
        Files::team_bytes(&self.0)
    }

    fn begin(&self, sandbox: &str, file: &SandboxPath, most: u64) -> Result<Box<dyn Incoming>, FileError> {
        Files::begin(&self.0, sandbox, file, most)
    }
}
