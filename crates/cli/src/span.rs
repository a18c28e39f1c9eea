//! Lengths of time as people write them: `90s`, `15m`, `24h`, `30d`.

use std::str::FromStr;

/// A length of time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) u64);

impl Span {
    /// Reads one that is longer than nothing.
    pub(crate) fn lasting(text: &str) -> Result<Self, &'static str> {
        match text.parse()? {
            Self(0) => Err("expected more than no time at all"),
            span => Ok(span),
        }
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "expected a number and s, m, h or d, such as 24h";
        let unit = text.chars().next_back().ok_or(WANTED)?;
        let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| WANTED)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(WANTED),
        };
        // A hundred years are for ever.
        let most = 100 * 365 * 24 * 60 * 60;
        match number.checked_mul(seconds) {
            Some(all) if all <= most => Ok(Self(all * 1000)),
            _ => Err("expected at most 100 years"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, ms) in [("0s", 0), ("90s", 90_000), ("15m", 900_000), ("24h", 86_400_000), ("30d", 2_592_000_000)] {
            assert_eq!(text.parse(), Ok(Span(ms)), "{text}");
        }
        for wrong in ["", "h", "1", "1.5h", "1w", "-1h", "99999999999d", "9223372036854775807d", "1 h", "1é"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
