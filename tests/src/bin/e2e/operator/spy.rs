//! A supervisor listens to the operator, or comes into his talk: the key is refused, or he is taken off for the capture and put back.
//!
//! He whispers, so that the operator hears when he is there. His voice is [`SECOND`]; what he hears is in his telephone's report.

use super::*;

/// His extension, and that of another one, who only listens: no operators of the others.
const SUPERVISOR: &str = "212";
const SILENT: &str = "213";
/// How he comes in (`scripts/lab`).
const BY_CHANSPY: &str = "66";
const FROM_NO_LINE: &str = "667";
const INTO_THE_TALK: &str = "665";
/// One who has come into the talk stays in it with the customer: he leaves when the operator has.
const LEAVES: &str = "sleep:5000 sleep:4500 hangup";

/// What an operator who stays hears of the prompts at least: each is cut short by a key.
const PROMPTS_MIN: Duration = Duration::from_millis(600);

/// The operator waits until he is whispered to.
const PRESS_WHISPERED: &str = "hears:1000 hears:2000 sleep:600 *9";

/// Waits until that telephone has a call.
async fn has_a_call(lab: &Lab, extension: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let name = format!("PJSIP/{extension}-");
    loop {
        let channels = lab.ari("GET", "/channels").await?;
        let all = channels.as_array().map(Vec::as_slice).unwrap_or_default();
        let up = |c: &Value| {
            c["state"] == "Up" && c["name"].as_str().is_some_and(|n| n.starts_with(&name))
        };
        if all.iter().any(up) {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(30),
            "{extension} has no call"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Calls in when the operator has answered.
async fn supervise(lab: &Lab, supervisor: &str, by: &str, operator: usize) -> anyhow::Result<Desk> {
    has_a_call(lab, &operator.to_string()).await?;
    let stays = if by == INTO_THE_TALK {
        LEAVES
    } else {
        "until-end"
    };
    let voice: &[&str] = match supervisor {
        SILENT => &[],
        _ => &["--voice", "2000"],
    };
    let desk = Phone::new(supervisor, format!("call:{by}{operator} {stays}"))
        .with(voice)
        .with(&["--hear", "400,500,1000", "--limit", "90"])
        .start(lab)
        .await?;
    has_a_call(lab, supervisor).await?;
    Ok(desk)
}

/// What the supervisor's telephone heard, when it is stopped.
async fn stopped(supervisor: Option<Desk>) -> anyhow::Result<PhoneReport> {
    let supervisor = supervisor.context("no supervisor called")?;
    let mut reports = supervisor.stop().await?;
    reports.pop().context("the supervisor had no call")
}

/// The operator hears why, the supervisor goes on.
async fn refused(lab: &Lab, service: &Service, by: &str, why: &str) -> anyhow::Result<()> {
    let operator = 211;
    let payment = announce(service, operator, 3300, None).await?;
    let before = refusals(service, operator)?.len();
    let mut supervisor = None;
    let comes = async {
        supervisor = Some(supervise(lab, SUPERVISOR, by, operator).await?);
        Ok(())
    };
    let script = format!("{PRESS_WHISPERED} sleep:1000 hears:1000 hears:2000 sleep:700 hangup");
    let mut place = Refused {
        script: Some(script),
        ..Refused::new(lab, operator)
    };
    if by == INTO_THE_TALK && lab.get("SUITE")? == "bullseye" {
        // Asterisk 16 plays none in a talk of three.
        place.music = 0;
    }
    let refused = place.place(comes).await;
    let supervisor = stopped(supervisor).await;
    refused?;
    let supervisor = supervisor?;
    ensure!(
        supervisor.heard(CUSTOMER) >= 1000 && supervisor.heard(OPERATOR) >= 1000,
        "the supervisor: {supervisor:?}"
    );
    let told = refusals(service, operator)?;
    ensure!(
        told.get(before..) == Some(&[why.to_owned()][..]),
        "the log says {told:?}"
    );
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(state == "waiting", "the payment is {state}");
    hand_over(service, &payment).await
}

/// None of them hears either from the key to the result, and each both before and behind it.
async fn taken_off(
    lab: &Lab,
    service: &Service,
    by: By,
    spies: &[(&str, &str)],
) -> anyhow::Result<()> {
    let operator = 211;
    let seat = Seat::new(lab, operator)?;
    let paid = announce(service, operator, 3300, None).await?;
    let script =
        format!("{PRESS_WHISPERED} wait:call-ended hears:1000 hears:2000 sleep:900 hangup");
    let desk = seat.phone(&[script])?.start(lab).await?;
    let call = seat.customer(lab, by.extension(operator), &pays(), "rfc4733")?;
    let come = async {
        let mut come = Vec::new();
        // He to whose voice the operator waits is the last.
        for (supervisor, spies) in spies {
            come.push(supervise(lab, supervisor, spies, operator).await?);
        }
        anyhow::Ok(come)
    };
    let (report, come) = tokio::join!(call.place(lab), come);
    let mut supervisors = Vec::new();
    for supervisor in come? {
        supervisors.push(stopped(Some(supervisor)).await?);
    }
    let (report, operator) = (report?, ended(desk).await?);
    let told = || format!("{report:?}; the operator: {operator:?}; supervisors: {supervisors:?}");
    ensure!(report.result == "success", "{}", told());
    ensure!(operator.result == "hung-up", "{}", told());
    let began = step_at(&report, "greeting").with_context(told)?;
    let result = step_at(&report, "payment-completed").with_context(told)?;
    if by == By::Stay {
        let at = |unix: u64| Duration::from_millis(unix.saturating_sub(operator.began_unix_ms));
        let heard = Recording::complete(&seat.wav).await?;
        let prompts = heard.spoken(at(began), at(result));
        ensure!(
            prompts >= PROMPTS_MIN,
            "of the prompts the operator heard {prompts:?}; {}",
            told()
        );
        ensure!(operator.telephone_events_received == 0, "{}", told());
        let keys = keys_in(&seat.wav).await?;
        ensure!(keys == 0, "{keys} keys can be heard by the operator");
    }
    for supervisor in &supervisors {
        for hz in [CUSTOMER, OPERATOR] {
            let heard = heard_at(&supervisor.voices, hz, supervisor.began_unix_ms);
            let within = heard
                .iter()
                .any(|(begin, end)| *end > began && *begin < result);
            ensure!(!within, "within the capture he heard {hz} Hz; {}", told());
            let (before, behind) = (
                heard.iter().any(|(_, end)| *end <= began),
                heard.iter().any(|(begin, _)| *begin >= result),
            );
            ensure!(
                before && behind,
                "he heard {hz} Hz before: {before}, behind: {behind}; {}",
                told()
            );
        }
        let music = heard_at(&supervisor.voices, 400, supervisor.began_unix_ms);
        ensure!(
            music.iter().any(|(begin, end)| end - begin >= 1000),
            "he heard no music; {}",
            told()
        );
        ensure!(supervisor.telephone_events_received == 0, "{}", told());
    }
    let state = service.payment(&paid).await?["state"].clone();
    ensure!(state == "approved", "the payment is {state}");
    nothing_is_left(lab, service).await
}

/// The daemon dies while he is off: the next one puts him back.
async fn killed_meanwhile(lab: &Lab, service: &mut Service) -> anyhow::Result<()> {
    let operator = 211;
    let seat = Seat::new(lab, operator)?;
    let payment = announce(service, operator, 3300, None).await?;
    let script = format!(
        "{PRESS_WHISPERED} wait:payment-card-number sleep:2500 hears:1000 hears:2000 sleep:900 hangup"
    );
    let desk = seat.phone(&[script])?.start(lab).await?;
    let customer = "hears:500 wait:greeting 1 wait:payment-card-number 42424242 until-end";
    let call = seat.customer(lab, By::Hold.extension(operator), customer, "rfc4733")?;
    let mut events = service.events().await?;
    let kill = async {
        events.first(|e| e["digits"] == 8).await?;
        service.kill_and_start().await
    };
    let (report, supervisor, killed) = tokio::join!(
        call.place(lab),
        supervise(lab, SUPERVISOR, BY_CHANSPY, operator),
        kill
    );
    let supervisor = stopped(Some(supervisor?)).await?;
    killed?;
    let (report, operator) = (report?, ended(desk).await?);
    // That both talked again, and were whispered to, is in the operator's script.
    ensure!(
        operator.result == "hung-up",
        "{report:?}; the operator: {operator:?}; the supervisor: {supervisor:?}"
    );
    nothing_is_left(lab, service).await?;
    hand_over(service, &payment).await
}

/// And an operator who stays hears what his customer is asked.
fn detaches(config: &mut toml::Table) {
    short(config);
    set(tenant(config), "stay_prompts", "both");
    set(tenant(config), "spy", "detach");
}

/// With the service of the others, whose tenant says nothing of supervisors.
pub(super) async fn refuses(
    tally: &mut Tally,
    lab: &Lab,
    service: &Service,
    wanted: impl Fn(&str) -> bool,
) {
    for (name, by, why) in [
        ("a supervisor listens: refused", BY_CHANSPY, "Monitored"),
        (
            "somebody came into the talk: refused",
            INTO_THE_TALK,
            "ThirdParty",
        ),
    ] {
        let name = format!("pay key: {name}");
        if wanted(&name) {
            tally.one(&name, refused(lab, service, by, why)).await;
        }
    }
}

/// With one of their own. In every run one of them, the others at full count.
pub(super) async fn takes_off(
    tally: &mut Tally,
    lab: &Lab,
    wanted: impl Fn(&str) -> bool,
    full: bool,
) -> anyhow::Result<()> {
    const STAY: &str = "pay key: a supervisor listens: taken off, the operator stays, and put back";
    const HOLD: &str =
        "pay key: a supervisor listens from no line of the dialplan: taken off and put back";
    const TWO: &str = "pay key: two supervisors listen: both taken off and put back";
    const KILLED: &str =
        "pay key: the daemon killed while a supervisor is off: the next one puts him back";
    let wanted = |name: &str| wanted(name) && (full || name == STAY);
    if ![STAY, HOLD, TWO, KILLED].into_iter().any(wanted) {
        return Ok(());
    }
    let mut service = Service::start(lab, "operator-spy", true, detaches).await?;
    let checks: [(_, _, &[_]); 3] = [
        (STAY, By::Stay, &[(SUPERVISOR, BY_CHANSPY)]),
        (HOLD, By::Hold, &[(SUPERVISOR, FROM_NO_LINE)]),
        (
            TWO,
            By::Stay,
            &[(SILENT, FROM_NO_LINE), (SUPERVISOR, BY_CHANSPY)],
        ),
    ];
    for (name, by, spies) in checks {
        if wanted(name) {
            tally.one(name, taken_off(lab, &service, by, spies)).await;
        }
    }
    if wanted(KILLED) {
        tally.one(KILLED, killed_meanwhile(lab, &mut service)).await;
    }
    Ok(())
}
