//! What calls of models add up to, for whoever watches the server: calls, tokens, dollars.
//!
//! Models are named by users and by providers, so their names are labels only as long as there are few of them: see [`LABELS_MAX`].

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use domain::runs::ModelFailure;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::models::Answer;

/// Models with counters of their own; those that come later are counted together, as [`OTHERS`].
const LABELS_MAX: usize = 100;
/// The longest name that is a label, in bytes.
const NAME_MAX: usize = 100;
const OTHERS: &str = "other";

/// The counters of all models. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    calls: Family<Called, Counter>,
    tokens: Family<Spent, Counter>,
    cost: Family<Model, Counter<f64, AtomicU64>>,
    known: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    provider: &'static str,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    provider: &'static str,
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Spent {
    provider: &'static str,
    model: String,
    kind: &'static str,
}

impl Meters {
    /// Shows these counters in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "errand_model_calls",
            "Calls of models, by provider: ok, or the code of what failed",
            self.calls.clone(),
        );
        registry.register(
            "errand_model_tokens",
            "Tokens by model: input without what came from the provider's cache, cached, output",
            self.tokens.clone(),
        );
        registry.register(
            "errand_model_cost_usd",
            "Dollars by model, of models that errand.toml prices",
            self.cost.clone(),
        );
    }

    /// Counts a call of `model`, the name that was sent to the provider.
    #[expect(clippy::cast_precision_loss, reason = "millionths of dollars stay far below 2^52 in one call")]
    pub(crate) fn called(&self, provider: &'static str, model: &str, came: &Result<Answer, ModelFailure>) {
        let answer = match came {
            Ok(answer) => answer,
            Err(failure) => return self.count(provider, &failure.code),
        };
        self.count(provider, "ok");
        let (usage, model) = (&answer.usage, self.label(provider, model));
        for (kind, tokens) in [
            ("input", usage.input_tokens.saturating_sub(usage.cached_tokens)),
            ("cached", usage.cached_tokens),
            ("output", usage.output_tokens),
        ] {
            self.tokens.get_or_create(&Spent { provider, model: model.clone(), kind }).inc_by(tokens);
        }
        if let Some(cost) = usage.cost_micro_usd {
            self.cost.get_or_create(&Model { provider, model }).inc_by(cost as f64 / 1e6);
        }
    }

    /// Codes of failures are ours, and few.
    fn count(&self, provider: &'static str, outcome: &str) {
        self.calls.get_or_create(&Called { provider, outcome: outcome.to_owned() }).inc();
    }

    fn label(&self, provider: &str, model: &str) -> String {
        let name = format!("{provider} {model}");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let room = known.len() < LABELS_MAX && model.len() <= NAME_MAX;
        if known.contains(&name) || room && known.insert(name) { model.to_owned() } else { OTHERS.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_a_hundred_are_counted_together() {
        let meters = Meters::default();
        let names: BTreeSet<_> = (0..1_000).map(|n| meters.label("compatible", &format!("model-{n}"))).collect();
        assert_eq!(names.len(), LABELS_MAX + 1);
        assert!(names.contains(OTHERS));
        assert_eq!(meters.label("compatible", "model-7"), "model-7", "a known one stays known");
        assert_eq!(Meters::default().label("compatible", &"x".repeat(101)), OTHERS);
    }
}
