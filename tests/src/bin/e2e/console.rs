//! The console in a real browser, over a real call: it follows the keys as counts, asks the expiry again, and says how it ended.
//!
//! With `IVRPAY_PICTURES=1` the pictures of `docs/images` are made anew.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ivrpay_tests::browser::Page;
use ivrpay_tests::lab::{Lab, binary, root};
use ivrpay_tests::service::{Service, set};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::operator::{By, GOODBYE, PRESS, Seat, announce};
use crate::scenarios::{OtherResult, own_cards};
use crate::{Tally, short};

/// Whose telephone it is.
const OPERATOR: usize = 212;
const PASSWORD: &str = "a long pass phrase of the lab";
const ORDER: &str = "A-1024";

pub(crate) async fn run(tally: &mut Tally, lab: &Lab, wanted: impl Fn(&str) -> bool) {
    let name = "console: a browser follows a call, asks the expiry again, and says that it is paid; no digit is in it";
    if wanted(name) {
        tally.patiently(name, || followed(lab)).await;
    }
}

/// The console's process.
struct Console {
    _child: Child,
    address: String,
}

impl Console {
    async fn start(lab: &Lab, service: &Service) -> anyhow::Result<Self> {
        let address = format!("{}:9490", lab.get("PHONE_IP")?);
        let settings = format!(
            "listen = \"{address}\"\nlanguage = \"ja\"\ntime_zone = \"Asia/Tokyo\"\n[api]\naddress = \"{}\"\n",
            service.api
        );
        let file = service.folder.join("console.toml");
        std::fs::write(&file, settings)?;
        let checked = Command::new(binary("ivrpay")?)
            .args(["console", "check", "--config"])
            .arg(&file)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&checked.stdout);
        ensure!(checked.status.success(), "ivrpay console check: {said}");
        let child = Command::new(binary("ivrpay")?)
            .args(["console", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(Self {
            _child: child,
            address: format!("http://{address}"),
        })
    }
}

/// Somebody who may sign in; a code of his for the day that the authenticator is lost, which is good once.
async fn person(service: &Service, name: &str, role: &str) -> anyhow::Result<String> {
    let run = async |arguments: &[&str]| -> anyhow::Result<Value> {
        let (json, said, good) = service.cli(&[&["person"], arguments].concat()).await?;
        ensure!(good, "ivrpay person {arguments:?}: {said}");
        Ok(json)
    };
    let extension = OPERATOR.to_string();
    run(&[
        "create",
        name,
        "--role",
        role,
        "--tenant",
        "demo",
        "--language",
        "ja",
        "--shown",
        "佐藤 花子",
        "--extension",
        &extension,
        "--by",
        "e2e",
    ])
    .await?;
    let file = service.folder.join("password");
    std::fs::write(&file, PASSWORD)?;
    let path = file.display().to_string();
    run(&["password", name, "--file", &path, "--by", "e2e"]).await?;
    let factor = run(&["second-factor", name, "--by", "e2e"]).await?;
    let code = totp(factor["secret"].as_str().context("no secret")?)?;
    let codes = run(&["confirm", name, "--code", &code, "--by", "e2e"]).await?;
    let first = codes["codes"][0].as_str().context("no code")?;
    Ok(first.to_owned())
}

/// RFC 6238: SHA-1, six digits, half a minute.
fn totp(secret: &str) -> anyhow::Result<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bits = String::new();
    for sign in secret.bytes().filter(|b| b.is_ascii_alphanumeric()) {
        let place = ALPHABET
            .iter()
            .position(|known| *known == sign.to_ascii_uppercase());
        bits.push_str(&format!("{:05b}", place.context("no base 32")?));
    }
    let whole = bits.as_bytes().chunks_exact(8);
    let key: Vec<u8> = whole
        .map(|byte| u8::from_str_radix(&String::from_utf8_lossy(byte), 2))
        .collect::<Result<_, _>>()?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&key)?;
    mac.update(&(now / 30).to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    Ok(format!("{:06}", number % 1_000_000))
}

/// A picture for the documentation, where those are made.
async fn picture(page: &Page, name: &str) -> anyhow::Result<()> {
    if std::env::var("IVRPAY_PICTURES").is_ok() {
        let file: PathBuf = root().join("docs/images").join(name);
        page.picture(&file).await?;
    }
    Ok(())
}

/// In a pushed page: what a place of *my call* says.
fn says(place: &str, text: &str) -> String {
    format!(
        "document.querySelector('[data-text={place}]')?.textContent.includes({text:?}) === true"
    )
}

/// So many dots stand in the field that is keyed.
fn dots(field: usize, count: usize) -> String {
    format!(
        "(() => {{ const f = document.querySelectorAll('.fields li')[{field}]; \
         return f?.className === 'now-field' && f.querySelector('.dots').textContent.length >= {count}; }})()"
    )
}

async fn sign_in(
    page: &Page,
    console: &Console,
    name: &str,
    code: &str,
    to: &str,
) -> anyhow::Result<()> {
    page.go(&format!("{}{to}", console.address)).await?;
    page.until("document.querySelector('.door') !== null")
        .await?;
    page.fill("input[name=person]", name).await?;
    page.fill("input[name=password]", PASSWORD).await?;
    page.fill("input[name=code]", code).await?;
    page.click(".door button.main").await?;
    page.until("document.querySelector('.me') !== null").await
}

async fn followed(lab: &Lab) -> anyhow::Result<()> {
    // What second factors are sealed with: for this service alone.
    let key = lab.folder.join("seal-key");
    let bytes = [
        *uuid::Uuid::new_v4().as_bytes(),
        *uuid::Uuid::new_v4().as_bytes(),
    ]
    .concat();
    std::fs::write(&key, base64::prelude::BASE64_STANDARD.encode(bytes))?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    let service = Service::start(lab, "console", true, |config| {
        short(config);
        set(config, "access.seal_key_file", key.display().to_string());
    })
    .await?;
    let [pan] = &own_cards(1)?[..] else {
        anyhow::bail!("no card")
    };
    let code = person(&service, "sato", "supervisor").await?;
    let console = Console::start(lab, &service).await?;
    let page = Page::open(1280, 860, false).await?;
    sign_in(&page, &console, "sato", &code, "/?order=A-77&amount=1200").await?;
    // What the CRM has sent stands in the form, behind the sign-in too.
    page.until("document.querySelector('[name=order]').value === 'A-77'")
        .await?;
    page.until("document.querySelector('[data-show=waiting]').hidden === false")
        .await?;
    page.until("document.querySelector('[data-show=away]').hidden === true")
        .await?;
    picture(&page, "console-start.ja.png").await?;

    let payment = announce(&service, OPERATOR, 12_800, Some(ORDER)).await?;
    let seat = Seat::new(lab, OPERATOR)?;
    let phone = seat.phone(&[format!("{PRESS} {GOODBYE}")])?;
    let phone = phone.start(lab).await?;
    let script = format!(
        "hears:500 wait:greeting 1 wait:payment-card-number {pan}# wait:expiration-date 12 sleep:7000 1230 \
         wait:security-code sleep:1200 123 wait:confirmation sleep:1200 1 wait:call-ended hears:500 until-end"
    );
    let call = seat.customer(lab, By::Hold.extension(OPERATOR), &script, "rfc4733")?;

    let watched = async {
        let mut doms = Vec::new();
        page.within(Duration::from_secs(30), &says("amount", "12,800"))
            .await?;
        page.until(&says("order", ORDER)).await?;
        page.within(Duration::from_secs(30), &dots(1, 8)).await?;
        doms.push(page.dom().await?);
        picture(&page, "console-call.ja.png").await?;
        page.within(Duration::from_secs(30), &dots(2, 2)).await?;
        page.press("r").await?;
        page.until("document.querySelector('#said').innerText.includes('もう一度おたずねします')")
            .await?;
        page.until("document.querySelectorAll('.fields li')[3]?.innerText.includes('入力中')")
            .await?;
        doms.push(page.dom().await?);
        // Of the security code there is no count.
        ensure!(page.eval(&dots(3, 1)).await? != true, "the code is counted");
        page.within(
            Duration::from_secs(60),
            &says("result", "お支払いが完了しました"),
        )
        .await?;
        page.until(&says("card", last4(pan)?)).await?;
        picture(&page, "console-paid.ja.png").await?;
        doms.push(page.dom().await?);
        anyhow::Ok(doms)
    };
    let (report, watched) = tokio::join!(call.place(lab), watched);
    let report = report?;
    let mut doms = watched.with_context(|| format!("{}, {}", report.result, report.way()))?;
    OtherResult::judge(&report, &["success"])?;
    phone.reports().await?;
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(state == "approved", "the payment is {state}");

    // The payment, the list, the wall: a supervisor's.
    for (path, shows, file) in [
        (
            format!("/payments/{payment}"),
            ORDER,
            "console-payment.ja.png",
        ),
        ("/payments".to_owned(), ORDER, "console-payments.ja.png"),
        ("/wall".to_owned(), ORDER, "console-wall.ja.png"),
        ("/health".to_owned(), "ivrpay", "console-health.ja.png"),
    ] {
        page.go(&format!("{}{path}", console.address)).await?;
        page.until(&format!("document.body.innerText.includes({shows:?})"))
            .await?;
        picture(&page, file).await?;
        doms.push(page.dom().await?);
    }
    let complaints = page.complaints();
    ensure!(
        !complaints
            .iter()
            .any(|c| c.contains("Content Security Policy") || c.contains("exception")),
        "the browser complains: {complaints:?}"
    );

    // No digit, wherever one could be; and the search itself finds what may be there.
    page.go(&format!("{}/?extension={OPERATOR}", console.address))
        .await?;
    page.until(&says("result", "お支払いが完了しました"))
        .await?;
    let heap = page.heap().await?;
    let network = page.network().await;
    let last4 = last4(pan)?;
    for (place, text) in [
        ("the DOM", &doms.join("\n")),
        ("the network", &network),
        ("the heap", &heap),
    ] {
        ensure!(
            text.contains(last4),
            "{place} does not even have the last four"
        );
        let windows = pan.as_bytes().windows(8);
        let found = windows
            .filter(|w| text.contains(&*String::from_utf8_lossy(w)))
            .count();
        ensure!(found == 0, "{place} has {found} pieces of the card");
        let coded = base64::prelude::BASE64_STANDARD.encode(pan);
        ensure!(!text.contains(&coded), "{place} has the card in base 64");
    }
    pictures_in_the_dark(&page, &console, &payment).await
}

async fn pictures_in_the_dark(page: &Page, console: &Console, payment: &str) -> anyhow::Result<()> {
    if std::env::var("IVRPAY_PICTURES").is_err() {
        return Ok(());
    }
    let features =
        serde_json::json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    page.ask("Emulation.setEmulatedMedia", features).await?;
    page.click(".me form[action='/language'] button").await?;
    page.until("document.documentElement.lang === 'en' && document.readyState === 'complete'")
        .await?;
    page.until(&says("result", "Paid")).await?;
    picture(page, "console-paid-dark.en.png").await?;
    page.go(&format!("{}/payments/{payment}", console.address))
        .await?;
    picture(page, "console-payment-dark.en.png").await
}

fn last4(pan: &str) -> anyhow::Result<&str> {
    pan.get(pan.len() - 4..).context("a short number")
}
