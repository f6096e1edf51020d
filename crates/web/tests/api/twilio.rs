//! Payments in Twilio's form, as its own library asks for them, and as a stranger does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const API_KEY: &str = "SK00000000000000000000000000000001";
pub(crate) const CALL: &str = "CA00000000000000000000000000000001";

const CREATE: &str = "IdempotencyKey=k-1&StatusCallback=https%3A%2F%2Fcti.example.com%2Fpay&ChargeAmount=1200&Parameter=%7B%22order_id%22%3A%22T-1%22%7D";

impl Server {
    async fn twilio(
        &self,
        user: &str,
        password: &str,
        method: &str,
        path: &str,
        form: &str,
    ) -> Answer {
        let basic = STANDARD.encode(format!("{user}:{password}"));
        let head = format!(
            "authorization: Basic {basic}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        let path = format!("/2010-04-01/Accounts/{ACCOUNT}/{path}");
        ask(self.api, method, &path, "", &head, form).await
    }

    async fn payments(&self, form: &str) -> Answer {
        let path = format!("Calls/{CALL}/Payments.json");
        self.twilio(ACCOUNT, TOKEN, "POST", &path, form).await
    }

    async fn update(&self, sid: &str, form: &str) -> Answer {
        let path = format!("Calls/{CALL}/Payments/{sid}.json");
        let form = format!("{form}&StatusCallback=https%3A%2F%2Fcti.example.com%2Fpay");
        self.twilio(ACCOUNT, TOKEN, "POST", &path, &form).await
    }
}

fn fault(answer: &Answer) -> (u16, u64) {
    assert!(
        answer.body["message"].is_string() && answer.body["more_info"].is_string(),
        "{answer:?}"
    );
    assert_eq!(answer.body["status"], answer.status);
    (answer.status, answer.body["code"].as_u64().unwrap())
}

#[tokio::test]
async fn a_payment_is_begun_once_and_led_field_by_field() {
    let server = Server::start().await;
    let begun = server.payments(CREATE).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    let sid = begun.body["sid"].as_str().unwrap().to_owned();
    assert!(sid.starts_with("PK") && sid.len() == 34);
    assert_eq!(begun.body["call_sid"], CALL);
    assert_eq!(begun.body["account_sid"], ACCOUNT);
    // The same under the same key is the same.
    let again = server.payments(CREATE).await;
    assert_eq!(
        (again.status, again.body["sid"].as_str()),
        (201, Some(&*sid))
    );
    assert_eq!(server.notes.started.lock().unwrap().len(), 1);
    let other = server.payments(&CREATE.replace("=1200", "=1300")).await;
    assert_eq!(fault(&other), (409, 20_409));
    let started = server.notes.started.lock().unwrap().remove(0);
    assert_eq!(started.leg, TalkLeg::Customer(CALL.into()));
    let lead = started.lead.unwrap();
    assert_eq!(
        (lead.charge_amount.as_str(), lead.currency.as_str()),
        ("1200", "jpy")
    );
    let payment = server
        .journal
        .payment(started.payment)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(payment.order.unwrap().as_str(), "T-1");

    let call = CallId::new(uuid::Uuid::now_v7());
    server.call.lock().unwrap().0 = Wished::Done(call);
    for (n, form, want) in [
        (
            1,
            "Capture=payment-card-number",
            Want::Capture(ivrpay_web::Field::PaymentCardNumber, false),
        ),
        (
            2,
            "Capture=security-code-matcher",
            Want::Capture(ivrpay_web::Field::SecurityCode, true),
        ),
        (3, "Status=complete", Want::Complete),
        (4, "Status=cancel", Want::Cancel),
    ] {
        let form = format!("{form}&IdempotencyKey=u-{n}");
        server.call.lock().unwrap().1 = None;
        let done = server.update(&sid, &form).await;
        assert_eq!(
            (done.status, done.body["sid"].as_str()),
            (200, Some(&*sid)),
            "{form}: {done:?}"
        );
        assert_eq!(server.call.lock().unwrap().1.as_ref().unwrap().0, want);
        // A repetition wipes no field that is being keyed.
        server.call.lock().unwrap().1 = None;
        assert_eq!(server.update(&sid, &form).await.status, 200);
        assert_eq!(server.call.lock().unwrap().1, None);
    }
    for (wished, expected) in [
        (Wished::NotNow, (400, 20_001)),
        (Wished::ChargeSent, (409, 20_409)),
        (Wished::Completing, (409, 20_409)),
        (Wished::NotInCall, (400, 21_220)),
        (Wished::NoAnswer, (503, 20_503)),
    ] {
        server.call.lock().unwrap().0 = wished;
        let refused = server
            .update(&sid, "Status=complete&IdempotencyKey=new")
            .await;
        assert_eq!(fault(&refused), expected, "{wished:?}");
    }
}

#[tokio::test]
async fn what_is_charged_or_may_be_is_never_told_as_over() {
    for (outcome, says) in [
        (None, "can't be called back"),
        (
            Some(Outcome::Unknown(Doubt::NoReply)),
            "do not charge again",
        ),
        (Some(yes()), "do not charge again"),
    ] {
        let mut server = Server::start().await;
        let begun = server.payments(CREATE).await;
        let sid = begun.body["sid"].as_str().unwrap().to_owned();
        let id = server.notes.started.lock().unwrap().remove(0).payment;
        let claim = server.journal.claim(id, call_id()).await.unwrap();
        let intent = server.journal.write_intent(id, draft(&claim)).await;
        if let Some(outcome) = &outcome {
            let intent = intent.unwrap();
            let written = server.journal.write_outcome(&intent, outcome).await;
            written.unwrap();
            let released = server.journal.release(&claim, "success", Value::Null);
            released.await.unwrap();
        }
        let told = |answer: &Answer, says: &str| {
            assert_eq!(fault(answer), (409, 20_409), "{outcome:?}: {answer:?}");
            let message = answer.body["message"].as_str().unwrap();
            assert!(
                message.contains(says) && message.contains(&id.to_string()),
                "{outcome:?}: {message}"
            );
        };
        // Its last callback was lost, and the program asks once more.
        server.call.lock().unwrap().0 = Wished::NotInCall;
        let late = "Status=complete&IdempotencyKey=late";
        told(&server.update(&sid, late).await, says);
        // The service was begun anew, and remembers nothing but the journal.
        let mut web = server.web.clone();
        web.twilio = Arc::new(Twilio::new(server.web.twilio.accounts.clone()));
        server.api = serve(ivrpay_web::router(web)).await;
        told(&server.payments(CREATE).await, says);
        let other = CREATE.replace("k-1", "k-2");
        told(&server.payments(&other).await, "this order has a payment");
        assert!(server.notes.started.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_wanted_what_of_which_payment_is_kept_and_who_was_refused() {
    let server = Server::start().await;
    let begun = server.payments(CREATE).await;
    let sid = begun.body["sid"].as_str().unwrap().to_owned();
    let id = server.notes.started.lock().unwrap().remove(0).payment;
    server.call.lock().unwrap().0 = Wished::Done(call_id());
    let form = "Capture=security-code-matcher&IdempotencyKey=u-1";
    assert_eq!(server.update(&sid, form).await.status, 200);
    let path = format!("Calls/{CALL}/Payments.json");
    let wrong = server.twilio(ACCOUNT, "wrong", "POST", &path, CREATE).await;
    assert_eq!(wrong.status, 401);
    let log = ask(server.admin, "GET", "/v1/audit?limit=200", "", "", "").await;
    let entries = log.body["entries"].as_array().unwrap();
    let kept = |what: &str, result: &str| {
        entries.iter().any(|entry| {
            let said = entry["what"].as_str().unwrap();
            said.contains("/2010-04-01/") && said.contains(what) && entry["result"] == result
        })
    };
    assert!(kept(&format!("Payments.json {id}"), "201"), "{log:?}");
    assert!(
        kept(&format!("{id} security-code-matcher"), "200"),
        "{log:?}"
    );
    assert!(kept("Payments.json", "401 unauthorized"), "{log:?}");
}

#[tokio::test]
async fn who_is_none_and_what_is_not_there_is_an_error_in_twilios_form() {
    let server = Server::start().await;
    let path = format!("Calls/{CALL}/Payments.json");
    for (user, password, expected) in [
        (ACCOUNT, "wrong", (401, 20_003)),
        (ACCOUNT, "", (401, 20_003)),
        ("", TOKEN, (401, 20_003)),
        ("AC00000000000000000000000000000002", TOKEN, (401, 20_003)),
        (API_KEY, TOKEN, (401, 20_003)),
        // That key may look at metrics alone.
        (API_KEY, "watcher-key", (403, 20_005)),
    ] {
        let answer = server.twilio(user, password, "POST", &path, CREATE).await;
        assert_eq!(fault(&answer), expected, "{user}:{password}");
    }
    let bearer = ask(
        server.api,
        "POST",
        &format!("/2010-04-01/Accounts/{ACCOUNT}/{path}"),
        "tokyo-key",
        "",
        CREATE,
    )
    .await;
    assert_eq!(fault(&bearer), (401, 20_003));
    for (changed, says) in [
        ("&Colour=red", "no such field"),
        ("&PostalCode=true", "postal codes"),
        ("&MinPostalCodeLength=5", "postal codes"),
        ("&PaymentMethod=ach-debit", "bank accounts"),
        ("&BankAccountType=consumer-checking", "bank accounts"),
        ("&Input=speech", "Input: dtmf"),
        ("&Timeout=0", "Timeout"),
        ("&Timeout=601", "Timeout"),
        ("&ValidCardTypes=visa%20gold", "ValidCardTypes"),
        ("&TokenType=forever", "TokenType"),
        ("&PaymentConnector=nobody", "connector"),
        ("&RequireMatchingInputs=postal-code", "postal codes"),
        ("&Confirmation=perhaps", "Confirmation"),
        ("&Currency=XXX", "Currency"),
        ("&ChargeAmount=1", "stands twice"),
    ] {
        let answer = server.payments(&format!("{CREATE}{changed}")).await;
        assert_eq!(fault(&answer), (400, 20_001), "{changed}: {answer:?}");
        assert!(
            answer.body["message"].as_str().unwrap().contains(says),
            "{changed}: {answer:?}"
        );
    }
    for (form, says) in [
        (CREATE.replace("1200", "12.5"), "ChargeAmount"),
        (
            CREATE.replace("cti.example.com", "169.254.169.254"),
            "StatusCallback: an address",
        ),
        (
            CREATE.replace("IdempotencyKey=k-1&", ""),
            "IdempotencyKey is missing",
        ),
        (
            CREATE.replace("k-1", "4111111111111111"),
            "IdempotencyKey: ",
        ),
        (
            CREATE.replace("%7B%22order_id%22%3A%22T-1%22%7D", "%5B%5D"),
            "Parameter: ",
        ),
        (CREATE.replace("T-1", "4111111111111111"), "order_id"),
        (
            CREATE.replace("=1200", "=0&TokenType=one-time"),
            "TokenType",
        ),
    ] {
        let answer = server.payments(&form).await;
        assert_eq!(fault(&answer), (400, 20_001), "{form}: {answer:?}");
        let message = answer.body["message"].as_str().unwrap();
        assert!(
            message.contains(says) && !message.contains("4111"),
            "{form}: {answer:?}"
        );
    }
    assert!(server.notes.started.lock().unwrap().is_empty());
    let none = server
        .update(
            "PK00000000000070008000000000000000",
            "Status=cancel&IdempotencyKey=x",
        )
        .await;
    assert_eq!(fault(&none), (404, 20_404));
    let json = ask(
        server.api,
        "POST",
        &format!("/2010-04-01/Accounts/{ACCOUNT}/{path}"),
        "",
        &format!(
            "authorization: Basic {}\r\ncontent-type: application/json\r\n",
            STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"))
        ),
        "{}",
    )
    .await;
    assert_eq!(fault(&json), (415, 20_001));
    let long = "x".repeat(20_000);
    assert_eq!(fault(&server.payments(&long).await), (413, 20_001));
    let why = NotStarted::new(api::ErrorCode::NoTalk, "nobody talks with the operator");
    *server.notes.not_started.lock().unwrap() = Some(why);
    assert_eq!(fault(&server.payments(CREATE).await), (400, 21_220));
}

#[tokio::test]
async fn calls_that_are_on_are_listed_as_its_library_reads_them() {
    let server = Server::start().await;
    let list = server
        .twilio(ACCOUNT, TOKEN, "GET", "Calls.json?PageSize=50", "")
        .await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(list.body["calls"][0]["sid"], CALL);
    assert_eq!(list.body["calls"][0]["status"], "in-progress");
    assert!(list.body["next_page_uri"].is_null());
    let one = server
        .twilio(ACCOUNT, TOKEN, "GET", &format!("Calls/{CALL}.json"), "")
        .await;
    assert_eq!((one.status, &one.body["from"]), (200, &json!("0312345678")));
    let none = server
        .twilio(ACCOUNT, TOKEN, "GET", "Calls/CA1.json", "")
        .await;
    assert_eq!(fault(&none), (404, 20_404));
    for (query, expected) in [
        ("Status=in-progress&To=201&From=0312345678", Ok(1)),
        ("Status=completed", Ok(0)),
        ("To=202", Ok(0)),
        ("From=%2B81312345678", Ok(0)),
        ("PageSize=1&Page=1", Ok(0)),
        ("Status=over", Err("Status: in-progress")),
        ("PageSize=0", Err("PageSize")),
        ("PageSize=1001", Err("PageSize")),
        ("Page=x", Err("Page")),
        (
            "StartTime%3E=2026-11-27",
            Err("StartTime>: there is no such"),
        ),
        ("ParentCallSid=CA1", Err("ParentCallSid: there is no such")),
    ] {
        let path = format!("Calls.json?{query}");
        let answer = server.twilio(ACCOUNT, TOKEN, "GET", &path, "").await;
        match expected {
            Ok(calls) => {
                let listed = answer.body["calls"].as_array().map(Vec::len);
                assert_eq!((answer.status, listed), (200, Some(calls)), "{query}");
            }
            Err(says) => {
                assert_eq!(fault(&answer), (400, 20_001), "{query}: {answer:?}");
                let message = answer.body["message"].as_str().unwrap();
                assert!(message.contains(says), "{query}: {message}");
            }
        }
    }
    for (method, path, expected) in [
        ("POST", "Calls.json", (405, 20_004)),
        ("DELETE", "Calls/CA1.json", (405, 20_004)),
        ("GET", "Messages.json", (404, 20_404)),
    ] {
        let answer = server.twilio(ACCOUNT, TOKEN, method, path, "").await;
        assert_eq!(fault(&answer), expected, "{method} {path}");
    }
}
