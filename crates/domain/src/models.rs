//! Which real model a configured name means, and which protocol reaches it.
//!
//! Here: the documented table from name to provider, the product names of the v1 API and what they
//! stand for, and [`resolve`], which applies both after the operator's own remaps.
//! Not here: URLs, keys and the calls themselves (the `agent` crate), nor reading `errand.toml`.

use std::collections::HashMap;

/// The operator's table from `errand.toml`: requested name to the name used instead.
pub type Remaps = HashMap<String, String>;

/// A family of model services, told apart by wire protocol and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Responses API.
    OpenAiResponses,
    /// Google's Gemini API.
    Gemini,
    /// Chat Completions at the operator's own URL: Ollama, vLLM, llama.cpp and the like.
    OpenAiCompatible,
}

/// What a configured model name comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The name to send to the provider, without the long-context suffix.
    pub model: String,
    /// Who serves that model.
    pub provider: Provider,
    /// Whether the name asked for the one-million-token context window (`[1m]`).
    pub long_context: bool,
}

/// Marks a name that asks for the long context window; no provider knows it as part of a name.
const LONG_CONTEXT: &str = "[1m]";

/// The product names of the v1 API and the model each stands for unless it is remapped.
///
/// A product name with a further `-…` part counts as the longest row it begins with, so longer rows
/// stand before the rows that they begin with.
pub const PRODUCT_MODELS: [(&str, &str); 7] = [
    ("duvo-1-max-sonnet-4.5-1m", "claude-sonnet-4-5-20250929[1m]"),
    ("duvo-1-max-sonnet-4.5", "claude-sonnet-4-5-20250929"),
    ("duvo-1-max-sonnet-1m", "claude-sonnet-4-6[1m]"),
    ("duvo-1-max-opus-4.5", "claude-opus-4-5-20251101"),
    ("duvo-1-max-opus", "claude-opus-4-7"),
    ("duvo-1-max", "claude-sonnet-4-6"),
    ("d1-max", "claude-sonnet-4-6"),
];

/// Follows a configured name to a real model.
///
/// The operator's remap comes first: for the whole name or, failing that, for the name without
/// `[1m]`. Then product names are replaced. A remap is looked up once, so two rows that name each
/// other cannot loop.
pub fn resolve(name: &str, remaps: &Remaps) -> Resolved {
    let (bare, asked_long) = split_long_context(name);
    let (chosen, inherited_long) = match (remaps.get(name), remaps.get(bare)) {
        // Whoever remaps the long-context name itself decides what becomes of the long context.
        (Some(target), _) => (target.as_str(), false),
        (None, Some(target)) => (target.as_str(), asked_long),
        (None, None) => (bare, asked_long),
    };
    let (chosen, chosen_long) = split_long_context(chosen);
    let (model, product_long) = split_long_context(product_model(chosen).unwrap_or(chosen));
    Resolved {
        model: model.to_owned(),
        provider: provider_for(model),
        long_context: inherited_long || chosen_long || product_long,
    }
}

/// The provider that serves a real model of this name.
///
/// | Name | Provider |
/// |---|---|
/// | `claude…` | Anthropic |
/// | `gpt…`, `o` and a digit, … | OpenAI, Responses |
/// | `gemini…` | Gemini |
/// | anything else | the OpenAI-compatible URL |
pub fn provider_for(name: &str) -> Provider {
    let reasoning_series = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if name.starts_with("claude") {
        Provider::Anthropic
    } else if name.starts_with("gpt") || reasoning_series {
        Provider::OpenAiResponses
    } else if name.starts_with("gemini") {
        Provider::Gemini
    } else {
        Provider::OpenAiCompatible
    }
}

fn split_long_context(name: &str) -> (&str, bool) {
    name.strip_suffix(LONG_CONTEXT).map_or((name, false), |bare| (bare, true))
}

fn product_model(name: &str) -> Option<&'static str> {
    let covers =
        |product: &str| name.strip_prefix(product).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    PRODUCT_MODELS.iter().find(|(product, _)| covers(product)).map(|(_, model)| *model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builds::AGENT_MODELS;

    fn resolved(name: &str) -> (String, Provider, bool) {
        let Resolved { model, provider, long_context } = resolve(name, &Remaps::new());
        (model, provider, long_context)
    }

    #[test]
    fn a_name_picks_its_provider() {
        for (name, provider) in [
            ("claude-opus-4-7", Provider::Anthropic),
            ("gpt-5.1", Provider::OpenAiResponses),
            ("o3-mini", Provider::OpenAiResponses),
            ("gemini-2.5-pro", Provider::Gemini),
            ("olmo-2", Provider::OpenAiCompatible),
            ("qwen3:8b", Provider::OpenAiCompatible),
            ("", Provider::OpenAiCompatible),
        ] {
            assert_eq!(provider_for(name), provider, "{name}");
        }
    }

    #[test]
    fn the_long_context_suffix_becomes_a_flag() {
        assert_eq!(resolved("claude-sonnet-4-6[1m]"), ("claude-sonnet-4-6".into(), Provider::Anthropic, true));
        assert!(!resolved("claude-sonnet-4-6").2);
    }

    #[test]
    fn product_names_stand_for_the_closest_row() {
        assert_eq!(resolved("duvo-1-max-sonnet-4.5-1m").0, "claude-sonnet-4-5-20250929");
        assert!(resolved("duvo-1-max-sonnet-4.5-1m").2);
        assert_eq!(resolved("duvo-1-max-opus-next").0, "claude-opus-4-7");
        assert_eq!(resolved("d1-maximum").0, "d1-maximum");
    }

    #[test]
    fn every_allowed_agent_model_reaches_a_hosted_provider() {
        for name in AGENT_MODELS {
            let (model, provider, _) = resolved(name);
            assert_ne!(provider, Provider::OpenAiCompatible, "{name} became {model}");
        }
        for (product, model) in PRODUCT_MODELS {
            assert!(AGENT_MODELS.contains(&product) && AGENT_MODELS.contains(&model), "{product}");
        }
    }

    #[test]
    fn the_operator_has_the_first_word() {
        let remaps = Remaps::from([
            ("claude-sonnet-4-6".to_owned(), "qwen3:32b".to_owned()),
            ("claude-opus-4-7[1m]".to_owned(), "gpt-5".to_owned()),
            ("mine".to_owned(), "d1-max".to_owned()),
        ]);
        let long = resolve("claude-sonnet-4-6[1m]", &remaps);
        assert_eq!((long.model.as_str(), long.long_context), ("qwen3:32b", true));
        let exact = resolve("claude-opus-4-7[1m]", &remaps);
        assert_eq!((exact.provider, exact.long_context), (Provider::OpenAiResponses, false));
        assert_eq!(resolve("mine", &remaps).model, "claude-sonnet-4-6");
    }
}
