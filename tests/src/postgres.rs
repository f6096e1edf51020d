//! A PostgreSQL of this test process: made and started when its first test wants it, in a folder of its own, reached by a socket there alone,
//! and ended with the process, however that ends. The journal's own tests have this file too.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

/// Longest that it may take to start, on a machine that is busy.
const START_MAX: Duration = Duration::from_secs(60);

static SERVER: OnceLock<PathBuf> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);
/// Where its files are to be, for what measures the disk.
pub static FOLDER: OnceLock<&str> = OnceLock::new();

/// A new database of it, as a URL.
///
/// # Panics
/// When there is no PostgreSQL, or it does not start.
pub async fn database() -> String {
    let folder = SERVER.get_or_init(start);
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("journal_{number}");
    let mut connection = connect(folder, "postgres").await;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut connection)
        .await
        .unwrap();
    let folder = folder.display();
    format!("postgres:///{name}?host={folder}&user=postgres")
}

/// A connection of somebody else, past the journal.
///
/// # Panics
/// When there is none.
pub async fn raw(url: &str) -> PgConnection {
    connect(SERVER.get().unwrap(), name(url)).await
}

/// Takes a database away, whoever is in it.
///
/// # Panics
/// When it can't be.
pub async fn drop_database(url: &str) {
    let mut connection = connect(SERVER.get().unwrap(), "postgres").await;
    let gone = format!("DROP DATABASE {} WITH (FORCE)", name(url));
    sqlx::raw_sql(AssertSqlSafe(gone))
        .execute(&mut connection)
        .await
        .unwrap();
}

fn name(url: &str) -> &str {
    let name = url.split('?').next().unwrap();
    name.rsplit('/').next().unwrap()
}

async fn connect(folder: &Path, database: &str) -> PgConnection {
    PgConnectOptions::new_without_pgpass()
        .socket(folder)
        .username("postgres")
        .database(database)
        .connect()
        .await
        .unwrap()
}

/// Where Debian, or whoever installed it, has put the programs.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found
        .pop()
        .expect("PostgreSQL is not installed: run scripts/setup")
}

/// Starts it, and somebody who ends it when this process is gone.
fn start() -> PathBuf {
    // Memory, where there is some: what is tested is not the disk. A socket's path must be short.
    let base = match FOLDER.get() {
        Some(folder) => folder,
        None if Path::new("/dev/shm").is_dir() => "/dev/shm",
        None => "/tmp",
    };
    let folder = PathBuf::from(format!("{base}/ivrpay-pg-{}", std::process::id()));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir(&folder).unwrap();
    // PostgreSQL refuses to run as root.
    let user = fs::metadata("/proc/self")
        .map(|me| std::os::unix::fs::MetadataExt::uid(&me))
        .is_ok_and(|uid| uid == 0)
        .then(postgres_user);
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).unwrap();
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let command = |program: &str| {
        let mut command = Command::new(programs().join(program));
        command.current_dir("/").stdin(Stdio::null());
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        command
    };
    let data = folder.join("data");
    let made = command("initdb")
        .args(["--auth=trust", "--username=postgres", "--no-locale"])
        .args(["--encoding=UTF8", "--no-sync", "-D"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(made.status.success(), "initdb: {made:?}");
    let mut settings = fs::OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"))
        .unwrap();
    let socket = folder.display();
    writeln!(
        settings,
        "listen_addresses = ''\nunix_socket_directories = '{socket}'\nmax_connections = 300\nshared_buffers = 32MB\nautovacuum = off"
    )
    .unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut server = command("postgres")
        .arg("-D")
        .arg(&data)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    // Waits for the end of this process, whichever it is, by the end of its input.
    let pid = server.id();
    let mut janitor = Command::new("/bin/sh");
    janitor
        .args(["-c", "trap '' INT TERM; read line; kill -QUIT \"$0\"; sleep 1; kill -KILL \"$0\" 2>/dev/null; rm -rf \"$1\""])
        .arg(pid.to_string())
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    // Its pipe is open as long as this process lives.
    std::mem::forget(janitor.spawn().unwrap());
    let until = Instant::now() + START_MAX;
    while !folder.join(".s.PGSQL.5432").exists() {
        if let Some(status) = server.try_wait().unwrap() {
            let log = fs::read_to_string(folder.join("log"));
            panic!("postgres ended: {status}: {log:?}");
        }
        assert!(Instant::now() < until, "postgres did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ready = || {
        command("pg_isready")
            .args(["-q", "-h"])
            .arg(&folder)
            .status()
            .is_ok_and(|status| status.success())
    };
    while !ready() {
        assert!(Instant::now() < until, "postgres is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::mem::forget(server);
    folder
}

fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("no user postgres: run scripts/setup");
    let mut fields = line.split(':').skip(2);
    let mut number = || fields.next().unwrap().parse().unwrap();
    (number(), number())
}
