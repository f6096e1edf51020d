//! Who else could see a card: an AMI user who may read everything, another ARI application, the events of our own API.
//! Each writes what it gets into a file, which is then searched.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::Service;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// The other ARI application.
pub(crate) const WALLBOARD: &str = "wallboard";

/// A third one, that is subscribed to nothing by itself.
pub(crate) const LISTENER: &str = "listener";

/// Ends what it watches when it is dropped.
pub(crate) struct Watcher(JoinHandle<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn file(path: PathBuf) -> anyhow::Result<tokio::fs::File> {
    let mut options = tokio::fs::OpenOptions::new();
    let file = options.create(true).append(true).open(&path).await;
    file.with_context(|| format!("{} can't be written", path.display()))
}

async fn login(lab: &Lab, who: &str, events: bool) -> anyhow::Result<TcpStream> {
    let user = lab.get(&format!("AMI_{who}_USER"))?;
    let secret = std::fs::read_to_string(lab.path(&format!("AMI_{who}_PASSWORD_FILE"))?)?;
    let mut socket = TcpStream::connect(lab.get("AMI_ADDRESS")?)
        .await
        .context("AMI is away")?;
    let events = if events { "on" } else { "off" };
    let login = format!(
        "Action: Login\r\nUsername: {user}\r\nSecret: {}\r\nEvents: {events}\r\n\r\n",
        secret.trim()
    );
    socket.write_all(login.as_bytes()).await?;
    Ok(socket)
}

/// All events of an AMI user with `read = all`.
pub(crate) async fn ami(lab: &Lab, path: PathBuf) -> anyhow::Result<Watcher> {
    let mut socket = login(lab, "SPY", true).await?;
    let mut file = file(path).await?;
    let mut first = vec![0; 4096];
    // The banner, then the answer to the login.
    let mut greeting = String::new();
    while !greeting.contains("Response:") {
        let n = socket.read(&mut first).await?;
        ensure!(n > 0, "AMI closed the connection at the login");
        greeting.push_str(&String::from_utf8_lossy(&first[..n]));
    }
    ensure!(
        greeting.contains("Response: Success"),
        "AMI refused the user who may read everything"
    );
    Ok(Watcher(tokio::spawn(async move {
        drop(tokio::io::copy(&mut socket, &mut file).await);
    })))
}

/// What a command of Asterisk's CLI prints, by AMI.
pub(crate) async fn cli(lab: &Lab, who: &str, command: &str) -> anyhow::Result<String> {
    let mut socket = login(lab, who, false).await?;
    let action = format!("Action: Command\r\nCommand: {command}\r\n\r\nAction: Logoff\r\n\r\n");
    socket.write_all(action.as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer))
        .await
        .with_context(|| format!("AMI did not answer `{command}` within 10 s"))??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    ensure!(
        answer.contains("Output: ") || answer.contains("--END COMMAND--"),
        "AMI refused `{command}`"
    );
    Ok(answer)
}

/// All events of another ARI application that is subscribed to everything.
pub(crate) async fn ari(lab: &Lab, path: PathBuf) -> anyhow::Result<Watcher> {
    application(lab, &format!("{WALLBOARD}&subscribeAll=true"), path).await
}

/// An ARI application that has to subscribe to what it wants.
pub(crate) async fn listener(lab: &Lab, path: PathBuf) -> anyhow::Result<Watcher> {
    application(lab, LISTENER, path).await
}

async fn application(lab: &Lab, app: &str, path: PathBuf) -> anyhow::Result<Watcher> {
    let password = std::fs::read_to_string(lab.path("ARI_PASSWORD_FILE")?)?;
    let base = lab.get("ARI_URL")?.replacen("http", "ws", 1);
    let basic = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(lab.get("ARI_URL")?)
        .basic_auth(lab.get("ARI_USER")?, Some(password.trim()))
        .build()?;
    let mut request = format!("{base}/events?app={app}").into_client_request()?;
    if let Some(header) = basic.headers().get("authorization") {
        request
            .headers_mut()
            .insert("authorization", header.clone());
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .context("Asterisk refused the other application")?;
    let mut file = file(path).await?;
    Ok(Watcher(tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let line = message.into_data();
            drop(file.write_all(&line).await);
            drop(file.write_all(b"\n").await);
        }
    })))
}

/// The steps that our API announces.
pub(crate) async fn sse(service: &Service, path: PathBuf) -> anyhow::Result<Watcher> {
    let mut events = service.events().await?;
    let mut file = file(path).await?;
    Ok(Watcher(tokio::spawn(async move {
        while let Ok(event) = events.next().await {
            drop(file.write_all(format!("{event}\n").as_bytes()).await);
        }
    })))
}

/// Appends to a file.
pub(crate) async fn note(path: PathBuf, text: &str) -> anyhow::Result<()> {
    let mut file = file(path).await?;
    file.write_all(text.as_bytes()).await?;
    file.write_all(b"\n").await?;
    file.flush().await?;
    Ok(())
}
