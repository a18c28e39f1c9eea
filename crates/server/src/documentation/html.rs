//! Text as HTML: everything that is put into the page goes through [`escaped`] or [`prose`].

/// Text that cannot be taken for markup, in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A line of text in which backticks mark code.
pub(super) fn line(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let marked = parts.map(|(at, part)| match at % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    marked.collect()
}

/// Paragraphs of such text.
pub(super) fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.is_empty());
    each(paragraphs, |paragraph| format!("<p>{}</p>\n", line(&paragraph.replace('\n', " "))))
}

/// The HTML of each item, one after the other.
pub(super) fn each<T>(items: impl IntoIterator<Item = T>, html: impl Fn(T) -> String) -> String {
    items.into_iter().map(html).collect()
}

/// A block of code with a heading, which the script gives a button to copy it.
pub(super) fn code(heading: &str, text: &str) -> String {
    format!("<figure><figcaption>{}</figcaption><pre><code>{}</code></pre></figure>\n", escaped(heading), escaped(text))
}

/// A table; nothing if it has no rows.
pub(super) fn table(heads: &[&str], rows: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads = each(heads, |head| format!("<th>{}</th>", escaped(head)));
    format!("<table><thead><tr>{heads}</tr></thead><tbody>\n{}</tbody></table>\n", rows.concat())
}

/// A row of cells that are HTML already.
pub(super) fn row(cells: &[&str]) -> String {
    let cells = each(cells, |cell| format!("<td>{cell}</td>"));
    format!("<tr>{cells}</tr>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(line("a <b> & `c<d>` \"e'"), "a &lt;b&gt; &amp; <code>c&lt;d&gt;</code> &quot;e&#39;");
        assert_eq!(prose("one\ntwo\n\n`x`"), "<p>one two</p>\n<p><code>x</code></p>\n");
    }
}
