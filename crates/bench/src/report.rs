//! The rows as people and programs get them.

use std::io::Write as _;

use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    name: String,
    /// The figure.
    value: f64,
    /// Its unit.
    unit: &'static str,
    /// What it should reach, where something was aimed at.
    aim: Option<f64>,
    /// How far it is from the aim: at most 1 means reached, whether more or less is better.
    ratio: Option<f64>,
    /// Other figures of the same measurement; their names end in their units.
    #[serde(serialize_with = "as_object")]
    also: Vec<(&'static str, f64)>,
}

impl Row {
    /// A figure without an aim.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, aim: None, ratio: None, also: vec![] }
    }

    /// It should be at most this.
    #[must_use]
    pub(crate) fn at_most(self, aim: f64) -> Self {
        let ratio = self.value / aim;
        Self { aim: Some(aim), ratio: Some(ratio), ..self }
    }

    /// It should be at least this.
    #[must_use]
    pub(crate) fn at_least(self, aim: f64) -> Self {
        let ratio = aim / self.value;
        Self { aim: Some(aim), ratio: Some(ratio), ..self }
    }

    /// What else was seen.
    #[must_use]
    pub(crate) fn also(mut self, also: Vec<(&'static str, f64)>) -> Self {
        self.also.extend(also);
        self
    }

    /// Where it was measured, at the end of its name.
    #[must_use]
    pub(crate) fn on(self, place: &str) -> Self {
        Self { name: format!("{}, {place}", self.name), ..self }
    }

    /// The same measurement elsewhere, `there`: how many times its figure this one is.
    #[must_use]
    pub(crate) fn against(self, name: &'static str, there: &Self) -> Self {
        let times = self.value / there.value;
        self.also(vec![(name, times)])
    }
}

/// Gathers rows, and shows each at once to people.
pub(crate) struct Report {
    json: bool,
    rows: Vec<Row>,
}

impl Report {
    /// An empty one.
    pub(crate) fn new(json: bool) -> Self {
        if !json {
            println!("{:<46} {:>9} {:<11} {:>9} {:>6}  also", "what", "value", "unit", "aim", "ratio");
        }
        Self { json, rows: vec![] }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        if !self.json {
            println!("{}", line(&row));
        }
        self.rows.push(row);
    }

    /// Prints what is left to print.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        if self.json {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &self.rows)?;
            writeln!(out)?;
        } else {
            println!("\nA ratio of at most 1 reaches the aim, whether more or less is better.");
        }
        Ok(())
    }
}

fn line(row: &Row) -> String {
    let aim = row.aim.map_or_else(|| "-".to_owned(), short);
    let ratio = row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let also: Vec<String> = row.also.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
    let line =
        format!("{:<46} {:>9} {:<11} {aim:>9} {ratio:>6}  {}", row.name, short(row.value), row.unit, also.join(", "));
    line.trim_end().to_owned()
}

/// Three digits that say something.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0..0.095 => 3,
        0.095..9.95 => 2,
        9.95..99.5 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn as_object<S: serde::Serializer>(also: &[(&'static str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(also.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_one_or_less_is_good_in_both_directions() {
        assert_eq!(Row::new("", 5.0, "").at_most(10.0).ratio, Some(0.5));
        assert_eq!(Row::new("", 10.0, "").at_least(5.0).ratio, Some(0.5));
    }

    #[test]
    fn figures_are_short() {
        let shown: Vec<String> = [0.0712, 0.14, 12.34, 5012.6].into_iter().map(short).collect();
        assert_eq!(shown, ["0.071", "0.14", "12.3", "5013"]);
    }
}
