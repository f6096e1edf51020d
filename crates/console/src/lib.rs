//! The console: web pages for operators, supervisors and admins, over the HTTP API and nothing else.
//!
//! A process of its own, on the service's host or another. It holds no key: each person signs in at the API, whose token stays in this process's
//! memory, and the browser has a random number in a cookie. It can't name card data: what it knows is what the API tells (`docs/console.md`).

mod client;
mod config;
mod guard;
mod hub;
mod pages;
mod sessions;
mod show;
mod sse;
mod view;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::client::Client;
pub use crate::config::{Api, Config, ConfigError, Embed, Tls};
use crate::hub::Hubs;
use crate::sessions::Sessions;
pub use crate::words::Lang;

/// How often sessions that are over are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often certificate and key are read anew.
const RELOAD_EVERY: Duration = Duration::from_secs(60);
/// Time for the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long pages that are being answered have at the end.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// The console.
#[derive(Clone)]
pub struct Console {
    pub(crate) config: Arc<Config>,
    pub(crate) client: Client,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) hubs: Arc<Hubs>,
    pub(crate) zone: TimeZone,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address can't be listened at.
    #[error("{0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Certificate or key can't be used.
    #[error("[tls]: {0}")]
    Tls(std::io::Error),
}

impl Error {
    /// What an admin should do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Config(error) => error.hint(),
            Self::Listen(..) => "choose another address under listen, or end what has it",
            Self::Tls(_) => {
                "certificate and key are PEM files of one pair, readable for the console's user"
            }
        }
    }
}

impl Console {
    /// Of these settings.
    ///
    /// # Errors
    /// Where the file of `api.ca` can't be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        // One provider in a process; who came first has it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::new(&config.api)?;
        let idle = Duration::from_secs(u64::from(config.idle_minutes) * 60);
        let sessions = Arc::new(Sessions::new(idle));
        Ok(Self {
            hubs: Hubs::new(client.clone(), Arc::clone(&sessions)),
            zone: config.zone(),
            config: Arc::new(config),
            sessions,
            client,
        })
    }

    /// Its pages.
    pub fn router(&self) -> Router {
        pages::router(self)
    }

    /// Whether the API answers.
    pub async fn reaches_api(&self) -> bool {
        self.client.lives().await.is_ok()
    }

    /// Serves its pages until `stop`; `listening` hears the address.
    ///
    /// # Errors
    /// Where it can't listen, or the certificate can't be used.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()>,
        listening: impl FnOnce(SocketAddr),
    ) -> Result<(), Error> {
        let handle = Handle::new();
        let router = self.router().into_make_service();
        let address = self.config.listen;
        let tls = match &self.config.tls {
            Some(tls) => Some(
                RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
                    .await
                    .map_err(Error::Tls)?,
            ),
            None => None,
        };
        let server = async {
            let handle = handle.clone();
            match tls.clone() {
                Some(tls) => {
                    let mut server = axum_server::bind_rustls(address, tls).handle(handle);
                    bound(server.http_builder());
                    server.first_request_timeout(HEAD_MAX).serve(router).await
                }
                None => {
                    let mut server = axum_server::bind(address).handle(handle);
                    bound(server.http_builder());
                    server.first_request_timeout(HEAD_MAX).serve(router).await
                }
            }
        };
        let tell = async {
            if let Some(address) = handle.listening().await {
                listening(address);
            }
            std::future::pending::<()>().await;
        };
        let end = async {
            stop.await;
            handle.graceful_shutdown(Some(LEAVE_MAX));
            std::future::pending::<()>().await;
        };
        let served = tokio::select! {
            served = server => served.map_err(|error| Error::Listen(address, error)),
            () = tell => Ok(()),
            () = end => Ok(()),
            () = self.sweep() => Ok(()),
            () = self.reload(tls.clone()) => Ok(()),
        };
        self.end_sessions(self.sessions.drain()).await;
        served
    }

    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.end_sessions(self.sessions.sweep()).await;
        }
    }

    /// A token that nobody has any more is worth nothing.
    async fn end_sessions(&self, tokens: Vec<secrecy::SecretString>) {
        for token in tokens {
            drop(
                self.client
                    .tell(&token, "/v1/session/end", &json!({}))
                    .await,
            );
        }
    }

    /// The same, while somebody waits for his answer.
    pub(crate) fn end_later(&self, token: secrecy::SecretString) {
        let console = self.clone();
        tokio::spawn(async move { console.end_sessions(vec![token]).await });
    }

    /// A renewed certificate. One that can't be used is not taken: the old one goes on.
    async fn reload(&self, tls: Option<RustlsConfig>) {
        let (Some(running), Some(files)) = (tls, &self.config.tls) else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(RELOAD_EVERY).await;
            drop(
                running
                    .reload_from_pem_file(&files.certificate, &files.key)
                    .await,
            );
        }
    }
}

fn bound(http: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX);
}
