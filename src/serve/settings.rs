//! The limits of a server.

use crate::error::{Error, Result};
use std::time::Duration;

/// No limit of a number is higher.
const MOST: usize = 1 << 30;

/// What a server accepts at most, and how it works.
///
/// Whatever is over a limit is refused at once, with an answer that names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// The bytes of a request's body; of a stream of JSON lines, of one line.
    pub max_body: usize,
    /// The texts of a request; a stream of JSON lines has any number.
    pub max_texts: usize,
    /// The requests that are read and answered at the same time; more are refused with 429.
    pub max_requests: usize,
    /// Those of them that ask for explanations, which take many times as long.
    pub max_explanations: usize,
    /// The characters of a text.
    pub max_characters: usize,
    /// The connections at the same time; more are closed with 429.
    pub max_connections: usize,
    /// The bytes of all bodies that are being read or answered; requests for which there is no room are refused with 429.
    pub max_waiting_bytes: usize,
    /// The tokens that are classified together: what waits is taken up to here, and nothing waits to be joined by others.
    pub batch_tokens: usize,
    /// In this time a client must have sent the head of a request; a connection without requests is closed after it.
    pub header_timeout: Duration,
    /// In this time it must have sent the body, or the next part of a stream, and have taken the next part of an answer.
    pub body_timeout: Duration,
    /// After the signal to stop, requests have this time to be answered.
    pub drain_timeout: Duration,
    /// How often the files of models are looked at; `None` for never.
    pub watch_interval: Option<Duration>,
    /// The origins whose pages may ask, such as `https://example.org`, or `*`; none by default.
    pub cors_origins: Vec<String>,
    /// What `Authorization: Bearer` must be followed by, if anything.
    pub token: Option<String>,
    /// Whether the access log has the texts.
    pub log_texts: bool,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            max_body: 2_000_000,
            max_texts: 32,
            max_requests: 512,
            max_explanations: 16,
            max_characters: 200_000,
            max_connections: 4096,
            max_waiting_bytes: 64 << 20,
            batch_tokens: 8192,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            watch_interval: Some(Duration::from_secs(1)),
            cors_origins: Vec::new(),
            token: None,
            log_texts: false,
        }
    }
}

impl ServeSettings {
    /// Refuses settings with which nothing could be answered.
    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [
            ("max_body", self.max_body),
            ("max_texts", self.max_texts),
            ("max_requests", self.max_requests),
            ("max_explanations", self.max_explanations),
            ("max_characters", self.max_characters),
            ("max_connections", self.max_connections),
            ("batch_tokens", self.batch_tokens),
        ] {
            if !(1..=MOST).contains(&value) {
                let problem = format!("{value} is not from 1 to {MOST}");
                return Err(Error::argument(name, problem));
            }
        }
        if !(self.max_body..=MOST).contains(&self.max_waiting_bytes) {
            let problem = format!(
                "{} is not from {} (max_body) to {MOST}",
                self.max_waiting_bytes, self.max_body
            );
            return Err(Error::argument("max_waiting_bytes", problem));
        }
        let origins = self.cors_origins.iter();
        if let Some(origin) = origins.clone().find(|origin| !is_origin(origin)) {
            let problem = format!("{origin:?} is not an origin such as https://example.org, or *");
            return Err(Error::argument("cors", problem));
        }
        if self
            .token
            .as_ref()
            .is_some_and(|token| token.trim().is_empty())
        {
            return Err(Error::argument("token", "it is empty"));
        }
        Ok(())
    }
}

/// Whether browsers can send this as an origin.
fn is_origin(origin: &str) -> bool {
    let host = origin
        .strip_prefix("https://")
        .or(origin.strip_prefix("http://"));
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    origin == "*" || host.is_some_and(|host| !host.is_empty() && host.chars().all(is_part))
}
