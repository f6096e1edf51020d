//! An Asterisk of a few lines: one HTTP server that records requests and hands the event sockets to the test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::handshake::server::{ErrorResponse, Request as UpgradeRequest, Response},
};

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: String,
    pub head: String,
}

/// What is answered: status and body, or nothing, ever.
pub type Answer = Option<(u16, String)>;
/// An event socket, with uri and headers of its request.
pub type Socket = (WebSocketStream<TcpStream>, Vec<(String, String)>);
type Answers = Box<dyn FnMut(&Request) -> Answer + Send>;

/// The fake Asterisk. Ends with the runtime of its test.
pub struct Fake {
    pub at: SocketAddr,
    /// Event sockets.
    pub sockets: mpsc::UnboundedReceiver<Socket>,
    pub requests: mpsc::UnboundedReceiver<Request>,
    answers: Arc<Mutex<Answers>>,
}

impl Fake {
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn on(listener: TcpListener) -> Self {
        let at = listener.local_addr().unwrap();
        let (sockets_in, sockets) = mpsc::unbounded_channel();
        let (requests_in, requests) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(default_answer)));
        let shared = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(
                    stream,
                    sockets_in.clone(),
                    requests_in.clone(),
                    Arc::clone(&shared),
                ));
            }
        });
        Self {
            at,
            sockets,
            requests,
            answers,
        }
    }

    pub fn answer(&self, answers: impl FnMut(&Request) -> Answer + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    /// The next event socket.
    pub async fn socket(&mut self) -> WebSocketStream<TcpStream> {
        self.sockets.recv().await.unwrap().0
    }

    /// The next request for which `wanted` holds; others are passed over.
    pub async fn request(&mut self, wanted: impl Fn(&Request) -> bool) -> Request {
        let found = async {
            loop {
                let request = self.requests.recv().await.unwrap();
                if wanted(&request) {
                    return request;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), found)
            .await
            .expect("such a request")
    }
}

pub fn default_answer(request: &Request) -> Answer {
    Some(if request.method == "GET" {
        (200, "[]".to_owned())
    } else {
        (204, String::new())
    })
}

#[allow(clippy::result_large_err, reason = "tungstenite's callback")]
async fn serve(
    mut stream: TcpStream,
    sockets: mpsc::UnboundedSender<Socket>,
    requests: mpsc::UnboundedSender<Request>,
    answers: Arc<Mutex<Answers>>,
) {
    let mut start = [0; 15];
    while stream
        .peek(&mut start)
        .await
        .is_ok_and(|len| len > 0 && len < start.len())
    {
        tokio::task::yield_now().await;
    }
    let refused = if &start == b"GET /ari/events" {
        let probe = Request {
            method: "GET".into(),
            path: "/events".into(),
            body: String::new(),
            head: String::new(),
        };
        (answers.lock().unwrap())(&probe).filter(|(status, _)| *status != 200)
    } else {
        None
    };
    if &start == b"GET /ari/events" && refused.is_none() {
        let mut headers = Vec::new();
        let look =
            |request: &UpgradeRequest, response: Response| -> Result<Response, ErrorResponse> {
                headers.push(("uri".to_owned(), request.uri().to_string()));
                for (name, value) in request.headers() {
                    headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
                }
                Ok(response)
            };
        if let Ok(socket) = accept_hdr_async(stream, look).await {
            sockets.send((socket, headers)).unwrap_or_default();
        }
        return;
    }
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let len: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(|n| n.trim().parse().unwrap())
            })
            .unwrap_or(0);
        while bytes.len() < end + len {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = String::from_utf8(bytes[end..end + len].to_vec()).unwrap();
        bytes.drain(..end + len);
        let mut first = head.split(' ');
        let method = first.next().unwrap().to_owned();
        let path = first
            .next()
            .unwrap()
            .strip_prefix("/ari")
            .unwrap()
            .to_owned();
        let request = Request {
            method,
            path,
            body,
            head,
        };
        let answer = refused
            .clone()
            .or_else(|| (answers.lock().unwrap())(&request));
        requests.send(request).unwrap_or_default();
        let Some((status, body)) = answer else {
            std::future::pending::<()>().await;
            return;
        };
        let text = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
