//! All that lets an operator look into a running server: its log, its counters, the spans of its runs.

use std::sync::Arc;

use tracing_subscriber::layer::Layer as _;

use crate::ambient::SystemAmbient;
use crate::config::Config;
use crate::logs::{Log, NodeName};
use crate::meters::Meters;
use crate::serve::environment;
use crate::traces::{Clock, Exporter, Traces};

/// What the parts of a server report to.
#[derive(Clone)]
pub(crate) struct Telemetry {
    /// What is counted.
    pub(crate) meters: Meters,
    /// Where spans go, if anywhere.
    pub(crate) exporter: Option<Arc<Exporter>>,
    node: NodeName,
    clock: Clock,
}

impl Telemetry {
    /// Logs from now on; sends spans once there is a clock.
    pub(crate) fn start(log: &Log, config: &mut Config) -> anyhow::Result<Self> {
        let wanted = std::mem::replace(&mut config.traces, Ok(None))?;
        let (meters, clock) = (Meters::default(), Clock::default());
        let (mut exporter, mut listener) = (None, None);
        if let Some(settings) = &wanted {
            let started = Arc::new(Exporter::start(settings, &meters, &environment)?);
            let traces = Traces::new(Arc::clone(&started), Clock::clone(&clock), settings);
            exporter = Some(started);
            listener = Some(traces.with_filter(Traces::filter()).boxed());
        }
        let node = log.start(&config.log, listener);
        if let Some(settings) = &wanted {
            tracing::info!("traces: spans go to {}", settings.origin());
        }
        Ok(Self { meters, exporter, node, clock })
    }

    /// Says in each line which of several nodes it is from.
    pub(crate) fn name_node(&self, name: &str) {
        // It is named once.
        let _named = self.node.set(name.to_owned());
    }

    /// The times of spans are this clock's, which follows the database's as the times of journals do.
    pub(crate) fn set_clock(&self, clock: &Arc<SystemAmbient>) {
        let _set = self.clock.set(Arc::clone(clock));
    }
}
