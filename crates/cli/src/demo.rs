//! `errand demo`: the whole server in this process, one bundled Job before your eyes, nothing left behind.
//!
//! What the Job gets is in `demo/bundle.rs` (the files, the SOP, the recording). The server is wired as `errand serve` wires it, and
//! everything asked of it goes over the API, as any client's would.

mod bundle;
mod folder;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::discover::{self, Found, USUAL_PORTS};
use agent::models::Model;
use agent::recorded::RecordedModel;
use clap::Args;
use contract::agents::{AgentAnswer, CreateAgent};
use contract::builds::NewBuild;
use contract::runs::{CreateRun, RunAnswer};
use contract::sandboxes::SandboxAnswer;
use domain::Ambient;
use domain::runs::Status;
use serde_json::value::RawValue;

use self::bundle::INBOX;
use self::folder::Folder;
use crate::ambient::SystemAmbient;
use crate::ask::Lines;
use crate::client::Api;
use crate::config::{Config, Files, Place};
use crate::follow::{self, Absent, Person, Show};
use crate::hints;
use crate::logs::{Levels, Log};
use crate::paint::{self, Paint};
use crate::serve::{environment, listen};
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::transcript::Transcript;
use crate::wire::{Doors, House, Role};

/// How long the demo's last steps may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// The script that shows the API, from the root of the source.
const EXAMPLE: &str = "examples/first-job.sh";

/// The exit code of a program that Ctrl-C ended.
const STOPPED: u8 = 130;

/// Watch one Job from start to end: three invoices, a question to you, a file.
///
/// Starts a server of its own in a temporary folder and cleans up behind itself. Takes the model that `errand serve` would take; without
/// one it plays recorded turns.
#[derive(Args)]
pub(crate) struct Demo {
    /// Address and port of its server; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: String,
    /// Keep its data folder, and say where it is.
    #[arg(long)]
    keep: bool,
    /// Do not ask me: take the first option.
    #[arg(long, short)]
    yes: bool,
    /// Play the recorded turns even if there is a model.
    #[arg(long)]
    recorded: bool,
    #[command(flatten)]
    log: Log,
}

impl Demo {
    /// Runs it; Ctrl-C ends it early, and cleans up all the same.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        crate::wire::install_tls();
        let mut signals = Signals::new()?;
        let ambient = SystemAmbient::new();
        let folder = Folder::new(ambient.id(ambient.now()), self.keep)?;
        let place = Place::in_folder(folder.path(), environment("ERRAND_CONFIG"));
        let mut config = Config::load(&place, Some(self.listen.clone()), &environment)?;
        // It talks to whoever started it, and to nobody else.
        config.log.level = Levels::OFF;
        config.traces = Ok(None);
        config.files = Files::Folder(folder.path().join("sandboxes"));
        let telemetry = Telemetry::start(&self.log, &mut config)?;
        let (listener, address) = listen(&config.listen).await?;
        let settings = std::mem::take(&mut config.models);
        let build = bundle::config(&settings)?;
        let reachable = bundle::reaches(&settings);
        let found = if self.recorded {
            None
        } else {
            tokio::select! {
                found = discover::discover(settings, &USUAL_PORTS, Some(address.port())) => Some(found?),
                () = signals.next() => return self.stopped(folder),
            }
        };
        let (model, recorded, said) = choose(found, reachable)?;
        let house = House::open(&config, None).await?;
        let key = house.new_key.clone().unwrap_or_default();
        let running =
            house.start(config, Role::All, model, Doors { api: listener, tls: None, metrics: None }, &telemetry)?;
        let api = Api::new(&format!("http://{address}"), &key)?;
        paint::print(&format!(
            "\n{}\n{}\n",
            Paint::for_stdout().bold("Errand demo"),
            paint::paragraph(&paint::escaped(&said), "  ", 96)
        ))?;
        let shown = tokio::select! {
            shown = self.show(&api, build, recorded) => shown.map(Some),
            () = signals.next() => Ok(None),
        };
        running.close(GRACE).await;
        let completed = shown?;
        if self.keep {
            let (me, path) = (hints::program(), hints::quoted(&folder.path().display().to_string()));
            paint::print(&format!("\n  Kept: {me} serve --data-dir {path} (API key {key})\n"))?;
        }
        match completed {
            Some(completed) => {
                folder.done()?;
                Ok(if completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            None => self.stopped(folder),
        }
    }

    /// The end that Ctrl-C brings.
    fn stopped(&self, folder: Folder) -> anyhow::Result<ExitCode> {
        folder.done()?;
        paint::print(if self.keep { "\n  stopped\n" } else { "\n  stopped; nothing is left behind\n" })?;
        Ok(ExitCode::from(STOPPED))
    }

    /// Sets the Job up, follows it, shows what it wrote; whether it completed.
    async fn show(&self, api: &Api, build: Box<RawValue>, recorded: bool) -> anyhow::Result<bool> {
        let sandbox: SandboxAnswer = api.post_nothing(&["sandboxes"]).await?.read()?;
        for (name, bytes) in bundle::FILES {
            api.upload(&sandbox.sandbox_id, &format!("{INBOX}/{name}"), bytes.to_vec()).await?;
        }
        let build = Some(NewBuild { name: "v1".to_owned(), config: build });
        let agent = CreateAgent { name: "Invoice Processor".to_owned(), build };
        let made: AgentAnswer = api.post(&["agents"], &agent).await?.read()?;
        let sandbox_id = Some(sandbox.sandbox_id.clone());
        let job = CreateRun { agent_id: made.agent.id, message: None, sandbox_id, webhook_url: None };
        let started: RunAnswer = api.post(&["runs"], &job).await?.read()?;
        let number = made.build.map_or(1, |build| build.revision_number);
        let files = bundle::FILES.len();
        paint::print(&format!(
            "  Assignment \"Invoice Processor\", Build {number}: {files} files uploaded, Job {} started\n\n",
            started.run.id
        ))?;

        let person = if self.yes || !std::io::stdin().is_terminal() {
            Person::Absent(Absent::FirstOption)
        } else {
            Person::Terminal { lines: Lines::new(), listed_only: recorded, afterwards: Absent::FirstOption }
        };
        let show = Show::Transcript(Transcript::new(Paint::for_stdout()));
        let completed = follow::follow(api, &started.run.id, show, person).await? == Status::Completed;
        if completed {
            print_result(api, &sandbox.sandbox_id).await?;
        }
        paint::print(&what_next())?;
        Ok(completed)
    }
}

/// The model to use, whether it only plays a recording, and what to tell about it.
fn choose(found: Option<Found>, reachable: bool) -> anyhow::Result<(Arc<dyn Model>, bool, String)> {
    let found = found.filter(|found| !found.providers.is_empty());
    let hint = if found.is_some() && !reachable {
        " To let your own server do it, name one of its models in errand.toml: [models.\"claude-sonnet-4-6\"] use = \"…\"."
    } else {
        ""
    };
    if let Some(found) = found.filter(|_| reachable) {
        return Ok((Arc::new(found.providers), false, found.said));
    }
    let said = format!("Recorded turns, no model. The tools, files, journal, question and stream are live.{hint}");
    Ok((Arc::new(RecordedModel::new(bundle::recording()?)), true, said))
}

async fn print_result(api: &Api, sandbox: &str) -> anyhow::Result<()> {
    let paint = Paint::for_stdout();
    match api.download(&["sandboxes", sandbox, "files", "content"], &[("path", bundle::RESULT.to_owned())]).await {
        Ok(bytes) => {
            let text = paint::paragraph(&String::from_utf8_lossy(&bytes), "    ", usize::MAX);
            paint::print(&format!("\n  {}\n{text}", paint.bold(bundle::RESULT)))?;
        }
        Err(error) => paint::print(&format!("\n  The Job wrote no {}: {error:#}\n", bundle::RESULT))?,
    }
    Ok(())
}

fn what_next() -> String {
    let me = hints::program();
    let mut steps = vec![
        (
            format!("ANTHROPIC_API_KEY=… {me} demo"),
            "the same Job with a model; any provider's key does, or a local Ollama",
        ),
        (format!("{me} serve"), "a server of your own; its first start prints an API key"),
    ];
    // It comes with the source only.
    if Path::new(EXAMPLE).exists() {
        steps.push((format!("API_KEY=… bash {EXAMPLE}"), "an Assignment and a Job over its API, with curl and jq"));
    }
    let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let lines = paint::lines(steps.iter().map(|(command, what)| format!("    {command:<width$}  {what}")));
    format!("\n  {}\n{lines}", Paint::for_stdout().bold("Next"))
}
