//! `ivrpay audit` of a running Asterisk: the lab's, hardened, and with a leak switched on at a time.
//!
//! Needs `IVRPAY_TEST_ARI_URL`, `IVRPAY_TEST_ARI_PASSWORD_FILE`, `IVRPAY_TEST_AMI_ADDRESS` and `IVRPAY_TEST_AMI_PASSWORD_FILE`, users as the lab
//! names them; `make e2e` sets them. What it switches on, it switches off.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

struct Lab {
    /// As `127.0.32.1:8088`.
    ari: String,
    ari_password: String,
    ami: String,
    ami_password: String,
    folder: TempDir,
}

impl Lab {
    fn from_env() -> Option<Self> {
        let url = env::var("IVRPAY_TEST_ARI_URL").ok()?;
        let secret = |name: &str| {
            let file = env::var(name).expect("the password file is set beside the address");
            fs::read_to_string(file)
                .expect("readable")
                .trim()
                .to_owned()
        };
        let ari = url
            .split("//")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let lab = Self {
            ari: ari.expect("a URL").to_owned(),
            ari_password: secret("IVRPAY_TEST_ARI_PASSWORD_FILE"),
            ami: env::var("IVRPAY_TEST_AMI_ADDRESS").expect("set beside the URL"),
            ami_password: secret("IVRPAY_TEST_AMI_PASSWORD_FILE"),
            folder: TempDir::new().expect("a folder"),
        };
        let path = lab.folder.path();
        write_secret(&path.join("ari"), &lab.ari_password);
        write_secret(&path.join("ami"), &lab.ami_password);
        let text = format!(
            "[ari]\nurl = \"{url}\"\npassword_file = \"ari\"\n[ami]\naddress = \"{}\"\npassword_file = \"ami\"\n[[tenants]]\nname = \"t\"\nmode = \"test\"\nconnector = \"c\"\n[connectors.c]\nkind = \"null\"\n",
            lab.ami
        );
        fs::write(path.join("ivrpay.toml"), text).expect("written");
        Some(lab)
    }

    /// Lines of JSON, and the exit code.
    fn audit(&self) -> (Vec<Value>, i32) {
        let output = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
            .args(["audit", "--json", "--config"])
            .arg(self.folder.path().join("ivrpay.toml"))
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains(&self.ari_password) && !text.contains(&self.ami_password));
        let lines = text
            .lines()
            .map(|l| serde_json::from_str(l).expect("JSON"))
            .collect();
        (lines, output.status.code().expect("it ends by itself"))
    }

    /// Findings above a note, but for the end of a release: 16 is one of the lab's.
    fn above_a_note(&self) -> Vec<Value> {
        let (lines, code) = self.audit();
        let bad: Vec<Value> = lines
            .into_iter()
            .filter(|l| l["kind"] == "finding" && l["severity"] != "note")
            .collect();
        assert_eq!(code, i32::from(!bad.is_empty()));
        bad.into_iter()
            .filter(|l| l["id"] != "asterisk-end-of-life")
            .collect()
    }

    /// Ids of those that are not `planted`.
    fn bad(&self, planted: &[Value]) -> Vec<String> {
        let bad = self.above_a_note().into_iter();
        bad.filter(|l| !planted.contains(l))
            .map(|l| l["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// A command of Asterisk's command line.
    fn command(&self, command: &str) {
        let mut socket = TcpStream::connect(&self.ami).expect("AMI");
        let login = format!(
            "Action: Login\r\nUsername: ivrpay-audit\r\nSecret: {}\r\nEvents: off\r\n\r\n",
            self.ami_password
        );
        socket.write_all(login.as_bytes()).expect("sent");
        let ask = format!("Action: Command\r\nActionID: 7\r\nCommand: {command}\r\n\r\n");
        socket.write_all(ask.as_bytes()).expect("sent");
        let answered = BufReader::new(socket)
            .lines()
            .any(|line| line.expect("read") == "ActionID: 7");
        assert!(answered, "{command}");
    }

    /// A request of ARI; the status. With `events`, the socket stays open as long as what is given back.
    fn request(&self, method: &str, path: &str, headers: &str) -> (u16, TcpStream) {
        let mut socket = TcpStream::connect(&self.ari).expect("ARI");
        let glue = if path.contains('?') { '&' } else { '?' };
        let head = format!(
            "{method} /ari{path}{glue}api_key=ivrpay:{} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: 0\r\n\r\n",
            self.ari_password, self.ari
        );
        socket.write_all(head.as_bytes()).expect("sent");
        let mut line = String::new();
        BufReader::new(socket.try_clone().expect("cloned"))
            .read_line(&mut line)
            .expect("answered");
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
        (status.expect("a status"), socket)
    }
}

fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, secret).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

#[test]
fn the_hardened_asterisk_has_nothing_above_a_note_and_each_leak_is_seen_while_it_is_on() {
    let Some(lab) = Lab::from_env() else {
        println!(
            "not run: IVRPAY_TEST_ARI_URL is not set; `make e2e` runs this against its Asterisk"
        );
        return;
    };
    // The dialplan of the lab's tests records into payments, and its customers and operators may transfer and record; ours does nothing
    // of the kind.
    let planted = lab.above_a_note();
    for finding in &planted {
        let place = finding["running"].as_str().expect("a place");
        assert!(
            (place.starts_with("dialplan show") && !place.contains(" ivrpay"))
                || place == "features show",
            "{finding}"
        );
    }
    assert!(
        planted.iter().any(|l| l["id"] == "dialplan-feature-rights"),
        "{planted:#?}"
    );
    let (lines, _) = lab.audit();
    let summary = lines.last().expect("a summary");
    assert!(
        summary["looked_at"].as_u64().is_some_and(|n| n >= 15),
        "{summary}"
    );

    lab.command("logger add channel ivrpay-leak dtmf,notice");
    assert_eq!(lab.bad(&planted), ["log-dtmf"]);
    lab.command("logger remove channel ivrpay-leak");
    lab.command("core set debug 3");
    assert_eq!(lab.bad(&planted), ["core-debug"]);
    lab.command("core set debug 0");
    assert_eq!(lab.bad(&planted), [""; 0]);

    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // Not with subscribeAll: 16 keeps such an application, subscriptions and all, when its client has gone.
    let (status, nosy) = lab.request("GET", "/events?app=nosy", upgrade);
    assert_eq!(status, 101);
    assert_eq!(lab.bad(&planted), [""; 0]);
    let endpoint = "/applications/nosy/subscription?eventSource=endpoint:PJSIP/trunk";
    assert_eq!(lab.request("POST", endpoint, "").0, 200);
    assert_eq!(lab.bad(&planted), ["ari-other-app"]);
    assert_eq!(lab.request("DELETE", endpoint, "").0, 200);
    drop(nosy);

    // Files are read over AMI, with a call or without.
    assert!(
        lines
            .iter()
            .all(|l| l["place"] != "values of files (AST_CONFIG)"),
        "{lines:#?}"
    );

    // What is loaded, wherever it came from.
    for step in [
        "s,1,Read(CARD,,16)",
        "s,2,Set(CDR(userfield)=${CARD})",
        "s,3,Set(FRAME_TRACE(white)=DTMF_BEGIN)",
        "s,4,MixMonitor(x.wav)",
        "s,5,Stasis(ivrpay)",
    ] {
        lab.command(&format!("dialplan add extension {step} into ivrpay-leak"));
    }
    let mut bad = lab.bad(&planted);
    bad.sort();
    lab.command("dialplan remove context ivrpay-leak");
    assert_eq!(
        bad,
        [
            "dialplan-digits-out",
            "dialplan-frame-trace",
            "dialplan-read",
            "dialplan-recorded-payment",
        ]
    );
    assert_eq!(lab.bad(&planted), [""; 0]);
}
