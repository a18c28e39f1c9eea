//! Query parameters of the lists: which page, and for runs which rows.
//!
//! Nothing is clamped or ignored: a parameter that is unknown, repeated or out of range is refused
//! by name, since a list that silently differs from what was asked for misleads its reader. The
//! filters of `GET /v1/runs` are in `pages/run_query.rs`.

use std::fmt;

use crate::strict_json::shorten;

mod run_query;

pub use run_query::{RunQuery, SortOrder, TEXT_MAX};

/// Page size when none is asked for.
pub const DEFAULT_LIMIT: u32 = 20;
/// The largest page. The published description of run messages says 50, its guide 100; the larger
/// one serves both.
pub const MAX_LIMIT: u32 = 100;
/// The largest offset: the last integer that every JSON reader keeps exact.
pub const MAX_OFFSET: u64 = 9_007_199_254_740_991;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// 1 to [`MAX_LIMIT`] rows.
    pub limit: u32,
    /// Rows to skip, 0 to [`MAX_OFFSET`].
    pub offset: u64,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, offset: 0 }
    }
}

impl PageQuery {
    /// Reads `limit` and `offset` from decoded query pairs; any other parameter is refused.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, BadParameter> {
        let parameters = Parameters::new(pairs, &["limit", "offset"])?;
        Self::from_parameters(&parameters)
    }

    fn from_parameters(parameters: &Parameters<'_>) -> Result<Self, BadParameter> {
        let limit = parameters.integer("limit", 1, u64::from(MAX_LIMIT))?;
        let offset = parameters.integer("offset", 0, MAX_OFFSET)?;
        Ok(Self {
            limit: limit.and_then(|limit| limit.try_into().ok()).unwrap_or(DEFAULT_LIMIT),
            offset: offset.unwrap_or(0),
        })
    }
}

/// A query parameter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadParameter {
    name: String,
    sentence: String,
}

impl BadParameter {
    /// Which parameter.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn new(name: &str, sentence: &str) -> Self {
        Self { name: shorten(name).into_owned(), sentence: shorten(sentence).into_owned() }
    }
}

impl fmt::Display for BadParameter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "query parameter `{}`: {}", self.name, self.sentence)
    }
}

impl std::error::Error for BadParameter {}

/// Query pairs in which every name is known and occurs once.
struct Parameters<'q> {
    pairs: &'q [(String, String)],
}

impl<'q> Parameters<'q> {
    fn new(pairs: &'q [(String, String)], known: &[&str]) -> Result<Self, BadParameter> {
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let sentence = format!("unknown, expected one of {}", known.join(", "));
                return Err(BadParameter::new(name, &sentence));
            }
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(BadParameter::new(name, "given twice, expected once"));
            }
        }
        Ok(Self { pairs })
    }

    fn text(&self, name: &str) -> Option<&'q str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn integer(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (least..=most).contains(&number) => Ok(Some(number)),
            _ => {
                let wanted = format!("expected an integer from {least} to {most}, got `{text}`");
                Err(BadParameter::new(name, &wanted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<PageQuery, BadParameter> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        PageQuery::parse(&pairs.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn defaults_and_bounds() {
        assert_eq!(parse(&[]), Ok(PageQuery { limit: 20, offset: 0 }));
        assert_eq!(parse(&[("limit", "1")]).map(|page| page.limit), Ok(1));
        assert_eq!(
            parse(&[("offset", "9007199254740991"), ("limit", "100")]),
            Ok(PageQuery { limit: 100, offset: MAX_OFFSET })
        );
    }

    #[test]
    fn never_clamps() {
        for bad in ["0", "101", "-1", "+5", "1.0", "", " 1", "1e1", "99999999999999999999"] {
            let err = parse(&[("limit", bad)]).expect_err(bad);
            assert_eq!(
                err.to_string(),
                format!("query parameter `limit`: expected an integer from 1 to 100, got `{bad}`")
            );
        }
        for bad in ["-1", "9007199254740992", "x"] {
            assert_eq!(parse(&[("offset", bad)]).expect_err(bad).name(), "offset");
        }
    }

    #[test]
    fn refuses_the_unknown_and_the_repeated() {
        assert_eq!(
            parse(&[("page", "2")]).expect_err("unknown").to_string(),
            "query parameter `page`: unknown, expected one of limit, offset"
        );
        let err = parse(&[("limit", "5"), ("limit", "5")]).expect_err("repeated");
        assert_eq!(err.to_string(), "query parameter `limit`: given twice, expected once");
    }
}
