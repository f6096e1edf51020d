//! The TCP listener: connections, and the time for a request's head, are bounded, so that a silent or greedy client can't keep others
//! out (`axum::serve` bounds neither).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::access::Peer;
use crate::tls::Tls;

/// Connections at once; one more waits in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 256;

/// Time for the head of a request, also of the next one on a kept connection.
pub const HEAD_MAX: Duration = Duration::from_secs(10);

/// Pause after the kernel refused a connection (no file descriptors left).
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop`; returns when the last connection has ended.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    serve_tls(listener, router, None, stop).await;
}

/// The same, by TLS where there is a pair for it.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        };
        let routes = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer::Net(from.ip()));
            routes.call(request)
        });
        let (http, tls, watcher) = (http.clone(), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            // An error is the client's: it went away, or sent no HTTP.
            match tls {
                None => {
                    let connection = http.serve_connection(TokioIo::new(stream), service);
                    drop(watcher.watch(connection).await);
                }
                Some(tls) => {
                    // Who says nothing holds no place.
                    let shaken = tokio::time::timeout(HEAD_MAX, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        let connection = http.serve_connection(TokioIo::new(stream), service);
                        drop(watcher.watch(connection).await);
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}
