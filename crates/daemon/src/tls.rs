//! The HTTP API's certificate: taken anew when its files change, or on SIGHUP.

use std::sync::Arc;
use std::time::Duration;

use ivrpay_web::Tls;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::events;
use crate::serve::now_ms;

/// How often it is read.
const EVERY: Duration = Duration::from_secs(10);

/// Reads it, where there is one, and again and again from then on. One whose time is over keeps nothing from starting.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn open(
    config: &Config,
    closing: &CancellationToken,
    servers: &TaskTracker,
) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some(files) = &config.http.tls else {
        return Ok(None);
    };
    let tls = Tls::open(files.clone())
        .map_err(|error| anyhow::anyhow!("[http] certificate_file, key_file: {error}"))?;
    let tls = Arc::new(tls);
    events::certificate(tls.ends_ms());
    // Calls, the socket and what the service owes to acquirers do not wait for a certificate.
    let over = tls.is_good(now_ms()).err();
    if let Some(error) = &over {
        events::certificate_over(error);
    }
    let mut hangup = signal(SignalKind::hangup())?;
    let (watched, closing) = (Arc::clone(&tls), closing.clone());
    servers.spawn(async move {
        let mut told = over;
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                _ = hangup.recv() => told = None,
                () = tokio::time::sleep(EVERY) => {}
            }
            match watched.reload(now_ms()) {
                Ok(is_new) => {
                    told = None;
                    if is_new {
                        events::certificate_renewed();
                    }
                }
                // A pair is renewed file by file: the next look may find it whole.
                Err(error) => {
                    if told.as_ref() != Some(&error) {
                        events::certificate_refused(&error);
                        told = Some(error);
                    }
                }
            }
            events::certificate(watched.ends_ms());
        }
    });
    Ok(Some(tls))
}
