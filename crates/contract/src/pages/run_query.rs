//! The filters of `GET /v1/runs`.
//!
//! Only the form of each parameter is checked; what a status or a severity means, and whether a time
//! is one, is decided by who runs the query.

use crate::fields::{UUID_FORM, is_uuid};

use super::{BadParameter, PageQuery, Parameters};

const KNOWN: [&str; 14] = [
    "limit",
    "offset",
    "sort_by",
    "sort_order",
    "status",
    "agent_id",
    "user_id",
    "case_queue_id",
    "source",
    "search",
    "has_issues",
    "issue_severity",
    "since",
    "digest_id",
];

/// The last two are filters only: no run is ever shown with them.
const STATUSES: [&str; 10] = [
    "not_started",
    "pending",
    "starting",
    "running",
    "waiting",
    "completed",
    "failed",
    "interrupted",
    "stopped",
    "needs_attention",
];

/// The longest text that is looked for, in characters: far longer than any title.
pub const TEXT_MAX: usize = 1_000;

const SEVERITIES: [&str; 3] = ["critical", "medium", "low"];

/// Which runs are wanted, and in which order. A filter that is `None` lets everything through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunQuery {
    /// Which part of the list.
    pub page: PageQuery,
    /// By creation time: `created_at` is the only `sort_by` there is.
    pub sort_order: SortOrder,
    /// A status of a run, or `stopped` or `needs_attention`, which stand for several.
    pub status: Option<String>,
    /// UUID.
    pub agent_id: Option<String>,
    /// UUID.
    pub user_id: Option<String>,
    /// UUID.
    pub case_queue_id: Option<String>,
    /// As in [`crate::runs::Run::source`], [`TEXT_MAX`] characters at most.
    pub source: Option<String>,
    /// Free text, [`TEXT_MAX`] characters at most.
    pub search: Option<String>,
    /// Whether an evaluation found anything.
    pub has_issues: Option<bool>,
    /// `critical`, `medium` or `low`.
    pub issue_severity: Option<String>,
    /// Meant to be an RFC 3339 time; not parsed here.
    pub since: Option<String>,
    /// UUID.
    pub digest_id: Option<String>,
}

/// Direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortOrder {
    /// `asc`: oldest first.
    Ascending,
    /// `desc`: newest first.
    #[default]
    Descending,
}

impl RunQuery {
    /// Reads decoded query pairs; a parameter that the operation does not have is refused.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, BadParameter> {
        let parameters = Parameters::new(pairs, &KNOWN)?;
        parameters.one_of("sort_by", &["created_at"])?;
        let ascending = parameters.one_of("sort_order", &["asc", "desc"])?;
        let has_issues = parameters.one_of("has_issues", &["true", "false"])?;
        Ok(Self {
            page: PageQuery::from_parameters(&parameters)?,
            sort_order: match ascending.as_deref() {
                Some("asc") => SortOrder::Ascending,
                _ => SortOrder::Descending,
            },
            status: parameters.one_of("status", &STATUSES)?,
            agent_id: parameters.uuid("agent_id")?,
            user_id: parameters.uuid("user_id")?,
            case_queue_id: parameters.uuid("case_queue_id")?,
            source: parameters.short_text("source")?,
            search: parameters.short_text("search")?,
            has_issues: has_issues.map(|text| text == "true"),
            issue_severity: parameters.one_of("issue_severity", &SEVERITIES)?,
            since: parameters.text("since").map(str::to_owned),
            digest_id: parameters.uuid("digest_id")?,
        })
    }
}

impl Parameters<'_> {
    fn short_text(&self, name: &str) -> Result<Option<String>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.chars().count() {
            0..=TEXT_MAX => Ok(Some(text.to_owned())),
            long => Err(BadParameter::new(name, &format!("expected at most {TEXT_MAX} characters, got {long}"))),
        }
    }

    fn one_of(&self, name: &str, allowed: &[&str]) -> Result<Option<String>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if allowed.contains(&text) {
            return Ok(Some(text.to_owned()));
        }
        let wanted = format!("expected one of {}, got `{text}`", allowed.join(", "));
        Err(BadParameter::new(name, &wanted))
    }

    fn uuid(&self, name: &str) -> Result<Option<String>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if is_uuid(text) {
            return Ok(Some(text.to_owned()));
        }
        Err(BadParameter::new(name, &format!("expected {UUID_FORM}, got `{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<RunQuery, BadParameter> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        RunQuery::parse(&pairs.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_asked_means_everything_newest_first() {
        let query = parse(&[]).expect("valid");
        assert_eq!(query, RunQuery::default());
        assert_eq!(query.sort_order, SortOrder::Descending);
    }

    #[test]
    fn takes_every_parameter() {
        let id = "0190a0c5-7e3f-7c1a-9d2b-000000000001";
        let query = parse(&[
            ("limit", "7"),
            ("offset", "3"),
            ("sort_by", "created_at"),
            ("sort_order", "asc"),
            ("status", "needs_attention"),
            ("agent_id", id),
            ("user_id", id),
            ("case_queue_id", id),
            ("source", "api"),
            ("search", "invoice 7"),
            ("has_issues", "false"),
            ("issue_severity", "low"),
            ("since", "2026-01-01T00:00:00Z"),
            ("digest_id", id),
        ])
        .expect("valid");
        let id = Some(id.to_owned());
        assert_eq!(
            query,
            RunQuery {
                page: PageQuery { limit: 7, offset: 3 },
                sort_order: SortOrder::Ascending,
                status: Some("needs_attention".to_owned()),
                agent_id: id.clone(),
                user_id: id.clone(),
                case_queue_id: id.clone(),
                source: Some("api".to_owned()),
                search: Some("invoice 7".to_owned()),
                has_issues: Some(false),
                issue_severity: Some("low".to_owned()),
                since: Some("2026-01-01T00:00:00Z".to_owned()),
                digest_id: id,
            }
        );
    }

    #[test]
    fn refuses_values_outside_the_vocabulary() {
        for (name, value) in [
            ("sort_by", "updated_at"),
            ("sort_order", "DESC"),
            ("status", "done"),
            ("agent_id", "1"),
            ("has_issues", "1"),
            ("issue_severity", ""),
            ("limit", "0"),
            ("team_id", "x"),
        ] {
            assert_eq!(parse(&[(name, value)]).expect_err(name).name(), name);
        }
    }
}
