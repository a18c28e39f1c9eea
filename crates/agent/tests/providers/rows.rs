//! The table of misbehaviours: what a provider does, and what must come of it. Next: `misbehaviours.rs`, which plays it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::fake_provider::{Arguments, FakeWire, Reply, Step, gzip_bomb};

/// The limits on time under which [`slow`] is played.
pub(crate) const HURRY: &str = "[models_default]\nidle_timeout_secs = 1\nturn_timeout_secs = 2\n";
const IDLE: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_secs(2);
/// A pause that never lets a connection go idle.
const PAUSE: Duration = Duration::from_millis(100);
/// Nesting that no recursive reader survives.
const DEEP: usize = 100_000;

/// One misbehaviour.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) step: Step,
    pub(crate) comes: Comes,
}

/// What comes of it.
pub(crate) enum Comes {
    /// A failure with this code, and whether the same call may succeed later.
    Fails(&'static str, bool),
    /// A failure that may pass, because a limit on time was reached.
    TimesOut(Duration),
    /// An answer of which the run makes no call: the model is asked again.
    AskedAgain,
    /// A whole answer with these calls.
    Calls(Vec<(String, Value)>),
}

const CUT: Comes = Comes::Fails("model_stream_cut", true);
const BUSY: Comes = Comes::Fails("model_overloaded", true);
const LIMITED: Comes = Comes::Fails("model_rate_limited", true);
const BROKE: Comes = Comes::Fails("model_spend_cap", false);
const LOCKED_OUT: Comes = Comes::Fails("model_auth", false);
const TOO_LONG: Comes = Comes::Fails("model_answer_too_long", false);
const REFUSED: Comes = Comes::Fails("model_refused_request", false);

fn row(name: &'static str, step: impl Into<Step>, comes: Comes) -> Row {
    Row { name, step: step.into(), comes }
}

/// An answer with one call.
fn call(arguments: impl Into<Arguments>) -> Reply {
    Reply::text("I read.").call("c1", "read_file", arguments).piece(24)
}

fn one(name: &str, arguments: Value) -> Comes {
    Comes::Calls(vec![(name.to_owned(), arguments)])
}

/// The bytes of an answer, with one thing put in place of another.
fn forged(wire: FakeWire, reply: &Reply, this: &str, that: &[u8]) -> Step {
    let all = wire.events("m", reply).concat();
    let mut out = Vec::new();
    for (place, part) in all.split(this).enumerate() {
        if place > 0 {
            out.extend_from_slice(that);
        }
        out.extend_from_slice(part.as_bytes());
    }
    assert!(all.contains(this), "{this} is not there: {all}");
    Step::Body(Vec::new(), out)
}

/// Silence and slowness.
pub(crate) fn slow(wire: FakeWire, model: &str) -> Vec<Row> {
    let half = wire.events(model, &call("{}")).concat().len() / 2;
    vec![
        row("no byte at all", Step::Silence, Comes::TimesOut(IDLE)),
        row("headers, then nothing", Step::Hang, Comes::TimesOut(IDLE)),
        row("half an answer, then nothing", Step::StallAfter(call("{}"), half), Comes::TimesOut(IDLE)),
        row("a word now and then, for ever", Step::Trickle(PAUSE), Comes::TimesOut(TURN)),
        row("nothing but pings", Step::Pings(PAUSE), Comes::TimesOut(TURN)),
        row("nothing but comments", Step::Comments(PAUSE), Comes::TimesOut(TURN)),
        row("401 with a body that does not end", Step::OpenStatus(401, wire.error(401, "no")), LOCKED_OUT),
        row("a cap on spending in a body that does not end", Step::OpenStatus(429, spending_cap(wire)), BROKE),
    ]
}

/// Answers without end.
pub(crate) fn endless() -> Vec<Row> {
    vec![row("words without end", Step::Endless, TOO_LONG), row("a line without end", Step::EndlessLine, TOO_LONG)]
}

/// Errors with a status, and errors inside of a stream.
pub(crate) fn errors(wire: FakeWire) -> Vec<Row> {
    let status = |code: u16| Step::Status(code, Vec::new(), wire.error(code, "these are my words"));
    let limit =
        |after: &str| Step::Status(429, vec![("retry-after", after.to_owned())], wire.error(429, "these are my words"));
    let text = |code: u16, body: &str| Step::Status(code, Vec::new(), json!(body));
    let overloaded = match wire {
        FakeWire::Messages => {
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } })
        }
        FakeWire::Responses => json!({ "type": "error", "code": "server_is_overloaded", "message": "Overloaded" }),
        FakeWire::Chat => json!({ "error": { "type": "overloaded_error", "message": "Overloaded", "code": 529 } }),
        FakeWire::Gemini => {
            json!({ "error": { "code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded." } })
        }
    };
    let depleted = match wire {
        FakeWire::Messages => (400, "Your credit balance is too low to access the API."),
        FakeWire::Responses | FakeWire::Chat => (429, "billing_hard_limit_reached"),
        FakeWire::Gemini => (429, "Your prepayment credits are depleted."),
    };
    let alone = format!("data: {overloaded}\n\n").into_bytes();
    vec![
        row("429 with seconds to wait", limit("7"), LIMITED),
        row("429 with a date to wait for", limit("Sat, 06 Nov 2094 08:49:37 GMT"), LIMITED),
        row("429 with an absurd time to wait", limit("1000000000"), LIMITED),
        row("429 with an endless time to wait", limit("1e999"), LIMITED),
        row("429 with nonsense to wait", limit("-0x7\u{b5}"), LIMITED),
        row("429 without a time to wait", status(429), LIMITED),
        row("429 for a cap on spending", Step::Status(429, Vec::new(), spending_cap(wire)), BROKE),
        row("no credit left", Step::Status(depleted.0, Vec::new(), wire.error(depleted.0, depleted.1)), BROKE),
        row("402", status(402), BROKE),
        row("401", status(401), LOCKED_OUT),
        row("403", status(403), LOCKED_OUT),
        row("413", status(413), REFUSED),
        row("400", status(400), REFUSED),
        row("404", status(404), REFUSED),
        row("408", status(408), BUSY),
        row("500", status(500), BUSY),
        row("502", status(502), BUSY),
        row("503", status(503), BUSY),
        row("504", status(504), BUSY),
        row("529", status(529), BUSY),
        row("502 in the words of a proxy", text(502, "<html>Bad gateway: authentication</html>"), BUSY),
        row("an unknown status", text(799, "?"), BUSY),
        row("overloaded after the first words", Step::ErrorEvent(call("{}"), overloaded.clone()), BUSY),
        row("overloaded instead of an answer", Step::Body(Vec::new(), alone), BUSY),
        row(
            "200 and an error without a stream",
            Step::Body(vec![("content-type", "application/json".to_owned())], overloaded.to_string().into_bytes()),
            CUT,
        ),
    ]
}

/// A limit that somebody set on spending is reached: no vendor says when that ends.
fn spending_cap(wire: FakeWire) -> Value {
    match wire {
        FakeWire::Messages => wire.error(429, "enforced_spend_limit_reached"),
        FakeWire::Responses | FakeWire::Chat => {
            json!({ "error": { "type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your current quota" } })
        }
        FakeWire::Gemini => wire.error(429, "Your project has exceeded its monthly spending cap."),
    }
}

/// One of each kind of cut; `cuts.rs` makes them all.
pub(crate) fn cuts(wire: FakeWire, model: &str) -> Vec<Row> {
    let half = wire.events(model, &call("{}")).concat().len() / 2;
    vec![
        row("an empty body", Step::Body(Vec::new(), Vec::new()), CUT),
        row("the connection breaks half-way", Step::CutAfter(call("{}"), half), CUT),
        row("the body ends half-way", Step::EndAfter(call("{}"), half), CUT),
        row("no final event", Step::NoEnd(call("{}")), CUT),
    ]
}

/// Bytes, encodings and JSON that nobody should send.
pub(crate) fn garbage(wire: FakeWire, elsewhere: &str) -> Vec<Row> {
    let all = |reply: &Reply| wire.events("m", reply).concat();
    let words = |that: &[u8]| forged(wire, &Reply::text("MARK"), "MARK", that);
    let arguments = |that: &[u8]| forged(wire, &call(json!({ "path": "MARK" })), "MARK", that);
    let headers = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    let nested = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let before = |event: &str| Step::Body(Vec::new(), format!("{event}{}", all(&call("{}"))).into_bytes());
    let to = || headers("location", elsewhere);
    vec![
        row("no JSON at all", Step::Garbage, CUT),
        row("words that are not UTF-8", words(b"\xff\xfe\xc3\x28"), CUT),
        row("arguments that are not UTF-8", arguments(b"\xed\xa0\x80"), CUT),
        row("half of a surrogate pair in the words", words(b"\\ud83d"), CUT),
        row("a bare NUL", words(b"\0"), CUT),
        row("a written NUL in the words", words(b"\\u0000"), Comes::Calls(Vec::new())),
        row("an event nested without end", before(&format!("data: {{\"type\":\"ping\",\"x\":{nested}}}\n\n")), CUT),
        row("an event never closed", before(&format!("data: {}\n\n", "[".repeat(DEEP))), CUT),
        row(
            "events that are no objects",
            before("data: 17\n\ndata: null\n\ndata: []\n\n"),
            one("read_file", json!({})),
        ),
        row("keys twice in an event", before("data: {\"type\":\"a\",\"type\":\"b\"}\n\n"), one("read_file", json!({}))),
        row(
            "a web page",
            Step::Body(headers("content-type", "text/html"), b"<!doctype html>\n<p>Sign in\n\n".to_vec()),
            CUT,
        ),
        row(
            "a stream that calls itself something else",
            Step::Body(headers("content-type", "image/png"), all(&call("{}")).into_bytes()),
            one("read_file", json!({})),
        ),
        row("a gzip bomb", Step::Body(headers("content-encoding", "gzip"), gzip_bomb(100_000_000)), CUT),
        row("301 elsewhere", Step::Status(301, to(), Value::Null), REFUSED),
        row("302 elsewhere", Step::Status(302, to(), Value::Null), REFUSED),
        row("303 elsewhere", Step::Status(303, to(), Value::Null), REFUSED),
        row("307 elsewhere", Step::Status(307, to(), Value::Null), REFUSED),
        row("308 elsewhere", Step::Status(308, to(), Value::Null), REFUSED),
        row("300 to nowhere", Step::Status(300, Vec::new(), Value::Null), REFUSED),
        row(
            "more after the end",
            Step::Body(Vec::new(), all(&call("{}")).repeat(2).into_bytes()),
            one("read_file", json!({})),
        ),
        row("counts of tokens beyond any", beyond_counting(wire), one("read_file", json!({}))),
        row("an unknown reason to stop", unknown_end(wire), CUT),
    ]
}

/// Calls that nobody can make.
pub(crate) fn calls(wire: FakeWire) -> Vec<Row> {
    let inline = wire == FakeWire::Gemini;
    // Where arguments are text inside of JSON, what is wrong with them is no flaw of the event.
    let broken = || if inline { CUT } else { Comes::AskedAgain };
    let many =
        |count: usize| (0..count).fold(Reply::text(""), |reply, n| reply.call(format!("c{n}"), "read_file", "{}"));
    let nested = |open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(DEEP), close.repeat(DEEP));
    let large = json!({ "path": "a", "content": "x".repeat(10_000_000) });
    let responses = wire == FakeWire::Responses;
    // This wire says everything four times, which is more than an answer may have.
    let ten = if responses { TOO_LONG } else { one("read_file", large.clone()) };
    vec![
        row("arguments that break off", call("{\"path\": \"a"), Comes::AskedAgain),
        row("arguments that are a list", call("[1, 2]"), Comes::AskedAgain),
        row("arguments that are a text", call("\"text\""), Comes::AskedAgain),
        row("arguments that are null", call("null"), Comes::AskedAgain),
        row("arguments with words behind them", call("{} and so on"), Comes::AskedAgain),
        row("half of a surrogate pair in arguments", call("{\"path\": \"\\ud83d\"}"), broken()),
        row("a written NUL in arguments", call("{\"path\": \"\\u0000\"}"), one("read_file", json!({ "path": "\0" }))),
        row("a number beyond any", call("{\"n\": 1e999}"), broken()),
        row("lists in arguments nested without end", call(nested("[", "]").as_str()), broken()),
        row("objects in arguments nested without end", call(nested("{\"a\":", "}").as_str()), broken()),
        row(
            "a key twice in arguments",
            call("{\"path\": \"a\", \"path\": \"b\"}"),
            one("read_file", json!({ "path": "b" })),
        ),
        row("ten megabytes of arguments", call(&large).piece(60_000), ten),
        row("a hundred calls in one answer", many(100), Comes::Calls(vec![("read_file".to_owned(), json!({})); 100])),
        row(
            "an id twice in one answer",
            call("{}").call("c1", "read_file", "{}"),
            Comes::Calls(vec![("read_file".to_owned(), json!({})); 2]),
        ),
        row("an unknown tool", Reply::text("").call("c1", "browse", "{}"), one("browse", json!({}))),
        row("a call without a name", Reply::text("").call("c1", "", "{}"), Comes::AskedAgain),
        row(
            "a name that is no name",
            Reply::text("").call("c1", "read file\n\u{1f600}", "{}"),
            one("read file\n\u{1f600}", json!({})),
        ),
        row(
            "an id without end",
            Reply::text("").call("i".repeat(100_000), "read_file", "{}"),
            one("read_file", json!({})),
        ),
        row("nothing at all, in good order", Reply::text(""), Comes::Calls(Vec::new())),
    ]
}

/// Every count in the answer is the largest there is.
fn beyond_counting(wire: FakeWire) -> Step {
    let mut all = wire.events("m", &call("{}")).concat();
    for count in [0, 1, 20, 30, 100, 120, 150] {
        for (key, end) in [("tokens", ","), ("tokens", "}"), ("TokenCount", ","), ("TokenCount", "}")] {
            all = all.replace(&format!("{key}\":{count}{end}"), &format!("{key}\":{}{end}", u64::MAX));
        }
    }
    assert!(all.matches(&u64::MAX.to_string()).count() > 2, "{all}");
    Step::Body(Vec::new(), all.into_bytes())
}

fn unknown_end(wire: FakeWire) -> Step {
    let (known, word) = match wire {
        FakeWire::Messages => ("\"stop_reason\":\"tool_use\"", "tool_use"),
        FakeWire::Responses => ("\"status\":\"completed\",\"usage\"", "completed"),
        FakeWire::Chat => ("\"finish_reason\":\"tool_calls\"", "tool_calls"),
        FakeWire::Gemini => ("\"STOP\"", "STOP"),
    };
    forged(wire, &call("{}"), known, known.replace(word, "whatever").as_bytes())
}
