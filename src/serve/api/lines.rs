//! Streams of JSON lines: texts in, classes out, any number of them in little memory.
//!
//! Nothing is read before what was read is answered and the answers are taken. What has arrived is classified at once, in
//! batches; nothing waits for more.

use super::super::app::App;
use super::super::compute::{Computed, Failure};
use super::super::error::{ApiError, ErrorBody};
use super::super::models::ServedModel;
use super::answered::{Answered, HEADERS};
use super::body::next;
use super::inputs::{check_length, text};
use super::logged::Deferred;
use super::predict::tokenize;
use crate::inference::{Prediction, PredictionRecord};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// So many lines, or bytes of lines, are classified at once.
const LINES: usize = 256;
const BYTES: usize = 256 << 10;

/// The answer to a line.
#[derive(Serialize)]
struct Line<'a> {
    /// Its number, from 1; blank lines count.
    line: u64,
    /// What the line named itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Found(PredictionRecord<'a>),
    Refused(&'a ErrorBody),
}

/// A line with what was asked.
struct Asked {
    number: u64,
    id: Option<Value>,
    text: Result<String, ApiError>,
}

/// A stream that is being answered.
struct Lines {
    app: Arc<App>,
    model: Arc<ServedModel>,
    body: Body,
    /// What was read after the last whole line.
    rest: BytesMut,
    /// Its share of the memory of all bodies.
    room: Vec<OwnedSemaphorePermit>,
    /// The lines so far.
    number: u64,
    /// Whether the line of which this is a part is too long.
    is_skipping: bool,
    is_at_end: bool,
    answered: Answered,
    log: Deferred,
    _permit: OwnedSemaphorePermit,
}

/// Answers a stream with a stream.
pub(super) fn answer(
    app: &Arc<App>,
    model: Arc<ServedModel>,
    body: Body,
    permit: OwnedSemaphorePermit,
) -> Response {
    let deferred = Deferred::default();
    let of_model = [&model.name, &model.fingerprint].map(HeaderValue::try_from);
    let lines = Lines {
        answered: Answered::new(app, &model, &[]),
        log: deferred.clone(),
        app: Arc::clone(app),
        model,
        body,
        rest: BytesMut::new(),
        room: Vec::new(),
        number: 0,
        is_skipping: false,
        is_at_end: false,
        _permit: permit,
    };
    let stream = stream::unfold(lines, |mut lines| async {
        let answers = lines.next().await?;
        Some((Ok::<Bytes, Infallible>(answers), lines))
    });
    let kind = HeaderValue::from_static("application/x-ndjson");
    let mut response = ([(header::CONTENT_TYPE, kind)], Body::from_stream(stream)).into_response();
    for (name, value) in HEADERS.into_iter().zip(of_model.into_iter().flatten()) {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, value);
    }
    response.extensions_mut().insert(deferred);
    response
}

impl Lines {
    /// The answers to the next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.is_at_end {
                return None;
            }
            match self.read().await {
                Ok(asked) => self.classify(asked, &mut out).await,
                // Nothing after this can be understood.
                Err(error) => {
                    self.is_at_end = true;
                    self.number += 1;
                    self.refuse(self.number, None, &error, &mut out);
                }
            }
        }
        Some(out.into())
    }

    /// The next whole lines, at least one unless this is the end, and no more than are classified at once.
    async fn read(&mut self) -> Result<Vec<Asked>, ApiError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.rest[searched..].iter().position(|&byte| byte == b'\n') {
                let first = self.rest.split_to(searched + at + 1);
                self.room.clear();
                return Ok(self.whole_lines(&first));
            }
            searched = self.rest.len();
            if searched > self.app.settings.max_body {
                // Nothing is kept of a line that is refused.
                self.is_skipping = true;
                self.rest.clear();
                self.room.clear();
                searched = 0;
            }
            let wait = self.app.settings.body_timeout;
            let data = timeout(wait, next(&mut self.body)).await;
            match data.map_err(|_| ApiError::timeout(wait.as_secs()))?? {
                Some(data) => {
                    self.room.push(self.app.room(data.len())?);
                    self.rest.extend_from_slice(&data);
                }
                None => {
                    self.is_at_end = true;
                    let last = self.rest.split();
                    return Ok(self.parsed(&last).into_iter().collect());
                }
            }
        }
    }

    /// This line, and those after it that are there already.
    fn whole_lines(&mut self, first: &[u8]) -> Vec<Asked> {
        let mut asked: Vec<Asked> = self.parsed(first).into_iter().collect();
        let mut bytes = first.len();
        while asked.len() < LINES && bytes < BYTES {
            let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') else {
                break;
            };
            let line = self.rest.split_to(end + 1);
            bytes += line.len();
            asked.extend(self.parsed(&line));
        }
        asked
    }

    /// What a line asks; nothing if it is blank.
    fn parsed(&mut self, line: &[u8]) -> Option<Asked> {
        let limit = self.app.settings.max_body;
        self.number += 1;
        if !std::mem::take(&mut self.is_skipping) && line.len() <= limit {
            return parsed(self.number, line);
        }
        let text = Err(ApiError::too_large(
            "line_too_long",
            format!("the line has more than {limit} bytes"),
            "send a part of the text",
        ));
        Some(Asked {
            number: self.number,
            id: None,
            text,
        })
    }

    async fn answers(
        app: &App,
        model: &Arc<ServedModel>,
        texts: Vec<String>,
    ) -> Vec<Result<Computed<Prediction>, ApiError>> {
        let compute = async |works| {
            let answers = app.classify.compute(works).await;
            answers
                .into_iter()
                .map(|answer| answer.map_err(ApiError::from))
        };
        if let Ok(works) = tokenize(model, texts.clone()).await {
            return compute(works).await.collect();
        }
        // One of them cannot be read: each alone.
        let mut answers = Vec::with_capacity(texts.len());
        for text in texts {
            match tokenize(model, vec![text]).await {
                Ok(work) => answers.extend(compute(work).await),
                Err(error) => answers.push(Err(error)),
            }
        }
        answers
    }

    async fn classify(&mut self, asked: Vec<Asked>, out: &mut Vec<u8>) {
        let limit = self.app.settings.max_characters;
        let mut asked = asked;
        for line in &mut asked {
            if let Ok(text) = &line.text
                && let Err(error) = check_length(text, limit)
            {
                line.text = Err(error);
            }
        }
        let texts = asked.iter().filter_map(|line| line.text.as_ref().ok());
        let answers = Self::answers(&self.app, &self.model, texts.cloned().collect());
        let mut answers = answers.await.into_iter();
        let model = Arc::clone(&self.model);
        let names = model.classifier.labels().names();
        let several = model.classifier.parts().thresholds.is_some();
        let before = self.answered.measured;
        for line in &asked {
            let found = match &line.text {
                Err(error) => Err(error.clone()),
                Ok(_) => answers.next().unwrap_or(Err(Failure::Panic.into())),
            };
            match found {
                Ok(computed) => {
                    self.app.metrics.queue(computed.queue);
                    let reading = computed.output.reading;
                    self.answered
                        .add(reading, computed.queue, computed.inference);
                    let answer = Line {
                        line: line.number,
                        id: line.id.as_ref(),
                        content: Content::Found(PredictionRecord::new(
                            &computed.output,
                            names,
                            several,
                        )),
                    };
                    write(&answer, out);
                }
                Err(error) => self.refuse(line.number, line.id.as_ref(), &error, out),
            }
        }
        let new = self.answered.measured.since(&before);
        self.app.metrics.answered(&model.name, &new);
    }

    fn refuse(&mut self, line: u64, id: Option<&Value>, error: &ApiError, out: &mut Vec<u8>) {
        let answer = Line {
            line,
            id,
            content: Content::Refused(&error.body),
        };
        write(&answer, out);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.log.finish(&self.answered);
    }
}

fn write(line: &Line, out: &mut Vec<u8>) {
    // Memory takes everything.
    let _ = serde_json::to_writer(&mut *out, line);
    out.push(b'\n');
}

/// What a line asks; nothing if it is blank.
fn parsed(number: u64, line: &[u8]) -> Option<Asked> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let refused = |code, error: String| {
        let remedy = "write a text as a JSON string, or {\"inputs\": \"a text\"}, on each line";
        ApiError::invalid(code, error, remedy)
    };
    let (id, text) = match serde_json::from_slice::<Value>(line) {
        Err(error) => (
            None,
            Err(refused(
                "not_json",
                format!("the line is not JSON: {error}"),
            )),
        ),
        Ok(Value::Object(mut fields)) => {
            let id = fields.remove("id");
            let inputs = fields.remove("inputs").or_else(|| fields.remove("text"));
            let text = match (inputs, fields.keys().next()) {
                (Some(_), Some(other)) => Err(refused(
                    "wrong_field",
                    format!("the line has a field {other:?}"),
                )),
                (Some(value), None) => text(value),
                (None, _) => Err(refused(
                    "not_a_text",
                    "the line has no field \"inputs\"".to_owned(),
                )),
            };
            (id, text)
        }
        Ok(value) => (None, text(value)),
    };
    Some(Asked { number, id, text })
}
