//! Data sets on the Hugging Face hub: listing their files and downloading them into the cache.
//!
//! The cache is the one shared by all Hugging Face libraries, so a data set that is already in it is not downloaded
//! again. `hf-hub` checks neither the response status nor the contents of a download, so each file is verified here,
//! every time: blobs in the cache are named by their SHA-256, and files outside of Git LFS must have at least the size
//! that the hub reports.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClient, HFClientSync, HFError, HFRepositorySync, RepoTypeDataset, split_id};
use sha2::{Digest, Sha256};

use super::layout;
use super::{DownloadProgress, SourceOptions};
use crate::error::{Error, Result};

/// Where Parquet files are looked up when no revision is given: the data set itself, then the conversion that the hub
/// makes of it.
const REVISIONS: [&str; 2] = ["main", "refs/convert/parquet"];

/// How often a request is repeated when the hub is busy.
const RETRIES: usize = 3;

/// The files of one split of a data set on the hub.
#[derive(Debug)]
pub(super) struct Files {
    repository: Repository,
    paths: Vec<String>,
}

/// A revision of a data set on the hub.
#[derive(Debug, Clone)]
struct Repository {
    id: String,
    revision: String,
    repository: HFRepositorySync<RepoTypeDataset>,
    offline: bool,
}

/// Finds the splits of a data set: one request to the hub, or a lookup in the cache.
pub(super) fn open(id: &str, options: &SourceOptions) -> Result<Vec<(String, Files)>> {
    let hub = &options.hub;
    let offline = hub.offline.unwrap_or_else(offline_by_environment);
    let mut builder = HFClient::builder().retry_max_attempts(RETRIES);
    if let Some(endpoint) = &hub.endpoint {
        builder = builder.endpoint(endpoint);
    }
    if let Some(token) = &hub.token {
        builder = builder.token(token);
    }
    if let Some(cache) = &hub.cache {
        builder = builder.cache_dir(cache);
    }
    let client = builder.build_sync().map_err(|error| explain(id, error))?;
    let (owner, name) = split_id(id);
    let repository = client.dataset(owner, name);
    let revisions = match &hub.revision {
        Some(revision) => vec![revision.as_str()],
        None => REVISIONS.to_vec(),
    };
    for (index, &revision) in revisions.iter().enumerate() {
        let files = if offline {
            cached_files(&client, id, revision)
        } else {
            listed_files(&repository, revision)
        };
        let files = match files {
            // Not every data set has a conversion.
            Err(HFError::RevisionNotFound { .. }) if index > 0 => continue,
            files => files.map_err(|error| explain(id, error))?,
        };
        let plan = layout::plan(&files, options.subset.as_deref(), id)?;
        if !plan.is_empty() {
            let repository = Repository {
                id: id.to_owned(),
                revision: revision.to_owned(),
                repository,
                offline,
            };
            return Ok(plan
                .into_iter()
                .map(|(split, paths)| {
                    let repository = repository.clone();
                    (split, Files { repository, paths })
                })
                .collect());
        }
    }
    Err(if offline {
        not_cached(id)
    } else {
        Error::data(
            id,
            format!(
                "the data set has no Parquet files in {}",
                revisions.join(" or ")
            ),
            "download its files from the hub and give them as a file or a folder",
        )
    })
}

impl Files {
    /// Downloads the files unless they are in the cache; returns their paths.
    pub fn fetch(&self, progress: &mut dyn DownloadProgress) -> Result<Vec<PathBuf>> {
        self.paths
            .iter()
            .map(|path| self.repository.fetch(path, progress))
            .collect()
    }
}

impl Repository {
    /// Downloads a file of the data set unless it is in the cache; returns its path.
    fn fetch(&self, file: &str, progress: &mut dyn DownloadProgress) -> Result<PathBuf> {
        let path = match self.download(file, progress) {
            Some(path) => path.map_err(|error| explain(&self.id, error))?,
            None => return Err(Error::Stopped),
        };
        let blob = fs::canonicalize(&path).map_err(Error::io("read", &path))?;
        if self.is_sound(file, &blob)? {
            return Ok(path);
        }
        for broken in [&blob, &path] {
            // The link may be the file itself, which is then already gone.
            if broken.symlink_metadata().is_ok() {
                fs::remove_file(broken).map_err(Error::io("remove the broken", broken))?;
            }
        }
        Err(Error::data(
            format!("{}, {file}", self.id),
            "the file in the cache does not match the hub's description (its hash or size \
             differs), and was removed",
            "run the command again to download it",
        ))
    }

    /// Downloads on another thread, because `progress` need not be `Send`. `None` if it gives up: the thread, which cannot
    /// be stopped, then goes on until it or the process ends.
    fn download(
        &self,
        file: &str,
        progress: &mut dyn DownloadProgress,
    ) -> Option<std::result::Result<PathBuf, HFError>> {
        let (sender, receiver) = channel();
        let (repository, name) = (self.clone(), file.to_owned());
        let worker = std::thread::Builder::new().spawn(move || {
            repository
                .repository
                .download_file()
                .filename(name)
                .revision(repository.revision.as_str())
                .local_files_only(repository.offline)
                .progress(Relay(sender))
                .send()
        });
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => {
                let problem = format!("cannot start a thread: {error}");
                return Some(Err(HFError::Other(problem)));
            }
        };
        loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok((done, total)) => progress.download(file, done, total),
                Err(RecvTimeoutError::Timeout) if !worker.is_finished() => {}
                Err(_) => break,
            }
            if progress.gives_up() {
                return None;
            }
        }
        let panicked = |_| Err(HFError::Other("it panicked".to_owned()));
        Some(worker.join().unwrap_or_else(panicked))
    }

    /// Whether a file in the cache matches the hash in its name, or else the size that the hub reports. Without either
    /// (offline, outside of LFS) there is nothing to compare with.
    fn is_sound(&self, file: &str, blob: &Path) -> Result<bool> {
        let name = blob.file_name().and_then(|name| name.to_str());
        if let Some(hash) = name.filter(|name| is_sha256(name)) {
            return Ok(sha256(blob)? == hash.to_ascii_lowercase());
        }
        if self.offline {
            return Ok(true);
        }
        let listed = self
            .repository
            .get_paths_info()
            .paths(vec![file.to_owned()])
            .revision(self.revision.as_str())
            .send()
            .map_err(|error| explain(&self.id, error))?;
        let size = fs::metadata(blob).map_err(Error::io("read", blob))?.len();
        Ok(listed.iter().any(
            |entry| matches!(entry, RepoTreeEntry::File { path, size: stated, .. } if path == file && *stated == size),
        ))
    }
}

/// Forwards the progress of a download.
struct Relay(Sender<(u64, Option<u64>)>);

impl ProgressHandler for Relay {
    fn on_progress(&self, event: &ProgressEvent) {
        let (done, total) = match event {
            ProgressEvent::Download(DownloadEvent::Progress { files }) => match files.last() {
                Some(file) => (file.bytes_completed, file.total_bytes),
                None => return,
            },
            ProgressEvent::Download(DownloadEvent::AggregateProgress {
                bytes_completed,
                total_bytes,
                ..
            }) => (*bytes_completed, *total_bytes),
            _ => return,
        };
        // The receiver is gone only if the download has failed.
        let _ = self.0.send((done, (total > 0).then_some(total)));
    }
}

/// Whether `HF_HUB_OFFLINE` asks to stay off the network, interpreted as Hugging Face's libraries do.
fn offline_by_environment() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|value| ["1", "ON", "YES", "TRUE"].contains(&&*value.to_ascii_uppercase()))
}

/// The Parquet files of a revision, as listed by the hub.
fn listed_files(
    repository: &HFRepositorySync<RepoTypeDataset>,
    revision: &str,
) -> std::result::Result<Vec<String>, HFError> {
    let info = repository.info().revision(revision).send()?;
    let files = info.siblings.unwrap_or_default();
    Ok(parquet_files(files.into_iter().map(|file| file.rfilename)))
}

/// The Parquet files of a revision that are in the cache.
fn cached_files(
    client: &HFClientSync,
    id: &str,
    revision: &str,
) -> std::result::Result<Vec<String>, HFError> {
    let cache = client.scan_cache().send()?;
    let mut files = Vec::new();
    for repository in cache.repos {
        if repository.repo_type != "dataset" || repository.repo_id != id {
            continue;
        }
        for snapshot in repository.revisions {
            if snapshot.commit_hash == revision || snapshot.refs.iter().any(|r| r == revision) {
                files.extend(snapshot.files.into_iter().map(|file| file.file_name));
            }
        }
    }
    Ok(parquet_files(files.into_iter()))
}

/// The paths of Parquet files; those that would lead out of the cache are left out.
fn parquet_files(paths: impl Iterator<Item = String>) -> Vec<String> {
    let is_plain = |path: &str| {
        let mut parts = Path::new(path).components();
        parts.all(|part| matches!(part, Component::Normal(_)))
    };
    paths
        .filter(|path| path.ends_with(".parquet") && is_plain(path))
        .collect()
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).map_err(Error::io("read", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn not_cached(id: &str) -> Error {
    Error::data(
        id,
        "the data set is not in the cache, and offline mode is on",
        "run once without HF_HUB_OFFLINE, or check HF_HOME",
    )
}

/// Turns a failure of the hub into our own message. The server's text is left out, as it may contain the token.
fn explain(id: &str, error: HFError) -> Error {
    let (problem, remedy) = match error {
        HFError::LocalEntryNotFound { .. } => return not_cached(id),
        HFError::AuthRequired { .. } => (
            "the hub asks for authentication (401): there is no such data set, or it is private \
             or gated, or the token is not valid"
                .to_owned(),
            "check the id, or set HF_TOKEN to a token that may read it".to_owned(),
        ),
        HFError::Forbidden { .. } => (
            "the hub denies access (403)".to_owned(),
            "accept the conditions on the data set's page and set HF_TOKEN to a token that may \
             read it"
                .to_owned(),
        ),
        HFError::RepoNotFound { .. } => no_such("data set"),
        HFError::RevisionNotFound { revision, .. } if revision == REVISIONS[0] => {
            no_such("data set")
        }
        HFError::RevisionNotFound { revision, .. } => {
            no_such(&format!("data set, or it has no revision {revision:?},"))
        }
        HFError::EntryNotFound { path, .. } => no_such(&format!("file {path}")),
        HFError::RateLimited { retry_after, .. } => {
            let wait = match retry_after {
                Some(wait) => format!("wait {} s", wait.as_secs()),
                None => "wait a few minutes".to_owned(),
            };
            (
                "the hub limits the rate of requests (429)".to_owned(),
                format!("{wait}; with a token in HF_TOKEN the limit is higher"),
            )
        }
        HFError::Http { context } => (
            format!("the hub answers with an error ({})", context.status),
            "try again later".to_owned(),
        ),
        HFError::Request { source, .. } => {
            let mut cause: &dyn std::error::Error = &source;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            (
                format!("the hub cannot be reached ({cause})"),
                "check the network; with HF_HUB_OFFLINE=1 only the cache is used".to_owned(),
            )
        }
        other => (
            format!("the hub's client failed ({other})"),
            "try again, or download the files by hand and give their folder".to_owned(),
        ),
    };
    Error::data(id, problem, remedy)
}

fn no_such(what: &str) -> (String, String) {
    (
        format!("there is no such {what} on the hub (404)"),
        "check the id; there is no local file or folder of this name either".to_owned(),
    )
}
