//! The listener: who may connect, how many at once.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::{Error, Session};

/// Pause after the kernel refused a connection (no file descriptors left).
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// This machine alone.
    Loopback,
    /// These addresses alone; loopback is not among them by itself.
    Addresses(BTreeSet<IpAddr>),
}

impl Allowed {
    /// Whether this peer may connect. A v4 address that came to a v6 socket is the v4 address.
    #[must_use]
    pub fn lets_in(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match self {
            Self::Loopback => peer.is_loopback(),
            Self::Addresses(addresses) => addresses.iter().any(|a| a.to_canonical() == peer),
        }
    }
}

/// Takes connections of Asterisk.
pub struct Listener {
    socket: TcpListener,
    allowed: Allowed,
    sessions_max: usize,
}

impl Listener {
    /// Listens; takes nothing yet. `sessions_max`: sessions at once, from 1.
    ///
    /// # Errors
    /// [`Error::NotLoopback`] for an address that others reach, without a list of who may; [`Error::Bind`].
    pub async fn bind(
        address: SocketAddr,
        allowed: Allowed,
        sessions_max: usize,
    ) -> Result<Self, Error> {
        if allowed == Allowed::Loopback && !address.ip().to_canonical().is_loopback() {
            return Err(Error::NotLoopback);
        }
        let socket = TcpListener::bind(address)
            .await
            .map_err(|e| Error::Bind(e.kind()))?;
        Ok(Self {
            socket,
            allowed,
            sessions_max,
        })
    }

    /// The address, with the port that was given where 0 was asked for.
    ///
    /// # Errors
    /// [`Error::Bind`] when the kernel does not tell it.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.socket.local_addr().map_err(|e| Error::Bind(e.kind()))
    }

    /// Gives each session to `handle`, in a task of its own; returns when `stop` has, and the last session after it. A future of this
    /// that is dropped ends all sessions.
    ///
    /// `failed` is told of connections that became no session: [`Error::NotAllowed`], [`Error::Full`], or what was wrong with its environment.
    /// One over the limit is closed at once: a place in a queue would be silence for the caller. One that is not let in is closed before a byte of
    /// it is read.
    pub async fn serve<F: Future<Output = ()> + Send + 'static>(
        self,
        handle: impl Fn(Session) -> F + Send + Sync + 'static,
        failed: impl Fn(Error) + Send + Sync + 'static,
        stop: impl Future<Output = ()>,
    ) {
        let shared = Arc::new((handle, failed));
        let mut sessions = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                // A handler that panicked ended alone.
                Some(_) = sessions.join_next() => continue,
                accepted = self.socket.accept() => accepted,
            };
            let Ok((stream, peer)) = accepted else {
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            };
            if !self.allowed.lets_in(peer.ip()) {
                shared.1(Error::NotAllowed);
                continue;
            }
            if sessions.len() >= self.sessions_max {
                shared.1(Error::Full);
                continue;
            }
            let shared = Arc::clone(&shared);
            sessions.spawn(async move {
                match Session::open(stream).await {
                    Ok(session) => shared.0(session).await,
                    Err(error) => shared.1(error),
                }
            });
        }
        drop(self.socket);
        while sessions.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in() {
        let list = Allowed::Addresses(["192.0.2.7".parse().unwrap()].into());
        for (allowed, peer, expected) in [
            (&Allowed::Loopback, "127.0.0.1", true),
            (&Allowed::Loopback, "127.9.0.1", true),
            (&Allowed::Loopback, "::1", true),
            (&Allowed::Loopback, "::ffff:127.0.0.1", true),
            (&Allowed::Loopback, "192.0.2.7", false),
            (&Allowed::Loopback, "::ffff:192.0.2.7", false),
            (&list, "192.0.2.7", true),
            (&list, "::ffff:192.0.2.7", true),
            (&list, "192.0.2.8", false),
            (&list, "127.0.0.1", false),
        ] {
            assert_eq!(allowed.lets_in(peer.parse().unwrap()), expected, "{peer}");
        }
    }

    #[tokio::test]
    async fn beyond_this_machine_only_with_a_list() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:0"] {
            let bound = Listener::bind(address.parse().unwrap(), Allowed::Loopback, 1).await;
            assert_eq!(bound.err(), Some(Error::NotLoopback), "{address}");
        }
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), Allowed::Loopback, 1)
            .await
            .unwrap();
        let again = Listener::bind(first.address().unwrap(), Allowed::Loopback, 1).await;
        assert_eq!(
            again.err(),
            Some(Error::Bind(std::io::ErrorKind::AddrInUse))
        );
    }
}
