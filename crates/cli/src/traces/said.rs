//! What a room said of a span or with an event, by the room's own names.

use std::fmt;

use opentelemetry::Value;
use tracing::field::{Field, Visit};
use uuid::Uuid;

/// In the order it was said; the last word counts.
#[derive(Default)]
pub(super) struct Said(pub(super) Vec<(&'static str, Value)>);

impl Said {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rfind(|(said, _)| *said == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        if let Value::String(text) = self.get(name)? { Some(text.as_str()) } else { None }
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        if let Value::I64(number) = self.get(name)? { u64::try_from(*number).ok() } else { None }
    }

    pub(super) fn uuid(&self, name: &str) -> Option<Uuid> {
        Uuid::try_parse(self.text(name)?).ok()
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned().into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), i64::try_from(value).unwrap_or(i64::MAX).into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").into()));
    }
}
