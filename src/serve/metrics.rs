//! What a server measures, as Prometheus reads it.

use super::compute::BatchMeasures;
use super::models::{Models, Reloaded};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    /// The route, not the path: a client cannot make any number of them.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    model: String,
    result: &'static str,
}

/// All measures.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram, fn() -> Histogram>,
    texts: Family<Model, Counter>,
    tokens: Family<Model, Counter>,
    truncated: Family<Model, Counter>,
    unknown: Family<Model, Counter>,
    reloads: Family<Reload, Counter>,
    queue_seconds: Histogram,
    batch_seconds: Histogram,
    explanation_seconds: Histogram,
    batch_texts: Histogram,
    batch_tokens: Histogram,
    /// Open connections.
    pub connections: Gauge,
    /// Connections over the limit.
    pub refused_connections: Counter,
    /// Requests that are being answered.
    pub in_flight: Gauge,
}

/// From a tenth of a millisecond to 13 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 18))
}

impl Metrics {
    pub(super) fn new(models: &Models) -> Self {
        let numbers = || Histogram::new(exponential_buckets(1.0, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("birnn"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            texts: Family::default(),
            tokens: Family::default(),
            truncated: Family::default(),
            unknown: Family::default(),
            reloads: Family::default(),
            queue_seconds: seconds(),
            batch_seconds: seconds(),
            explanation_seconds: seconds(),
            batch_texts: numbers(),
            batch_tokens: numbers(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            in_flight: Gauge::default(),
        };
        metrics.register();
        // From the start, so that the first one is a rise from zero.
        for (model, _) in models.all() {
            metrics.answered(&model.name, &Measured::default());
        }
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "requests",
            "Requests by route and status",
            self.requests.clone(),
        );
        registry.register(
            "texts",
            "Texts that were classified or explained",
            self.texts.clone(),
        );
        registry.register(
            "tokens",
            "Tokens of these texts that were read",
            self.tokens.clone(),
        );
        registry.register(
            "truncated_texts",
            "Texts of which only a part was read",
            self.truncated.clone(),
        );
        registry.register(
            "unknown_tokens",
            "Tokens that are not in the vocabulary",
            self.unknown.clone(),
        );
        registry.register(
            "model_reloads",
            "Attempts to load a model again",
            self.reloads.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register(
            "refused_connections",
            "Connections over the limit",
            self.refused_connections.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests that are being answered",
            self.in_flight.clone(),
        );
        registry.register(
            "batch_texts",
            "Texts that were classified together",
            self.batch_texts.clone(),
        );
        registry.register(
            "batch_tokens",
            "Tokens that were classified together",
            self.batch_tokens.clone(),
        );
        let mut of_time = |name, help, histogram: Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram);
        };
        of_time(
            "queue",
            "Time before a text was classified",
            self.queue_seconds.clone(),
        );
        of_time("batch", "Time of a batch", self.batch_seconds.clone());
        of_time(
            "explanation",
            "Time of an explanation",
            self.explanation_seconds.clone(),
        );
        registry.register_with_unit(
            "request",
            "Time from the head of a request to its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
    }

    /// A request has begun.
    pub(super) fn begin(&self) -> Arc<Counted> {
        Arc::new(Counted::new(&self.in_flight))
    }

    /// A request was answered.
    pub(super) fn request(&self, route: &str, status: u16, time: Duration) {
        let route = route.to_owned();
        self.requests
            .get_or_create(&Request {
                route: route.clone(),
                status,
            })
            .inc();
        self.request_seconds
            .get_or_create(&Route { route })
            .observe(time.as_secs_f64());
    }

    /// Texts of a request were answered.
    pub(super) fn answered(&self, model: &str, measured: &Measured) {
        let model = Model {
            model: model.to_owned(),
        };
        self.texts.get_or_create(&model).inc_by(measured.texts);
        self.tokens.get_or_create(&model).inc_by(measured.tokens);
        self.truncated
            .get_or_create(&model)
            .inc_by(measured.truncated);
        self.unknown
            .get_or_create(&model)
            .inc_by(measured.unknown_tokens);
    }

    /// A text waited so long.
    pub(super) fn queue(&self, time: Duration) {
        self.queue_seconds.observe(time.as_secs_f64());
    }

    /// A text was explained.
    pub(super) fn explanation(&self, time: Duration) {
        self.explanation_seconds.observe(time.as_secs_f64());
    }

    /// A batch was classified.
    pub(super) fn batch(&self, batch: &BatchMeasures) {
        self.batch_seconds.observe(batch.inference.as_secs_f64());
        self.batch_texts.observe(batch.texts as f64);
        self.batch_tokens.observe(batch.tokens as f64);
    }

    /// A model was loaded again, or not.
    pub(super) fn reload(&self, model: &str, reloaded: &Reloaded) {
        let result = match reloaded {
            Reloaded::Same => "same",
            Reloaded::Replaced => "replaced",
            Reloaded::Refused(_) => "refused",
        };
        let model = model.to_owned();
        self.reloads.get_or_create(&Reload { model, result }).inc();
    }

    /// All measures as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // A string takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Is counted for as long as it exists.
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What was read of some texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub texts: u64,
    pub characters: u64,
    pub tokens: u64,
    pub truncated: u64,
    pub unknown_tokens: u64,
}

impl Measured {
    /// What came after that.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            texts: self.texts - before.texts,
            characters: self.characters - before.characters,
            tokens: self.tokens - before.tokens,
            truncated: self.truncated - before.truncated,
            unknown_tokens: self.unknown_tokens - before.unknown_tokens,
        }
    }
}
