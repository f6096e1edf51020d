//! The pay key without AGI: it asks over ARI on a Local channel, and AMI's Redirect moves both. The same must come of it.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::*;

/// The same extension, with the key that asks without AGI (`scripts/lab`).
pub(super) fn by_ami(extension: &str) -> String {
    format!("59{extension}")
}

/// Those of the other way of which the same must come; the first alone where not all are wanted.
const SAME: [&str; 9] = [
    "the operator waits, keys by rfc4733",
    "the operator stays, keys by rfc4733",
    "the operator stays, keys by inband",
    "the key twice, quickly",
    "the customer presses the key: nothing happens",
    "a second payment in the same call",
    "*9 pauses in a number and goes on, the operator waits",
    "*0 by the operator who waits cancels",
    "of two payments the operator takes the second",
];

pub(super) fn cases(all: bool) -> Vec<Case> {
    let number = if all { SAME.len() } else { 1 };
    let wanted = SAME.get(..number).unwrap_or_default();
    let mut cases = super::cases();
    cases.retain(|case| wanted.contains(&case.name.as_str()));
    if all {
        cases.push(case("from the queue", By::Queue));
    }
    let by_ami = |case: Case| Case {
        name: format!("by AMI, {}", case.name),
        by_ami: true,
        ..case
    };
    cases.into_iter().map(by_ami).collect()
}

fn refused(lab: &Lab, operator: usize) -> Refused<'_> {
    Refused {
        extension: by_ami(&By::Hold.extension(operator)),
        ..Refused::new(lab, operator)
    }
}

async fn says(service: &Service, operator: usize, why: &[&str]) -> anyhow::Result<()> {
    let said = refusals(service, operator)?;
    ensure!(said == why, "the log says {said:?}, not {why:?}");
    Ok(())
}

/// Two payments for this operator, who has to choose.
async fn two_wait(service: &Service, operator: usize) -> anyhow::Result<Vec<String>> {
    let mut waiting = Vec::new();
    for amount in [3300, 4400] {
        waiting.push(announce(service, operator, amount, None).await?);
    }
    Ok(waiting)
}

async fn still_wait(service: &Service, payments: &[String]) -> anyhow::Result<()> {
    for payment in payments {
        let state = service.payment(payment).await?["state"].clone();
        ensure!(state == "waiting", "the payment is {state}");
    }
    Ok(())
}

/// Nothing waits; several do and none is chosen; and the operator hangs up in the choice.
async fn nothing_waits(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let operator = 207;
    refused(lab, operator).place(nothing()).await?;
    says(service, operator, &["NothingWaiting"]).await?;
    let waiting = two_wait(service, operator).await?;
    refused(lab, operator).place(nothing()).await?;
    let seat = Seat::new(lab, operator)?;
    let desk = seat
        .phone(&[format!("{PRESS} sleep:3000 hangup")])?
        .start(lab)
        .await?;
    let extension = by_ami(&By::Hold.extension(operator));
    let call = Call {
        deaf: true,
        ..seat.customer(lab, extension, "hears:500 until-end", "rfc4733")?
    };
    call.place(lab).await?;
    ended(desk).await?;
    nothing_is_left(lab, service).await?;
    still_wait(service, &waiting).await
}

/// The service is away: the dialplan says so.
async fn daemon_away(lab: &Lab) -> anyhow::Result<()> {
    refused(lab, 210).place(nothing()).await
}

/// SIGKILL while the operator is asked which of two is meant: the next service gives the Local channel back, and both talk on.
async fn killed_in_the_choice(lab: &Lab) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "operator-ami-killed", true, short).await?;
    let operator = 213;
    let waiting = two_wait(&service, operator).await?;
    let seat = Seat::new(lab, operator)?;
    let desk = seat
        .phone(&[format!("{PRESS} sleep:4000 hears:1000 sleep:900 hangup")])?
        .start(lab)
        .await?;
    let extension = by_ami(&By::Hold.extension(operator));
    let call = Call {
        deaf: true,
        ..seat.customer(lab, extension, "hears:500 until-end", "rfc4733")?
    };
    let kill = async {
        let began = Instant::now();
        loop {
            let channels = lab.ari("GET", "/channels").await?;
            let asks = |c: &Value| {
                let data = c["dialplan"]["app_data"].as_str().unwrap_or_default();
                c["dialplan"]["app_name"] == "Stasis" && data.contains("key=")
            };
            if channels.as_array().is_some_and(|all| all.iter().any(asks)) {
                break;
            }
            ensure!(began.elapsed() < Duration::from_secs(20), "no key came");
        }
        // In the middle of the question.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        service.kill_and_start().await
    };
    let (report, killed) = tokio::join!(call.place(lab), kill);
    killed?;
    let (report, operator) = (report?, ended(desk).await?);
    let told = || format!("the customer: {report:?}; the operator: {operator:?}");
    ensure!(operator.result == "hung-up", "{}", told());
    let heard = heard_at(&operator.voices, CUSTOMER, 0);
    ensure!(heard.len() >= 2, "they did not talk again; {}", told());
    still_wait(&service, &waiting).await?;
    nothing_is_left(lab, &service).await
}

/// AMI does not answer, does not let us in, or may not redirect: the operator hears it, and the log and `check` say what to do.
async fn not_redirected(lab: &Lab) -> anyhow::Result<()> {
    type Change = fn(&mut toml::Table);
    let wrong: [(&str, Change, &str); 4] = [
        (
            "away",
            |config| set(config, "pay_key.address", "127.0.0.1:9"),
            "can't be reached",
        ),
        (
            "refused",
            |config| set(config, "pay_key.user", "ivrpay-nobody"),
            "refused the AMI user",
        ),
        (
            "without its class",
            |config| {
                set(config, "pay_key.user", "ivrpay-audit");
                let file = config["ami"]["password_file"].clone();
                set(config, "pay_key.password_file", file);
            },
            "classes do not allow it",
        ),
        (
            "not configured",
            |config| drop(config.remove("pay_key")),
            "there is no [pay_key]",
        ),
    ];
    for (name, change, why) in wrong {
        let service = Service::start(lab, "operator-redirect", true, |config| {
            short(config);
            change(config);
        })
        .await?;
        let operator = 210;
        let payment = announce(&service, operator, 3300, None).await?;
        refused(lab, operator)
            .place(nothing())
            .await
            .context(name)?;
        says(&service, operator, &["ServiceAway"]).await?;
        let log = std::fs::read_to_string(service.folder.join("log"))?;
        ensure!(log.contains(why), "{name}: the log does not say {why:?}");
        let state = service.payment(&payment).await?["state"].clone();
        ensure!(state == "waiting", "{name}: the payment is {state}");
        nothing_is_left(lab, &service).await?;
        let facts = checked(&service).await?;
        let found = facts
            .iter()
            .any(|f| f["verdict"] == "bad" && f["fact"].as_str().is_some_and(|f| f.contains(why)));
        // What the dialplan of one call says, `check` does not see.
        ensure!(
            found || name == "not configured",
            "{name}: check says {facts:?}"
        );
    }
    Ok(())
}

/// What `ivrpay check` says of the pay key.
async fn checked(service: &Service) -> anyhow::Result<Vec<Value>> {
    let output = tokio::process::Command::new(binary("ivrpay")?)
        .args(["check", "--json", "--config"])
        .arg(service.folder.join("ivrpay.toml"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|fact| fact["ring"] == "pay-key")
        .collect())
}

/// A session with AMI as the user of the pay key.
pub(super) struct Manager(BufReader<TcpStream>);

impl Manager {
    pub(super) async fn login(lab: &Lab) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(lab.get("AMI_ADDRESS")?).await?;
        let mut manager = Self(BufReader::new(socket));
        let password = std::fs::read_to_string(lab.path("AMI_KEY_PASSWORD_FILE")?)?;
        let fields = format!("Username: ivrpay-key\r\nSecret: {}\r\n", password.trim());
        let said = manager.action("Login", &fields).await?;
        ensure!(said.contains("accepted"), "Login: {said}");
        Ok(manager)
    }

    /// What Asterisk says to it.
    pub(super) async fn action(&mut self, action: &str, fields: &str) -> anyhow::Result<String> {
        let text = format!("Action: {action}\r\n{fields}\r\n");
        self.0.write_all(text.as_bytes()).await?;
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line);
            let read = tokio::time::timeout(Duration::from_secs(5), read).await;
            ensure!(read.context("no answer")?? > 0, "{action}: closed");
            ensure!(!line.starts_with("Event:"), "{action}: got {line}");
            if let Some(message) = line.strip_prefix("Message: ") {
                return Ok(message.trim().to_owned());
            }
        }
    }
}

/// Our user may redirect, and neither run a command nor place a call, with a program or without; and gets no event. `check` and
/// `audit` have nothing against it.
async fn the_user_may_nothing_else(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let mut manager = Manager::login(lab).await?;
    for (action, fields, expected) in [
        (
            "Redirect",
            "Channel: PJSIP/nobody-1\r\nContext: ivrpay-key\r\nExten: go\r\nPriority: 1\r\n",
            "does not exist",
        ),
        ("Command", "Command: core show version\r\n", "denied"),
        (
            "Originate",
            "Channel: Local/go@ivrpay-key\r\nApplication: System\r\nData: true\r\n",
            "denied",
        ),
        (
            "Originate",
            "Channel: Local/go@ivrpay-key\r\nApplication: Wait\r\nData: 1\r\n",
            "denied",
        ),
        ("GetConfig", "Filename: manager.conf\r\n", "denied"),
        ("ModuleLoad", "LoadType: reload\r\n", "denied"),
        ("UserEvent", "UserEvent: x\r\n", "denied"),
    ] {
        let message = manager.action(action, fields).await?;
        ensure!(message.contains(expected), "{action}: {message}");
    }
    let facts = checked(service).await?;
    let said = |text: &str| {
        facts
            .iter()
            .find(|f| f["fact"].as_str().is_some_and(|f| f.contains(text)))
    };
    ensure!(
        said("may redirect").is_some_and(|f| f["verdict"] == "good"),
        "check says {facts:?}"
    );
    let audit = tokio::process::Command::new(binary("ivrpay")?)
        .args(["audit", "--json", "--config"])
        .arg(service.folder.join("ivrpay.toml"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&audit.stdout);
    ensure!(
        text.contains("\"summary\"") && !text.contains("ivrpay-key"),
        "audit says {text}"
    );
    Ok(())
}

/// What each needs a service of its own, or none.
pub(super) async fn own(tally: &mut Tally, lab: &Lab, wanted: impl Fn(&str) -> bool, all: bool) {
    let with_service = async {
        let service = Service::start(lab, "operator-ami", true, short).await?;
        nothing_waits(lab, &service).await
    };
    let called = async {
        let service = Service::start(lab, "operator-ami-called", true, short).await?;
        called_out(lab, &service, &by_ami("69")).await
    };
    let user = async {
        let service = Service::start(lab, "operator-ami-user", true, short).await?;
        the_user_may_nothing_else(lab, &service).await
    };
    let checks: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 6] = [
        (
            "by AMI, the service is killed in the choice: both talk on",
            killed_in_the_choice(lab).boxed_local(),
        ),
        (
            "by AMI, the operator calls, and takes the payment",
            called.boxed_local(),
        ),
        (
            "by AMI, nothing waits, or none is chosen: refused",
            with_service.boxed_local(),
        ),
        (
            "by AMI, the service is away: refused",
            daemon_away(lab).boxed_local(),
        ),
        (
            "by AMI, it does not answer or may not: refused, and check says what to do",
            not_redirected(lab).boxed_local(),
        ),
        ("by AMI, the user may nothing else", user.boxed_local()),
    ];
    for (name, check) in checks {
        let name = format!("pay key: {name}");
        if all && wanted(&name) {
            tally.one(&name, check).await;
        }
    }
}
