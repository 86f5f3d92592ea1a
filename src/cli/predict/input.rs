//! The texts to classify: arguments, or the rows of a file or of standard input.
//!
//! Rows are read on a thread of their own, so that reading and classifying overlap, and so that of standard input
//! everything that has arrived is classified at once, but nothing waits for more.

use super::super::Usage;
use super::super::progress::Terminal;
use super::Arguments;
use birnn::config::DataConfig;
use birnn::data::{DownloadProgress, Portion, RowReader, RowShape, SourceOptions};
use birnn::dataset::source_options;
use std::io::{BufReader, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// As many rows of standard input may wait.
const WAITING_ROWS: usize = super::PORTION;

/// As many portions of a file may wait.
const WAITING_PORTIONS: usize = 2;

/// The texts to classify.
pub(super) struct Input {
    shape: RowShape,
    rows: Rows,
    /// Lines for the user at the end.
    notes: Vec<String>,
}

enum Rows {
    Arguments(Option<Portion>),
    /// Read on another thread.
    Arriving(Receiver<birnn::Result<Message>>),
    /// Read on this one, as no other could be started.
    Here(Box<RowReader<'static>>),
}

/// What the reading thread sends.
enum Message {
    Shape(RowShape),
    Rows(Portion),
    /// The last one: lines for the user.
    End(Vec<String>),
}

#[derive(Clone)]
enum Place {
    File(PathBuf),
    Stdin,
}

impl Place {
    fn open(&self, options: &SourceOptions) -> birnn::Result<RowReader<'static>> {
        match self {
            Self::File(path) => RowReader::open(path, options),
            Self::Stdin => {
                let reader = BufReader::with_capacity(1 << 16, std::io::stdin());
                RowReader::stream(reader, "standard input", options)
            }
        }
    }
}

impl Input {
    pub(super) fn open(arguments: &Arguments, terminal: &mut Terminal) -> anyhow::Result<Self> {
        let place = match (&arguments.file, &arguments.texts[..]) {
            (Some(path), _) if path.as_os_str() == "-" => Place::Stdin,
            (Some(path), _) => Place::File(path.clone()),
            (None, [text]) if is_file(text) => {
                terminal.note(&format!(
                    "{text} is a file: its texts are classified (as with --file), not its name"
                ));
                Place::File(PathBuf::from(text))
            }
            (None, [_, ..]) => return Ok(Self::of_arguments(arguments, terminal)),
            (None, []) if !std::io::stdin().is_terminal() => Place::Stdin,
            (None, []) => {
                let problem =
                    "there is no text: give one as an argument, or --file PATH, or --file -";
                return Err(Usage(problem.into()).into());
            }
        };
        let mut config = DataConfig::default();
        arguments.format.apply(&mut config);
        let options = source_options(&config)?;
        let (sender, receiver) = sync_channel(match place {
            Place::File(_) => WAITING_PORTIONS,
            Place::Stdin => WAITING_ROWS,
        });
        let thread = std::thread::Builder::new().name("rows".to_owned());
        let started = {
            let (place, options) = (place.clone(), options.clone());
            thread.spawn(move || read(&place, &options, &sender))
        };
        if started.is_err() {
            let reader = place.open(&options)?;
            return Ok(Self {
                shape: reader.shape().clone(),
                rows: Rows::Here(Box::new(reader)),
                notes: Vec::new(),
            });
        }
        match receiver.recv() {
            Ok(Ok(Message::Shape(shape))) => Ok(Self {
                shape,
                rows: Rows::Arriving(receiver),
                notes: Vec::new(),
            }),
            Ok(Err(error)) => Err(error.into()),
            _ => Err(anyhow::anyhow!("the texts could not be read")),
        }
    }

    fn of_arguments(arguments: &Arguments, terminal: &mut Terminal) -> Self {
        let files: Vec<&str> = arguments
            .texts
            .iter()
            .map(String::as_str)
            .filter(|text| std::path::Path::new(text).exists())
            .collect();
        if !files.is_empty() {
            terminal.note(&format!(
                "there are files or folders of these names, but the names themselves are classified: {} (give --file for \
                 the texts of a file)",
                files.join(", ")
            ));
        }
        let portion = Portion::of_texts(arguments.texts.clone());
        Self {
            shape: RowShape::of_texts(),
            rows: Rows::Arguments(Some(portion)),
            notes: Vec::new(),
        }
    }

    /// What the rows look like.
    pub(super) fn shape(&self) -> &RowShape {
        &self.shape
    }

    /// The next rows, about `most` of them; `None` at the end. Waits for the first one only.
    pub(super) fn next(&mut self, most: usize) -> anyhow::Result<Option<Portion>> {
        let receiver = match &mut self.rows {
            Rows::Arguments(portion) => return Ok(portion.take()),
            Rows::Here(reader) => {
                let portion = reader.next(most)?;
                if portion.is_none() {
                    self.notes = reader.notes();
                }
                return Ok(portion);
            }
            Rows::Arriving(receiver) => receiver,
        };
        let mut rows: Option<Portion> = None;
        while rows.as_ref().is_none_or(|rows| rows.texts().len() < most) {
            let message = match &rows {
                None => receiver.recv().ok(),
                Some(_) => receiver.try_recv().ok(),
            };
            match message {
                Some(Ok(Message::Rows(more))) => match &mut rows {
                    None => rows = Some(more),
                    Some(rows) => rows.append(more),
                },
                Some(Ok(Message::End(notes))) => {
                    self.notes = notes;
                    break;
                }
                Some(Ok(Message::Shape(_))) => {}
                Some(Err(error)) => return Err(error.into()),
                None => break,
            }
        }
        Ok(rows)
    }

    /// Lines for the user about how the rows were read.
    pub(super) fn finish(self) -> Vec<String> {
        self.notes
    }
}

/// Whether there is a file of this name.
fn is_file(text: &str) -> bool {
    std::path::Path::new(text).is_file()
}

/// Reads rows and sends them, until they end or nobody receives them any more.
fn read(place: &Place, options: &SourceOptions, sender: &SyncSender<birnn::Result<Message>>) {
    let most = match place {
        Place::File(_) => super::PORTION,
        Place::Stdin => 1,
    };
    let send = |message| sender.send(message).is_ok();
    let mut reader = match place.open(options) {
        Ok(reader) => reader,
        Err(error) => {
            send(Err(error));
            return;
        }
    };
    let mut received = send(Ok(Message::Shape(reader.shape().clone())));
    while received {
        received = match reader.next(most) {
            Ok(Some(portion)) => send(Ok(Message::Rows(portion))),
            Ok(None) => {
                send(Ok(Message::End(reader.notes())));
                false
            }
            Err(error) => {
                send(Err(error));
                false
            }
        };
    }
}
