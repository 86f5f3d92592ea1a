//! Data sets by hub id, from a local server that implements a minimum of the hub's API.
#![cfg(feature = "hub")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use birnn::data::{DownloadProgress, HubOptions, Source, SourceOptions, Split};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const TRAIN: &str = "plain_text/train-00000-of-00001.parquet";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secret";

/// A response: status, additional headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// The server's responses and the requests it received.
#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    requests: Vec<String>,
    tokens: Vec<String>,
}

struct Hub {
    endpoint: String,
    state: Arc<Mutex<State>>,
    cache: TempDir,
}

impl Hub {
    /// A server that answers every request with 404.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A closed connection is not an error of the server.
                let _ = serve(stream, &shared);
            }
        });
        let cache = TempDir::new().unwrap();
        Self {
            endpoint,
            state,
            cache,
        }
    }

    /// A server with the data set `o/n`, whose `main` has these files under their hashes.
    fn with_files(files: &[(&str, &[u8])]) -> Self {
        let hub = Self::start();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        hub.list("main", &names);
        for (name, bytes) in files {
            hub.hold("main", name, &sha256(bytes), bytes);
        }
        hub
    }

    fn answer(
        &self,
        request: &str,
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: &[u8],
    ) {
        let answer = (status, headers, body.to_vec());
        let mut state = self.state.lock().unwrap();
        state.answers.insert(request.to_owned(), answer);
    }

    fn list(&self, revision: &str, names: &[&str]) {
        let siblings: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let info = serde_json::json!({ "id": "o/n", "sha": COMMIT, "siblings": siblings });
        let request = format!("GET /api/datasets/o/n/revision/{revision}");
        self.answer(&request, 200, vec![], info.to_string().as_bytes());
    }

    fn hold(&self, revision: &str, name: &str, etag: &str, bytes: &[u8]) {
        for method in ["HEAD", "GET"] {
            let request = format!("{method} /datasets/o/n/resolve/{revision}/{name}");
            let headers = vec![
                ("ETag", format!("\"{etag}\"")),
                ("X-Repo-Commit", COMMIT.to_owned()),
            ];
            self.answer(&request, 200, headers, bytes);
        }
    }

    fn options(&self) -> SourceOptions {
        SourceOptions {
            hub: HubOptions {
                endpoint: Some(self.endpoint.clone()),
                token: Some(TOKEN.to_owned()),
                cache: Some(self.cache.path().to_owned()),
                offline: Some(false),
                revision: None,
            },
            ..SourceOptions::default()
        }
    }

    fn offline(&self) -> SourceOptions {
        let mut options = self.options();
        options.hub.offline = Some(true);
        options
    }

    /// The requests since the last call.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    fn refuses(&self, expected: &str) {
        let message = read(self.options(), "train", &mut ()).unwrap_err();
        assert_eq!(message, expected);
        assert!(!message.contains(TOKEN));
    }
}

/// Answers one request.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let request = format!("{method} {}", words.next().unwrap_or_default());
    let (mut length, mut token) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => token = Some(value.to_owned()),
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let (status, headers, body) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        state.tokens.extend(token.clone());
        let unknown = (404, Vec::new(), Vec::new());
        state.answers.get(&request).cloned().unwrap_or(unknown)
    };
    let mut head = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\n",
        body.len()
    );
    // A misbehaving server echoes the token.
    head += &format!("X-Error-Message: no {}\r\n", token.unwrap_or_default());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

/// Records the reported progress.
#[derive(Default)]
struct Recorder(Vec<(String, u64, Option<u64>)>);

impl DownloadProgress for Recorder {
    fn download(&mut self, file: &str, done: u64, total: Option<u64>) {
        self.0.push((file.to_owned(), done, total));
    }
}

fn read(
    options: SourceOptions,
    split: &str,
    progress: &mut dyn DownloadProgress,
) -> Result<Split, String> {
    let source = Source::open("o/n", options).map_err(|error| error.to_string())?;
    source
        .split(split, progress)
        .map_err(|error| error.to_string())
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Parquet file of labelled texts.
fn rows(texts: &[&str]) -> Vec<u8> {
    let schema = "message rows { required binary text (UTF8); required int64 label; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let values: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, None, None)
        .unwrap();
    column.close().unwrap();
    let labels: Vec<i64> = (0..texts.len() as i64).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<Int64Type>()
        .write_batch(&labels, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(split: &Split) -> Vec<&str> {
    split.records.iter().map(|r| r.text.as_str()).collect()
}

/// The number of blobs in the cache.
fn blobs(cache: &Path) -> usize {
    fs::read_dir(cache.join("datasets--o--n/blobs")).map_or(0, Iterator::count)
}

#[test]
fn a_split_is_downloaded_once_and_then_read_from_the_cache() {
    let train = rows(&["good", "bad"]);
    let test = "plain_text/test-00000-of-00001.parquet";
    let hub = Hub::with_files(&[(TRAIN, &train), (test, b"not fetched"), ("README.md", b"")]);
    let get = format!("GET /datasets/o/n/resolve/main/{TRAIN}");

    let source = Source::open("o/n", hub.options()).unwrap();
    assert_eq!(source.split_names().collect::<Vec<_>>(), ["train", "test"]);
    assert_eq!(hub.requests(), ["GET /api/datasets/o/n/revision/main"]);

    let mut recorder = Recorder::default();
    let split = source.split("train", &mut recorder).unwrap();
    assert_eq!(texts(&split), ["good", "bad"]);
    assert_eq!(split.origin, "o/n, train");
    let size = train.len() as u64;
    assert_eq!(
        recorder.0.last(),
        Some(&(TRAIN.to_owned(), size, Some(size)))
    );
    let requests = hub.requests();
    assert_eq!(
        requests.iter().filter(|request| **request == get).count(),
        1
    );
    assert!(!requests.iter().any(|request| request.contains(test)));

    let again = read(hub.options(), "train", &mut ()).unwrap();
    assert_eq!(again, split);
    assert!(!hub.requests().contains(&get));

    let offline = read(hub.offline(), "train", &mut ()).unwrap();
    assert_eq!(offline, split);
    assert_eq!(hub.requests(), [""; 0]);
    assert_eq!(
        read(hub.offline(), "test", &mut ()).unwrap_err(),
        "o/n: there is no split \"test\"; choose one of: train"
    );

    let tokens = &hub.state.lock().unwrap().tokens;
    assert!(
        tokens
            .iter()
            .all(|token| *token == format!("Bearer {TOKEN}"))
    );
    assert!(!tokens.is_empty());
}

#[test]
fn offline_with_an_empty_cache_is_reported() {
    let hub = Hub::with_files(&[(TRAIN, &rows(&["a", "b"]))]);
    assert_eq!(
        read(hub.offline(), "train", &mut ()).unwrap_err(),
        "o/n: the data set is not in the cache, and offline mode is on; run once \
         without HF_HUB_OFFLINE, or check HF_HOME"
    );
    assert_eq!(hub.requests(), [""; 0]);
}

#[test]
fn a_file_with_the_wrong_hash_is_refused_and_removed() {
    let (good, bad) = (rows(&["good", "bad"]), rows(&["evil", "bad"]));
    let hub = Hub::with_files(&[(TRAIN, &good)]);
    hub.hold("main", TRAIN, &sha256(&good), &bad);
    hub.refuses(&format!(
        "o/n, {TRAIN}: the file in the cache does not match the hub's description (its hash or \
         size differs), and was removed; run the command again to download it"
    ));
    assert_eq!(blobs(hub.cache.path()), 0);
    assert!(
        read(hub.offline(), "train", &mut ())
            .unwrap_err()
            .contains("not in the cache")
    );

    hub.hold("main", TRAIN, &sha256(&good), &good);
    assert_eq!(
        texts(&read(hub.options(), "train", &mut ()).unwrap()),
        ["good", "bad"]
    );

    // Damage after the download is detected too.
    let blob = hub
        .cache
        .path()
        .join("datasets--o--n/blobs")
        .join(sha256(&good));
    fs::write(&blob, bad).unwrap();
    assert!(
        read(hub.offline(), "train", &mut ())
            .unwrap_err()
            .contains("was removed")
    );
    assert_eq!(blobs(hub.cache.path()), 0);
}

#[test]
fn an_error_page_is_not_mistaken_for_the_file() {
    let good = rows(&["good", "bad"]);
    let hub = Hub::with_files(&[(TRAIN, &good)]);
    let get = format!("GET /datasets/o/n/resolve/main/{TRAIN}");
    hub.answer(&get, 403, vec![], b"<html>no</html>");
    assert!(
        read(hub.options(), "train", &mut ())
            .unwrap_err()
            .contains("was removed")
    );
    assert_eq!(blobs(hub.cache.path()), 0);
}

#[test]
fn a_file_outside_of_lfs_is_checked_by_its_size() {
    let train = rows(&["good", "bad"]);
    let hub = Hub::with_files(&[(TRAIN, &train)]);
    hub.hold(
        "main",
        TRAIN,
        "89abcdef0123456789abcdef0123456789abcdef",
        &train,
    );
    let sized = |size: usize| {
        let entry = serde_json::json!([
            { "type": "file", "oid": "89ab", "path": TRAIN, "size": size }
        ]);
        let request = "POST /api/datasets/o/n/paths-info/main";
        hub.answer(request, 200, vec![], entry.to_string().as_bytes());
    };
    sized(train.len() + 1);
    assert!(
        read(hub.options(), "train", &mut ())
            .unwrap_err()
            .contains("was removed")
    );
    sized(train.len());
    assert_eq!(
        texts(&read(hub.options(), "train", &mut ()).unwrap()),
        ["good", "bad"]
    );
}

#[test]
fn the_conversion_of_the_hub_is_the_second_choice() {
    let train = rows(&["a", "b"]);
    let hub = Hub::with_files(&[("reviews.zip", b"")]);
    let nothing = "o/n: the data set has no Parquet files in main or refs/convert/parquet; \
                   download its files from the hub and give them as a file or a folder";
    hub.refuses(nothing);
    let (revision, file) = ("refs%2Fconvert%2Fparquet", "default/train/0000.parquet");
    hub.list(revision, &[file]);
    hub.hold(revision, file, &sha256(&train), &train);
    for options in [hub.options(), hub.offline()] {
        assert_eq!(texts(&read(options, "train", &mut ()).unwrap()), ["a", "b"]);
    }
    // If a revision is requested by name, only that one is used.
    let mut options = hub.options();
    options.hub.revision = Some("v2".into());
    assert_eq!(
        read(options, "train", &mut ()).unwrap_err(),
        "o/n: there is no such data set, or it has no revision \"v2\", on the hub (404); check \
         the id; there is no local file or folder of this name either"
    );
}

#[test]
fn paths_that_lead_out_of_the_cache_are_skipped() {
    let hub = Hub::with_files(&[("../../train.parquet", b""), ("/train.parquet", b"")]);
    let message = read(hub.options(), "train", &mut ()).unwrap_err();
    assert!(message.contains("has no Parquet files"), "{message}");
}

#[test]
fn refusals_are_explained_without_the_token() {
    let hub = Hub::start();
    hub.refuses(
        "o/n: there is no such data set on the hub (404); check the id; there is no local file or \
         folder of this name either",
    );
    let info = "GET /api/datasets/o/n/revision/main";
    hub.answer(info, 401, vec![], b"");
    hub.refuses(
        "o/n: the hub asks for authentication (401): there is no such data set, or it is private \
         or gated, or the token is not valid; check the id, or set HF_TOKEN to a token that may \
         read it",
    );
    hub.answer(info, 403, vec![], b"");
    hub.refuses(
        "o/n: the hub denies access (403); accept the conditions on the data set's page and set \
         HF_TOKEN to a token that may read it",
    );
    hub.answer(info, 418, vec![], b"");
    hub.refuses("o/n: the hub answers with an error (418 I'm a teapot); try again later");
}

#[test]
fn a_busy_hub_reports_how_long_to_wait() {
    let hub = Hub::start();
    let wait = vec![("Retry-After", "42".to_owned())];
    hub.answer("GET /api/datasets/o/n/revision/main", 429, wait, b"");
    hub.refuses(
        "o/n: the hub limits the rate of requests (429); wait 42 s; with a token in HF_TOKEN the \
         limit is higher",
    );
}

#[test]
fn an_unreachable_hub_is_reported_with_its_cause() {
    let hub = Hub::start();
    let mut options = hub.options();
    // A port that was free a moment ago and has no listener.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    options.hub.endpoint = Some(format!("http://127.0.0.1:{port}"));
    let message = read(options, "train", &mut ()).unwrap_err();
    assert!(
        message.starts_with("o/n: the hub cannot be reached (Connection refused"),
        "{message}"
    );
    assert!(
        message.ends_with("); check the network; with HF_HUB_OFFLINE=1 only the cache is used")
    );
}
