//! `errand runs`: Jobs over the API. Answering a question is in `runs/respond.rs`, making a recording in `runs/export.rs`.

mod export;
mod respond;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use contract::human_requests::HumanRequest;
use contract::messages::{Message, MessagePage, PostMessage, PostedMessageAnswer};
use contract::runs::{CreateRun, Run, RunAnswer, RunDetail, RunPage, StopAnswer};
use domain::runs::Status;

use crate::ask::Lines;
use crate::client::{Api, Output, Page};
use crate::follow::{self, Absent, Person, Show};
use crate::hints::{self, Asked};
use crate::paint::{self, Paint};
use crate::table;
use crate::transcript::Transcript;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Newest first.
    List {
        /// Only those in this status, such as waiting or needs_attention.
        #[arg(long)]
        status: Option<String>,
        /// Only those of this Assignment.
        #[arg(long)]
        agent: Option<String>,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        output: Output,
    },
    /// One Job, and what it asks if it waits for a person.
    Get {
        /// Its id.
        run: String,
        #[command(flatten)]
        output: Output,
    },
    /// A new Job on the latest Build of an Assignment.
    Start {
        /// The Assignment's id.
        agent: String,
        /// Something to tell this one Job.
        #[arg(long)]
        message: Option<String>,
        /// A sandbox with its files.
        #[arg(long)]
        sandbox: Option<String>,
        /// Where webhooks about it go.
        #[arg(long, value_name = "URL")]
        webhook_url: Option<String>,
        /// Started once, however often this is sent with the same key within 24 hours.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Show what it does until it ends; exit code 1 unless it completes. With --json one event a line.
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        output: Output,
    },
    /// What was said and done, oldest first.
    Messages {
        /// The Job's id.
        run: String,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        output: Output,
    },
    /// Tells it something; one that has completed or was stopped goes on.
    Send {
        /// The Job's id.
        run: String,
        /// The message.
        message: String,
        #[command(flatten)]
        output: Output,
    },
    /// Answers what it asks.
    Respond(respond::Respond),
    /// Ends it.
    Stop {
        /// The Job's id.
        run: String,
        #[command(flatten)]
        output: Output,
    },
    /// Shows what it did and does until it ends; exit code 1 unless it completes. With --json one event a line.
    Follow {
        /// The Job's id.
        run: String,
        #[command(flatten)]
        output: Output,
    },
    /// Makes a recording of a finished Job, which can play its model's turns again.
    Export {
        /// The Job's id.
        run: String,
        /// The file to write, which must not be there yet; without it, standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl Action {
    /// Does it.
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { status, agent, page, output } => {
                let filters = [("status", status), ("agent_id", agent)];
                let filters = filters.into_iter().filter_map(|(name, value)| Some((name, value?)));
                let query: Vec<_> = page.query().into_iter().chain(filters).collect();
                output.print(&api.get(&["runs"], &query).await?, |found: RunPage| list(found, &page))?;
            }
            Self::Get { run, output } => output.print(&api.get(&["runs", &run], &[]).await?, detail)?,
            Self::Start { agent, message, sandbox, webhook_url, idempotency_key, follow, output } => {
                let body = CreateRun { agent_id: agent, message, sandbox_id: sandbox, webhook_url };
                let started = api.post_once(&["runs"], &body, idempotency_key.as_deref()).await?;
                if follow {
                    return follow_to_the_end(api, &started.read::<RunAnswer>()?.run.id, output).await;
                }
                output.print(&started, |started: RunAnswer| fields(&started.run))?;
            }
            Self::Messages { run, page, output } => {
                let answer = api.get(&["runs", &run, "messages"], &page.query()).await?;
                output.print(&answer, |found: MessagePage| messages(&found, &page))?;
            }
            Self::Send { run, message, output } => {
                let answer = api.post(&["runs", &run, "messages"], &PostMessage { message }).await?;
                output.print(&answer, |sent: PostedMessageAnswer| format!("sent as {}\n", sent.message.id))?;
            }
            Self::Respond(respond) => respond.run(api).await?,
            Self::Stop { run, output } => {
                let answer = api.post_nothing(&["runs", &run, "stop"]).await?;
                output.print(&answer, |told: StopAnswer| {
                    format!("{}\n", paint::line(told.message.as_deref().unwrap_or("stopped"), 200))
                })?;
            }
            Self::Follow { run, output } => return follow_to_the_end(api, &run, output).await,
            Self::Export { run, output } => export::run(api, &run, output.as_deref()).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn follow_to_the_end(api: &Api, run: &str, output: Output) -> anyhow::Result<ExitCode> {
    let show = if output.is_json() {
        Show::Json
    } else {
        paint::print(&format!("  Job {}\n", paint::line(run, 60)))?;
        Show::Transcript(Transcript::new(Paint::for_stdout()))
    };
    let at_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !output.is_json();
    let person = if at_terminal {
        Person::Terminal { lines: Lines::new(), listed_only: false, afterwards: Absent::SayHow }
    } else {
        Person::Absent(if output.is_json() { Absent::Silent } else { Absent::SayHow })
    };
    let ended = follow::follow(api, run, show, person).await?;
    Ok(if ended == Status::Completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(found: RunPage, page: &Page) -> String {
    let more = table::more(found.data.len(), page.skipped(), found.total);
    let rows = found.data.into_iter().map(|run| [run.id, run.status, run.agent_name, run.title, run.created_at]);
    table::rows(["ID", "STATUS", "ASSIGNMENT", "TITLE", "CREATED"], rows) + &more
}

fn detail(found: RunDetail) -> String {
    let shown = fields(&found.run);
    match found.pending_human_request {
        Some(request) => {
            let questions: Vec<Asked<'_>> = request.questions.iter().flatten().map(Asked::from).collect();
            let commands = hints::respond(&found.run.id, &questions).join("\n  ");
            format!("{shown}\n{}to answer:\n  {commands}\n", asked(&request))
        }
        None => shown,
    }
}

/// Each question under the number by which it can be answered.
fn asked(request: &HumanRequest) -> String {
    let mut lines = vec![format!("asks: {}", paint::line(&request.title, 200))];
    lines.extend(request.description.iter().map(|text| format!("  {}", paint::line(text, 1000))));
    for (number, question) in request.questions.iter().flatten().enumerate() {
        lines.push(format!("  {number}: {}", paint::line(&question.question, 200)));
        lines.extend(
            question.options.iter().flatten().map(|option| format!("     - {}", paint::line(&option.label, 200))),
        );
    }
    paint::lines(lines)
}

fn fields(run: &Run) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    table::fields(&[
        ("id", run.id.clone()),
        ("status", run.status.clone()),
        ("agent", run.agent_id.clone()),
        ("build", run.build_id.clone()),
        ("sandbox", or_dash(&run.sandbox_id)),
        ("created", run.created_at.clone()),
        ("started", or_dash(&run.started_at)),
        ("ended", or_dash(&run.completed_at)),
    ])
}

fn messages(found: &MessagePage, page: &Page) -> String {
    let lines: String = found.messages.iter().map(message).collect();
    lines + &table::more(found.messages.len(), page.skipped(), found.total)
}

fn message(message: &Message) -> String {
    let mut text = message.text_content.clone().unwrap_or_default();
    if let Some(call) = &message.tool_call {
        let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
        text = paint::line(&format!("{} {arguments}", call.name), 200);
    }
    if let Some(result) = &message.tool_result {
        let value = result.result.as_ref().map(ToString::to_string);
        text = paint::line(&value.or_else(|| result.error.clone()).unwrap_or_default(), 200);
    }
    format!("{}  {} ({})\n{}", message.timestamp, message.role, message.kind, paint::paragraph(&text, "    ", 96))
}
