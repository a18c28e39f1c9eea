//! Asks the person at the terminal what a run wants to know. What was asked is on the screen already ([`crate::transcript`]).

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use contract::human_requests::Respond;
use domain::human_requests::{HumanRequest, Kind, Question};
use tokio::sync::mpsc;

/// The lines that a person types. One thread reads them for the whole life of the process: a read of a terminal cannot be called off.
pub(crate) struct Lines(mpsc::UnboundedReceiver<String>);

impl Lines {
    /// Reads standard input from now on.
    pub(crate) fn new() -> Self {
        let (typed, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if typed.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The next line; `None` when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

/// Answers being collected, question by question.
pub(crate) struct Asking {
    request: HumanRequest,
    request_id: String,
    given: BTreeMap<String, String>,
    /// Own words will not do: the answer must be one of the options.
    listed_only: bool,
}

/// What became of a typed line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It answers nothing; says what would.
    Again(String),
    /// On to the next question.
    Next,
    /// That was all.
    All(Respond),
}

impl Asking {
    /// Begins with the first question.
    pub(crate) fn new(request: HumanRequest, listed_only: bool) -> Self {
        Self { request_id: request.id.to_string(), request, given: BTreeMap::new(), listed_only }
    }

    /// Where on the server `run` takes the answer.
    pub(crate) fn path<'a>(&'a self, run: &'a str) -> [&'a str; 5] {
        ["runs", run, "human-requests", &self.request_id, "respond"]
    }

    /// All questions, answered or not; none for an approval.
    pub(crate) fn questions(&self) -> &[Question] {
        &self.request.questions
    }

    /// The answer that nobody has to think about: the approval, or for each question that is still open its first option.
    pub(crate) fn first_of_the_rest(&self) -> Respond {
        if self.request.kind == Kind::Approval {
            return Respond::decision(true);
        }
        let first = |question: &Question| match question.options.first() {
            Some(option) => option.label.clone(),
            None => "Decide for yourself and say so in the result.".to_owned(),
        };
        let mut answers: BTreeMap<_, _> =
            self.request.questions.iter().map(|question| (question.question.clone(), first(question))).collect();
        answers.extend(self.given.clone());
        Respond::answers(answers)
    }

    /// What to print before a line is typed.
    pub(crate) fn prompt(&self) -> String {
        let Some(question) = self.open_question() else { return "    1 or 2: ".to_owned() };
        let place = match self.request.questions.len() {
            1 => String::new(),
            all => format!("({} of {all}) ", self.given.len() + 1),
        };
        match question.options.len() {
            0 => format!("    {place}your answer: "),
            options if self.listed_only => format!("    {place}1 to {options}: "),
            options => format!("    {place}1 to {options}, or your own words: "),
        }
    }

    /// Takes a typed line.
    pub(crate) fn take(&mut self, line: &str) -> Taken {
        let line = line.trim();
        let Some(question) = self.open_question().cloned() else { return approval(line) };
        let answer = match line.parse::<usize>().ok().and_then(|number| question.options.get(number.checked_sub(1)?)) {
            Some(option) => option.label.clone(),
            None if line.is_empty() || (self.listed_only && !question.options.is_empty()) => {
                return Taken::Again("one of the numbers, please".to_owned());
            }
            None => line.to_owned(),
        };
        self.given.insert(question.question, answer);
        match self.open_question() {
            Some(_) => Taken::Next,
            None => Taken::All(Respond::answers(std::mem::take(&mut self.given))),
        }
    }

    fn open_question(&self) -> Option<&Question> {
        self.request.questions.iter().find(|question| !self.given.contains_key(&question.question))
    }
}

fn approval(line: &str) -> Taken {
    let approved = match line.to_ascii_lowercase().as_str() {
        "1" | "y" | "yes" | "approve" => true,
        "2" | "n" | "no" | "deny" => false,
        _ => return Taken::Again("1 to approve, 2 to deny".to_owned()),
    };
    Taken::All(Respond::decision(approved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::human_requests::Choice;
    use uuid::Uuid;

    fn request(questions: &[(&str, &[&str])]) -> HumanRequest {
        let choice = |label: &&str| Choice { label: (*label).into(), description: None };
        let question = |(text, options): &(&str, &[&str])| Question {
            question: (*text).into(),
            header: None,
            options: options.iter().map(choice).collect(),
            multi_select: false,
        };
        let kind = if questions.is_empty() { Kind::Approval } else { Kind::Question };
        let questions = questions.iter().map(question).collect();
        HumanRequest { questions, ..HumanRequest::new(Uuid::nil(), kind, "t") }
    }

    fn answers(pairs: &[(&str, &str)]) -> Respond {
        let answers = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Respond::answers(answers)
    }

    #[test]
    fn numbers_choose_and_words_answer() {
        let asked = request(&[("Which?", &["A", "B"]), ("Why?", &[])]);
        let mut asking = Asking::new(asked, false);
        assert_eq!(asking.prompt(), "    (1 of 2) 1 to 2, or your own words: ");
        assert!(matches!(asking.take(" "), Taken::Again(_)));
        assert_eq!(asking.take("2"), Taken::Next);
        assert_eq!(asking.take("because"), Taken::All(answers(&[("Which?", "B"), ("Why?", "because")])));
    }

    #[test]
    fn whoever_leaves_early_keeps_the_answers_given() {
        let mut asking = Asking::new(request(&[("Which?", &["A", "B"]), ("When?", &["now", "later"])]), false);
        assert_eq!(asking.first_of_the_rest(), answers(&[("Which?", "A"), ("When?", "now")]));
        assert_eq!(asking.take("2"), Taken::Next);
        assert_eq!(asking.first_of_the_rest(), answers(&[("Which?", "B"), ("When?", "now")]));
        let approval = Asking::new(request(&[]), false);
        assert_eq!(approval.first_of_the_rest(), Respond::decision(true));
    }

    #[test]
    fn where_only_options_count_words_are_refused() {
        let mut asking = Asking::new(request(&[("Which?", &["A", "B"])]), true);
        for wrong in ["A bit of both", "0", "3", "-1"] {
            assert!(matches!(asking.take(wrong), Taken::Again(_)), "{wrong}");
        }
        assert_eq!(asking.take("1"), Taken::All(answers(&[("Which?", "A")])));
    }

    #[test]
    fn an_approval_is_yes_or_no() {
        let mut asking = Asking::new(request(&[]), false);
        assert!(matches!(asking.take("maybe"), Taken::Again(_)));
        assert_eq!(asking.take("NO"), Taken::All(Respond::decision(false)));
    }
}
