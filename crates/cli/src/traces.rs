//! What runs do, as OpenTelemetry spans for a collector: one trace a run, from the request that made it to its last tool call.
//!
//! The rooms know nothing of it. They open `tracing` spans and say when a run has ended; this listens and translates, by the names in
//! `traces/names.rs`. `traces/export.rs` sends, beside everything else: a collector that is slow or gone costs spans and nothing else.
//!
//! A trace's id *is* its run's id, and the two spans that others hang from have ids made of it:
//!
//! | Span | Its id is | Its parent |
//! |---|---|---|
//! | the request that made the run | made of the run | none |
//! | `invoke_agent`, one a round: from the start, or a message that resumed the run, to an end | made of run and round | the request |
//! | `chat`, `execute_tool` | drawn | `invoke_agent` |
//! | other requests that change the run, webhooks | drawn | the request |
//!
//! So nodes, and processes that come after a crash, add to the same trace with nothing stored or handed on; and `invoke_agent` is sent when the
//! round ends, by whoever ends it.

mod export;
mod ids;
mod names;
mod said;
mod settings;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::Ambient;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use uuid::Uuid;

pub(crate) use self::export::Exporter;
use self::ids::{caller, invocation, is_sampled, root};
use self::said::Said;
pub(crate) use self::settings::{Part, Settings};
use crate::ambient::SystemAmbient;

/// The spans of rooms that become spans of a trace, or say of which run the ones within them are.
const SPANS: [&str; 5] = ["request", "run", "chat", "tool", "webhook"];
/// What is said of a span as a whole.
const EVENTS: [&str; 2] = ["access", "run.ended"];

/// Listens.
pub(crate) struct Traces {
    exporter: Arc<Exporter>,
    /// The time, once there is a clock that follows the database's. Before that nothing happens that would be a span.
    clock: Clock,
    ratio: f64,
    scope: InstrumentationScope,
}

/// Set when the house is opened.
pub(crate) type Clock = Arc<OnceLock<Arc<SystemAmbient>>>;

/// A span of a room, while it is open.
struct Open {
    began: SystemTime,
    said: Said,
}

/// A span that is over, without what all of them have.
struct Over {
    run: Uuid,
    id: SpanId,
    parent: SpanId,
    kind: SpanKind,
    name: String,
    began: SystemTime,
    ended: SystemTime,
    attributes: Vec<KeyValue>,
    error: Option<String>,
    links: Vec<Link>,
}

impl Traces {
    pub(crate) fn new(exporter: Arc<Exporter>, clock: Clock, settings: &Settings) -> Self {
        let scope = InstrumentationScope::builder("errand").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { exporter, clock, ratio: settings.ratio, scope }
    }

    /// What it listens to, whatever is logged.
    pub(crate) fn filter() -> FilterFn<fn(&Metadata<'_>) -> bool> {
        let wanted: fn(&Metadata<'_>) -> bool = |of| {
            let names: &[&str] = if of.is_span() { &SPANS } else { &EVENTS };
            names.contains(&of.name())
        };
        filter_fn(wanted).with_max_level_hint(LevelFilter::DEBUG)
    }

    fn now(&self) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_nanos(self.clock.get()?.nanos()))
    }

    fn drawn(&self) -> SpanId {
        let mut bytes = [0; 8];
        if let Some(clock) = self.clock.get() {
            clock.random(&mut bytes);
        }
        SpanId::from_bytes(bytes)
    }

    fn send(&self, over: Over) {
        let trace = TraceId::from_bytes(*over.run.as_bytes());
        if !is_sampled(over.run, self.ratio) {
            return;
        }
        let mut attributes = over.attributes;
        let status = match over.error {
            None => Status::Unset,
            Some(error) => {
                attributes.push(KeyValue::new(names::ERROR_TYPE, error));
                Status::error("")
            }
        };
        let mut links = SpanLinks::default();
        links.links = over.links;
        self.exporter.send(SpanData {
            span_context: SpanContext::new(trace, over.id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: over.parent,
            parent_span_is_remote: false,
            span_kind: over.kind,
            name: over.name.into(),
            start_time: over.began,
            end_time: over.ended.max(over.began),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// A model's call or a tool's, within the span of its run.
    fn step<S: for<'a> LookupSpan<'a>>(&self, span: &SpanRef<'_, S>, open: &Open, ended: SystemTime) -> Option<Over> {
        let around = span.scope().find(|around| around.name() == "run")?;
        let around = around.extensions();
        let of_run = &around.get::<Open>()?.said;
        let (run, round) = (of_run.uuid("run")?, of_run.number("round")?);
        let mut attributes = vec![KeyValue::new(names::CONVERSATION_ID, run.to_string())];
        let said = &open.said;
        let (kind, name) = if span.name() == "chat" {
            attributes.extend(names::chat(&said.0));
            (SpanKind::Client, format!("{} {}", names::CHAT, said.text("model")?))
        } else {
            attributes.extend(names::tool(&said.0));
            (SpanKind::Internal, format!("{} {}", names::EXECUTE_TOOL, said.text("tool")?))
        };
        // What nobody waited for to the end is dropped without a word.
        let whole = said.get("stop").or(said.get("outcome")).is_some();
        let error = said.text("error").map(str::to_owned).or_else(|| (!whole).then(|| names::CANCELLED.to_owned()));
        let parent = invocation(run, round);
        Some(Over {
            run,
            id: self.drawn(),
            parent,
            kind,
            name,
            began: open.began,
            ended,
            attributes,
            error,
            links: vec![],
        })
    }

    fn webhook(&self, open: &Open, ended: SystemTime) -> Option<Over> {
        let said = &open.said;
        let run = said.uuid("run")?;
        Some(Over {
            run,
            id: self.drawn(),
            parent: root(run),
            kind: SpanKind::Client,
            name: format!("deliver {}", said.text("event")?),
            began: open.began,
            ended,
            attributes: names::webhook(&said.0),
            error: said.text("error").map(str::to_owned),
            links: vec![],
        })
    }

    /// A request that changed a run. `answered` is what its line in the log says.
    fn request(&self, open: &Open, answered: &Said, ended: SystemTime) -> Option<Over> {
        let run = open.said.uuid("run")?;
        let (method, route) = (answered.text("method")?, answered.text("route")?);
        let status = answered.number("status")?;
        let made_it = (method, route) == ("POST", "/v1/runs");
        Some(Over {
            run,
            id: if made_it { root(run) } else { self.drawn() },
            parent: if made_it { SpanId::INVALID } else { root(run) },
            kind: SpanKind::Server,
            name: format!("{method} {route}"),
            began: open.began,
            ended,
            attributes: [names::request(&open.said.0), names::request(&answered.0)].concat(),
            error: (status >= 500).then(|| status.to_string()),
            links: open.said.text("traceparent").and_then(caller).into_iter().collect(),
        })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let (Some(span), Some(began)) = (context.span(id), self.now()) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        span.extensions_mut().insert(Open { began, said });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let wanted = if event.metadata().name() == "access" { "request" } else { "run" };
        let around = context.event_scope(event).and_then(|mut scope| scope.find(|span| span.name() == wanted));
        let (Some(around), Some(now)) = (around, self.now()) else { return };
        let around = around.extensions();
        // Most requests are about no run.
        let Some(open) = around.get::<Open>().filter(|open| open.said.get("run").is_some()) else { return };
        let mut said = Said::default();
        event.record(&mut said);
        let over = if wanted == "request" { self.request(open, &said, now) } else { round(&open.said, &said) };
        if let Some(over) = over {
            self.send(over);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let (Some(span), Some(now)) = (context.span(&id), self.now()) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let over = match span.name() {
            "chat" | "tool" => self.step(&span, &open, now),
            "webhook" => self.webhook(&open, now),
            _ => None,
        };
        if let Some(over) = over {
            self.send(over);
        }
    }
}

/// A round of a run, told by its end.
fn round(of_run: &Said, ended: &Said) -> Option<Over> {
    let (run, round) = (of_run.uuid("run")?, ended.number("round")?);
    let at = |name| Some(UNIX_EPOCH + Duration::from_millis(ended.number(name)?));
    let mut attributes = names::round(&ended.0);
    attributes.push(KeyValue::new(names::CONVERSATION_ID, run.to_string()));
    Some(Over {
        run,
        id: invocation(run, round),
        parent: root(run),
        kind: SpanKind::Internal,
        name: names::INVOKE_AGENT.to_owned(),
        began: at("began")?,
        ended: at("ended")?,
        attributes,
        error: ended.text("error").map(str::to_owned),
        links: vec![],
    })
}
