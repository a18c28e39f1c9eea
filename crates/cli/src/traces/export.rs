//! The way of spans to the collector, on a thread of its own: in batches, in bounded memory, and never waited for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor};

use super::Settings;
use crate::meters::Meters;

/// Spans that may wait, where `OTEL_BSP_MAX_QUEUE_SIZE` does not say: OpenTelemetry's own number.
const QUEUE: usize = 2_048;

/// Takes spans that are over.
pub(crate) struct Exporter {
    processor: BatchSpanProcessor,
    meters: Meters,
    /// Spans that are in the queue or on their way.
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// The exporter of the library, with an eye on what becomes of spans.
struct Counted {
    inner: Otlp,
    url: String,
    meters: Meters,
    waiting: Arc<AtomicUsize>,
    troubled: AtomicBool,
}

impl Exporter {
    /// Begins to send to `settings.url`. TLS must have been installed.
    pub(crate) fn start(
        settings: &Settings,
        meters: &Meters,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let most = match env("OTEL_BSP_MAX_QUEUE_SIZE") {
            None => QUEUE,
            Some(size) => size
                .trim()
                .parse()
                .ok()
                .filter(|size| *size > 0)
                .context("OTEL_BSP_MAX_QUEUE_SIZE: expected a number from 1")?,
        };
        let inner = Otlp::builder().with_http().with_endpoint(&settings.url).build().context("traces")?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            inner,
            url: settings.url.clone(),
            meters: meters.clone(),
            waiting: Arc::clone(&waiting),
            troubled: AtomicBool::new(false),
        };
        let config = BatchConfigBuilder::default().with_max_queue_size(most).build();
        let mut processor = BatchSpanProcessor::new(counted, config);
        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
        let name = env("OTEL_SERVICE_NAME").unwrap_or_else(|| "errand".to_owned());
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_attribute(version).with_service_name(name).build();
        processor.set_resource(&resource);
        Ok(Self { processor, meters: meters.clone(), waiting, most })
    }

    /// Puts a span into the queue, or drops and counts it if too many wait.
    pub(super) fn send(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.most {
            self.processor.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.meters.spans("dropped", 1);
        }
    }

    /// Sends what waits, for so long at the most. Blocks.
    pub(crate) fn flush(&self, bound: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(bound) {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.inner.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        match &exported {
            Ok(()) => {
                self.meters.spans("exported", count);
                if self.troubled.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector of traces takes spans again");
                }
            }
            Err(error) => {
                self.meters.spans("failed", count);
                // Once, not with every batch. The URL may hold more than a log should.
                if !self.troubled.swap(true, Ordering::Relaxed) {
                    let error = error.to_string().replace(&self.url, "the collector");
                    tracing::warn!(error, "spans do not reach the collector of traces: they are lost until it answers");
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its headers may hold a key.
        f.write_str("Counted")
    }
}
