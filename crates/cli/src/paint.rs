//! Words on the terminal: colour only where it is wanted, nothing that a stranger's text could do to the screen.
//!
//! What a model or a file says is shown through [`plain`] or [`line`], which drop control characters, or [`escaped`], which spells them out.

use std::io::{self, IsTerminal, Write};

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colour if standard output is a terminal and `NO_COLOR` is not set.
    pub(crate) fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(io::stdout().is_terminal() && !refused)
    }

    /// Never any colour.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self(false)
    }

    /// For what may be skipped.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For what should be seen.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what went well.
    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// For what failed.
    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// For what wants an answer.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints at once, without a line end of its own. An error (a closed pipe) is the caller's to pass on; `println!` would panic.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The lines as one text, a line end after each.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\n")
}

/// The text without control characters (line ends and tabs stay) and without those that reverse the reading direction.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| is_plain(*c)).collect()
}

fn is_plain(c: char) -> bool {
    let turns_text_around = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    matches!(c, '\n' | '\t') || !(c.is_control() || turns_text_around)
}

/// The text with everything that [`plain`] drops written out instead, for names that must be seen as they are.
pub(crate) fn escaped(text: &str) -> String {
    let shown = |c: char| if is_plain(c) { c.to_string() } else { c.escape_default().to_string() };
    text.chars().map(shown).collect()
}

/// The text as one line of at most `most` characters.
pub(crate) fn line(text: &str, most: usize) -> String {
    let joined = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= most {
        return joined;
    }
    let cut: String = joined.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// The text with lines of at most `width` characters where it has spaces, each after `indent`.
pub(crate) fn paragraph(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    for source in plain(text).lines() {
        let mut used = 0;
        if !source.is_empty() {
            out.push_str(indent);
        }
        for word in source.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > width {
                out.push('\n');
                out.push_str(indent);
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_paint_the_screen() {
        assert_eq!(plain("a\x1b[31mb\r\n\u{9b}2Jc"), "a[31mb\n2Jc");
        assert_eq!(escaped("a\x1b[31mb\r\nc\u{202e}é"), "a\\u{1b}[31mb\\r\nc\\u{202e}é");
        assert_eq!(line("two\n  lines\x07", 40), "two lines");
        assert_eq!(line("abcdef", 4), "abc…");
    }

    #[test]
    fn paragraphs_break_at_spaces() {
        assert_eq!(paragraph("one two three\n\nfour", "  ", 8), "  one two\n  three\n\n  four\n");
        assert_eq!(paragraph("unbreakable", "", 4), "unbreakable\n");
    }
}
