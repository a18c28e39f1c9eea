//! Where spans go, and of how many runs: section `[traces]`, and the variables that OpenTelemetry has for everybody.
//!
//! Here are those that decide whether and where. The others of an exporter (headers, timeout, the service's name, sizes of batches) are read by
//! OpenTelemetry's own library.

use serde::Deserialize;

/// The section as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Part {
    endpoint: Option<String>,
    ratio: f64,
}

/// What was settled, where spans are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The whole URL that spans are sent to.
    pub(crate) url: String,
    /// The share of runs that is traced, from 0 to 1.
    pub(crate) ratio: f64,
}

impl Settings {
    /// Where spans go, as it may stand in a log.
    pub(crate) fn origin(&self) -> String {
        reqwest::Url::parse(&self.url).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
    }
}

impl Default for Part {
    fn default() -> Self {
        Self { endpoint: None, ratio: 1.0 }
    }
}

/// The path that a base URL is continued by.
const PATH: &str = "v1/traces";
/// The one language that is spoken.
const PROTOCOL: &str = "http/protobuf";

impl Part {
    /// Reads the section in the file `name` and the variables that win over it. `None`: nobody wants spans.
    ///
    /// # Errors
    /// In words for the operator, by variable or by file and key; the URL is not repeated.
    pub(crate) fn settle(self, name: &str, env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<Settings>> {
        let off = env("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
        let exporter = env("OTEL_TRACES_EXPORTER");
        if off || exporter.as_deref() == Some("none") {
            return Ok(None);
        }
        let whole = |url: String| format!("{}/{PATH}", url.trim_end_matches('/'));
        let places = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT".to_owned(), env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), env("OTEL_EXPORTER_OTLP_ENDPOINT").map(whole)),
            (format!("{name}: traces.endpoint"), self.endpoint.map(whole)),
        ];
        let Some((place, url)) = places.into_iter().find_map(|(place, url)| Some((place, url?))) else {
            return Ok(None);
        };
        anyhow::ensure!(
            exporter.as_deref().is_none_or(|exporter| exporter == "otlp"),
            "OTEL_TRACES_EXPORTER: expected otlp or none, which are all that there are here"
        );
        for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            anyhow::ensure!(
                env(variable).is_none_or(|protocol| protocol == PROTOCOL),
                "{variable}: expected {PROTOCOL}, the only one that Errand speaks; a collector takes it at port 4318 by default"
            );
        }
        check(&url).map_err(|wrong| anyhow::anyhow!("{place}: {wrong}"))?;
        let ratio = match sampler(env)? {
            Some(ratio) => ratio,
            None => share(self.ratio).ok_or_else(|| anyhow::anyhow!("{name}: traces.ratio: expected 0 to 1"))?,
        };
        Ok(Some(Settings { url, ratio }))
    }
}

/// The share that `OTEL_TRACES_SAMPLER` names. Runs have no parents that could decide for them.
fn sampler(env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<f64>> {
    let Some(sampler) = env("OTEL_TRACES_SAMPLER") else { return Ok(None) };
    match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
        "always_on" => Ok(Some(1.0)),
        "always_off" => Ok(Some(0.0)),
        "traceidratio" => {
            let ratio = env("OTEL_TRACES_SAMPLER_ARG").map_or(Ok(1.0), |ratio| ratio.trim().parse());
            let ratio = ratio.ok().and_then(share);
            ratio.map(Some).ok_or_else(|| anyhow::anyhow!("OTEL_TRACES_SAMPLER_ARG: expected 0 to 1"))
        }
        _ => anyhow::bail!(
            "OTEL_TRACES_SAMPLER: expected always_on, always_off or traceidratio, or one of them after parentbased_"
        ),
    }
}

fn share(ratio: f64) -> Option<f64> {
    (0.0..=1.0).contains(&ratio).then_some(ratio)
}

/// A URL that may stand in a log.
fn check(url: &str) -> Result<(), &'static str> {
    let read = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let read = read.ok_or("expected an http or https URL, such as http://127.0.0.1:4318")?;
    if !read.username().is_empty() || read.password().is_some() {
        return Err("holds a name or a password; give it as a header in OTEL_EXPORTER_OTLP_HEADERS instead");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<Option<Settings>> {
        let part: Part = toml::from_str(file).unwrap();
        let env = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        part.settle("errand.toml", &env)
    }

    #[test]
    fn spans_go_where_the_variables_say_or_else_the_file() {
        let file = "endpoint = \"http://file:4318/\"\nratio = 0.5";
        let (general, own) = (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all/otlp"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own/x"),
        );
        for (file, variables, url) in [
            ("", &[][..], None),
            (file, &[], Some("http://file:4318/v1/traces")),
            (file, &[general], Some("http://all/otlp/v1/traces")),
            (file, &[general, own], Some("http://own/x")),
            (file, &[own, ("OTEL_TRACES_EXPORTER", "none")], None),
            (file, &[own, ("OTEL_SDK_DISABLED", "true")], None),
        ] {
            assert_eq!(settle(file, variables).unwrap().map(|settings| settings.url).as_deref(), url, "{variables:?}");
        }
        let ratio = |variables: &[_]| settle(file, variables).unwrap().unwrap().ratio;
        assert!((ratio(&[]) - 0.5).abs() < 1e-9);
        let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        assert!((ratio(&[sampler, ("OTEL_TRACES_SAMPLER_ARG", "0.1")]) - 0.1).abs() < 1e-9);
        assert!((ratio(&[sampler]) - 1.0).abs() < 1e-9);
        assert!(ratio(&[("OTEL_TRACES_SAMPLER", "always_off")]).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let file = "endpoint = \"http://h:4318\"";
        for (file, variables, told) in [
            ("endpoint = \"h:4318\"", &[][..], "errand.toml: traces.endpoint: expected an http or https URL"),
            ("endpoint = \"http://me:secret@h\"", &[], "errand.toml: traces.endpoint: holds a name"),
            ("endpoint = \"http://h\"\nratio = 2.0", &[], "errand.toml: traces.ratio"),
            (file, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf"),
            (file, &[("OTEL_TRACES_EXPORTER", "zipkin")], "OTEL_TRACES_EXPORTER"),
            (file, &[("OTEL_TRACES_SAMPLER", "xray")], "OTEL_TRACES_SAMPLER: "),
            (
                file,
                &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "x")],
                "OTEL_TRACES_SAMPLER_ARG",
            ),
        ] {
            let refusal = settle(file, variables).unwrap_err().to_string();
            assert!(refusal.starts_with(told) && !refusal.contains("secret"), "{refusal}");
        }
    }
}
