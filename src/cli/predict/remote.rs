//! Predictions by a server.

use super::super::token;
use birnn::inference::Predictor;
use birnn::serve::RemoteClassifier;
use std::path::PathBuf;

/// Which server predicts.
#[derive(Debug, clap::Args)]
pub(super) struct RemoteArguments {
    /// Send the texts to a running `birnn serve`, for its first model, or with /v1/models/NAME at the end for that of this
    /// name.
    #[arg(long, value_name = "URL", conflicts_with_all = ["model", "rename", "device"])]
    url: Option<String>,
    /// The file with the token of the server.
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
}

impl RemoteArguments {
    /// The model of the server, if there is one.
    pub(super) fn predictor(&self) -> anyhow::Result<Option<Box<dyn Predictor>>> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let token = self.token_file.as_deref().map(token::read).transpose()?;
        Ok(Some(Box::new(RemoteClassifier::connect(url, token)?)))
    }
}
