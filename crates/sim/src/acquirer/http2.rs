//! HTTP/2 in front of the contract: each request is handed on as HTTP/1.1, so that there is one reading of it and one answer. An
//! answer that is no whole HTTP/1.1 is a reset stream.

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::contract::Contract;

/// The protocol's name in ALPN (RFC 9113, 3.2).
pub(crate) const ALPN: &[u8] = b"h2";

/// Serves one connection to its end, a request at a time.
pub(crate) async fn serve(contract: &Contract, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        // Frames are read and written by whoever polls the connection: it goes on beside the request, and carries the answer out.
        let work = exchange(contract, request, &mut answer);
        tokio::select! {
            biased;
            () = work => {}
            () = async { while connection.accept().await.is_some() {} } => return,
        }
    }
}

async fn exchange(
    contract: &Contract,
    request: Request<h2::RecvStream>,
    answer: &mut SendResponse<Bytes>,
) {
    let sent = async {
        let (head, body) = request.into_parts();
        let body = whole(body).await?;
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let mut text = format!("{} {target} HTTP/1.1\r\n", head.method);
        for (name, value) in &head.headers {
            if name != http::header::CONTENT_LENGTH {
                text += &format!("{name}: {}\r\n", value.to_str().ok()?);
            }
        }
        text += &format!("content-length: {}\r\n\r\n", body.len());
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let asked = async move {
            near.write_all(text.as_bytes()).await.ok()?;
            near.write_all(&body).await.ok()?;
            // What follows is no further request: the contract ends when it has answered.
            near.shutdown().await.ok()?;
            let mut said = Vec::new();
            near.read_to_end(&mut said).await.ok()?;
            Some(said)
        };
        let ((), said) = tokio::join!(contract.serve(far), asked);
        let (head, body) = parts(said?)?;
        let mut stream = answer.send_response(head, body.is_empty()).ok()?;
        if !body.is_empty() {
            stream.send_data(body.into(), true).ok()?;
        }
        Some(())
    };
    if sent.await.is_none() {
        answer.send_reset(Reason::INTERNAL_ERROR);
    }
}

async fn whole(mut body: h2::RecvStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.ok()?;
        body.flow_control().release_capacity(part.len()).ok()?;
        all.extend_from_slice(&part);
    }
    Some(all)
}

/// Of an answer in HTTP/1.1: the head, and a body of the length that it says.
fn parts(mut said: Vec<u8>) -> Option<(Response<()>, Vec<u8>)> {
    let end = said.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let body = said.split_off(end);
    let text = String::from_utf8(said).ok()?;
    let mut lines = text.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: http::HeaderName = name.parse().ok()?;
        headers.append(name, value.parse().ok()?);
    }
    let length: usize = headers.get("content-length")?.to_str().ok()?.parse().ok()?;
    let mut head = Response::builder().status(status).body(()).ok()?;
    *head.headers_mut() = headers;
    (body.len() == length).then_some((head, body))
}
