//! What all requests share.

use super::access_log::AccessLog;
use super::compute::Compute;
use super::error::ApiError;
use super::metrics::Metrics;
use super::models::{Models, ServedModel};
use super::page::Page;
use super::settings::ServeSettings;
use super::work::{Classify, Explain};
use crate::error::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The rests of so many bodies are read and thrown away at once.
const DISCARDING: usize = 256;

/// What all requests share.
pub(super) struct App {
    pub settings: ServeSettings,
    pub models: Arc<Models>,
    pub classify: Compute<Classify>,
    pub explain: Compute<Explain>,
    pub metrics: Arc<Metrics>,
    pub log: AccessLog,
    pub page: Page,
    requests: Arc<Semaphore>,
    explanations: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    discarding: Arc<Semaphore>,
    is_draining: AtomicBool,
}

impl App {
    /// Starts the threads that compute.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(
        settings: ServeSettings,
        models: Arc<Models>,
        log: AccessLog,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::io("start the threads of", Path::new("the server"))(error)
        };
        let metrics = Arc::new(Metrics::new(&models));
        let of_batches = Arc::clone(&metrics);
        let threads = rayon::current_num_threads();
        let on_batch = move |batch: &_| of_batches.batch(batch);
        let started = Compute::start("classify", threads, settings.batch_tokens, on_batch);
        let (classify, _) = started.map_err(failed)?;
        // An explanation takes many times as long as a prediction: with the same threads, a prediction would wait
        // wherever one of them has begun a part of one. So there are two sets of threads, and the system divides its
        // processors between them.
        let started = Compute::start("explain", threads, 1, |_| {});
        let (explain, _) = started.map_err(failed)?;
        Ok(Self {
            requests: Arc::new(Semaphore::new(settings.max_requests)),
            explanations: Arc::new(Semaphore::new(settings.max_explanations)),
            discarding: Arc::new(Semaphore::new(DISCARDING)),
            bytes: Arc::new(Semaphore::new(settings.max_waiting_bytes)),
            page: Page::new(),
            settings,
            models,
            classify,
            explain,
            metrics,
            log,
            is_draining: AtomicBool::new(false),
        })
    }

    /// The model of this name, or without one the first.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn model(
        &self,
        name: Option<&str>,
    ) -> std::result::Result<Arc<ServedModel>, ApiError> {
        let model = self.models.get(name);
        model.ok_or_else(|| self.no_model(name.unwrap_or_default()))
    }

    /// The error for a name that no model has.
    pub(super) fn no_model(&self, name: &str) -> ApiError {
        let models = self.models.all();
        let names: Vec<String> = models.map(|(model, _)| model.name.clone()).collect();
        ApiError::no_model(name, &names.join(", "))
    }

    /// The permit of a request.
    ///
    /// # Errors
    /// As many requests as may be are being answered.
    pub(super) fn permit(&self) -> std::result::Result<OwnedSemaphorePermit, ApiError> {
        let permit = Arc::clone(&self.requests).try_acquire_owned();
        permit.map_err(|_| ApiError::overloaded("requests"))
    }

    /// The permit of a request for explanations, besides that of any request.
    ///
    /// # Errors
    /// As many of them as may be are being answered.
    pub(super) fn permit_to_explain(&self) -> std::result::Result<OwnedSemaphorePermit, ApiError> {
        let permit = Arc::clone(&self.explanations).try_acquire_owned();
        permit.map_err(|_| ApiError::overloaded("requests for explanations"))
    }

    /// Room for so many bytes of a body.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn room(&self, bytes: usize) -> std::result::Result<OwnedSemaphorePermit, ApiError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(bytes);
        permit.map_err(|_| ApiError::overloaded("bytes to read"))
    }

    /// A place for the rest of a body that is read and thrown away, if there is one.
    pub(super) fn place_to_discard(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.discarding).try_acquire_owned().ok()
    }

    /// Whether the server is going to end.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// From here on, answers are the last ones of their connections.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}
