//! A classifier behind a URL.

use crate::data::Labels;
use crate::dataset::{DatasetProgress, Stage};
use crate::error::{Error, Result};
use crate::inference::{Prediction, Predictor};
use crate::text::Reading;
use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

/// So many requests are on their way at once.
const REQUESTS: usize = 4;
/// A request that the server has no room for is sent so many times.
const ATTEMPTS: u64 = 60;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(300);

/// A model of a server ([`Server`](super::Server)), used as if it were here. Its numbers are those of the model itself.
pub struct RemoteClassifier {
    runtime: Runtime,
    client: Client,
    /// Where texts are sent.
    predict: Url,
    token: Option<String>,
    /// The SHA-256 of the model's files.
    fingerprint: String,
    labels: Labels,
    thresholds: Option<Vec<f64>>,
    /// So many tokens of a text are read; 0 for all.
    max_tokens: usize,
    limits: Limits,
}

/// What the server says of itself.
#[derive(Deserialize)]
struct Information {
    #[serde(flatten)]
    limits: Limits,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Limits {
    max_client_batch_size: usize,
    max_body_bytes: usize,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    fingerprint: String,
    labels: Vec<String>,
    thresholds: Option<Vec<f64>>,
    max_tokens: usize,
}

/// What it answers to a text.
#[derive(Deserialize)]
struct Answer {
    label: String,
    labels: Option<Vec<String>>,
    scores: HashMap<String, f32>,
    logits: Vec<f32>,
    tokens: usize,
    truncated: bool,
    unknown_tokens: usize,
}

/// What it answers to a request that it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    remedy: String,
}

impl RemoteClassifier {
    /// Asks a server for its models. The address is that of the server, for its first model, or ends in
    /// `/v1/models/NAME`.
    ///
    /// # Errors
    /// An address that cannot be one, a server that does not answer or has no such model, or a wrong token.
    pub fn connect(address: &str, token: Option<String>) -> Result<Self> {
        let (base, name) = base_and_name(address)?;
        let failed = |problem: String| {
            let remedy = "is it the address of a running `birnn serve`?";
            Error::data(address, problem, remedy)
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let mut builder = Client::builder().connect_timeout(CONNECT).timeout(ANSWER);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| failed(causes(&error)))?;
        let join = |path: &str| base.join(path).map_err(|error| failed(error.to_string()));
        let request = with_token(client.get(join("info")?), token.as_deref());
        let (information, _) = runtime.block_on(answer::<Information>(&base, request))?;
        let mut models = information.models.into_iter();
        let (model, path) = match name {
            None => (models.next(), "v1/predict".to_owned()),
            Some(name) => (
                models.find(|model| model.name == name),
                format!("v1/models/{name}/predict"),
            ),
        };
        let model = model.ok_or_else(|| {
            let remedy = "GET /v1/models lists its models";
            Error::data(address, "the server has no such model", remedy)
        })?;
        Ok(Self {
            predict: join(&path)?,
            labels: Labels::new(model.labels).map_err(|error| failed(error.to_string()))?,
            thresholds: model.thresholds,
            fingerprint: model.fingerprint,
            max_tokens: model.max_tokens,
            limits: information.limits,
            runtime,
            client,
            token,
        })
    }

    /// Where the texts of each request end: as many as the server takes, in number and in bytes.
    fn requests<'a>(&self, texts: &'a [&'a str]) -> Vec<&'a [&'a str]> {
        // As JSON a byte can take six.
        let most = self.limits.max_body_bytes / 8;
        let (mut requests, mut rest) = (Vec::new(), texts);
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |text: &&&str| {
                bytes += text.len();
                bytes <= most
            };
            let number = rest
                .iter()
                .take(self.limits.max_client_batch_size)
                .take_while(fits)
                .count();
            let (request, others) = rest.split_at(number.max(1));
            requests.push(request);
            rest = others;
        }
        requests
    }

    async fn predict_request(&self, texts: &[&str]) -> Result<Vec<Prediction>> {
        let content = serde_json::json!({"inputs": texts, "details": true});
        let request = with_token(
            self.client.post(self.predict.clone()),
            self.token.as_deref(),
        );
        let answered = answer(&self.predict, request.json(&content)).await?;
        let (answers, fingerprint): (Vec<Answer>, _) = answered;
        if fingerprint.is_some_and(|fingerprint| fingerprint != self.fingerprint) {
            let problem = "the server has replaced the model in the meantime";
            return Err(Error::data(self.predict.as_str(), problem, REPLACED));
        }
        if answers.len() != texts.len() {
            let problem = format!("{} answers to {} texts", answers.len(), texts.len());
            return Err(Error::data(self.predict.as_str(), problem, REPLACED));
        }
        answers
            .into_iter()
            .map(|answer| self.prediction(answer))
            .collect()
    }

    fn prediction(&self, answer: Answer) -> Result<Prediction> {
        let other_classes = || {
            Error::data(
                self.predict.as_str(),
                "the model has other classes now",
                REPLACED,
            )
        };
        let names = self.labels.names();
        let scores = names.iter().map(|name| answer.scores.get(name).copied());
        let scores: Option<Vec<f32>> = scores.collect();
        let scores = scores
            .filter(|_| answer.scores.len() == names.len() && answer.logits.len() == names.len());
        let classes = match &answer.labels {
            None => None,
            Some(labels) => {
                let classes = labels.iter().map(|label| self.labels.class_of(label));
                Some(
                    classes
                        .collect::<Option<Vec<usize>>>()
                        .ok_or_else(other_classes)?,
                )
            }
        };
        let reading = Reading {
            tokens: answer.tokens,
            read: match answer.truncated {
                true => self.max_tokens.min(answer.tokens.saturating_sub(1)),
                false => answer.tokens,
            },
            unknown: answer.unknown_tokens,
        };
        Ok(Prediction::received(
            self.labels
                .class_of(&answer.label)
                .ok_or_else(other_classes)?,
            classes,
            (scores.ok_or_else(other_classes)?, answer.logits),
            reading,
        ))
    }
}

/// What to do if the model of a server has changed.
const REPLACED: &str = "start again, so that all texts are classified by the same one";

impl Predictor for RemoteClassifier {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn thresholds(&self) -> Option<&[f64]> {
        self.thresholds.as_deref()
    }

    fn predict_while(
        &self,
        texts: &[&str],
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Prediction>>> {
        self.runtime.block_on(async {
            let requests = self.requests(texts).into_iter();
            let answers = stream::iter(requests.map(|request| self.predict_request(request)));
            let mut answers = std::pin::pin!(answers.buffered(REQUESTS));
            let mut predictions = Vec::with_capacity(texts.len());
            while let Some(found) = answers.next().await {
                predictions.extend(found?);
                if progress
                    .texts(Stage::Predictions, predictions.len(), texts.len())
                    .is_break()
                {
                    return Ok(None);
                }
            }
            Ok(Some(predictions))
        })
    }
}

/// The address of the server, which ends in `/`, and the name of the model.
fn base_and_name(address: &str) -> Result<(Url, Option<String>)> {
    let wrong = |problem: &str| {
        let remedy =
            "give an address such as http://127.0.0.1:8080 or http://127.0.0.1:8080/v1/models/NAME";
        Error::data(address, problem, remedy)
    };
    let mut url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    let (prefix, name) = match path.split_once("/v1/models/") {
        Some((prefix, name)) => (prefix.to_owned(), Some(name.to_owned())),
        None => (path, None),
    };
    if name
        .as_ref()
        .is_some_and(|name| name.is_empty() || name.contains('/'))
    {
        return Err(wrong("it has no name of a model after /v1/models/"));
    }
    url.set_path(&format!("{prefix}/"));
    Ok((url, name))
}

/// Proxies are not for this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let host = host.trim_matches(['[', ']']);
            host.parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

fn with_token(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// The content of an answer, and the fingerprint of the model that gave it; while the server has no room, the request is
/// sent again.
async fn answer<T: DeserializeOwned>(
    url: &Url,
    request: RequestBuilder,
) -> Result<(T, Option<String>)> {
    let failed = |problem: String| {
        let remedy = "is it the address of a running `birnn serve`?";
        Error::data(url.as_str(), problem, remedy)
    };
    let mut attempt = 1;
    loop {
        let again = request.try_clone();
        let again = again.ok_or_else(|| failed("the request cannot be sent".to_owned()))?;
        let response = again.send().await.map_err(|error| failed(causes(&error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if status == StatusCode::TOO_MANY_REQUESTS && attempt < ATTEMPTS {
            attempt += 1;
            let after = header("retry-after").and_then(|after| after.parse().ok());
            sleep(Duration::from_secs(after.unwrap_or(1).clamp(1, 60))).await;
            continue;
        }
        let body = response.bytes().await;
        let body = body.map_err(|error| failed(causes(&error)))?;
        if status.is_success() {
            let content = serde_json::from_slice(&body).map_err(|error| {
                failed(format!("the answer is not that of `birnn serve`: {error}"))
            })?;
            return Ok((content, header("x-model-fingerprint").map(str::to_owned)));
        }
        return Err(match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { error, remedy }) => Error::data(url.as_str(), error, remedy),
            Err(_) => failed(format!("the server answers {status}")),
        });
    }
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_name_a_model() {
        let parts = |address| base_and_name(address).map(|(url, name)| (url.to_string(), name));
        let named = |name: &str| Some(name.to_owned());
        for (address, base, name) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", None),
            ("http://h/v1/models/a-b", "http://h/", named("a-b")),
            (
                "https://h/prefix/v1/models/a/",
                "https://h/prefix/",
                named("a"),
            ),
            ("https://h/prefix/?x=1", "https://h/prefix/", None),
        ] {
            assert_eq!(
                parts(address).unwrap(),
                (base.to_owned(), name),
                "{address}"
            );
        }
        for address in [
            "127.0.0.1:8080",
            "ftp://h",
            "http://h/v1/models/a/b",
            "",
            "http://",
        ] {
            let message = parts(address).unwrap_err().to_string();
            assert!(
                message.contains("give an address such as http://"),
                "{message}"
            );
        }
    }

    #[test]
    fn proxies_are_not_for_this_machine() {
        for (address, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://example.org", false),
        ] {
            assert_eq!(
                is_loopback(&Url::parse(address).unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
