//! A server, from its first connection to its last.

use super::access_log::AccessLog;
use super::api;
use super::app::App;
use super::connections::Connections;
use super::models::{Models, Reloaded};
use super::settings::ServeSettings;
use crate::error::{Error, Result};
use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval};

/// A server that has an address, and answers once it [runs](Server::run).
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    control: UnboundedReceiver<Control>,
    sender: UnboundedSender<Control>,
    notices: Vec<Notice>,
}

/// What a running server is asked for.
#[derive(Debug, Clone, Copy)]
enum Control {
    Stop,
    Reload,
}

/// Something that whoever runs the server should know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The models of this name were loaded again, or could not be.
    Reload(String, Reloaded),
    /// The system allows fewer connections than the settings.
    FewerConnections {
        /// The connections that are possible.
        possible: usize,
        /// Those of the settings.
        wanted: usize,
    },
    /// Nothing is accepted any more; so many requests are being answered.
    Draining(usize),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload(name, Reloaded::Same) => {
                write!(f, "{name}: the same files, nothing changes")
            }
            Self::Reload(name, Reloaded::Replaced) => {
                write!(f, "{name}: the new model is served from here on")
            }
            Self::Reload(name, Reloaded::Refused(error)) => {
                write!(
                    f,
                    "{name}: the new model is refused and the old one goes on: {error}"
                )
            }
            Self::FewerConnections { possible, wanted } => write!(
                f,
                "{possible} connections are possible at once, not {wanted}: the system allows no more open files (ulimit -n)"
            ),
            Self::Draining(1) => write!(f, "ending: 1 request is still being answered"),
            Self::Draining(requests) => {
                write!(f, "ending: {requests} requests are still being answered")
            }
        }
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The requests that were not answered in time.
    pub unanswered: usize,
}

/// Reaches a running server from elsewhere.
#[derive(Debug, Clone)]
pub struct ServerHandle(UnboundedSender<Control>);

impl ServerHandle {
    /// No more connections are accepted, what was accepted is answered, and [`Server::run`] returns.
    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.0.send(Control::Stop);
    }

    /// All models are loaded again.
    pub fn reload(&self) {
        let _ = self.0.send(Control::Reload);
    }
}

/// Open files besides connections: models, logs, what the system needs.
const OTHER_FILES: usize = 100;

impl Server {
    /// Reserves the address, and starts the threads that compute.
    ///
    /// # Errors
    /// Settings without which nothing could be answered, an address that cannot be used, or a thread that cannot be started.
    pub fn bind(
        address: impl ToSocketAddrs + fmt::Display,
        models: Models,
        mut settings: ServeSettings,
        log: AccessLog,
    ) -> Result<Self> {
        settings.check()?;
        let mut notices = Vec::new();
        let possible = possible_connections(settings.max_connections);
        if possible < settings.max_connections {
            notices.push(Notice::FewerConnections {
                possible,
                wanted: settings.max_connections,
            });
            settings.max_connections = possible;
        }
        let name = address.to_string();
        let failed = |error| Error::io("listen at", Path::new(&name))(error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = App::start(settings, Arc::new(models), log)?;
        let (sender, control) = unbounded_channel();
        Ok(Self {
            app: Arc::new(app),
            listener,
            address,
            control,
            sender,
            notices,
        })
    }

    /// The address, with the port that the system chose if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What reaches the server while it runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.sender.clone())
    }

    /// Answers requests until it is stopped.
    ///
    /// # Errors
    /// The system refuses a thread or the listening socket.
    pub fn run(self, on_notice: impl Fn(&Notice) + Send + Sync + 'static) -> Result<Ended> {
        let failed = |error| Error::io("run", Path::new("the server"))(error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("connections")
            .worker_threads(io_threads())
            // They read large bodies, and load models.
            .max_blocking_threads(rayon::current_num_threads() + 2)
            .enable_all()
            .build()
            .map_err(failed)?;
        for notice in &self.notices {
            on_notice(notice);
        }
        let log = self.app.log.clone();
        let ended = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).map_err(failed)?;
            let on_notice: OnNotice = Arc::new(on_notice);
            Ok(run(self.app, listener, self.control, on_notice).await)
        });
        // What is still computed is not waited for; requests that are dropped come into the log.
        runtime.shutdown_timeout(Duration::from_millis(100));
        log.flush();
        ended
    }
}

type OnNotice = Arc<dyn Fn(&Notice) + Send + Sync>;

async fn run(
    app: Arc<App>,
    listener: tokio::net::TcpListener,
    mut control: UnboundedReceiver<Control>,
    on_notice: OnNotice,
) -> Ended {
    let watching = app.settings.watch_interval.map(|time| {
        let (app, on_notice) = (Arc::clone(&app), Arc::clone(&on_notice));
        tokio::spawn(async move {
            let mut ticks = interval(time);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                reload(&app, false, &on_notice).await;
            }
        })
    });
    let connections = Connections::new(&app, api::router(&app));
    let stop = async {
        while let Some(Control::Reload) = control.recv().await {
            let (app, on_notice) = (Arc::clone(&app), Arc::clone(&on_notice));
            tokio::spawn(async move { reload(&app, true, &on_notice).await });
        }
    };
    connections.accept(listener, stop).await;
    app.drain();
    if let Some(watching) = watching {
        watching.abort();
    }
    let in_flight = usize::try_from(app.metrics.in_flight.get()).unwrap_or(0);
    on_notice(&Notice::Draining(in_flight));
    Ended {
        unanswered: connections.end().await,
    }
}

/// Loads models again, on a thread that no request waits for.
async fn reload(app: &Arc<App>, all: bool, on_notice: &OnNotice) {
    let models = Arc::clone(&app.models);
    let tried = tokio::task::spawn_blocking(move || models.reload(all)).await;
    for (name, reloaded) in tried.unwrap_or_default() {
        app.metrics.reload(&name, &reloaded);
        if all || !matches!(reloaded, Reloaded::Same) {
            on_notice(&Notice::Reload(name, reloaded));
        }
    }
}

/// Threads that read and write; what they do takes far less time than computing.
fn io_threads() -> usize {
    rayon::current_num_threads().div_ceil(4).max(2)
}

/// As many connections as are wanted, or as the system allows.
#[cfg(unix)]
fn possible_connections(wanted: usize) -> usize {
    let files = (wanted + OTHER_FILES) as u64;
    match rlimit::increase_nofile_limit(files) {
        Ok(allowed) => wanted.min((allowed as usize).saturating_sub(OTHER_FILES).max(1)),
        Err(_) => wanted,
    }
}

#[cfg(not(unix))]
fn possible_connections(wanted: usize) -> usize {
    wanted
}
