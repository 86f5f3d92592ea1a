//! The page at `/`: one document that asks nothing of any other server.

use crate::report::{Document, document};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use maud::{PreEscaped, html};
use sha2::{Digest, Sha256};

const BODY: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page and its policy.
pub(super) struct Page {
    html: Bytes,
    policy: String,
}

impl Page {
    pub(super) fn new() -> Self {
        let introduction = html! {
            p { "What a recurrent network reads in a text, and which words made it say so." }
        };
        let document = document(&Document {
            title: "birnn",
            header: &introduction,
            main: &PreEscaped(BODY.to_owned()),
            style: STYLE,
            script: SCRIPT,
            policy: None,
        });
        let hash = |content: &str| BASE64_STANDARD.encode(Sha256::digest(content));
        // Nothing runs but the one script, nothing is styled but by the one sheet, and nobody is asked but this server.
        let policy = format!(
            "default-src 'none'; connect-src 'self'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(&document.style),
            hash(&document.script)
        );
        Self {
            html: document.html.into(),
            policy,
        }
    }

    pub(super) fn response(&self) -> Response {
        let policy = HeaderValue::try_from(&self.policy);
        let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        ];
        (headers, self.html.clone()).into_response()
    }
}
