//! As much of HTTP/1.1 as a server needs that also has to answer wrongly on purpose.

use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head, bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Longest body, bytes.
const BODY_MAX: usize = 16 * 1024;

/// A request.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When its last byte had been read.
    pub(crate) read_at: SystemTime,
}

impl Received {
    /// `Ok(None)`: the connection ended before one began, `Err`: not HTTP, too long or cut off.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, ()> {
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        let mut read_at = SystemTime::now();
        let end = loop {
            if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) if read.is_empty() => return Ok(None),
                Ok(n) if n > 0 && read.len() < HEAD_MAX => {
                    read_at = SystemTime::now();
                    read.extend_from_slice(chunk.get(..n).unwrap_or_default())
                }
                _ => return Err(()),
            }
        };
        let mut body = read.split_off(end);
        let head = String::from_utf8(read).map_err(|_| ())?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1")) =
            (first.next(), first.next(), first.next())
        else {
            return Err(());
        };
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (method, path) = (method.to_owned(), path.to_owned());
        let mut request = Self {
            method,
            path,
            headers,
            body: Vec::new(),
            read_at,
        };
        let length = match request.header("content-length") {
            Some(length) => length.parse().map_err(|_| ())?,
            None if request.header("transfer-encoding").is_some() => return Err(()),
            None => 0,
        };
        if length > BODY_MAX || body.len() > length {
            return Err(());
        }
        let have = body.len();
        if have < length {
            body.resize(length, 0);
            let rest = body.get_mut(have..).unwrap_or_default();
            stream.read_exact(rest).await.map_err(|_| ())?;
            request.read_at = SystemTime::now();
        }
        request.body = body;
        Ok(Some(request))
    }

    /// The same request as whoever stands behind a part of its path sees it.
    pub(crate) fn at(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Fields of a form, percent-decoded; values as bytes, since their charset is the acquirer's.
pub(crate) fn form(body: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let decoded = |text: &str| {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let mut digit = || char::from(bytes.next()?).to_digit(16);
                    u8::try_from(digit()? * 16 + digit()?).ok()?
                }
                other => other,
            });
        }
        Some(out)
    };
    let body = std::str::from_utf8(body).ok()?;
    body.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((String::from_utf8(decoded(name)?).ok()?, decoded(value)?))
        })
        .collect()
}

/// A whole answer of text.
pub(crate) fn answer(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    whole(status, content_type, body.as_bytes())
}

/// A whole answer.
pub(crate) fn whole(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        201 => "Created",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let more = match status {
        302 => "location: /elsewhere\r\n",
        401 => "www-authenticate: Basic realm=\"acquirer\"\r\n",
        429 | 503 => "retry-after: 0\r\n",
        _ => "",
    };
    let mut bytes = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
