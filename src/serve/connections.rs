//! Connections: their number, their times, and how they end.

use super::access_log::ClientAddress;
use super::app::App;
use super::error::ApiError;
use super::metrics::Counted;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

/// The head of a request is no longer than this.
const HEAD: usize = 64 << 10;
/// So many connections over the limit get an answer before they are closed.
const REFUSED: usize = 256;
/// Connections without a request are closed so long after the signal to end, and those with one after its answer.
const QUIET: Duration = Duration::from_secs(1);

/// All connections of a server.
pub(super) struct Connections {
    app: Arc<App>,
    router: Router,
    places: Arc<Semaphore>,
    refused: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Connections {
    pub(super) fn new(app: &Arc<App>, router: Router) -> Self {
        Self {
            app: Arc::clone(app),
            router,
            places: Arc::new(Semaphore::new(app.settings.max_connections)),
            refused: Arc::new(Semaphore::new(REFUSED)),
            graceful: GracefulShutdown::new(),
        }
    }

    /// Accepts connections until the future ends, and those that are waiting then.
    pub(super) async fn accept(&self, listener: TcpListener, until: impl Future<Output = ()>) {
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => break,
                accepted = listener.accept() => self.begin(accepted).await,
            }
        }
        // The system is asked, not the runtime, which may not know yet of those that have arrived.
        let Ok(listener) = listener.into_std() else {
            return;
        };
        // No more than fit: others may arrive for ever.
        for _ in 0..self.app.settings.max_connections {
            match listener.accept() {
                Ok((stream, client)) => {
                    let stream = stream
                        .set_nonblocking(true)
                        .and_then(|()| TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        self.begin(Ok((stream, client))).await;
                    }
                }
                Err(error) if is_of_client(&error) => {}
                Err(_) => break,
            }
        }
    }

    async fn begin(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_client(&error) {
                    // Too many open files: it gets better when connections end.
                    sleep(Duration::from_millis(50)).await;
                }
                return;
            }
        };
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => self.serve(stream, client, place),
            Err(_) => {
                self.app.metrics.refused_connections.inc();
                if let Ok(place) = Arc::clone(&self.refused).try_acquire_owned() {
                    tokio::spawn(refuse(stream, place));
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, client: SocketAddr, place: OwnedSemaphorePermit) {
        // Answers are small: each is sent at once.
        let _ = stream.set_nodelay(true);
        let settings = &self.app.settings;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(settings.body_timeout));
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ClientAddress(client));
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_buf_size(HEAD)
            .max_header_size(HEAD / 2)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = self.graceful.watch(connection);
        let counted = Counted::new(&self.app.metrics.connections);
        tokio::spawn(async move {
            // A broken connection is no error of the server.
            let _ = connection.await;
            drop((place, counted));
        });
    }

    /// Waits until every request is answered, or the time is over; gives how many requests are left then.
    pub(super) async fn end(self) -> usize {
        let most = self.app.settings.drain_timeout;
        let ending = async {
            // A client may be sending a request on a connection that has none: it is answered, and the connection closed
            // after it.
            let quiet = async {
                while self.graceful.count() > 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = timeout(QUIET.min(most), quiet).await;
            self.graceful.shutdown().await;
        };
        match timeout(most, ending).await {
            Ok(()) => 0,
            Err(_) => usize::try_from(self.app.metrics.in_flight.get()).unwrap_or(0),
        }
    }
}

/// Whether a connection could not be accepted because of its other end, or for nothing.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Answers a connection over the limit, and closes it.
async fn refuse(mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let error = ApiError::overloaded("connections");
    let body = serde_json::to_vec(&error.body).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await?;
        // Closed with something unread, the answer would be lost.
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(QUIET, answer).await;
}
