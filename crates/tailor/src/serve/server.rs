//! The server: which address gives what.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use serde_json::json;
use zo_search::sharing::WorkerState;

use super::guard::{Guard, Token, guard};
use super::trials::{TrialQuery, parameter};
use super::watch::{Parts, Watch};
use super::watched::{Source, Watched};
use super::workers::{Workers, workers_of};
use crate::Error;

/// The port that is used if nobody says otherwise.
pub const DEFAULT_PORT: u16 = 8246;

/// Where a page is served, and to whom.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The address or name to listen at; at first `127.0.0.1`, which only this machine reaches.
    pub host: String,
    /// The port; 0 for any free one. At first [`DEFAULT_PORT`].
    pub port: u16,
    /// What a reader has to know; without one, a page that other machines reach gets a random one.
    pub token: Option<Token>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT, token: None }
    }
}

/// The page of a study, which waits for readers.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    watch: Arc<Watch>,
    workers: Workers,
}

impl Server {
    /// Reads the study and takes the address. Nobody is answered before [`Server::run_until`].
    ///
    /// # Errors
    /// [`recipe_search::Error::NotAStudy`] where there is no study, and what its store says; [`Error::Listen`].
    pub fn bind(source: Source, options: ServeOptions) -> Result<Self, Error> {
        let ServeOptions { host, port, token } = options;
        let shared = match &source {
            Source::Folder(folder) => folder.shared_store()?,
            _ => None,
        };
        let (source, workers): (Source, Workers) = match (source, shared) {
            (Source::Shared(store), _) => (Source::Shared(Arc::clone(&store)), workers_of(store)),
            (source, Some(store)) => (source, workers_of(store.into())),
            (alone, None) => (alone, Box::new(|| Ok(Vec::new()))),
        };
        let watched = Watched::open(source)?;
        let refused = |source| Error::Listen { host: host.clone(), port, source };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let listener = TcpListener::bind((bare, port)).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let token = token.or_else(|| (!address.ip().is_loopback()).then(Token::random));
        let watch = Arc::new(Watch::new(watched)?);
        Ok(Self { listener, address, token, watch, workers })
    }

    /// With what says which workers the study has, in place of the store itself. It is asked twice a second at most, by
    /// a thread that answers no reader.
    #[must_use]
    pub fn with_workers(
        mut self,
        workers: impl FnMut() -> Result<Vec<WorkerState>, zo_search::Error> + Send + 'static,
    ) -> Self {
        self.workers = Box::new(workers);
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for a browser, with the token if one is needed. `localhost` stands for all names of this machine.
    #[must_use]
    pub fn url(&self) -> String {
        let ip = self.address.ip();
        let host =
            if ip.is_unspecified() { format!("localhost:{}", self.address.port()) } else { self.address.to_string() };
        let token = self.token.as_ref().map_or_else(String::new, |token| format!("?token={}", token.as_str()));
        format!("http://{host}/{token}")
    }

    /// Whether other machines can reach it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// Answers readers until `end` comes to its end; they are cut off then.
    ///
    /// # Errors
    /// [`Error::Serve`] when the system has no threads or sockets left.
    pub fn run_until(self, end: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, address, token, watch, workers } = self;
        let cookie = format!("tailor-{}", address.port());
        let guarded = Arc::new(Guard { token, loopback: address.ip().is_loopback(), cookie });
        let routes = Router::new()
            .route("/", get(page))
            .route("/trials", get(trials))
            .route("/events", get(events))
            .route("/style.css", get(|| file("text/css; charset=utf-8", STYLE)))
            .route("/live.js", get(|| file("text/javascript; charset=utf-8", SCRIPT)))
            .route("/icon.svg", get(|| file("image/svg+xml", ICON)))
            .layer(from_fn_with_state(guarded, guard))
            .with_state(Arc::clone(&watch));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Serve)?;
        let thread = watch.start(workers)?;
        drop(watch);
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::select! {
                served = axum::serve(listener, routes) => served,
                () = end => Ok(()),
            }
        });
        // Readers' connections go with the runtime, and with them the last who know the study.
        drop(runtime);
        let _ = thread.join();
        served.map_err(Error::Serve)
    }
}

/// The report's style, and what the live page has more.
const STYLE: &str = concat!(include_str!("../report/style.css"), include_str!("page/live.css"));
const SCRIPT: &str = include_str!("page/live.js");
const ICON: &str = include_str!("page/icon.svg");

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The whole page.
async fn page(State(watch): State<Arc<Watch>>, uri: Uri) -> Response {
    let query = TrialQuery::parse(uri.query());
    rendered(watch, move |watch| {
        let parts = watch.subscribe().borrow().clone();
        watch.pages.page(&watch.watched(), &parts, query)
    })
    .await
}

/// The table of trials.
async fn trials(State(watch): State<Arc<Watch>>, uri: Uri) -> Response {
    let query = TrialQuery::parse(uri.query());
    rendered(watch, move |watch| watch.pages.trials(&watch.watched(), query)).await
}

/// HTML that is made on another thread, as the study may be read meanwhile.
async fn rendered(
    watch: Arc<Watch>,
    render: impl FnOnce(&Watch) -> Result<String, Error> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(move || render(&watch)).await {
        Ok(Ok(html)) => Html(html).into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made; a defect of Tailor.\n").into_response(),
    }
}

/// The parts that change, as they do.
async fn events(State(watch): State<Arc<Watch>>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    // What the reader has seen: of a connection that was lost, the last event; of a new one, its page.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let seen = last.or_else(|| parameter(uri.query(), "since")).unwrap_or_default().to_owned();
    let now = watch.subscribe().borrow().clone();
    // Of a page that is older, all is sent again.
    let known = if now.revision == seen { now } else { Arc::new(Parts { trials: u64::MAX, ..Parts::default() }) };
    Sse::new(changes(watch, known)).keep_alive(KeepAlive::default())
}

/// What changes from `known` on: each event has the parts that have.
fn changes(watch: Arc<Watch>, known: Arc<Parts>) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut receiver = watch.subscribe();
    // The page as it is now comes first, if it is not known.
    receiver.mark_changed();
    // The study is not kept for a reader's sake: the thread that watches it ends with the server.
    drop(watch);
    stream::unfold((receiver, known), |(mut receiver, known)| async move {
        loop {
            receiver.changed().await.ok()?;
            let now = receiver.borrow_and_update().clone();
            if now.revision != known.revision {
                return Some((Ok(event(&known, &now)), (receiver, now)));
            }
        }
    })
}

/// What is different between two states of the page.
fn event(known: &Parts, now: &Parts) -> Event {
    let changed = now.parts.iter().filter(|(name, html)| known.parts.get(*name) != Some(*html));
    let parts: serde_json::Map<String, serde_json::Value> =
        changed.map(|(name, html)| ((*name).to_owned(), html.as_ref().into())).collect();
    let data = json!({ "parts": parts, "trials": known.trials != now.trials });
    // One line: JSON has none of the line breaks that an event's data must not have.
    Event::default().id(now.revision.clone()).data(data.to_string())
}
