//! The events of an application as Asterisk sends them, **not redacted**: for a canary, which keys a published test card and looks whether
//! events show it. Never for the application of the service.

use std::io;

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    client::authorization,
    config::{Config, ConfigError},
    error::Trouble,
    socket::{request, upgraded},
};

/// Largest head of Asterisk's answer, bytes.
const HEAD_MAX: usize = 4096;

/// An open socket of an application. The application ends with it, once its channels have gone.
pub struct Listener(WebSocketStream<TcpStream>);

/// Opens the socket of the application `config.app`. One that is there already loses its own: look first.
///
/// # Errors
/// Why there is none; the outer one is about the configuration.
pub async fn listen(config: &Config) -> Result<Result<Listener, Trouble>, ConfigError> {
    let address = config.address()?;
    let authorization = authorization(config)?;
    let opening = async {
        let unreachable = |error: io::Error| Trouble::Unreachable(error.kind());
        let mut socket = TcpStream::connect(address.socket)
            .await
            .map_err(unreachable)?;
        let key = generate_key();
        for part in [
            request(&address, &config.app, &key).as_bytes(),
            b"Authorization: ",
            authorization.as_bytes(),
            b"\r\n\r\n",
        ] {
            socket.write_all(part).await.map_err(unreachable)?;
        }
        // Byte by byte: what stands behind the head is the websocket's.
        let mut head = Vec::new();
        while !(head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n")) {
            if head.len() == HEAD_MAX {
                return Err(Trouble::NotAsterisk);
            }
            head.push(socket.read_u8().await.map_err(|_| Trouble::Closed)?);
        }
        upgraded(&head, &derive_accept_key(key.as_bytes()))?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(config.message_max))
            .max_frame_size(Some(config.message_max));
        let socket = WebSocketStream::from_raw_socket(socket, Role::Client, Some(limits)).await;
        Ok(Listener(socket))
    };
    Ok(timeout(config.request_timeout, opening)
        .await
        .unwrap_or(Err(Trouble::TimedOut)))
}

impl Listener {
    /// The text of the next event; `None` when the socket is closed. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}
