//! Load for `birnn serve`, or another server with the same interface: latencies, statuses, and what was lost.
//!
//! ```sh
//! cargo bench -p birnn-benches --bench serve_load -- http://127.0.0.1:8080 TEXTS.jsonl closed --clients 64 --seconds 10
//! ```
//!
//! TEXTS has a text per line: a JSON string, an object with `text`, or the plain line. The scenarios:
//!
//! - `closed`: each of --clients sends its next request when the answer has come.
//! - `open`: --rate requests a second arrive at random for a pool of --clients connections. Latency counts from the scheduled
//!   time, with the wait for a free connection (`wait`), so that a slow server does not slow the arrivals down.
//! - `held`: the same, but each request belongs to one of --clients connections (e.g. 2000), which are all kept open.
//! - `loris`: `open`, beside --slow connections that send a header of one byte a second without end.
//! - `until-closed`: `closed`, until the server refuses connections (or --seconds, 300, are over): for shutdown and reload.
//! - `record`: prints the answer of each text, for `--expect FILE`: an answer that is in none of these files (--expect A
//!   --expect B where the model changes) is counted as different.
//!
//! A request is lost if it was written completely and has no complete answer: `lost_partial` with a part or a malformed one,
//! `lost_timeout` after --timeout, `lost_new` on a connection that had answered nothing, which the server may never have
//! accepted, and `lost_used` on one that had. The server may have closed that one as idle while the request was on its way,
//! which HTTP/1.1 cannot exclude. Thousands of connections need `ulimit -n`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio::{net::TcpStream, sync::Semaphore};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "serve_load URL TEXTS closed|open|held|loris|until-closed|record [--path /predict] [--seconds 10] \
    [--clients 64] [--rate 100] [--slow 1000] [--texts-per-request 1] [--token T] [--timeout 30] [--expect FILE] [--json]";
const COUNTS: &str = "written lost lost_new lost_used lost_partial lost_timeout unwritten not_sent texts tokens different \
    opened refused connect_errors closed_idle closing_answers";
/// Other times that are kept among the latencies: until a scheduled request was sent, and until a slow connection was closed.
const WAIT: u16 = 0;
const SLOW: u16 = 1;

/// What all clients share.
struct Load {
    scenario: String,
    host: String,
    address: SocketAddr,
    path: String,
    seconds: f64,
    clients: usize,
    slow: usize,
    rate: f64,
    timeout: Duration,
    is_json: bool,
    /// As they are written, with their number of texts.
    requests: Vec<(Vec<u8>, usize)>,
    /// The answers in each file, one for each request.
    expected: Vec<Vec<String>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    counts: BTreeMap<String, u64>,
    /// Microseconds by status.
    latencies: BTreeMap<u16, Vec<u32>>,
    first_error: Option<String>,
    first_difference: Option<String>,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    tokens: u64,
    closes: bool,
    body: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    answers: u64,
}

struct Client {
    load: Arc<Load>,
    connection: Option<Connection>,
}

/// Requests that have arrived, for one client or several.
struct Queue {
    arrived: Semaphore,
    next: AtomicUsize,
    stride: usize,
}

fn lines(path: &str) -> Outcome<Vec<String>> {
    let all = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(all.lines().map(str::to_owned).collect())
}

fn text_of(line: String) -> String {
    match serde_json::from_str(&line) {
        Ok(Value::String(text)) => text,
        Ok(row @ Value::Object(_)) => row["text"].as_str().map_or(line, str::to_owned),
        _ => line,
    }
}

impl Load {
    fn read(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut places, mut given, mut expected) = (Vec::new(), BTreeMap::new(), Vec::new());
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.strip_prefix("--") {
                None => places.push(argument),
                Some("json") => _ = given.insert("json".to_owned(), String::new()),
                Some("expect") => expected.push(lines(&value()?)?),
                Some(name) if USAGE.contains(&format!("[--{name} ")) => {
                    given.insert(name.to_owned(), value()?);
                }
                Some(_) => Err(format!("{argument} is unknown: {USAGE}"))?,
            }
        }
        let [url, texts, scenario] = <[String; 3]>::try_from(places).map_err(|_| USAGE)?;
        let number = |name: &str, default: f64| match given.get(name).map(|value| value.parse()) {
            None => Ok(default),
            Some(Ok(number)) if number > 0.0 && number < 1e7 => Ok(number),
            _ => Err(format!("--{name} must be a number above 0")),
        };
        let host = url.strip_prefix("http://").unwrap_or(&url);
        let host = host.trim_end_matches('/').to_owned();
        let address = host
            .to_socket_addrs()
            .map(|all| all.min_by_key(SocketAddr::is_ipv6));
        let address = address.map_err(|error| format!("{url} is no http://HOST:PORT: {error}"))?;
        let path = given.get("path").map_or("/predict", |path| path).to_owned();
        let token = given.get("token");
        let token = token.map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        let texts: Vec<String> = lines(&texts)?.into_iter().map(text_of).collect();
        let each = number("texts-per-request", 1.0)? as usize;
        let request = |texts: &[String]| {
            let inputs = if each == 1 {
                json!(texts[0])
            } else {
                json!(texts)
            };
            let body = json!({ "inputs": inputs }).to_string();
            let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{token}");
            let length = body.len();
            let kind = "Content-Type: application/json\r\nContent-Length:";
            let bytes = format!("{head}{kind} {length}\r\n\r\n{body}").into_bytes();
            (bytes, texts.len())
        };
        let requests: Vec<_> = texts.chunks(each.max(1)).map(request).collect();
        if requests.is_empty() {
            Err("the file of the texts is empty")?;
        }
        let count = requests.len();
        if let Some(answers) = expected.iter().find(|answers| answers.len() != count) {
            Err(format!(
                "--expect has {} lines for {count} requests",
                answers.len()
            ))?;
        }
        let is_long = scenario == "until-closed";
        let seconds = number("seconds", if is_long { 300.0 } else { 10.0 })?;
        let counts = COUNTS.split(' ').map(|name| (name.to_owned(), 0));
        let counts = counts.collect();
        Ok(Self {
            address: address.ok_or(format!("{url} has no address"))?,
            seconds,
            clients: number("clients", 64.0)?.ceil() as usize,
            slow: number("slow", 1000.0)?.ceil() as usize,
            rate: number("rate", 100.0)?,
            timeout: Duration::from_secs_f64(number("timeout", 30.0)?),
            is_json: given.contains_key("json"),
            seen: Mutex::new(Seen {
                counts,
                ..Seen::default()
            }),
            path,
            requests,
            expected,
            scenario,
            host,
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what happened, and keeps the first error.
    fn failed(&self, what: &str, error: String) {
        let mut seen = self.seen();
        seen.add(what, 1);
        seen.first_error.get_or_insert(format!("{what}: {error}"));
    }

    fn compare(&self, seen: &mut Seen, number: usize, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        let body = body.trim_end();
        match self.expected.iter().position(|all| all[number] == body) {
            Some(file) => seen.add(&format!("as_expected_{}", file + 1), 1),
            None => {
                seen.add("different", 1);
                let wanted = &self.expected[0][number];
                let found = || format!("request {}: {body}, not {wanted}", number + 1);
                seen.first_difference.get_or_insert_with(found);
            }
        }
    }

    fn report(&self, seconds: f64) -> Value {
        let mut seen = self.seen();
        let counts = seen.counts.iter();
        let lost = counts.filter(|(name, _)| name.starts_with("lost_"));
        let lost = lost.map(|(_, count)| count).sum();
        seen.add("lost", lost);
        let per_second = |count: u64| (10.0 * count as f64 / seconds).round() / 10.0;
        let answered = seen.latencies.get(&200).map_or(0, Vec::len) as u64;
        let mut report = json!({
            "scenario": self.scenario, "clients": self.clients, "seconds": seconds,
            "rate": seen.latencies.contains_key(&WAIT).then_some(self.rate),
            "first_error": seen.first_error, "first_difference": seen.first_difference, "counts": seen.counts,
            "requests_per_second": per_second(answered), "texts_per_second": per_second(seen.counts["texts"]),
            "tokens_per_second": per_second(seen.counts["tokens"]), "client_cpu_seconds": cpu_seconds(),
        });
        for (&status, latencies) in &mut seen.latencies {
            latencies.sort_unstable();
            let at = |of_1000| f64::from(percentile(latencies, of_1000)) / 1e3;
            let name = match status {
                WAIT => "wait_ms".to_owned(),
                SLOW => "slow_closed_after_ms".to_owned(),
                _ => format!("{status}_ms"),
            };
            report[name] = json!({
                "count": latencies.len(), "p50": at(500), "p90": at(900), "p99": at(990), "p99.9": at(999),
                "max": at(1000),
            });
        }
        report
    }
}

impl Seen {
    fn add(&mut self, what: &str, count: u64) {
        match self.counts.get_mut(what) {
            Some(sum) => *sum += count,
            None => _ = self.counts.insert(what.to_owned(), count),
        }
    }

    fn time(&mut self, status: u16, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.latencies.entry(status).or_default().push(micros);
    }
}

/// The processor time of the client, which must be well below the time that the measurement took.
fn cpu_seconds() -> Option<f64> {
    let times = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(times.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// The nearest rank of sorted values, for so many of a thousand.
fn percentile(sorted: &[u32], of_1000: usize) -> u32 {
    let rank = (sorted.len() * of_1000).div_ceil(1000);
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    let mut windows = bytes.windows(separator.len());
    windows.position(|window| window == separator)
}

/// The answer that was received; `None` if there is more to come.
fn parse(bytes: &[u8], is_closed: bool) -> Result<Option<Answer>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]);
    let mut head = head.split("\r\n");
    let first = head.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    let status = status.and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("{first:?} is no status line"))?;
    if (100..200).contains(&status) {
        return parse(rest, is_closed);
    }
    let (mut length, mut is_chunked, mut tokens) = (None, false, 0);
    let mut closes = first.starts_with("HTTP/1.0");
    for line in head {
        let (name, value) = line
            .split_once(':')
            .ok_or(format!("{line:?} is no header"))?;
        let value = value.trim();
        let number = || value.parse().map_err(|_| format!("{line:?} has no number"));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(number()? as usize),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => closes = !value.eq_ignore_ascii_case("keep-alive"),
            "x-compute-tokens" => tokens = number()?,
            _ => {}
        }
    }
    // Without a length the end of the connection is that of the answer.
    closes |= !is_chunked && length.is_none();
    let body = match length {
        _ if matches!(status, 204 | 304) => Some((Vec::new(), 0)),
        _ if is_chunked => chunks(rest)?,
        Some(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
        None => is_closed.then(|| (rest.to_vec(), rest.len())),
    };
    match body {
        Some((_, used)) if used < rest.len() => Err("there are bytes behind the answer".into()),
        Some((body, _)) => Ok(Some(Answer {
            status,
            tokens,
            closes,
            body,
        })),
        None => Ok(None),
    }
}

/// A body in chunks, and the bytes that it and its trailer take up.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at, mut is_trailer) = (Vec::new(), 0, false);
    while let Some(end) = find(&bytes[at..], b"\r\n") {
        let line = String::from_utf8_lossy(&bytes[at..at + end]);
        at += end + 2;
        if is_trailer && end == 0 {
            return Ok(Some((body, at)));
        } else if !is_trailer {
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16);
            let size = size.map_err(|_| format!("{line:?} is no size of a chunk"))?;
            is_trailer = size == 0;
            if !is_trailer {
                let Some(chunk) = bytes[at..].get(..size.saturating_add(2)) else {
                    break;
                };
                body.extend(chunk.strip_suffix(b"\r\n").ok_or("a chunk has no end")?);
                at += size + 2;
            }
        }
    }
    Ok(None)
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = timeout(Duration::from_secs(10), TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(4096);
        Ok(Self {
            stream,
            buffer,
            answers: 0,
        })
    }

    /// Whether the server has closed it, or sent what nobody asked for.
    fn is_closed(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        read.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true)
    }

    async fn closed(&self) {
        while self.stream.readable().await.is_ok() && !self.is_closed() {}
    }

    /// The answer, or what became of the request and why.
    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, (&'static str, String)> {
        let written = self.stream.write_all(request).await;
        self.buffer.clear();
        // A server may refuse a request with an answer before it has read it all.
        let lost = match (self.answer().await, written) {
            (Ok(answer), _) => {
                self.answers += 1;
                return Ok(answer);
            }
            (Err(_), Err(error)) => return Err(("unwritten", error.to_string())),
            (Err(reason), Ok(())) => reason,
        };
        Err(match (self.buffer.len(), self.answers) {
            (1.., _) => ("lost_partial", lost),
            (0, 0) => ("lost_new", lost),
            (0, _) => ("lost_used", lost),
        })
    }

    async fn answer(&mut self) -> Result<Answer, String> {
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await;
            let is_closed = read.map_err(|error| error.to_string())? == 0;
            match parse(&self.buffer, is_closed)? {
                Some(answer) => return Ok(answer),
                None if is_closed => return Err("the server closed the connection".into()),
                None => {}
            }
        }
    }
}

impl Client {
    fn new(load: &Arc<Load>) -> Self {
        Self {
            load: load.clone(),
            connection: None,
        }
    }

    /// Opens a connection if there is none.
    async fn connect(&mut self) -> io::Result<()> {
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.load.seen().add("closed_idle", 1);
            self.connection = None;
        }
        if self.connection.is_none() {
            let opened = Connection::open(self.load.address)
                .await
                .inspect_err(|error| {
                    let is_refused = error.kind() == ErrorKind::ConnectionRefused;
                    let what = if is_refused {
                        "refused"
                    } else {
                        "connect_errors"
                    };
                    self.load.failed(what, error.to_string());
                });
            self.connection = Some(opened?);
            self.load.seen().add("opened", 1);
        }
        Ok(())
    }

    /// The answer of a request, whose latency counts from `begin`; `None` if it was lost.
    async fn send(&mut self, number: usize, begin: Instant) -> Option<Answer> {
        let number = number % self.load.requests.len();
        let (request, texts) = &self.load.requests[number];
        let mut connection = self.connection.take()?;
        let outcome = timeout(self.load.timeout, connection.exchange(request)).await;
        match outcome.unwrap_or_else(|_| Err(("lost_timeout", "no answer in time".into()))) {
            Err((what, error)) => {
                self.load.failed(what, error);
                self.load
                    .seen()
                    .add("written", u64::from(what != "unwritten"));
                None
            }
            Ok(answer) => {
                let mut seen = self.load.seen();
                seen.add("written", 1);
                seen.add("closing_answers", u64::from(answer.closes));
                seen.time(answer.status, begin.elapsed());
                if answer.status == 200 {
                    seen.add("texts", *texts as u64);
                    seen.add("tokens", answer.tokens);
                    if !self.load.expected.is_empty() {
                        self.load.compare(&mut seen, number, &answer.body);
                    }
                }
                self.connection = (!answer.closes).then_some(connection);
                Some(answer)
            }
        }
    }

    async fn closed(mut self, client: usize, end: Instant) {
        let ends = self.load.scenario == "until-closed";
        let mut number = client;
        while Instant::now() < end {
            // Lets the runtime see that the server has closed this connection before a request is written to it.
            tokio::task::yield_now().await;
            let is_answered = match self.connect().await {
                Err(error) if ends && error.kind() == ErrorKind::ConnectionRefused => return,
                Err(_) => false,
                Ok(()) => self.send(number, Instant::now()).await.is_some(),
            };
            if !is_answered {
                // What fails at once must not be tried without a pause.
                sleep(Duration::from_millis(20)).await;
            }
            number += self.load.clients;
        }
    }

    /// Sends the requests of a queue, scheduled for these times after the start.
    async fn scheduled(mut self, queue: Arc<Queue>, times: Arc<Vec<Duration>>, start: Instant) {
        let end = start + Duration::from_secs_f64(self.load.seconds) + self.load.timeout;
        loop {
            let number = self.next(&queue).await;
            let Some(time) = times.get(number) else {
                return;
            };
            let begin = start + *time;
            self.load.seen().time(WAIT, begin.elapsed());
            match Instant::now() < end && self.connect().await.is_ok() {
                true => _ = self.send(number, begin).await,
                false => self.load.seen().add("not_sent", 1),
            }
        }
    }

    /// The next request of a queue. Until there is one the connection is kept open.
    async fn next(&mut self, queue: &Queue) -> usize {
        loop {
            let idle = async {
                match &self.connection {
                    Some(connection) => connection.closed().await,
                    None => sleep(Duration::from_secs(1)).await,
                }
            };
            tokio::select! {
                biased;
                // A semaphore that nobody closes always gives a permit.
                permit = queue.arrived.acquire() => {
                    permit.into_iter().for_each(|permit| permit.forget());
                    return queue.next.fetch_add(queue.stride, Relaxed);
                }
                () = idle => match self.connection.take() {
                    Some(_) => self.load.seen().add("closed_idle", 1),
                    None => _ = self.connect().await.is_ok(),
                },
            }
        }
    }
}

/// When requests arrive: at random, but the same in every run (SplitMix64).
fn arrivals(seconds: f64, rate: f64) -> Vec<Duration> {
    let (mut times, mut time, mut state) = (Vec::new(), 0.0, 0_u64);
    while time < seconds {
        times.push(Duration::from_secs_f64(time));
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        time -= (1.0 - uniform).ln() / rate;
    }
    times
}

/// `open` has one queue for all clients, `held` one for each.
async fn scheduled(load: &Arc<Load>) -> JoinSet<()> {
    let times = Arc::new(arrivals(load.seconds, load.rate));
    let stride = if load.scenario == "held" {
        load.clients
    } else {
        1
    };
    let queue = |first| Queue {
        arrived: Semaphore::new(0),
        next: AtomicUsize::new(first),
        stride,
    };
    let queues: Vec<_> = (0..stride).map(|first| Arc::new(queue(first))).collect();
    let mut clients: Vec<_> = (0..load.clients).map(|_| Client::new(load)).collect();
    for client in &mut clients {
        // The others are then opened later, all at a time.
        if client.connect().await.is_err() {
            break;
        }
    }
    let (start, each) = (Instant::now(), load.clients / stride);
    let clients = clients.into_iter().enumerate().map(|(index, client)| {
        client.scheduled(queues[index % stride].clone(), times.clone(), start)
    });
    let tasks = clients.collect();
    // A thread of its own, since the timers of the runtime are only exact to a millisecond or two.
    std::thread::spawn(move || {
        for (index, time) in times.iter().enumerate() {
            std::thread::sleep((start + *time).saturating_duration_since(Instant::now()));
            queues[index % stride].arrived.add_permits(1);
        }
        // Numbers beyond the last request, which end the clients.
        queues
            .iter()
            .for_each(|queue| queue.arrived.add_permits(each));
    });
    tasks
}

/// Sends a header of a byte a second, again and again.
async fn slow(load: Arc<Load>, delay: Duration) {
    sleep(delay).await;
    let begin = format!("POST {} HTTP/1.1\r\nX-Slow: ", load.path);
    loop {
        let Ok(mut connection) = Connection::open(load.address).await else {
            load.seen().add("slow_refused", 1);
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let since = Instant::now();
        load.seen().add("slow_opened", 1);
        for byte in begin.bytes().chain(std::iter::repeat(b'a')) {
            let is_written = connection.stream.write_all(&[byte]).await.is_ok();
            if !is_written
                || timeout(Duration::from_secs(1), connection.closed())
                    .await
                    .is_ok()
            {
                break;
            }
        }
        let mut seen = load.seen();
        seen.add("slow_closed", 1);
        seen.time(SLOW, since.elapsed());
    }
}

/// Prints the answer of each request.
async fn record(load: &Arc<Load>) -> Outcome<()> {
    let mut client = Client::new(load);
    for number in 0..load.requests.len() {
        client
            .connect()
            .await
            .map_err(|error| format!("{}: {error}", load.host))?;
        let answer = client.send(number, Instant::now()).await;
        let answer = answer.ok_or(format!("request {} has no answer", number + 1))?;
        let body = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 {
            Err(format!(
                "request {}: status {}: {body}",
                number + 1,
                answer.status
            ))?;
        }
        println!("{}", body.trim_end());
    }
    Ok(())
}

fn print(report: &Value) {
    for (name, value) in report.as_object().into_iter().flatten() {
        match value.as_object() {
            None if value.is_null() => {}
            None => println!("{name:20} {value}"),
            Some(row) => {
                let row = row.iter().map(|(name, value)| format!("{name} {value}"));
                println!("{name:20} {}", row.collect::<Vec<_>>().join(", "));
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    // Cargo adds an argument of its own.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .peekable();
    if arguments.peek().is_none() {
        eprintln!("{USAGE}; left out");
        return Ok(());
    }
    let load = Arc::new(Load::read(arguments)?);
    let mut others = JoinSet::new();
    if load.scenario == "loris" {
        for index in 0..load.slow {
            let delay = Duration::from_secs_f64(index as f64 / load.slow as f64);
            others.spawn(slow(load.clone(), delay));
        }
        sleep(Duration::from_millis(1500)).await;
    }
    let mut start = Instant::now();
    let tasks = match load.scenario.as_str() {
        "record" => return record(&load).await,
        "closed" | "until-closed" => {
            let end = start + Duration::from_secs_f64(load.seconds);
            (0..load.clients)
                .map(|client| Client::new(&load).closed(client, end))
                .collect()
        }
        "open" | "held" | "loris" => {
            let tasks = scheduled(&load).await;
            start = Instant::now();
            tasks
        }
        other => Err(format!("{other:?} is no scenario: {USAGE}"))?,
    };
    tasks.join_all().await;
    let report = load.report(start.elapsed().as_secs_f64());
    match load.is_json {
        true => println!("{report}"),
        false => print(&report),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<u32> = (1..=1000).collect();
        let found = [500, 990, 999, 1000].map(|of_1000| super::percentile(&sorted, of_1000));
        assert_eq!(found, [500, 990, 999, 1000]);
    }

    #[test]
    fn answers_are_complete_only_with_their_last_byte() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let answers = [
            (
                format!("{ok}Content-length: 4\r\nX-Compute-Tokens: 3\r\n\r\nabcd"),
                3,
                false,
            ),
            (
                format!(
                    "HTTP/1.1 100 Continue\r\n\r\n{ok}Connection: close\r\nContent-Length: 4\r\n\r\nabcd"
                ),
                0,
                true,
            ),
            (
                format!(
                    "{ok}Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\n\r\n"
                ),
                0,
                false,
            ),
        ];
        for (bytes, tokens, closes) in answers {
            for end in 0..bytes.len() {
                assert_eq!(
                    super::parse(&bytes.as_bytes()[..end], false),
                    Ok(None),
                    "{end}"
                );
            }
            let answer = super::Answer {
                status: 200,
                tokens,
                closes,
                body: b"abcd".to_vec(),
            };
            assert_eq!(super::parse(bytes.as_bytes(), false), Ok(Some(answer)));
            assert!(super::parse(format!("{bytes}x").as_bytes(), false).is_err());
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nab";
        assert_eq!(super::parse(bytes, false), Ok(None));
        assert!(
            matches!(super::parse(bytes, true), Ok(Some(answer)) if answer.closes && answer.body == b"ab")
        );
        assert!(super::parse(b"220 mail\r\n\r\n", false).is_err());
    }
}
