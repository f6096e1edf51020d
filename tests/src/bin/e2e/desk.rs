//! The operator's keypad: amount and order keyed before the transfer, which is blind or attended; practice; and all that goes wrong there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use futures_util::future::LocalBoxFuture;
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::phone::{Phone, PhoneReport, heard};
use ivrpay_tests::service::{Service, set, tenant};
use serde_json::{Value, json};

use crate::scenarios::{Books, VISA, keys};

/// What the customer's voice is, in Hz, and the operator's.
const CUSTOMER: u32 = 1000;
const OPERATOR: u32 = 500;

/// The keypad of the lab's samples, and the payment extensions that belong to it.
const DESK: &str = "8810";
const PRACTICE: &str = "8812";

/// An order number that no other scenario has, and that nobody takes for a card's.
pub(crate) fn order() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs() % 1_000_000;
    format!("{seconds}{:03}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Keys of the desk, each when it is asked for. At the reading back a key counts when it can have been heard.
fn keyed(amount: &str, order: &str) -> String {
    format!(
        "wait:desk-amount {amount}# wait:desk-order {order}# wait:desk-language 1 wait:desk-confirm sleep:1000 1"
    )
}

pub(crate) fn ready(amount: &str, order: &str) -> String {
    format!("{} wait:desk-ready sleep:500", keyed(amount, order))
}

/// Hears the operator, and pays when he is asked.
fn payer() -> String {
    format!("hears:{OPERATOR} {}", keys(VISA, "1230", "123"))
}

/// One customer with one operator: his script behind hearing the customer, and what the customer does.
async fn meet(
    lab: &Lab,
    number: &str,
    operator: &str,
    customer: &str,
) -> anyhow::Result<(Report, PhoneReport)> {
    meet_at(lab, &format!("60{number}"), number, operator, customer).await
}

async fn meet_at(
    lab: &Lab,
    extension: &str,
    number: &str,
    operator: &str,
    customer: &str,
) -> anyhow::Result<(Report, PhoneReport)> {
    let script = format!("hears:{CUSTOMER} sleep:300 {operator}");
    let desk = Phone::new(number, script)
        .with(&["--voice", "500", "--hear", "1000", "--timeout", "40"])
        .start(lab)
        .await?;
    let call = Call::new(extension, customer).with(&["--voice", "1000", "--hear", "500"]);
    let report = call.place(lab).await?;
    Ok((report, desk.report().await?))
}

fn ended(report: &Report, operator: &PhoneReport, results: (&str, &str)) -> anyhow::Result<()> {
    ensure!(
        (report.result.as_str(), operator.result.as_str()) == results,
        "the customer's call ended with {} by {}, the operator's with {} {:?} (second call {:?}), not {results:?}",
        report.result,
        report.way(),
        operator.result,
        operator.errors,
        operator.consultation.as_ref().map(|c| &c.result)
    );
    // Whatever happened: no key of the customer, and nothing of what he hears, came to the operator.
    ensure!(
        operator.telephone_events_received == 0,
        "the operator's telephone got keys"
    );
    Ok(())
}

/// The newest payment of an order.
pub(crate) async fn payment_of(service: &Service, order: &str) -> anyhow::Result<Option<Value>> {
    let (status, found) = service
        .get(&format!("/v1/payments?order_id={order}"))
        .await?;
    ensure!(status == 200, "the list answered {status}: {found}");
    Ok(found["payments"].get(0).cloned())
}

/// Waits until the call's closing record is written, which comes a moment behind its end.
async fn is(service: &Service, order: &str, state: &str, amount: u64) -> anyhow::Result<Value> {
    let began = Instant::now();
    loop {
        let payment = payment_of(service, order)
            .await?
            .context("no payment of the order")?;
        if payment["state"] == state && payment["amount"] == amount {
            return Ok(payment);
        }
        ensure!(
            began.elapsed() < Duration::from_secs(5),
            "the payment is {payment}, not {state} over {amount}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Paid once, with the payment that was keyed.
async fn paid(
    service: &Service,
    books: &Books,
    report: &Report,
    order: &str,
    amount: u64,
) -> anyhow::Result<()> {
    let payment = is(service, order, "approved", amount).await?;
    let id = payment["id"].as_str().unwrap_or_default();
    ensure!(
        report.payment_id.as_deref() == Some(id),
        "the call paid {:?}, not {id}",
        report.payment_id
    );
    let booked = books.of(id).await?.len();
    ensure!(booked == 1, "the acquirer holds {booked} transactions");
    Ok(())
}

/// Keyed in a second call; then the operator talks with the customer again and transfers him blind: by REFER, and by the feature code.
pub(crate) async fn blind(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let one = async |extension: &str, number: &str, transfer: &str, result: &str| {
        let order = order();
        let script = format!(
            "attended:{DESK} {{ {} hangup }} hears:{CUSTOMER} sleep:1000 {transfer}",
            ready("4321", &order)
        );
        let (report, operator) = meet_at(lab, extension, number, &script, &payer()).await?;
        ended(&report, &operator, ("success", result))?;
        paid(service, books, &report, &order, 4321).await?;
        let payment = payment_of(service, &order).await?.unwrap_or_default();
        ensure!(
            payment["operator_extension"] == number && payment["connector"] == "generic",
            "the payment is {payment}"
        );
        lab.dialplan_went_on("success", payment["id"].as_str().unwrap_or_default())
            .await
    };
    let (refer, code) = tokio::join!(
        one("60221", "221", "refer:8803", "transferred"),
        one(
            "63222",
            "222",
            "## sleep:1500 8803 until-end",
            "far-hung-up"
        ),
    );
    refer.context("by REFER")?;
    code.context("by the feature code")
}

/// Keyed in the consultation, and the transfer completed from there: the customer is in the operator's place, and pays.
pub(crate) async fn attended(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let order = order();
    let script = format!("attended:{DESK} {{ {} }}", ready("5678", &order));
    let (report, operator) = meet(lab, "223", &script, &payer()).await?;
    ended(&report, &operator, ("success", "transferred"))?;
    paid(service, books, &report, &order, 5678).await?;
    let consultation = operator.consultation.context("no second call")?;
    ensure!(
        consultation.telephone_events_received == 0 && consultation.heard(CUSTOMER) == 0,
        "in the second call the operator heard {:?}",
        consultation.voices
    );
    // He was on hold when the operator went, and did not hear what was said to him.
    let talked = heard(&report.voices, OPERATOR);
    ensure!(talked < 5000, "the customer heard the operator {talked} ms");
    let id = report.payment_id.unwrap_or_default();
    lab.dialplan_went_on("success", &id).await
}

/// In English, with every kind of mistake: nothing, too much, a card number, a wrong key, a wrong reading. Then all is right.
pub(crate) async fn wrong_entries(
    lab: &Lab,
    service: &Service,
    books: &Books,
) -> anyhow::Result<()> {
    let order = order();
    let script = format!(
        "attended:{DESK} {{ wait:desk-amount 0# wait:desk-amount/amount sleep:1000 9000001# wait:desk-amount/amount-too-large sleep:1000 777# \
         wait:desk-order {VISA}# wait:desk-order/card-number sleep:12000 1# wait:desk-language 5 wait:desk-language/key sleep:1000 2 \
         wait:desk-confirm sleep:1000 2 {} }}",
        ready("888", &order).replace("wait:desk-language 1", "wait:desk-language 2")
    );
    let (report, operator) = meet(lab, "224", &script, &payer()).await?;
    ended(&report, &operator, ("success", "transferred"))?;
    paid(service, books, &report, &order, 888).await
}

/// Given up on the keypad: before anything is keyed, and when a payment can be taken already. The operator is with his customer again.
pub(crate) async fn given_up(lab: &Lab, service: &Service) -> anyhow::Result<()> {
    let after = format!("hears:{CUSTOMER} sleep:500 hangup");
    let at_once =
        format!("attended:{DESK} {{ wait:desk-amount 12 sleep:300 *** sleep:20000 }} {after}");
    let order = order();
    let ready = format!(
        "attended:{DESK} {{ {} ** sleep:20000 }} {after}",
        ready("1300", &order)
    );
    let customer = format!("hears:{OPERATOR} not-hears:{OPERATOR} hears:{OPERATOR} until-end");
    for (number, script) in [("225", at_once), ("226", ready)] {
        let (report, operator) = meet(lab, number, &script, &customer).await?;
        ended(&report, &operator, ("ended-without-result", "hung-up"))?;
        let second = operator.consultation.context("no second call")?;
        ensure!(
            second.result == "far-hung-up",
            "the keypad ended with {}",
            second.result
        );
    }
    let payment = is(service, &order, "cancelled", 1300).await?;
    ensure!(
        payment["result"] == "agent-cancelled",
        "it is over by {}",
        payment["result"]
    );
    Ok(())
}

/// The order is paid, or being paid: the operator is told before anybody is moved.
pub(crate) async fn refused(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let order = order();
    let script = format!("attended:{DESK} {{ {} }}", ready("1500", &order));
    let (report, operator) = meet(lab, "227", &script, &payer()).await?;
    ended(&report, &operator, ("success", "transferred"))?;
    paid(service, books, &report, &order, 1500).await?;

    let announced = self::order();
    let body = json!({"amount": 900, "order_id": announced, "operator_extension": "299"});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    for (amount, order) in [("1500", &order), ("900", &announced)] {
        let script = format!(
            "attended:{DESK} {{ {} wait:desk-refused sleep:20000 }} hears:{CUSTOMER} sleep:500 hangup",
            keyed(amount, order)
        );
        let customer = format!("hears:{OPERATOR} not-hears:{OPERATOR} hears:{OPERATOR} until-end");
        let (report, operator) = meet(lab, "227", &script, &customer).await?;
        ended(&report, &operator, ("ended-without-result", "hung-up"))?;
        let second = operator.consultation.context("no second call")?;
        ensure!(
            second.result == "far-hung-up" && second.heard_ms > 1000,
            "the keypad ended with {} after {} ms of speech",
            second.result,
            second.heard_ms
        );
    }
    paid(service, books, &report, &order, 1500).await?;
    is(service, &announced, "waiting", 900).await.map(drop)
}

/// What is keyed anew takes the place of what was keyed before: one payment waits, and that is taken.
pub(crate) async fn keyed_anew(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let (first, second) = (order(), order());
    let script = format!(
        "attended:{DESK} {{ {} hangup }} hears:{CUSTOMER} attended:{DESK} {{ {} hangup }} hears:{CUSTOMER} sleep:1000 refer:8803",
        ready("1000", &first),
        ready("2000", &second)
    );
    let (report, operator) = meet(lab, "228", &script, &payer()).await?;
    ended(&report, &operator, ("success", "transferred"))?;
    paid(service, books, &report, &second, 2000).await?;
    is(service, &first, "cancelled", 1000).await.map(drop)
}

/// The transfer is completed before anything is keyed, in the middle of it, and before it is confirmed: the customer is told that he is
/// being connected, and goes on in the dialplan. What was announced for this operator is taken, as by a blind transfer.
pub(crate) async fn too_early(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let order = order();
    let to_read_back =
        format!("wait:desk-amount 1400# wait:desk-order {order}# wait:desk-language 1");
    for script in [
        "sleep:50",
        "wait:desk-amount sleep:300",
        "wait:desk-amount 14",
        &format!("{to_read_back} wait:desk-confirm sleep:300"),
    ] {
        let script = format!("attended:{DESK} {{ {script} }}");
        let customer = format!("hears:{OPERATOR} until-end");
        let (report, operator) = meet(lab, "229", &script, &customer).await?;
        ended(&report, &operator, ("internal-error", "transferred")).context(script.clone())?;
        ensure!(
            report.payment_id.is_none() && report.heard_ms > 1000,
            "{script}: the customer heard {} ms, payment {:?}",
            report.heard_ms,
            report.payment_id
        );
        lab.dialplan_went_on("internal-error", "").await?;
    }
    ensure!(
        payment_of(service, &order).await?.is_none(),
        "a payment that was not confirmed"
    );

    let order = self::order();
    let body = json!({"amount": 2500, "order_id": order, "operator_extension": "229"});
    let (status, payment) = service.post("/v1/payments", &body, None).await?;
    ensure!(status == 201, "announcing answered {status}: {payment}");
    let script = format!("attended:{DESK} {{ wait:desk-amount sleep:300 }}");
    let (report, operator) = meet(lab, "229", &script, &payer()).await?;
    ended(&report, &operator, ("success", "transferred"))?;
    paid(service, books, &report, &order, 2500).await
}

/// Somebody hangs up: the operator when he may transfer, the customer while it is keyed, and the customer when he was transferred.
pub(crate) async fn hang_ups(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let orders = [order(), order(), order()];
    let operator_leaves = async {
        let script = format!(
            "attended:{DESK} {{ {} hangup }} hears:{CUSTOMER} hangup",
            ready("1001", &orders[0])
        );
        let customer = format!("hears:{OPERATOR} until-end");
        let (report, operator) = meet(lab, "231", &script, &customer).await?;
        ended(&report, &operator, ("ended-without-result", "hung-up"))?;
        // The operator may be cut off and transfer the next one who calls about it.
        is(service, &orders[0], "waiting", 1001).await.map(drop)
    };
    let customer_leaves = async {
        let script = format!(
            "attended:{DESK} {{ wait:desk-amount 1002# wait:desk-order {}# sleep:20000 }}",
            orders[1]
        );
        let customer = format!("hears:{OPERATOR} not-hears:{OPERATOR} sleep:1500 hangup");
        let (report, operator) = meet(lab, "232", &script, &customer).await?;
        ended(&report, &operator, ("hung-up", "far-hung-up"))?;
        ensure!(
            payment_of(service, &orders[1]).await?.is_none(),
            "a payment without a customer"
        );
        Ok(())
    };
    let customer_leaves_the_payment = async {
        let script = format!("attended:{DESK} {{ {} }}", ready("1003", &orders[2]));
        let customer =
            format!("hears:{OPERATOR} wait:payment-amount 1 wait:payment-card-number 42 hangup");
        let (report, operator) = meet(lab, "233", &script, &customer).await?;
        ended(&report, &operator, ("caller-hung-up", "transferred"))?;
        let payment = is(service, &orders[2], "waiting", 1003).await?;
        let booked = books.of(payment["id"].as_str().unwrap_or_default()).await?;
        ensure!(booked.is_empty(), "the acquirer was asked");
        Ok(())
    };
    let (one, two, three): (anyhow::Result<()>, anyhow::Result<()>, anyhow::Result<()>) = tokio::join!(
        operator_leaves,
        customer_leaves,
        customer_leaves_the_payment
    );
    one.context("the operator")?;
    two.context("the customer on hold")?;
    three.with_context(|| {
        // For what a card could not be asked for, should that be why.
        let log = std::fs::read_to_string(service.folder.join("log")).unwrap_or_default();
        let refused = log.lines().filter(|line| line.contains("capture refused"));
        let refused: Vec<_> = refused.collect();
        format!("the customer in the payment; {}", refused.join(" "))
    })
}

/// Practice, attended and blind: the whole flow, and nobody is charged. Neither is taken for the other.
pub(crate) async fn practice(lab: &Lab, service: &Service, books: &Books) -> anyhow::Result<()> {
    let order = order();
    let attended = format!("attended:{PRACTICE} {{ {} }}", ready("3100", &order));
    let blind = format!(
        "attended:{PRACTICE} {{ {} hangup }} hears:{CUSTOMER} sleep:1000 refer:8813",
        ready("3200", &order)
    );
    for (number, script) in [("234", attended), ("235", blind)] {
        let (report, operator) = meet(lab, number, &script, &payer()).await?;
        ended(&report, &operator, ("success", "transferred")).context(script)?;
        let payment = service
            .payment(report.payment_id.as_deref().unwrap_or_default())
            .await?;
        ensure!(
            payment["connector"] == "training" && payment["order_id"].is_null(),
            "practice made {payment}"
        );
        let booked = books.of(payment["id"].as_str().unwrap_or_default()).await?;
        ensure!(booked.is_empty(), "practice asked the acquirer");
    }
    ensure!(
        payment_of(service, &order).await?.is_none(),
        "practice holds the order"
    );
    // A real call does not find practice, nor practice what is real.
    for (desk, other, order) in [
        (PRACTICE, "8803", self::order()),
        (DESK, "8813", self::order()),
    ] {
        let script = format!(
            "attended:{desk} {{ {} hangup }} hears:{CUSTOMER} sleep:1000 refer:{other}",
            ready("3300", &order)
        );
        let customer = format!("hears:{OPERATOR} until-end");
        let (report, operator) = meet(lab, "235", &script, &customer).await?;
        ended(&report, &operator, ("internal-error", "transferred")).context(script)?;
        ensure!(report.payment_id.is_none(), "{other} took what is not its");
    }
    Ok(())
}

/// Asterisk's own attended transfer (`atxfer`), with one place for calls: the customer, who comes on his own channel, has the one that the
/// keypad had.
pub(crate) async fn by_atxfer(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let service = Service::start(lab, "desk-atxfer", true, |config| {
        crate::short(config);
        set(config, "limits.calls_max", 1);
    })
    .await?;
    let order = order();
    let script = format!("*2 sleep:2500 {DESK} {} hangup", ready("6789", &order));
    let (report, operator) = meet_at(lab, "54237", "237", &script, &payer()).await?;
    ended(&report, &operator, ("success", "hung-up"))?;
    paid(&service, books, &report, &order, 6789).await?;
    nothing_is_left(lab, Some(&service)).await
}

/// The daemon is away: the operator is told so, and is with his customer again.
pub(crate) async fn away(lab: &Lab) -> anyhow::Result<()> {
    let script =
        format!("attended:{DESK} {{ heard sleep:20000 }} hears:{CUSTOMER} sleep:500 hangup");
    let desk = Phone::new("236", format!("hears:{CUSTOMER} sleep:300 {script}"))
        .with(&["--voice", "500", "--hear", "1000"])
        .start(lab)
        .await?;
    let call = Call::new("60236", format!("hears:{OPERATOR} until-end"))
        .with(&["--voice", "1000", "--hear", "500"]);
    let report = Call { deaf: true, ..call }.place(lab).await?;
    let operator = desk.report().await?;
    ended(&report, &operator, ("ended-without-result", "hung-up"))?;
    let second = operator.consultation.context("no second call")?;
    ensure!(
        second.result == "far-hung-up" && second.heard_ms > 500,
        "the keypad ended with {} after {} ms of speech",
        second.result,
        second.heard_ms
    );
    nothing_is_left(lab, None).await
}

/// No channel and no bridge in Asterisk, no call in the daemon.
async fn nothing_is_left(lab: &Lab, service: Option<&Service>) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let (channels, bridges) = (
            lab.ari("GET", "/channels").await?,
            lab.ari("GET", "/bridges").await?,
        );
        let lamps = lab.ari("GET", "/deviceStates").await?;
        let calls = match service {
            Some(service) => service.get("/healthz").await?.1["calls"].clone(),
            None => json!(0),
        };
        let empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
        if empty(&channels) && empty(&bridges) && empty(&lamps) && calls == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < Duration::from_secs(10),
            "left over: channels {channels}, bridges {bridges}, lamps {lamps}, calls {calls}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// All of them, on a daemon of their own.
pub(crate) async fn all(
    lab: &Lab,
    books: &Books,
    wanted: impl Fn(&str) -> bool,
    mut count: impl FnMut(&str, Duration, anyhow::Result<()>),
) -> anyhow::Result<()> {
    let service = Service::start(lab, "desk", true, |config| {
        crate::short(config);
        set(tenant(config), "desk.amount_max", 9_000_000);
    })
    .await?;
    let scenarios: [(&str, LocalBoxFuture<'_, anyhow::Result<()>>); 9] = [
        (
            "keypad: keyed, transferred blind by REFER and by the feature code, paid",
            Box::pin(blind(lab, &service, books)),
        ),
        (
            "keypad: keyed, transferred attended, paid in the operator's place",
            Box::pin(attended(lab, &service, books)),
        ),
        (
            "keypad: every wrong entry is asked for again",
            Box::pin(wrong_entries(lab, &service, books)),
        ),
        (
            "keypad: given up, before and after it was keyed",
            Box::pin(given_up(lab, &service)),
        ),
        (
            "keypad: an order that is paid or waits elsewhere is told before the transfer",
            Box::pin(refused(lab, &service, books)),
        ),
        (
            "keypad: keyed anew, the first is withdrawn",
            Box::pin(keyed_anew(lab, &service, books)),
        ),
        (
            "keypad: transferred before it was keyed",
            Box::pin(too_early(lab, &service, books)),
        ),
        (
            "keypad: hang-ups of either side",
            Box::pin(hang_ups(lab, &service, books)),
        ),
        (
            "keypad: practice charges nobody, and is never taken for a payment",
            Box::pin(practice(lab, &service, books)),
        ),
    ];
    let chosen = scenarios.into_iter().filter(|(name, _)| wanted(name));
    let each = chosen.map(async |(name, scenario)| {
        let began = Instant::now();
        let result = scenario.await;
        (name, began.elapsed(), result)
    });
    for (name, took, result) in futures_util::future::join_all(each).await {
        count(name, took, result);
    }
    let began = Instant::now();
    let left = nothing_is_left(lab, Some(&service)).await;
    count(
        "keypad: after all of them nothing is left in Asterisk or here",
        began.elapsed(),
        left,
    );
    drop(service);
    let name = "keypad: Asterisk's own attended transfer, with one place: the customer has it";
    if wanted(name) {
        let began = Instant::now();
        let result = by_atxfer(lab, books).await;
        count(name, began.elapsed(), result);
    }
    let name = "keypad: the daemon away, the operator is told so";
    if wanted(name) {
        let began = Instant::now();
        let result = away(lab).await;
        count(name, began.elapsed(), result);
    }
    Ok(())
}
