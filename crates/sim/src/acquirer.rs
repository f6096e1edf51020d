//! A simulated acquirer: the Generic Pay contract as a server, written from the contract and not from our connector. Below a path of
//! its own each acquirer that has a protocol of its own ([`protocol`]).
//!
//! Books in memory what it approves, knows every transaction by its id, refuses what the contract does not allow, and
//! gives each bad answer on demand: by published test card, or by the amount's last four digits (`--table`). A second, plain port
//! tells the tests what it has seen. Loopback only. Of a card it keeps brand and last four.

mod adyen;
mod books;
mod cards;
mod contract;
mod fault;
mod gmo;
mod held;
mod hooks;
mod http;
mod http2;
mod hyperswitch;
mod kuroneko;
mod members;
mod protocol;
mod sbps;
mod strict;
mod stripe;
mod trouble;
mod veritrans;
mod xml;
mod zeus;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use books::Books;
use contract::Contract;
use protocol::Protocols;

#[derive(clap::Args)]
#[command(after_long_help = fault::table())]
pub(crate) struct Args {
    /// Address of the HTTPS port.
    #[arg(long, default_value = "127.0.10.4:9443")]
    listen: SocketAddr,

    /// Address of the control port: GET /ready, GET /log, GET /settings, POST /fault, POST /webhook, POST /reset over plain HTTP.
    #[arg(long, default_value = "127.0.10.4:9480")]
    control: SocketAddr,

    /// Where to write the certificate of the authority that signed the server's, as PEM: the `ca_file` of a client.
    #[arg(long)]
    cert_out: Option<PathBuf>,

    /// User of HTTP Basic. Without it, no credentials are asked.
    #[arg(long, requires = "password_file")]
    user: Option<String>,

    /// File with the password of HTTP Basic.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,

    /// Written once both ports are open; holds the HTTPS address.
    #[arg(long)]
    ready_file: Option<PathBuf>,

    /// Print the table of cards and amounts, and end.
    #[arg(long)]
    table: bool,
}

/// Serves until it is ended. 0: `--table`; 1: could not start.
#[allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command's output"
)]
pub(crate) async fn run(args: Args) -> u8 {
    if args.table {
        println!("{}", fault::table());
        return 0;
    }
    match Running::start(args).await {
        Ok(running) => {
            eprintln!(
                "acquirer: https on {}, control on {}",
                running.listen, running.control
            );
            running.until_ended().await;
            0
        }
        Err(error) => {
            eprintln!("acquirer: {error:#}");
            1
        }
    }
}

struct Running {
    listen: SocketAddr,
    control: SocketAddr,
    tasks: tokio::task::JoinSet<()>,
}

impl Running {
    async fn start(args: Args) -> anyhow::Result<Self> {
        for address in [args.listen, args.control] {
            if !address.ip().is_loopback() {
                bail!(
                    "{address} is not a loopback address; this server is for tests on one machine"
                );
            }
        }
        let credentials = match (args.user, args.password_file) {
            (Some(user), Some(file)) => {
                let password = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                Some((user, password.trim_end_matches(['\r', '\n']).to_owned()))
            }
            _ => None,
        };
        let https = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let plain = TcpListener::bind(args.control)
            .await
            .with_context(|| format!("cannot listen on {}", args.control))?;
        let (listen, control) = (https.local_addr()?, plain.local_addr()?);
        let (acceptor, authority) = certificate(listen)?;
        if let Some(file) = args.cert_out {
            std::fs::write(&file, authority)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let books = Arc::new(Books::default());
        let protocols = Arc::new(Protocols::new(credentials.as_ref()));
        let contract = Contract::new(books.clone(), protocols.clone(), credentials);
        let contract = Arc::new(contract);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(accept(https, move |stream| {
            let (acceptor, contract) = (acceptor.clone(), contract.clone());
            async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                if stream.get_ref().1.alpn_protocol() == Some(http2::ALPN) {
                    http2::serve(&contract, stream).await;
                } else {
                    contract.serve(stream).await;
                }
            }
        }));
        tasks.spawn(accept(plain, move |stream| {
            let (books, protocols) = (books.clone(), protocols.clone());
            async move { books.serve_control(&protocols, stream).await }
        }));
        if let Some(file) = args.ready_file {
            std::fs::write(&file, format!("{listen}\n"))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Self {
            listen,
            control,
            tasks,
        })
    }

    async fn until_ended(mut self) {
        tokio::select! {
            _ = self.tasks.join_next() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
            // Out of descriptors: those in use come back.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// A certificate for `localhost` and the address, signed by an authority that lives as long as this process; the authority as PEM.
fn certificate(listen: SocketAddr) -> anyhow::Result<(TlsAcceptor, String)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(
        DnType::CommonName,
        format!("ivrpay simulated acquirer {}", uuid::Uuid::now_v7()),
    );
    let authority = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned(), listen.ip().to_string()])?
        .signed_by(&key, &Issuer::new(ca, ca_key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;
    // As acquirers do: a client that must not speak HTTP/2 has to say so.
    config.alpn_protocols = vec![http2::ALPN.to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), authority))
}

#[cfg(test)]
mod tests;
