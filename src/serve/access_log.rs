//! The access log: a line of JSON for each request, written by a thread of its own.
//!
//! Texts are not in it unless the settings say so. Where its reader is too slow, lines are left out and counted, and requests
//! do not wait.

use serde::Serialize;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

/// So many lines may wait.
const WAITING: usize = 4096;
/// With texts of so many bytes.
const WAITING_BYTES: usize = 16 << 20;
/// At the end, its reader has so long for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who sent a request: an extension of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddress(pub SocketAddr);

/// What is known of a request when it is answered.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Entry {
    /// When it began, as RFC 3339 has it.
    #[serde(serialize_with = "time")]
    pub time: Option<SystemTime>,
    /// The address of the client.
    pub client: String,
    pub method: String,
    pub path: String,
    pub status: u16,
    /// From its head to the answer; of a stream to its end.
    pub milliseconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The texts that were answered, and their tokens.
    pub texts: u64,
    pub tokens: u64,
    /// How many of them were cut, and how many of their tokens are not in the vocabulary.
    pub truncated: u64,
    pub unknown_tokens: u64,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    /// So many lines before this one are missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_left_out: u64,
}

impl Entry {
    /// The bytes of its texts.
    fn bytes(&self) -> usize {
        let inputs = self.inputs.iter().flatten();
        inputs.map(String::len).sum()
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn time<S: serde::Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_millis(*time)),
        None => serializer.serialize_none(),
    }
}

/// What the thread is sent.
enum Message {
    Entry(Box<Entry>),
    /// Everything before this is to be written now; then the sender is dropped.
    Flush(SyncSender<()>),
}

/// Takes the entries.
#[derive(Clone)]
pub struct AccessLog {
    sender: Option<SyncSender<Message>>,
    left_out: Arc<AtomicU64>,
    /// The bytes of the texts in the lines that wait.
    bytes: Arc<AtomicUsize>,
}

impl AccessLog {
    /// No log.
    pub fn off() -> Self {
        Self {
            sender: None,
            left_out: Arc::default(),
            bytes: Arc::default(),
        }
    }

    /// A log that is written here, until it cannot be written any more.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn to(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let bytes = Arc::<AtomicUsize>::default();
        let waiting = Arc::clone(&bytes);
        std::thread::Builder::new()
            .name("access log".to_owned())
            .spawn(move || write(&receiver, &waiting, BufWriter::new(out)))?;
        Ok(Self {
            sender: Some(sender),
            left_out: Arc::default(),
            bytes,
        })
    }

    pub(super) fn is_on(&self) -> bool {
        self.sender.is_some()
    }

    pub(super) fn write(&self, mut entry: Entry) {
        let Some(sender) = &self.sender else {
            return;
        };
        entry.lines_left_out = self.left_out.swap(0, Ordering::Relaxed);
        let (missing, bytes) = (entry.lines_left_out + 1, entry.bytes());
        let fits = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= WAITING_BYTES;
        let sent = fits && sender.try_send(Message::Entry(Box::new(entry))).is_ok();
        if !sent {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.left_out.fetch_add(missing, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, but not for a reader that does not read.
    pub(super) fn flush(&self) {
        let Some(sender) = &self.sender else {
            return;
        };
        let (done, is_done) = sync_channel(0);
        let (mut message, until) = (Message::Flush(done), Instant::now() + PATIENCE);
        while let Err(TrySendError::Full(refused)) = sender.try_send(message) {
            if Instant::now() > until {
                return;
            }
            message = refused;
            std::thread::sleep(Duration::from_millis(5));
        }
        // The sender is dropped when it is done.
        let _ = is_done.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Writes lines, and everything at once whenever none waits.
fn write(receiver: &Receiver<Message>, bytes: &AtomicUsize, mut out: impl Write) {
    let mut waiting = None;
    while let Some(message) = waiting.take().or_else(|| receiver.recv().ok()) {
        let written = match message {
            Message::Entry(entry) => {
                bytes.fetch_sub(entry.bytes(), Ordering::Relaxed);
                line(&entry, &mut out)
            }
            Message::Flush(_done) => out.flush(),
        };
        waiting = receiver.try_recv().ok();
        let written = match waiting {
            None => written.and_then(|()| out.flush()),
            Some(_) => written,
        };
        if written.is_err() {
            return;
        }
    }
}

fn line(entry: &Entry, out: &mut impl Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, entry)?;
    out.write_all(b"\n")
}
