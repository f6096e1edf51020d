//! `ivrpay recording resolve`: nothing is deleted that is not written down first, whatever the service answers.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;

use serde_json::{Value, json};
use tempfile::TempDir;

const ID: &str = "01890000-0000-7000-8000-00000000000a";

fn recording(file: &Path, state: &str) -> Value {
    json!({
        "id": ID, "state": state, "origin": "/spool/a.wav", "file": file, "call": null, "marked_by": "me", "reason": "",
        "marked_at": "2026-11-26T00:00:00Z", "due_at": "2026-11-27T00:00:00Z", "resolved_by": null, "resolved_at": null,
    })
}

/// A service whose list has one recording, and that refuses `refused`; the actions that came, and whether the file was there then.
fn service(
    folder: &Path,
    file: &Path,
    state: &'static str,
    refused: Option<&'static str>,
) -> mpsc::Receiver<(String, bool)> {
    let socket = folder.join("admin");
    fs::remove_file(&socket).ok();
    let listener = UnixListener::bind(socket).expect("bound");
    let (tell, told) = mpsc::channel();
    let file = file.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let begin = head.len();
                if reader.read_line(&mut head).expect("read") == 0 {
                    break;
                }
                let line = head.get(begin..).unwrap_or_default().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let (status, answer) = if head.starts_with("POST") {
                let body: Value = serde_json::from_slice(&body).expect("JSON");
                let action = body["action"].as_str().expect("an action").to_owned();
                let good = Some(action.as_str()) != refused;
                let answer = if good {
                    recording(&file, &action)
                } else {
                    json!({"error": {"code": "invalid", "message": "the service says no"}})
                };
                tell.send((action, file.exists())).ok();
                (if good { 200 } else { 400 }, answer)
            } else {
                (200, json!({"recordings": [recording(&file, state)]}))
            };
            let answer = answer.to_string();
            write!(
                reader.get_mut(),
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .expect("sent");
        }
    });
    told
}

fn resolve(folder: &Path, action: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ivrpay"))
        .args(["recording", "resolve", ID, "--by", "T. Yamada", "--action"])
        .arg(action)
        .arg("--config")
        .arg(folder.join("ivrpay.toml"))
        .output()
        .expect("it starts")
}

#[test]
fn nothing_is_deleted_that_is_not_written_down() {
    // (what, state in the journal, the file is there, action, what is refused) → (exit code, the file is there, what was asked)
    type Case = (
        &'static str,
        &'static str,
        bool,
        &'static str,
        Option<&'static str>,
    );
    type Outcome = (i32, bool, &'static [(&'static str, bool)]);
    let cases: [(Case, Outcome); 6] = [
        (
            ("all goes well", "quarantined", true, "deleted", None),
            (0, false, &[("deleting", true), ("deleted", false)]),
        ),
        (
            (
                "the service refuses",
                "quarantined",
                true,
                "deleted",
                Some("deleting"),
            ),
            (1, true, &[("deleting", true)]),
        ),
        (
            (
                "the service goes in between",
                "quarantined",
                true,
                "deleted",
                Some("deleted"),
            ),
            (1, false, &[("deleting", true), ("deleted", false)]),
        ),
        (
            ("and once more", "deleting", false, "deleted", None),
            (0, false, &[("deleting", false), ("deleted", false)]),
        ),
        (
            (
                "a file that was never there",
                "quarantined",
                false,
                "deleted",
                None,
            ),
            (1, false, &[]),
        ),
        (
            (
                "a deleted one is not redacted",
                "deleting",
                false,
                "redacted",
                None,
            ),
            (1, false, &[]),
        ),
    ];
    for ((what, state, there, action, refused), (code, left, asked)) in cases {
        let folder = TempDir::new().expect("a folder");
        let (folder, file) = (folder.path(), folder.path().join("a.wav"));
        let secret = folder.join("ari");
        fs::write(&secret, "secret-of-the-test").expect("written");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("a mode");
        let config = "[ari]\nurl = \"http://127.0.0.1:9/ari\"\npassword_file = \"ari\"\n[admin]\nsocket = \"admin\"\n[[tenants]]\nname = \"t\"\nmode = \"test\"\nconnector = \"c\"\n[connectors.c]\nkind = \"null\"\n";
        fs::write(folder.join("ivrpay.toml"), config).expect("written");
        if there {
            fs::write(&file, b"sound").expect("written");
        }
        let told = service(folder, &file, state, refused);
        let output = resolve(folder, action);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert_eq!(file.exists(), left, "{what}: the file");
        let seen: Vec<_> = told.try_iter().collect();
        let asked: Vec<_> = asked.iter().map(|(a, f)| ((*a).to_owned(), *f)).collect();
        assert_eq!(seen, asked, "{what}");
    }
}
