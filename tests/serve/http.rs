//! A running server, and a client of the bytes on the wire.

use super::support::birnn;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes longer, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server of its own port.
pub struct Server {
    child: Child,
    pub port: u16,
    /// The lines on standard error after the address, and those of the access log.
    notices: Arc<Mutex<Vec<String>>>,
    log: Option<JoinHandle<String>>,
    reading: Option<JoinHandle<()>>,
}

/// How a server ended.
pub struct Ended {
    pub status: ExitStatus,
    pub notices: Vec<String>,
    pub log: String,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(Path::new("."), arguments)
    }

    pub fn start_in(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_at(folder, "127.0.0.1:0", arguments)
    }

    pub fn start_at(folder: &Path, address: &str, arguments: &[&str]) -> Self {
        let all = [&["serve", "--listen", address], arguments].concat();
        let mut command = birnn(folder, &all);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut out = child.stdout.take().unwrap();
        let log = spawn(move || {
            let mut log = String::new();
            let _ = out.read_to_string(&mut log);
            log
        });
        let notices = Arc::new(Mutex::new(Vec::new()));
        let port = loop {
            let mut line = String::new();
            assert!(
                errors.read_line(&mut line).unwrap() > 0,
                "{:?}",
                notices.lock().unwrap()
            );
            match line.trim().rsplit_once(':') {
                Some((before, port)) if before.starts_with("listening on http://") => {
                    break port.parse().unwrap();
                }
                _ => notices.lock().unwrap().push(line.trim().to_owned()),
            }
        };
        let reading = {
            let notices = Arc::clone(&notices);
            spawn(move || {
                for line in errors.lines().map_while(Result::ok) {
                    notices.lock().unwrap().push(line);
                }
            })
        };
        Self {
            child,
            port,
            notices,
            log: Some(log),
            reading: Some(reading),
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// The answer to one request on a connection of its own.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.connect().post(path, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.connect().ask("GET", path, &[], b"")
    }

    /// Waits until one request is being answered besides that for the metrics, and has its permits and room.
    pub fn wait_for_request(&self) {
        let flying = "birnn_requests_in_flight 2\n";
        let is_there = || self.get("/metrics").text().contains(flying).then_some(());
        assert!(wait_for(is_there).is_some(), "no request");
        // It gets them right after it is counted.
        std::thread::sleep(Duration::from_millis(200));
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for a line on standard error.
    pub fn wait_for_notice(&self, part: &str) -> String {
        wait_for(|| {
            let notices = self.notices.lock().unwrap();
            notices.iter().find(|line| line.contains(part)).cloned()
        })
        .unwrap_or_else(|| panic!("no {part:?} in {:?}", self.notices.lock().unwrap()))
    }

    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server in an orderly way.
    pub fn stop(self) -> Ended {
        self.signal("-TERM");
        self.wait()
    }

    /// Waits until the server has ended.
    pub fn wait(mut self) -> Ended {
        let status = wait_for(|| self.child.try_wait().unwrap()).expect("it does not end");
        self.reading.take().unwrap().join().unwrap();
        Ended {
            status,
            log: self.log.take().unwrap().join().unwrap(),
            notices: self.notices(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again.
pub fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(found) = found() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name)?;
        Some(&found.1)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error, which has every field.
    pub fn code(&self) -> String {
        let body = self.json();
        for field in ["error", "error_type", "code", "remedy"] {
            assert!(
                body[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field}: {body}"
            );
        }
        body["code"].as_str().unwrap().to_owned()
    }
}

/// A connection that is kept.
pub struct Connection {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub fn open(port: u16) -> Self {
        Self::try_open(port).unwrap()
    }

    pub fn try_open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        let kind = ("Content-Type", "application/json");
        self.ask("POST", path, &[kind], body.to_string().as_bytes())
    }

    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.stream
            .write_all(&request(method, path, headers, body))
            .unwrap();
        self.answer().unwrap()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn close_writing(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.read.extend_from_slice(&bytes[..length]);
                Ok(())
            }
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line = self.read.drain(..end + 2).collect::<Vec<u8>>();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.more()?;
        }
    }

    fn exactly(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        while self.read.len() < length {
            self.more()?;
        }
        Ok(self.read.drain(..length).collect())
    }

    /// The next answer.
    pub fn answer(&mut self) -> std::io::Result<Answer> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.header("content-length") {
            answer.body = self.exactly(length.parse().unwrap())?;
        }
        Ok(answer)
    }

    /// Status and headers of the next answer.
    pub fn head(&mut self) -> std::io::Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
        if status == 100 {
            return self.head();
        }
        Ok(Answer {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// The next part of an answer in parts; nothing at its end.
    pub fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(std::io::Error::other)?;
        let bytes = self.exactly(length)?;
        self.line()?;
        Ok((length > 0).then_some(bytes))
    }

    /// Whether the server has closed the connection, without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.read.is_empty()
            && self
                .more()
                .is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: birnn\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if method != "GET" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A POST of JSON.
pub fn post(path: &str, body: &Value) -> Vec<u8> {
    request(
        "POST",
        path,
        &[("Content-Type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// The output of a command.
#[track_caller]
pub fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = birnn(folder, arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What `birnn predict --json` prints for texts, without the texts.
pub fn predicted(texts: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = texts
        .iter()
        .map(|text| serde_json::to_string(&serde_json::json!({"text": text})).unwrap() + "\n")
        .collect();
    std::fs::write(folder.path().join("texts.jsonl"), lines).unwrap();
    // As arguments they are printed as a server prints them.
    let mut all = Vec::new();
    for texts in texts.chunks(50) {
        let arguments = [&["predict", "--json", "--"], texts].concat();
        all.extend(run(folder.path(), &arguments).lines().map(|line| {
            let (_, rest) = line.split_once(r#","label":"#).unwrap();
            format!(r#"{{"label":{rest}"#)
        }));
    }
    all
}

/// Two small models of the same classes with different weights, in the folders `first` and `second`.
pub fn two_models() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (seed, out) in [("1", "first"), ("2", "second")] {
            let sets = [
                "text.vocabulary_size=1000",
                "text.min_frequency=1",
                "model.num_hiddens=8",
                "model.embedding_size=8",
                "train.epochs=1",
                "train.init_from=none",
                "train.folds=0",
            ];
            let mut arguments = vec!["train", "--seed", seed, "--out", out];
            for set in sets {
                arguments.extend(["--set", set]);
            }
            run(folder.path(), &arguments);
        }
        folder
    });
    folder.path()
}

/// Copies the files of a model over those of another folder, each replaced as a whole, as a program would that publishes it.
pub fn publish(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let temporary: PathBuf = to.join(format!("{name}.new"));
        std::fs::copy(from.join(name), &temporary).unwrap();
        std::fs::rename(temporary, to.join(name)).unwrap();
    }
}
