//! Commands that are printed for a person to run: each works as it stands, in the shell that this program was called from.

use contract::human_requests as wire;
use domain::human_requests as domain;

use crate::paint;

/// Characters up to which a question's words or an option are repeated in a command.
const SHORT: usize = 80;

/// What stands where only the person knows what to say.
const BLANK: &str = "YOUR ANSWER";

/// A question, as far as a command that answers it needs it.
pub(crate) struct Asked<'a> {
    text: &'a str,
    header: Option<&'a str>,
    first_option: Option<&'a str>,
}

impl<'a> From<&'a domain::Question> for Asked<'a> {
    fn from(question: &'a domain::Question) -> Self {
        let first_option = question.options.first().map(|option| option.label.as_str());
        Self { text: &question.question, header: question.header.as_deref(), first_option }
    }
}

impl<'a> From<&'a wire::Question> for Asked<'a> {
    fn from(question: &'a wire::Question) -> Self {
        let first_option = question.options.iter().flatten().next().map(|option| option.label.as_str());
        Self { text: &question.question, header: question.header.as_deref(), first_option }
    }
}

/// This program as it was called: by its name from the `PATH`, by its path from anywhere else.
pub(crate) fn program() -> String {
    let called = std::env::args_os().next().and_then(|name| name.into_string().ok());
    quoted(called.as_deref().unwrap_or("errand"))
}

/// The commands that answer a run: two for an approval, which has no questions, else one that answers every question, for instance with its
/// first option.
pub(crate) fn respond(run: &str, questions: &[Asked<'_>]) -> Vec<String> {
    let command = format!("{} runs respond {}", program(), quoted(run));
    if questions.is_empty() {
        return vec![format!("{command} --approve"), format!("{command} --deny")];
    }
    let answer = |(number, asked): (usize, &Asked<'_>)| {
        let value = asked.first_option.filter(|label| is_short(label)).unwrap_or(BLANK);
        format!(" --answer {}", quoted(&format!("{}={value}", key(number, asked, questions))))
    };
    vec![command + &questions.iter().enumerate().map(answer).collect::<String>()]
}

/// The header or the text of a question, if it can stand before a `=` and the server takes it for this question; else its number.
fn key(number: usize, asked: &Asked<'_>, questions: &[Asked<'_>]) -> String {
    let leads_here = |key: &&str| {
        let by_text = questions.iter().position(|other| other.text == *key);
        let found = by_text.or_else(|| questions.iter().position(|other| other.header == Some(*key)));
        found == Some(number)
    };
    let stands = |key: &&str| is_short(key) && !key.is_empty() && !key.contains('=') && !key.starts_with('-');
    let words = asked.header.into_iter().chain([asked.text]);
    words.filter(stands).find(leads_here).map_or_else(|| number.to_string(), str::to_owned)
}

/// Whether the text comes out of [`paint::line`] as it went in.
fn is_short(text: &str) -> bool {
    paint::line(text, SHORT) == text
}

/// The text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(text: &'a str, header: Option<&'a str>, first_option: Option<&'a str>) -> Asked<'a> {
        Asked { text, header, first_option }
    }

    /// What follows the run's id.
    fn rest(questions: &[Asked<'_>]) -> String {
        let commands = respond("r1", questions);
        assert_eq!(commands.len(), 1);
        commands[0].split_once(" runs respond r1 ").unwrap().1.to_owned()
    }

    #[test]
    fn an_approval_is_answered_in_two_ways() {
        let ways = respond("r1", &[]);
        assert!(ways.len() == 2 && ways[0].ends_with("respond r1 --approve") && ways[1].ends_with("respond r1 --deny"));
    }

    #[test]
    fn every_question_is_answered_under_its_own_name() {
        let two = [asked("Which total?", Some("total"), Some("as ordered")), asked("Who's to sign?", None, None)];
        assert_eq!(rest(&two), r"--answer 'total=as ordered' --answer 'Who'\''s to sign?=YOUR ANSWER'");
    }

    #[test]
    fn a_name_that_would_be_misread_gives_way_to_the_number() {
        let long = "why ".repeat(50);
        for text in ["Is 1 = 2?", "-x", "two\nlines", "\x1b[2J", &long] {
            assert_eq!(rest(&[asked(text, None, Some("no"))]), "--answer '0=no'", "{text:?}");
        }
        let twins = [asked("First?", Some("same"), None), asked("Second?", Some("same"), Some("a\nb"))];
        assert_eq!(rest(&twins), "--answer 'same=YOUR ANSWER' --answer 'Second?=YOUR ANSWER'");
    }

    #[test]
    fn a_word_of_a_shell_stays_one_word() {
        assert_eq!(quoted("target/debug/errand"), "target/debug/errand");
        assert_eq!((quoted("a b").as_str(), quoted("$(x)").as_str(), quoted("").as_str()), ("'a b'", "'$(x)'", "''"));
    }
}
