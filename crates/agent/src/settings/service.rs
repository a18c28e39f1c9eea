//! One provider: what the file says of it, what its vendor's SDK reads from the environment, and its own address.

use serde::Deserialize;

use super::{Endpoint, Key, OpenAiWire, Origin, Service};

/// A key of the provider's table, and what is wrong with it.
type Mistake = (&'static str, String);

/// One table of `[providers]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderRow {
    base_url: Option<String>,
    api_key: Option<String>,
    api_key_env: Option<String>,
    pub(super) wire: Option<OpenAiWire>,
}

impl Service {
    /// What the file says, then what the vendor's SDK would read, then the vendor's own address. `None` where nobody mentioned the
    /// service; the error is a key of its table and what is wrong with it.
    pub(super) fn endpoint(
        self,
        row: Option<ProviderRow>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Endpoint>, Mistake> {
        let env = |name: &&str| env(name).filter(|value| !value.trim().is_empty());
        let (origin, row) = match row {
            Some(row) => (Origin::File, row),
            None => (Origin::Environment, ProviderRow::default()),
        };
        let named = match (&row.api_key, &row.api_key_env) {
            (Some(_), Some(_)) => {
                return Err(("api_key_env", "give either api_key or api_key_env, not both".to_owned()));
            }
            (None, Some(name)) => {
                Some(env(&name.as_str()).ok_or_else(|| ("api_key_env", format!("the variable {name} is not set")))?)
            }
            (key, None) => key.clone(),
        };
        let key = named.or_else(|| self.key_variables().iter().find_map(env)).map(|key| Key(key.trim().to_owned()));
        let told = row.base_url.or_else(|| self.url_variables().iter().find_map(env));
        if origin == Origin::Environment && key.is_none() && told.is_none() {
            return Ok(None);
        }
        let Some(base_url) = told.or_else(|| self.own_url().map(str::to_owned)) else {
            return Err((
                "base_url",
                "a compatible server needs its address, such as http://127.0.0.1:11434/v1".to_owned(),
            ));
        };
        let base_url = self.tidy(&base_url).ok_or_else(|| ("base_url", "not an http or https URL".to_owned()))?;
        Ok(Some(Endpoint { base_url, key, wire: row.wire, origin }))
    }

    /// In the order in which the vendor's SDK prefers them.
    const fn key_variables(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["ANTHROPIC_API_KEY"],
            Self::OpenAi => &["OPENAI_API_KEY"],
            Self::Gemini => &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
            Self::Compatible => &[],
        }
    }

    const fn url_variables(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["ANTHROPIC_BASE_URL"],
            Self::OpenAi => &["OPENAI_BASE_URL"],
            // The second is what Google's SDK reads.
            Self::Gemini => &["GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"],
            Self::Compatible => &[],
        }
    }

    const fn own_url(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com"),
            Self::Compatible => None,
        }
    }

    /// Whether there is only one language to speak with it.
    pub(super) const fn has_one_wire(self) -> bool {
        matches!(self, Self::Anthropic | Self::Gemini)
    }

    /// Google's SDK adds `/v1beta` itself, but many write it into the URL: both mean the same.
    fn tidy(self, url: &str) -> Option<String> {
        let url = url.trim().trim_end_matches('/');
        let url = if self == Self::Gemini { url.trim_end_matches("/v1beta") } else { url };
        let parsed = reqwest::Url::parse(url).ok()?;
        (matches!(parsed.scheme(), "http" | "https") && parsed.has_host()).then(|| url.to_owned())
    }
}
