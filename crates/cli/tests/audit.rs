//! `ivrpay audit` at the command line: folders, an Asterisk that is absent, old, wrong or gone in the middle, and `--watch`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn ivrpay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ivrpay"))
        .arg("audit")
        .args(arguments)
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn of(folder: &TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

const LEAKING: &[(&str, &str)] = &[
    ("asterisk.conf", "[options]\n"),
    ("extensions.conf", "[general]\n"),
    (
        "logger.conf",
        "[logfiles]\nmessages => notice\nfull => notice,dtmf\n",
    ),
];

#[test]
fn a_folder_is_shown_to_people_and_to_programs() {
    let folder = folder(LEAKING);
    let output = ivrpay(&["--files", of(&folder)]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        shown.starts_with(
            "critical\tlog-dtmf\tlogger.conf:3\tfull => notice,dtmf\twrite instead: full => notice\t"
        ),
        "{shown}"
    );
    assert!(
        shown
            .lines()
            .last()
            .is_some_and(|l| l.starts_with("audit: 1 findings (1 critical, 0 high, 0 warnings), ")),
        "{shown}"
    );
    let output = ivrpay(&["--files", of(&folder), "--json"]);
    let lines = lines(&output);
    assert_eq!(lines[0]["kind"], "finding");
    assert_eq!(
        (&lines[0]["id"], &lines[0]["file"]),
        (&"log-dtmf".into(), &"logger.conf".into())
    );
    assert_eq!(lines[0]["change"]["replace"], "full => notice");
    assert_eq!(lines.last().expect("a summary")["critical"], 1);

    fs::write(
        folder.path().join("logger.conf"),
        "[logfiles]\nfull => notice\n",
    )
    .expect("written");
    let output = ivrpay(&["--files", of(&folder)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn what_can_not_be_read_is_said_in_one_line() {
    let nothing = folder(&[("nginx.conf", "server {}")]);
    let file = nothing.path().join("nginx.conf");
    let gone = nothing.path().join("gone");
    for (path, expected) in [
        (nothing.path(), "no configuration of Asterisk"),
        (file.as_path(), "is no folder"),
        (gone.as_path(), "is no folder"),
    ] {
        let output = ivrpay(&["--files", path.to_str().expect("UTF-8")]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("\nhint: "), "{said}");
        assert!(output.stdout.is_empty());
    }
}

/// As a user who may not: the test itself may be root's.
fn as_nobody(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivrpay"));
    command.arg("audit").args(arguments).current_dir("/");
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.uid(65_534).gid(65_534);
    }
    command.output().expect("it starts")
}

#[test]
fn what_may_not_be_read_is_said_with_what_to_do() {
    for (place, mode) in [("", 0o000), ("", 0o444), ("logger.conf", 0o000)] {
        let folder = folder(LEAKING);
        let closed = folder.path().join(place);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).expect("a mode");
        let output = as_nobody(&["--files", of(&folder)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{place} {mode:o}: {said}");
        let name = closed.to_string_lossy().trim_end_matches('/').to_owned();
        assert!(
            said.contains(&format!("{name} can't be read: Permission denied")),
            "{said}"
        );
        assert!(said.contains("hint: run it as root"), "{said}");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// What Asterisk reads and the audit does not may hold anything: no finding is no proof then.
#[test]
fn a_part_that_is_not_read_is_no_success() {
    for (text, code) in [
        ("[logfiles]\nfull => notice\n", 0),
        ("[logfiles]\nfull => notice\n#tryinclude nobody.conf\n", 0),
        (
            "[logfiles]\nfull => notice\n#include /opt/elsewhere/logger.conf\n",
            1,
        ),
        ("[logfiles]\nfull => notice\n#exec /bin/true\n", 1),
    ] {
        let folder = folder(&[("extensions.conf", "[general]\n"), ("logger.conf", text)]);
        let output = ivrpay(&["--files", of(&folder)]);
        assert_eq!(output.status.code(), Some(code), "{text}");
        let said = self::text(&output.stderr);
        assert_eq!(
            said.contains("not everything could be looked at"),
            code == 1,
            "{said}"
        );
    }
}

#[test]
fn links_loops_and_pipes_do_no_harm() {
    let folder = folder(LEAKING);
    symlink("nowhere", folder.path().join("dangling.conf")).expect("linked");
    symlink(".", folder.path().join("again")).expect("linked");
    symlink("round", folder.path().join("round")).expect("linked");
    // Reading it waits for the kernel's next message.
    symlink("/proc/kmsg", folder.path().join("kernel.conf")).expect("linked");
    let pipe = folder.path().join("pipe.conf");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let output = ivrpay(&["--files", of(&folder)]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    for expected in [
        "not looked at: dangling.conf, because",
        "not looked at: pipe.conf, because it is no plain file",
        "not looked at: round, because a link that leads to itself",
        "not looked at: kernel.conf, because it leads to the kernel",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn an_include_leads_out_of_the_folder() {
    let elsewhere = folder(&[("more.conf", "full => notice,dtmf\n")]);
    let more = elsewhere.path().join("more.conf");
    let text = format!("[logfiles]\n#include \"{}\"\n", more.display());
    let folder = folder(&[("extensions.conf", "[general]\n"), ("logger.conf", &text)]);
    let output = ivrpay(&["--files", of(&folder)]);
    let expected = format!("critical\tlog-dtmf\t{}:1\t", more.display());
    let shown = self::text(&output.stdout);
    assert!(shown.starts_with(&expected), "{shown}");
    fs::remove_file(&more).expect("removed");
    let shown = self::text(&ivrpay(&["--files", of(&folder)]).stdout);
    assert!(
        shown.contains(&format!(
            "not looked at: {} (logger.conf:2)",
            more.display()
        )),
        "{shown}"
    );
}

#[test]
fn wrong_usage() {
    for arguments in [
        &["--every", "5s"][..],
        &["--watch", "--every", "0s"],
        &["--nope"],
        &["--canary"],
        &["--person", "sato"],
        &["--canary", "--person", "two words"],
        &["--canary", "--person", "sato", "--files", "/etc"],
        &["--canary", "--person", "sato", "--extension", "s"],
        &["--canary", "--person", "sato", "--extension", "s@a/n"],
    ] {
        assert_eq!(ivrpay(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = ivrpay(&["--config", "/nope/ivrpay.toml"]);
    assert_eq!(output.status.code(), Some(78));
}

/// A configuration for an Asterisk at these ports.
fn config(folder: &Path, ari: u16, ami: Option<u16>) -> String {
    for secret in ["ari-password", "ami-password"] {
        let path = folder.join(secret);
        fs::write(&path, "secret-of-the-test").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    let ami = ami.map_or(String::new(), |port| {
        format!("[ami]\naddress = \"127.0.0.1:{port}\"\npassword_file = \"ami-password\"\n")
    });
    let text = format!(
        "[ari]\nurl = \"http://127.0.0.1:{ari}/ari\"\npassword_file = \"ari-password\"\nrequest_timeout = \"1s\"\n{ami}[[tenants]]\nname = \"t\"\nmode = \"test\"\nconnector = \"c\"\n[connectors.c]\nkind = \"null\"\n"
    );
    let path = folder.join("ivrpay.toml");
    fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_canary_needs_the_service() {
    let folder = folder(&[]);
    let path = config(folder.path(), 9, None);
    let text_of = fs::read_to_string(&path).expect("read");
    fs::write(&path, format!("{text_of}[admin]\nsocket = \"away\"\n")).expect("written");
    let output = ivrpay(&["--canary", "--person", "sato", "--config", &path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the service does not answer at") && said.contains("hint: "),
        "{said}"
    );
}

/// Serves each connection with `answer`, which gets it as it comes. Ends with the test.
fn serve(answer: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.expect("a connection"));
        }
    });
    port
}

/// A small ARI: `of` gives status and body for a path, `None` = the connection ends in the middle of the answer.
fn ari(of: fn(&str) -> Option<(u16, &'static str)>) -> u16 {
    serve(move |connection| {
        let mut reader = BufReader::new(connection);
        loop {
            let mut head = String::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let stream = reader.get_mut();
            let sent = match of(&path) {
                Some((status, body)) => write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ),
                None => {
                    let part = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n[{{");
                    stream.shutdown(std::net::Shutdown::Both).ok();
                    part
                }
            };
            if sent.is_err() {
                return;
            }
        }
    })
}

const INFO: &str = r#"{"system":{"version":"22.10.1"},"build":{"options":"OPTIONAL_API"}}"#;

fn good(path: &str) -> Option<(u16, &'static str)> {
    Some((
        200,
        match path {
            "/ari/asterisk/info" => INFO,
            "/ari/asterisk/config/dynamic/res_pjsip/global/global" => {
                r#"[{"attribute":"debug","value":"no"}]"#
            }
            "/ari/asterisk/logging" => {
                r#"[{"channel":"/full","type":"File","status":"Enabled","configuration":"NOTICE "}]"#
            }
            _ => "[]",
        },
    ))
}

/// An AMI that answers the challenge, and then as `behind` says.
fn ami(behind: fn(&mut TcpStream)) -> u16 {
    serve(move |mut connection| {
        connection
            .write_all(b"Asterisk Call Manager/11.0.0\r\n")
            .ok();
        behind(&mut connection);
    })
}

/// Reads one action of AMI and gives its id.
fn action(connection: &mut TcpStream) -> Option<String> {
    let mut got = String::new();
    let mut byte = [0];
    while !got.ends_with("\r\n\r\n") {
        if connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        got.push(char::from(byte[0]));
    }
    let id = got.lines().find_map(|l| l.strip_prefix("ActionID: "));
    Some(id.unwrap_or_default().to_owned())
}

#[test]
fn an_asterisk_that_does_not_answer_as_it_should() {
    // (name, ARI, AMI, exit code, what is said)
    type Case = (
        &'static str,
        Option<u16>,
        Option<u16>,
        i32,
        &'static [&'static str],
    );
    let unused = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound")
        .port();
    let wrong_password = ami(|c| {
        for answer in [
            "Response: Success\r\nActionID: %\r\nChallenge: 1\r\n\r\n",
            "Response: Error\r\nActionID: %\r\nMessage: Authentication failed\r\n\r\n",
        ] {
            let Some(id) = action(c) else { return };
            c.write_all(answer.replace('%', &id).as_bytes()).ok();
        }
    });
    let dropped = ami(|c| {
        for answer in [
            "Response: Success\r\nActionID: %\r\nChallenge: 1\r\n\r\n",
            "Response: Success\r\nActionID: %\r\nMessage: Authentication accepted\r\n\r\n",
        ] {
            let Some(id) = action(c) else { return };
            c.write_all(answer.replace('%', &id).as_bytes()).ok();
        }
        action(c);
        c.write_all(b"Response: Success\r\nOutput: in the mid").ok();
    });
    let cases: [Case; 9] = [
        (
            "as it should, without AMI",
            Some(ari(good)),
            None,
            0,
            &["there is no [ami] in the configuration"],
        ),
        (
            "not there",
            Some(unused),
            None,
            1,
            &[
                "because Asterisk's ARI can't be reached",
                "; log channels; ",
            ],
        ),
        (
            "wrong password",
            Some(ari(|_| Some((401, "{}")))),
            None,
            1,
            &[
                "; log channels; ",
                "because Asterisk refused the ARI user or password",
            ],
        ),
        (
            "too old",
            Some(ari(|p| {
                if p == "/ari/asterisk/logging" {
                    Some((404, "{}"))
                } else {
                    good(p)
                }
            })),
            None,
            1,
            &["not looked at: log channels, because this Asterisk does not know the question"],
        ),
        (
            "gone in the middle",
            Some(ari(|p| {
                if p == "/ari/asterisk/modules" {
                    None
                } else {
                    good(p)
                }
            })),
            None,
            1,
            &[
                "; modules",
                "not looked at: PJSIP endpoints; ",
                "because Asterisk gave no whole answer over ARI",
            ],
        ),
        (
            "ARI switched off",
            Some(ari(|_| Some((404, "{}")))),
            None,
            1,
            &[
                "because this Asterisk does not know the question",
                "hint: ARI is switched off",
            ],
        ),
        (
            "something else",
            Some(ari(|_| Some((200, "<html>")))),
            None,
            1,
            &["version", "because Asterisk's answer can't be read"],
        ),
        (
            "wrong password of AMI",
            Some(ari(good)),
            Some(wrong_password),
            1,
            &["because Asterisk refused the AMI user or password"],
        ),
        (
            "AMI gone in the middle",
            Some(ari(good)),
            Some(dropped),
            1,
            &[
                "; core show settings; ",
                "because Asterisk closed the AMI connection",
                "cel show status; ",
            ],
        ),
    ];
    let folder = TempDir::new().expect("a folder");
    for (name, ari, ami, code, expected) in cases {
        let config = config(folder.path(), ari.expect("a port"), ami);
        let output = ivrpay(&["--config", &config]);
        let shown = text(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name}: {shown}{}",
            text(&output.stderr)
        );
        for line in expected {
            assert!(shown.contains(line), "{name}: {line}: {shown}");
        }
        let reasons = shown.lines().filter_map(|l| l.split_once(", because "));
        let reasons: Vec<&str> = reasons.map(|(_, reason)| reason).collect();
        let once: std::collections::BTreeSet<&&str> = reasons.iter().collect();
        assert_eq!(once.len(), reasons.len(), "{name}: a reason twice: {shown}");
        assert!(!shown.contains("secret-of-the-test"));
        assert!(
            shown
                .lines()
                .last()
                .is_some_and(|l| l.starts_with("audit: 0 findings")),
            "{name}: {shown}"
        );
    }
}

#[test]
fn a_watch_tells_what_appears_and_goes_and_ends_on_a_signal() {
    let folder = folder(&[
        ("extensions.conf", "[general]\n"),
        ("logger.conf", "[logfiles]\nfull => notice\n"),
    ]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
        .args(["audit", "--watch", "--every", "1s", "--files", of(&folder)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || -> Value {
        serde_json::from_str(&lines.next().expect("a line").expect("UTF-8")).expect("JSON")
    };
    assert_eq!(next()["kind"], "watching");
    let logger = folder.path().join("logger.conf");
    fs::write(&logger, "[logfiles]\nfull => notice,dtmf\n").expect("written");
    let line = next();
    assert_eq!(
        (&line["kind"], &line["id"], &line["severity"]),
        (&"appeared".into(), &"log-dtmf".into(), &"critical".into())
    );
    fs::write(&logger, "[logfiles]\nfull => notice\n").expect("written");
    let line = next();
    assert_eq!(
        (&line["kind"], &line["id"]),
        (&"gone".into(), &"log-dtmf".into())
    );
    // Without its files nothing is known to be gone.
    fs::write(&logger, "[logfiles]\nfull => notice,dtmf\n").expect("written");
    assert_eq!(next()["kind"], "appeared");
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).expect("moved");
    let line = next();
    assert_eq!(
        (&line["kind"], &line["place"]),
        (&"lost".into(), &"the folder".into())
    );
    fs::rename(&away, folder.path()).expect("moved back");
    assert_eq!(next()["kind"], "back");
    let pid = child.id().to_string();
    let told = Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill");
    assert!(told.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
