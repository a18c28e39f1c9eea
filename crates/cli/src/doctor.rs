//! `errand doctor`: looks at everything that can be wrong with an installation, and says of each whether it is, and what to do. It reads only, but for
//! an object that a bucket is tried out with, and works beside a running server.
//!
//! Here: what a finding is and how it is shown. `doctor/folder.rs` looks at the machine, `doctor/database.rs` at what is stored.

mod database;
mod folder;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::config::{Config, Place};
use crate::paint::{self, Paint};
use crate::serve::environment;

/// Checks settings, data folder, database and Jobs, and says what to do about what is wrong. Exit code 1 if there is a problem.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Looks at everything.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut report = Report::default();
        match Config::load(&self.place, None, &environment) {
            Ok(config) => {
                report.ok("configuration", "reads".to_owned());
                report.ok("egress", opened(&config.egress));
                if let Err(wrong) = &config.traces {
                    report.problem(
                        "traces",
                        format!("{wrong:#}"),
                        "mend it, or unset what is meant for other programs: no server starts with it",
                    );
                }
                if let Some((cert, key)) = &config.tls {
                    tls(&mut report, cert, key);
                }
                let server = folder::look(&mut report, &config).await;
                database::look(&mut report, &config, server).await;
            }
            Err(error) => report.problem("configuration", format!("{error:#}"), "mend it: no command runs with it"),
        }
        let well = report.worst() != Level::Problem;
        paint::print(&if self.json {
            format!("{}\n", json!({ "ok": well, "checks": report.0 }))
        } else {
            report.shown(Paint::for_stdout())
        })?;
        Ok(ExitCode::from(u8::from(!well)))
    }
}

/// Whether a start would find its certificate.
fn tls(report: &mut Report, cert: &Path, key: &Path) {
    crate::wire::install_tls();
    match server::Tls::read(cert, key) {
        Ok(_) => report.ok("tls", format!("{} and {} can be used", cert.display(), key.display())),
        Err(wrong) => {
            report.problem("tls", wrong, "mend tls_cert or tls_key in section [server]: no server starts with it");
        }
    }
}

/// What users' URLs may reach.
fn opened(allow: &egress::Allow) -> String {
    let public = "the URLs that users give may lead to public addresses by https";
    if allow.is_empty() {
        format!("{public}, nothing else")
    } else {
        format!("{public}, and to what is opened: {allow}")
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    /// Worth a look; everything works.
    Warning,
    /// Something does not work, or what is kept is in danger.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// Everything that was looked at, in order.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn ok(&mut self, check: &'static str, found: String) {
        self.0.push(Finding { check, level: Level::Ok, found, advice: None });
    }

    fn warning(&mut self, check: &'static str, found: String, advice: impl Into<String>) {
        self.add(check, Level::Warning, found, advice);
    }

    fn problem(&mut self, check: &'static str, found: String, advice: impl Into<String>) {
        self.add(check, Level::Problem, found, advice);
    }

    fn add(&mut self, check: &'static str, level: Level, found: String, advice: impl Into<String>) {
        self.0.push(Finding { check, level, found, advice: Some(advice.into()) });
    }

    fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    fn shown(&self, paint: Paint) -> String {
        let lines = self.0.iter().flat_map(|finding| {
            let word = match finding.level {
                Level::Ok => paint.green("ok     "),
                Level::Warning => paint.yellow("warning"),
                Level::Problem => paint.red("problem"),
            };
            // What is found may hold names that others gave.
            let found = paint::line(&paint::escaped(&finding.found), 1_000);
            let line = format!("{word}  {:<13}  {found}", finding.check);
            let advice = finding.advice.as_ref().map(|advice| format!("{:24}→ {}", "", paint::line(advice, 1_000)));
            [Some(line), advice].into_iter().flatten()
        });
        paint::lines(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_and_its_advice_the_next() {
        let mut report = Report::default();
        report.ok("schema", "all there".into());
        assert_eq!(report.worst(), Level::Ok);
        report.warning("data folder", "open\nto all".into(), "close it");
        assert_eq!(report.worst(), Level::Warning);
        let shown = report.shown(Paint::none());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(
            lines[1].starts_with("warning  data folder    open to all") && lines[2].ends_with("→ close it"),
            "{shown}"
        );
    }
}
