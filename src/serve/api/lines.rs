//! Streams of JSON lines: texts in, classes out, any number of them in little memory.
//!
//! Nothing is read before what was read is answered and the answers are taken. What has arrived is classified at once, in
//! batches; nothing waits for more.

use super::super::app::App;
use super::super::compute::{Answer, Failure};
use super::super::error::{ApiError, ErrorBody};
use super::super::held::Held;
use super::super::models::ServedModel;
use super::answered::{Answered, HEADERS};
use super::body::{elsewhere, next};
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

/// A line as it came, of which nothing is kept if it is too long.
struct Raw {
    number: u64,
    bytes: Option<BytesMut>,
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
    /// The lines so far.
    number: u64,
    /// Whether the line of which this is a part is too long.
    is_skipping: bool,
    is_at_end: bool,
    answered: Answered,
    log: Deferred,
    held: Arc<Held>,
}

/// Answers a stream with a stream.
pub(super) fn answer(
    app: &Arc<App>,
    model: Arc<ServedModel>,
    body: Body,
    held: Arc<Held>,
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
        number: 0,
        is_skipping: false,
        is_at_end: false,
        held,
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
            // The last answers are on their way, and with them what they were made of.
            self.held.keep_room(self.rest.len());
            if self.is_at_end {
                return None;
            }
            match self.read().await {
                Ok(lines) => self.classify(lines, &mut out).await,
                // Nothing after this can be understood.
                Err(error) => {
                    self.is_at_end = true;
                    self.number += 1;
                    self.refuse(self.number, None, &error, &mut out);
                }
            }
        }
        Some(self.held.bytes(out))
    }

    /// The next whole lines, at least one unless this is the end, and no more than are classified at once.
    async fn read(&mut self) -> Result<Vec<Raw>, ApiError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.rest[searched..].iter().position(|&byte| byte == b'\n') {
                let first = self.rest.split_to(searched + at + 1);
                return Ok(self.whole_lines(first));
            }
            searched = self.rest.len();
            if searched > self.app.settings.max_body {
                // Nothing is kept of a line that is refused.
                self.is_skipping = true;
                self.rest.clear();
                self.held.keep_room(0);
                searched = 0;
            }
            let wait = self.app.settings.body_timeout;
            let data = timeout(wait, next(&mut self.body)).await;
            match data.map_err(|_| ApiError::timeout(wait.as_secs()))?? {
                Some(data) => {
                    self.held.take_room(&self.app, data.len())?;
                    self.rest.extend_from_slice(&data);
                }
                None => {
                    self.is_at_end = true;
                    let last = self.rest.split();
                    return Ok(vec![self.raw(last)]);
                }
            }
        }
    }

    /// This line, and those after it that are there already.
    fn whole_lines(&mut self, first: BytesMut) -> Vec<Raw> {
        let mut bytes = first.len();
        let mut lines = vec![self.raw(first)];
        while lines.len() < LINES && bytes < BYTES {
            let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') else {
                break;
            };
            let line = self.rest.split_to(end + 1);
            bytes += line.len();
            lines.push(self.raw(line));
        }
        lines
    }

    /// A line with its number; no bytes of one that is too long.
    fn raw(&mut self, line: BytesMut) -> Raw {
        self.number += 1;
        let is_whole = !std::mem::take(&mut self.is_skipping);
        Raw {
            number: self.number,
            bytes: (is_whole && line.len() <= self.app.settings.max_body).then_some(line),
        }
    }

    /// What is asked, and the answers to the texts in it.
    async fn answers(
        app: &App,
        model: &Arc<ServedModel>,
        lines: Vec<Raw>,
        held: &Arc<Held>,
    ) -> Result<(Vec<Asked>, Vec<Answer<Prediction>>), ApiError> {
        let (most, limit) = (app.settings.max_body, app.settings.max_characters);
        let bytes = lines.iter().flat_map(|line| &line.bytes);
        let bytes = bytes.map(BytesMut::len).sum();
        let read = move || -> Vec<Asked> {
            let asked = lines.iter().filter_map(|line| line.asked(most));
            asked.map(|asked| asked.within(limit)).collect()
        };
        let mut asked = elsewhere(bytes, read).await?;
        let texts = asked.iter_mut().filter_map(|line| line.text.as_mut().ok());
        let texts = texts.map(std::mem::take).collect();
        // Those that the tokenizer refuses are not computed.
        let (mut works, mut refused) = (Vec::new(), Vec::new());
        for work in tokenize(model, texts, held).await? {
            refused.push(match work {
                Ok(work) => {
                    works.push(work);
                    None
                }
                Err(error) => Some(Failure::Error(error)),
            });
        }
        let mut computed = app.classify.compute(works).await.into_iter();
        let answers = refused.into_iter().map(|refused| match refused {
            Some(failure) => Err(failure),
            None => computed.next().unwrap_or(Err(Failure::Ended)),
        });
        Ok((asked, answers.collect()))
    }

    async fn classify(&mut self, lines: Vec<Raw>, out: &mut Vec<u8>) {
        let first = lines.first().map_or(self.number, |line| line.number);
        let answers = Self::answers(&self.app, &self.model, lines, &self.held);
        let (asked, answers) = match answers.await {
            Ok(answers) => answers,
            Err(error) => {
                self.is_at_end = true;
                self.refuse(first, None, &error, out);
                return;
            }
        };
        let mut answers = answers.into_iter();
        let model = Arc::clone(&self.model);
        let names = model.classifier.labels().names();
        let several = model.classifier.parts().thresholds.is_some();
        let before = self.answered.measured;
        for line in &asked {
            let found = match &line.text {
                Err(error) => Err(error.clone()),
                Ok(_) => match answers.next() {
                    Some(answer) => answer.map_err(ApiError::from),
                    None => Err(Failure::Ended.into()),
                },
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
        self.log.finish(std::mem::take(&mut self.answered));
    }
}

fn write(line: &Line, out: &mut Vec<u8>) {
    // Memory takes everything.
    let _ = serde_json::to_writer(&mut *out, line);
    out.push(b'\n');
}

impl Raw {
    /// What the line asks; nothing if it is blank.
    fn asked(&self, most: usize) -> Option<Asked> {
        let (id, text) = match &self.bytes {
            None => (
                None,
                Err(ApiError::too_large(
                    "line_too_long",
                    format!("the line has more than {most} bytes"),
                    "send a part of the text",
                )),
            ),
            // Some programs write a mark before UTF-8.
            Some(bytes) => match bytes
                .strip_prefix(b"\xef\xbb\xbf")
                .unwrap_or(bytes)
                .trim_ascii()
            {
                [] => return None,
                line => parsed(line),
            },
        };
        let number = self.number;
        Some(Asked { number, id, text })
    }
}

impl Asked {
    /// The same, with a text over the limit refused.
    fn within(mut self, limit: usize) -> Self {
        if let Ok(text) = &self.text
            && let Err(error) = check_length(text, limit)
        {
            self.text = Err(error);
        }
        self
    }
}

/// What a line names itself, and its text.
fn parsed(line: &[u8]) -> (Option<Value>, Result<String, ApiError>) {
    let refused = |code, error: String| {
        let remedy = "write a text as a JSON string, or {\"inputs\": \"a text\"}, on each line";
        Err(ApiError::invalid(code, error, remedy))
    };
    match serde_json::from_slice::<Value>(line) {
        Err(error) => {
            let problem = format!("the line is not JSON: {error}");
            (None, refused("not_json", problem))
        }
        Ok(Value::Object(mut fields)) => {
            let id = fields.remove("id");
            let inputs = fields.remove("inputs").or_else(|| fields.remove("text"));
            let text = match (inputs, fields.keys().next()) {
                (Some(_), Some(other)) => {
                    refused("wrong_field", format!("the line has a field {other:?}"))
                }
                (Some(value), None) => text(value),
                (None, _) => refused("not_a_text", "the line has no field \"inputs\"".to_owned()),
            };
            (id, text)
        }
        Ok(value) => (None, text(value)),
    }
}
