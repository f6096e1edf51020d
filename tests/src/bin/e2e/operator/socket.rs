//! What comes between the service and Asterisk while two people are in it: the socket is cut, a bridge is another than was asked for.

use ivrpay_tests::between::{Between, Rest};

use super::*;

/// When it is cut.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// While the customer keys.
    Keying,
    /// While the key is being answered and both are on their way, and away for some seconds.
    Moment,
}

/// All of them: names and what is tried.
pub(crate) fn all(lab: &Lab) -> [(&'static str, LocalBoxFuture<'_, anyhow::Result<()>>); 6] {
    [
        (
            "faults: the operator waits: socket cut: the customer is asked anew, and both talk again",
            keying(lab, By::Hold).boxed_local(),
        ),
        (
            "faults: the operator stays: socket cut: the customer is asked anew, and both talk again",
            keying(lab, By::Stay).boxed_local(),
        ),
        (
            "faults: the pay key: socket away in its moment: nobody is left behind",
            moment(lab).boxed_local(),
        ),
        (
            "faults: the pay key: the bridge of both is native: no card is asked for, the operator hears why, both talk on",
            native(lab, By::Stay).boxed_local(),
        ),
        (
            "faults: the pay key: the bridge of a pause is native: it ends, the operator hears why, both talk on (he waits)",
            native(lab, By::Hold).boxed_local(),
        ),
        (
            "faults: hung up before Asterisk has answered: said so, and no danger",
            hung_up_first(lab).boxed_local(),
        ),
    ]
}

async fn start(lab: &Lab) -> anyhow::Result<(Between, Service)> {
    let host = lab.get("ASTERISK_IP")?;
    let address = format!("{host}:8119").parse()?;
    let between = Between::start(address, format!("{host}:8088").parse()?).await?;
    let service = Service::start(lab, "operator-socket", true, |config| {
        short(config);
        set(config, "ari.url", format!("http://{address}/ari"));
        for wait in ["first_key_card_number", "first_key", "inter_digit_timeout"] {
            set(config, &format!("dialogue.{wait}"), "30s");
        }
    })
    .await?;
    Ok((between, service))
}

/// What both were in when it was over.
struct After {
    customer: Report,
    operator: PhoneReport,
    payment: Value,
}

async fn with(lab: &Lab, by: By, cut: Cut, (pressed, paid): (&str, &str)) -> anyhow::Result<After> {
    let (between, service) = start(lab).await?;
    let operator = 206;
    let seat = Seat::new(lab, operator)?;
    let payment = announce(&service, operator, 3300, None).await?;
    let desk = seat
        .phone(&[format!("{PRESS} {pressed}")])?
        .start(lab)
        .await?;
    let call = seat.customer(lab, by.extension(operator), paid, "rfc4733")?;
    let mut events = service.events().await?;
    let happens = async {
        if cut == Cut::Keying {
            events.first(|e| e["digits"] == 8).await?;
            between.cut();
            return Ok::<_, anyhow::Error>(());
        }
        let began = Instant::now();
        loop {
            let channels = lab.ari("GET", "/channels").await?;
            let asks = |c: &Value| c["dialplan"]["app_name"] == "AGI";
            if channels.as_array().is_some_and(|all| all.iter().any(asks)) {
                break;
            }
            ensure!(began.elapsed() < Duration::from_secs(20), "no key came");
        }
        between.away(true);
        between.cut();
        tokio::time::sleep(Duration::from_secs(3)).await;
        between.away(false);
        Ok(())
    };
    let (customer, happened) = tokio::join!(call.place(lab), happens);
    happened?;
    let (customer, operator) = (customer?, ended(desk).await?);
    ensure!(
        operator.telephone_events_received == 0 && keys_in(&seat.wav).await? == 0,
        "the operator got keys"
    );
    nothing_is_left(lab, &service).await?;
    let payment = service.payment(&payment).await?;
    Ok(After {
        customer,
        operator,
        payment,
    })
}

/// They have talked with each other at the end.
fn talked(after: &After) -> anyhow::Result<()> {
    let (customer, operator) = (&after.customer, &after.operator);
    let told = || format!("the customer: {customer:?}; the operator: {operator:?}");
    let by_operator = heard_at(&operator.voices, CUSTOMER, operator.began_unix_ms);
    let (back, _) = by_operator
        .last()
        .filter(|_| by_operator.len() >= 2)
        .with_context(told)?;
    let by_customer = heard_at(&customer.voices, OPERATOR, customer.began_unix_ms);
    let heard = heard_between(&by_customer, *back, u64::MAX);
    ensure!(
        heard >= 400,
        "the customer heard the operator for {heard} ms; {}",
        told()
    );
    Ok(())
}

async fn keying(lab: &Lab, by: By) -> anyhow::Result<()> {
    let customer = format!(
        "hears:500 wait:greeting 1 wait:payment-card-number 42424242 wait:payment-card-number sleep:9000 {VISA}# \
         wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 wait:call-ended hears:500 until-end"
    );
    let after = with(lab, by, Cut::Keying, (GOODBYE, &customer)).await?;
    ensure!(
        after.customer.result == "success" && after.payment["state"] == "approved",
        "the call ended with {}, steps {}; the payment is {}",
        after.customer.result,
        after.customer.way(),
        after.payment["state"]
    );
    talked(&after)
}

async fn moment(lab: &Lab) -> anyhow::Result<()> {
    let pressed = "sleep:4000 hears:1000 sleep:900 hangup";
    let after = with(lab, By::Hold, Cut::Moment, (pressed, "hears:500 until-end")).await?;
    ensure!(
        after.payment["state"] == "waiting",
        "the payment is {}",
        after.payment
    );
    talked(&after)
}

/// A caller who is gone when his channel is asked about: nothing is wrong with Asterisk.
async fn hung_up_first(lab: &Lab) -> anyhow::Result<()> {
    let (between, service) = start(lab).await?;
    let mut events = service.events().await?;
    between.rest(Rest::Waits(Duration::from_millis(1_500)));
    let call = Call::new(crate::scenarios::extension(1, 1200), "sleep:800 hangup");
    let call = Call { deaf: true, ..call };
    let over = |e: &Value| e["event"] == "call-ended" || e["event"] == "capture-refused";
    let over = events.within(Duration::from_secs(40), over);
    let (report, over) = tokio::join!(call.place(lab), over);
    report?;
    let over = over?;
    ensure!(
        over["event"] == "call-ended" && over["result"] == "caller-hung-up",
        "listeners were told {over}"
    );
    between.rest(Rest::Passes);
    nothing_is_left(lab, &service).await
}

/// Asterisk says of the bridge of the two that it is native RTP, which passes keys on: before anybody is asked for a card, where the
/// operator stays; in a pause, where he waits. (A real one can't be had: who is muted keeps a bridge from it.)
async fn native(lab: &Lab, by: By) -> anyhow::Result<()> {
    let (between, service) = start(lab).await?;
    let operator = 207;
    let seat = Seat::new(lab, operator)?;
    let payment = announce(&service, operator, 3300, None).await?;
    let (pressed, keyed, result) = match by {
        By::Hold => (
            "wait:payment-card-number sleep:3500 *9",
            "hears:500 wait:greeting 1 wait:payment-card-number 42424242 wait:call-ended hears:500 until-end",
            "agent-cancelled",
        ),
        _ => (
            "",
            "hears:500 wait:call-ended hears:500 until-end",
            "internal-error",
        ),
    };
    let desk = seat
        .phone(&[format!("{PRESS} {pressed} {GOODBYE}")])?
        .start(lab)
        .await?;
    between.rest(Rest::Native);
    let call = seat.customer(lab, by.extension(operator), keyed, "rfc4733")?;
    let mut events = service.events().await?;
    // What is whispered stands on the customer's channel too, for whoever takes him back.
    let whispered = async {
        let started = events.first(|e| e["event"] == "call-started").await?;
        let channel = started["channel_id"].as_str().context("no channel")?;
        events.first(|e| e["event"] == "call-ended").await?;
        let path = format!("/channels/{channel}/variable?variable=IVRPAY_WHISPER");
        let whisper = lab.ari("GET", &path).await?["value"].clone();
        let why = whisper
            .as_str()
            .is_some_and(|w| w.contains("refused-unsafe"));
        ensure!(why, "the operator was told {whisper}");
        anyhow::Ok(())
    };
    let (customer, whispered) = tokio::join!(call.place(lab), whispered);
    let (customer, operator) = (customer?, ended(desk).await?);
    let told = || format!("the customer: {customer:?}; the operator: {operator:?}");
    ensure!(customer.result == result, "{}", told());
    whispered?;
    let asked = step_at(&customer, "payment-card-number").is_some();
    ensure!(
        asked == (by == By::Hold),
        "a card was asked for: {}",
        told()
    );
    let log = std::fs::read_to_string(service.folder.join("log"))?;
    let logged = log.lines().any(|line| line.contains("native-bridge"));
    ensure!(logged, "no line of the log names the danger");
    // From the refusal to the talk behind it.
    let talk = talk_around(&operator).with_context(told)?;
    let spoken = Recording::complete(&seat.wav).await?.spoken(talk.0, talk.1);
    ensure!(
        spoken >= Duration::from_secs(2),
        "of the reason the operator heard {spoken:?}; {}",
        told()
    );
    ensure!(
        operator.telephone_events_received == 0 && keys_in(&seat.wav).await? == 0,
        "the operator got keys"
    );
    let heard = ivrpay_tests::phone::heard(&customer.voices, OPERATOR);
    ensure!(heard >= 900 && operator.result == "hung-up", "{}", told());
    let state = service.payment(&payment).await?["state"].clone();
    ensure!(state == "waiting", "the payment is {state}");
    nothing_is_left(lab, &service).await
}
