//! Tables for people: columns and nothing else, so that they can be cut and grepped.

use comfy_table::{Table, presets};

use crate::paint;

/// Longest cell, in characters.
const CELL_MAX: usize = 60;

/// A headed table, one line a row, with a line end after each.
pub(crate) fn rows<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row.map(|cell| paint::line(&cell, CELL_MAX)));
    }
    lines(&table)
}

/// One thing: its fields under each other.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in fields {
        table.add_row([(*name).to_owned(), paint::line(value, 200)]);
    }
    lines(&table)
}

/// The line below a page that is not the whole list; nothing below one that is.
pub(crate) fn more(shown: usize, offset: u64, total: u64) -> String {
    let end = offset + shown as u64;
    if end < total && shown > 0 { format!("{shown} of {total}; go on with --offset {end}\n") } else { String::new() }
}

fn lines(table: &Table) -> String {
    paint::lines(table.lines().map(|line| line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_columns_only() {
        let shown = rows(["ID", "NAME"], [["1".to_owned(), "a\nb".to_owned()], ["22".to_owned(), "c".to_owned()]]);
        assert_eq!(shown, "ID  NAME\n1   a b\n22  c\n");
    }

    #[test]
    fn a_cut_list_says_how_to_go_on() {
        assert_eq!(more(20, 20, 45), "20 of 45; go on with --offset 40\n");
        assert_eq!(more(5, 40, 45) + &more(0, 90, 45), "");
    }
}
