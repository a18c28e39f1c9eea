//! Who answers what a followed run asks. How a question is put and a typed line understood is in [`crate::ask`].

use domain::human_requests::HumanRequest;

use crate::ask::{Asking, Lines, Taken};
use crate::client::Api;
use crate::hints::{self, Asked};
use crate::paint;

/// Who answers.
pub(crate) enum Person {
    /// Whoever is at the terminal, until its input ends; `listed_only`: with one of the options.
    Terminal { lines: Lines, listed_only: bool, afterwards: Absent },
    /// Nobody is there to be asked.
    Absent(Absent),
}

/// What is done about a question that nobody here answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Says how to answer it from elsewhere.
    SayHow,
    /// Says nothing: the output is for programs.
    Silent,
    /// Takes the first option, and says so.
    FirstOption,
}

impl Person {
    /// Puts the question; the [`Asking`] if a line is to be typed now.
    pub(super) async fn ask(&self, api: &Api, run: &str, request: HumanRequest) -> anyhow::Result<Option<Asking>> {
        match self {
            Self::Terminal { listed_only, .. } => {
                let asking = Asking::new(request, *listed_only);
                paint::print(&asking.prompt())?;
                Ok(Some(asking))
            }
            Self::Absent(absent) => absent.answer(api, run, Asking::new(request, false)).await,
        }
    }

    /// The next line that is typed; `None` at the end of input.
    pub(super) async fn typed(&mut self) -> Option<String> {
        match self {
            Self::Terminal { lines, .. } => lines.next().await,
            Self::Absent(_) => std::future::pending().await,
        }
    }

    /// Takes the line; the [`Asking`] again if another one is needed.
    pub(super) async fn answer(
        &mut self,
        api: &Api,
        run: &str,
        mut asking: Asking,
        line: Option<String>,
    ) -> anyhow::Result<Option<Asking>> {
        let Some(line) = line else { return self.leave(api, run, asking).await };
        match asking.take(&line) {
            Taken::Again(why) => paint::print(&format!("    {why}\n"))?,
            Taken::Next => {}
            Taken::All(respond) => match api.post(&asking.path(run), &respond).await {
                Ok(_) => return Ok(None),
                Err(error) => paint::print(&format!("    {error:#}\n"))?,
            },
        }
        paint::print(&asking.prompt())?;
        Ok(Some(asking))
    }

    /// There is nobody any more.
    async fn leave(&mut self, api: &Api, run: &str, asking: Asking) -> anyhow::Result<Option<Asking>> {
        // The prompt stands on a line of its own.
        paint::print("\n")?;
        let absent = match self {
            Self::Terminal { afterwards, .. } => *afterwards,
            Self::Absent(absent) => *absent,
        };
        *self = Self::Absent(absent);
        absent.answer(api, run, asking).await
    }
}

impl Absent {
    async fn answer(self, api: &Api, run: &str, asking: Asking) -> anyhow::Result<Option<Asking>> {
        match self {
            Self::FirstOption => {
                paint::print("    nobody is asked here: the first option is taken\n")?;
                api.post(&asking.path(run), &asking.first_of_the_rest()).await?;
            }
            Self::SayHow => {
                let questions: Vec<Asked<'_>> = asking.questions().iter().map(Asked::from).collect();
                let commands = hints::respond(run, &questions).join("\n      ");
                paint::print(&format!("    waiting; to answer:\n      {commands}\n"))?;
            }
            Self::Silent => {}
        }
        Ok(None)
    }
}
