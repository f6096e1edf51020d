//! Each acquirer's connector in a real call: the card is keyed and charged, stands in the acquirer's books, and is given back behind the
//! call; a charge whose answer was lost is found by itself, by an inquiry or by the acquirer's own webhook, and released where its merchant
//! wants that. Cards are stored, checked, and charged by one key; amounts reserved and captured;
//! each way of paying back, chosen or asked for before, stands in the books of one. And `ivrpay connector test` against each.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{FutureExt as _, StreamExt as _};
use ivrpay_tests::acquirers::{Merchants, NAMES, ask, get};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{Service, set};
use serde_json::{Value, json};

use crate::scenarios::{AMEX, VISA, extension, keys};
use crate::short;

/// Plans of the merchants whose acquirer is GMO: with amounts that no other call here has.
const PLANS: &str = r#"
    [[plans]]
    plan = "installments"
    counts = [3, 5, 10]
    brands = ["visa"]
    amount_min = 20000
    [[plans]]
    plan = "revolving"
    brands = ["visa"]
    amount_min = 20000
    [[plans]]
    plan = "bonus"
    brands = ["visa"]
    amount_min = 20000
    periods = ["01-01..12-31"]
"#;

/// What the acquirer of one of them answers to what is asked behind a charge.
fn is_answered(name: &str, operation: &Value) -> bool {
    // Adyen says "received" alone; what became of it comes by webhook, which may be the faster one.
    operation["state"] == "approved" || name == "adyen" && operation["state"] == "unknown"
}

/// Longest that a webhook may take to settle what it is about.
const TOLD: Duration = Duration::from_secs(120);

/// The amount of the payment that the order system announces.
const ANNOUNCED: u64 = 20_006;

/// Those that store cards; those that check one without money; those that reserve an amount.
const STORING: [&str; 6] = ["gmo", "sbps", "veritrans", "kuroneko", "stripe", "adyen"];
const CHECKING: [&str; 3] = ["gmo", "stripe", "adyen"];
const RESERVING: [&str; 7] = [
    "gmo",
    "sbps",
    "veritrans",
    "kuroneko",
    "stripe",
    "adyen",
    "hyperswitch",
];

/// The keys of a card, where no amount is confirmed.
fn card_alone() -> String {
    let keys = keys(VISA, "1230", "123");
    keys.replacen("wait:payment-amount 1 ", "", 1)
}

struct Acquirers<'a> {
    lab: &'a Lab,
    merchants: Merchants,
    service: Service,
}

impl Acquirers<'_> {
    /// `ivrpay payment OPERATION ID`, as JSON; what it says otherwise.
    async fn payment(&self, operation: &str, id: &str) -> anyhow::Result<Value> {
        let by: &[&str] = if operation == "show" {
            &[]
        } else {
            &["--by", "mori"]
        };
        let arguments = [&["payment", operation, id], by].concat();
        let (json, said, _) = self.service.cli(&arguments).await?;
        ensure!(!json.is_null(), "`ivrpay payment {operation}` said {said}");
        Ok(json)
    }

    /// The payment, as soon as it is as it has to be.
    async fn becomes(&self, id: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let until = Instant::now() + TOLD;
        loop {
            let payment = self.payment("show", id).await?;
            if is(&payment) {
                return Ok(payment);
            }
            ensure!(Instant::now() < until, "it stays {payment}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A call that pays `amount` yen at the acquirer; the payment.
    async fn pays(&self, name: &str, amount: u64, result: &str) -> anyhow::Result<String> {
        let keys = keys(VISA, "1230", "123");
        let call = self.merchants.call(self.lab, name, amount, keys)?;
        let report = call.place(self.lab).await?;
        ensure!(
            report.result == result,
            "{name}: the call ended with {}, {}",
            report.result,
            report.way()
        );
        report
            .payment_id
            .with_context(|| format!("{name}: no payment"))
    }

    /// Paid in a call, in the books of both, and given back.
    async fn paid(&self, name: &str) -> anyhow::Result<()> {
        let id = self.pays(name, 1500, "success").await?;
        let payment = self.payment("show", &id).await?;
        ensure!(
            payment["state"] == "approved" && payment["captured"] == 1500,
            "{name}: {payment}"
        );
        let back = self.payment("refund", &id).await?;
        ensure!(
            is_answered(name, &back["operation"]),
            "{name}: the refund is {back}"
        );
        let given = self.becomes(&id, |p| p["state"] == "voided" && p["refunded"] == 1500);
        given.await.with_context(|| format!("{name}: the refund"))?;
        let order = &back["operation"]["acquirer_order"];
        let books = get(&format!("{}/log", self.merchants.control)).await?;
        let of = &books["acquirers"][name];
        let text = order.as_str().unwrap_or_default();
        let found = of["orders"].as_array().context("no orders")?;
        let found = found.iter().find(|o| {
            o["order"]
                .as_str()
                .is_some_and(|number| number.contains(text))
        });
        ensure!(
            found.is_some_and(|o| o["amount"] == 1500 || o["booked"] == false),
            "{name}: order {text} is {found:?} in {of}"
        );
        ensure!(
            of["wrong"] == json!([]),
            "{name} refused as wrong: {}",
            of["wrong"]
        );
        Ok(())
    }

    /// Announces, and takes it in a call; the payment as it is then.
    async fn announced(&self, name: &str, body: Value, keys: String) -> anyhow::Result<Value> {
        let order = body["order_id"].as_str().context("no order")?;
        let key = Merchants::key(name)?;
        let (status, made) = self
            .service
            .post_as(&key, "/v1/payments", &body, None)
            .await?;
        ensure!(
            status == 201,
            "{name}: announcing {body} answered {status}: {made}"
        );
        let call = self.merchants.dials(self.lab, name, "709", order, keys)?;
        let report = call.place(self.lab).await?;
        ensure!(
            report.result == "success",
            "{name}: {body} ended with {}, {}",
            report.result,
            report.way()
        );
        let id = made["id"].as_str().context("no id")?;
        let payment = self.payment("show", id).await?;
        ensure!(payment["state"] == "approved", "{name}: {payment}");
        Ok(payment)
    }

    /// A card is stored in a call, and charged in another by one key.
    async fn stored(&self, name: &str, number: usize) -> anyhow::Result<()> {
        let order = format!("8000{number}");
        let body = json!({"order_id": order, "transaction_type": "tokenize"});
        let stored = self.announced(name, body, card_alone()).await?;
        ensure!(
            stored["captured"].is_null() && stored["amount"] == 0,
            "{name}: {stored}"
        );
        let token = stored["payment_token"].as_str();
        let token = token.with_context(|| format!("{name}: no token in {stored}"))?;

        let body =
            json!({"order_id": format!("8100{number}"), "amount": 1700, "payment_token": token});
        let keys = "wait:payment-amount 1 wait:stored-card 1".to_owned();
        let paid = self.announced(name, body, keys).await?;
        ensure!(
            paid["captured"] == 1700 && paid["last4"] == stored["last4"],
            "{name}: {paid}"
        );
        Ok(())
    }

    /// A card is checked: nothing is charged.
    async fn checked(&self, name: &str, number: usize) -> anyhow::Result<()> {
        let body = json!({"order_id": format!("8200{number}"), "transaction_type": "verify"});
        let checked = self.announced(name, body, card_alone()).await?;
        ensure!(
            checked["captured"].is_null() && checked["payment_token"].is_null(),
            "{name}: {checked}"
        );
        Ok(())
    }

    /// Reserved in a call, as the dialplan says; taken behind it.
    async fn reserved(&self, name: &str) -> anyhow::Result<()> {
        let keys = keys(VISA, "1230", "123");
        let call = self.merchants.dials(self.lab, name, "700", "1600", keys)?;
        let report = call.place(self.lab).await?;
        ensure!(report.result == "success", "{name}: {}", report.result);
        let id = report.payment_id.context("no payment")?;
        let payment = self.payment("show", &id).await?;
        ensure!(
            payment["state"] == "approved"
                && payment["transaction_type"] == "authorize"
                && payment["captured"].is_null(),
            "{name}: {payment}"
        );
        let taken = self.payment("capture", &id).await?;
        ensure!(
            is_answered(name, &taken["operation"]),
            "{name}: the capture is {taken}"
        );
        let taken = self.becomes(&id, |p| p["captured"] == 1600);
        taken
            .await
            .with_context(|| format!("{name}: the capture"))?;
        Ok(())
    }

    /// A call that pays so many yen in the way that is keyed behind the security code; GMO's books have the plan as `Method/PayTimes`.
    async fn in_a_plan(
        &self,
        card: (&str, &str),
        amount: u64,
        chosen: &str,
        (plan, count, booked): (&str, Option<u8>, &str),
    ) -> anyhow::Result<()> {
        let keys = keys(card.0, "1230", card.1);
        let mut keys = keys.replace("wait:confirmation", &format!("{chosen} wait:confirmation"));
        if card.0 == AMEX {
            // The first 1 falls into "single payment only": whoever expects a menu has not heard what it would pay.
            keys += " wait:confirmation/input-timeout 1";
        }
        let report = if amount == ANNOUNCED {
            self.asked_for().await?
        } else {
            let call = self.merchants.call(self.lab, "gmo", amount, keys)?;
            call.place(self.lab).await?
        };
        ensure!(
            report.result == "success",
            "{plan}: the call ended with {}, {}",
            report.result,
            report.way()
        );
        let id = report.payment_id.as_deref().context("no payment")?;
        let payment = self.payment("show", id).await?;
        ensure!(
            payment["payment_plan"] == plan && payment["payment_plan_count"] == json!(count),
            "{plan}: {payment}"
        );
        let books = get(&format!("{}/log", self.merchants.control)).await?;
        let orders = books["acquirers"]["gmo"]["orders"].as_array();
        let found = orders
            .context("no orders")?
            .iter()
            .find(|o| o["amount"] == amount && o["booked"] == true);
        ensure!(
            found.is_some_and(|o| o["plan"] == booked),
            "{plan}: in the books {found:?}"
        );
        Ok(())
    }

    /// The order system asks for five instalments: the caller is not asked, and confirms them.
    async fn asked_for(&self) -> anyhow::Result<Report> {
        let order = "620251126";
        let mut body = json!({"amount": ANNOUNCED, "order_id": order, "payment_plan": "installments", "payment_plan_count": 4});
        let (status, refused) = self.service.post("/v1/payments", &body, None).await?;
        let says = refused["detail"].as_str().unwrap_or_default();
        ensure!(
            status == 400 && says.contains("installments with payment_plan_count 5"),
            "{status}: {refused}"
        );
        body["payment_plan_count"] = json!(5);
        let (status, made) = self.service.post("/v1/payments", &body, None).await?;
        ensure!(status == 201, "{status}: {made}");
        let call = Call::new(format!("78{order}"), keys(VISA, "1230", "123"));
        call.place(self.lab).await
    }

    /// Each plan; a number of instalments that is not offered; a brand that has one payment alone; a plan that the order system asks for.
    async fn plans(&self) -> anyhow::Result<()> {
        let visa = (VISA, "123");
        let count = "wait:payment-plan 2 wait:payment-plan-count";
        let wrong = format!(
            "{count} 4# wait:payment-plan-count/invalid-payment-plan , 3# wait:payment-plan-confirmation 1"
        );
        let instalments = "installments";
        let done = tokio::join!(
            self.in_a_plan(
                visa,
                20_001,
                "wait:payment-plan 1",
                ("lump_sum", None, "1/")
            ),
            self.in_a_plan(visa, 20_002, &wrong, (instalments, Some(3), "2/3")),
            self.in_a_plan(
                visa,
                20_003,
                "wait:payment-plan 3",
                ("revolving", None, "4/")
            ),
            self.in_a_plan(visa, 20_004, "wait:payment-plan 4", ("bonus", None, "3/")),
            self.in_a_plan((AMEX, "1234"), 20_005, "", ("lump_sum", None, "1/")),
            self.in_a_plan(visa, ANNOUNCED, "", (instalments, Some(5), "2/5")),
        );
        done.0
            .and(done.1)
            .and(done.2)
            .and(done.3)
            .and(done.4)
            .and(done.5)
    }

    /// `ivrpay connector test`: all green, nothing left behind.
    async fn tested(&self, name: &str) -> anyhow::Result<()> {
        let cards = self.service.folder.join(format!("cards-{name}"));
        // Adyen's test system has one date for all.
        let date = if name == "adyen" { "0330" } else { "1230" };
        let text = format!("approved {VISA} {date} 123\ndeclined 4000000000000002 {date} 123\n");
        std::fs::write(&cards, text)?;
        std::fs::set_permissions(&cards, std::fs::Permissions::from_mode(0o600))?;
        let cards = cards.display().to_string();
        let arguments = ["connector", "test", name, "--card-file", &cards];
        let (report, said, good) = self.service.cli(&arguments).await?;
        let cases = report["cases"].as_array();
        let cases = cases.with_context(|| format!("{name}: {said}"))?;
        let failed: Vec<_> = cases.iter().filter(|c| c["result"] == "failed").collect();
        let tried = cases.iter().filter(|c| c["result"] == "ok").count();
        ensure!(
            good && report["good"] == true && failed.is_empty() && tried >= 6,
            "{name}: {tried} cases ok, failed {failed:?}, left {}",
            report["left"]
        );
        ensure!(report["left"] == json!([]), "{name}: {}", report["left"]);
        Ok(())
    }

    /// The same, of a merchant who does not keep what nobody knows of: it is released again, and whoever calls back is told so.
    async fn lost_and_released(&self) -> anyhow::Result<()> {
        let call = Call::new(extension(1, 9003), keys(VISA, "1230", "123"));
        let report = call.place(self.lab).await?;
        ensure!(
            report.result == "outcome-unknown",
            "ended with {}",
            report.result
        );
        let id = report.payment_id.context("no payment")?;
        self.becomes(&id, |p| p["state"] == "voided").await?;
        let books = get(&format!("{}/log", self.merchants.control)).await?;
        let orders = books["acquirers"]["gmo"]["orders"].as_array();
        let booked = orders.context("no orders")?.iter().filter(|o| {
            let of_these = o["amount"] == 9003;
            of_these && o["booked"] == true
        });
        // The other one's, until it is given back.
        ensure!(booked.count() <= 1, "not released: {books}");
        let (tasks, said, _) = self.service.cli(&["task", "list"]).await?;
        let listed = tasks["tasks"].as_array().or(tasks.as_array());
        let mut listed = listed.with_context(|| said.clone())?.iter();
        let task = listed.find(|t| t["payment_id"] == id.as_str());
        let task = task.with_context(|| format!("nobody calls back: {tasks}"))?;
        let reason = task["reason"].as_str().unwrap_or_default();
        ensure!(
            task["kind"] == "approved-caller-gone" && reason.contains("paid nothing"),
            "{task}"
        );
        Ok(())
    }

    /// The acquirer books and does not answer: the caller hears that it is being checked, and the service finds it by itself.
    async fn lost_and_found(&self) -> anyhow::Result<()> {
        let id = self.pays("gmo", 9003, "outcome-unknown").await?;
        self.becomes(&id, |p| p["state"] == "approved").await?;
        let nothing = self.payment("inquire", &id).await?;
        ensure!(nothing["operations"] == json!([]), "{nothing}");
        let back = self.payment("void", &id).await?;
        ensure!(back["payment"]["state"] == "voided", "{back}");
        Ok(())
    }
}

impl Acquirers<'_> {
    /// Where the simulated Adyen sends its webhooks.
    async fn hears(&self) -> anyhow::Result<()> {
        let url = format!("{}/hooks/adyen", self.service.api);
        self.webhook(json!({"url": url})).await
    }

    async fn webhook(&self, mut asked: Value) -> anyhow::Result<()> {
        asked["acquirer"] = "adyen".into();
        ask(&format!("{}/webhook", self.merchants.control), &asked).await
    }

    /// Adyen books and does not answer. Its webhook settles that; where none comes, a void by our order number, and its webhook. What fails
    /// after it was done is a person's task, and forged messages settle nothing.
    async fn told_by_webhook(&self) -> anyhow::Result<()> {
        let id = self.pays("adyen", 29_005, "outcome-unknown").await?;
        self.becomes(&id, |p| p["state"] == "approved").await?;

        self.webhook(json!({"fault": "wrong-signature"})).await?;
        let id = self.pays("adyen", 39_005, "outcome-unknown").await?;
        // Its webhook may be faster than the second look, and would have settled it.
        self.webhook(json!({"fault": "late"})).await?;
        let void = self.payment("void", &id).await?;
        ensure!(
            void["operation"]["state"] == "unknown" && void["payment"]["state"] == "unknown",
            "received is not released: {void}"
        );
        self.becomes(&id, |p| p["state"] == "voided").await?;

        let id = self.pays("adyen", 2_500, "success").await?;
        let back = self.payment("refund", &id).await?;
        self.becomes(&id, |p| p["state"] == "voided").await?;
        let order = &back["operation"]["acquirer_order"];
        self.webhook(json!({"event": "REFUND_FAILED", "order": order}))
            .await?;
        let until = Instant::now() + TOLD;
        loop {
            let (tasks, said, _) = self.service.cli(&["task", "list"]).await?;
            let tasks = tasks["tasks"].as_array().context(said)?;
            let is =
                |task: &&Value| task["kind"] == "acquirer-contradicts" && task["payment_id"] == *id;
            if tasks.iter().any(|task| is(&task)) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "no task in {tasks:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The lab's own merchant has GMO too: orders are announced for it.
fn offer(config: &mut toml::Table) {
    let plans = PLANS.parse::<toml::Table>().ok();
    let plans = plans.and_then(|mut table| table.remove("plans"));
    let tenants = config.get_mut("tenants").and_then(|t| t.as_array_mut());
    let of_gmo = tenants.into_iter().flatten().take(2);
    let of_gmo = of_gmo.filter_map(|tenant| tenant.as_table_mut());
    for (tenant, unheard) in of_gmo.zip(["void", "keep"]) {
        set(tenant, "connector", "gmo");
        set(tenant, "unheard_approval", unheard);
        if let Some(plans) = &plans {
            set(tenant, "plans", plans.clone());
        }
    }
}

type Trial<'a> = futures_util::future::BoxFuture<'a, anyhow::Result<()>>;

/// Calls side by side: more would be late on two cores.
const AT_ONCE: usize = 10;

/// All of them, on one service.
pub(crate) async fn all(lab: &Lab) -> anyhow::Result<()> {
    let merchants = Merchants::of(lab).await?;
    let service = Service::start(lab, "acquirers", true, |config| {
        short(config);
        merchants.configure(config);
        offer(config);
    })
    .await?;
    let acquirers = Acquirers {
        lab,
        merchants,
        service,
    };
    let a = &acquirers;
    a.hears().await?;
    let mut calls: Vec<Trial<'_>> = vec![
        a.lost_and_found().boxed(),
        a.lost_and_released().boxed(),
        a.plans().boxed(),
    ];
    calls.extend(NAMES.map(|name| a.paid(name).boxed()));
    calls.extend(
        STORING
            .iter()
            .enumerate()
            .map(|(at, name)| a.stored(name, at).boxed()),
    );
    calls.extend(
        CHECKING
            .iter()
            .enumerate()
            .map(|(at, name)| a.checked(name, at).boxed()),
    );
    calls.extend(RESERVING.map(|name| a.reserved(name).boxed()));
    let ended: Vec<_> = futures_util::stream::iter(calls)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // Behind them: the next webhook is whose call is on.
    let told = a.told_by_webhook().await;
    // And behind that: it asks with wrong keys too, which stands in the simulators' logs.
    let tested = futures_util::future::join_all(NAMES.map(|name| a.tested(name))).await;
    let wrong: Vec<_> = ended
        .into_iter()
        .chain([told])
        .chain(tested)
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}
