use ivrpay_payment::{Currency, AcquirerRef, Approval, CardToken, Count, Decline, Durable, Money, Reason};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{SettingError, configured};
use crate::testing::{NOW, after, asked, body, card, intent, of, sends};

const CARD: &str = "4111111111111111";
const ORDER: &str = "00000000000000042";
const CCID_OF_TESTS: &str = "A100000000000000000000cc";
const KEY_OF_TESTS: &str = "secret_key_example";

fn settings(mode: Mode, ccid: &str) -> Settings {
    let mut settings = Settings::new(mode);
    settings.raw_pan = true;
    settings.parameters = [("merchant_ccid".to_owned(), ccid.to_owned())].into();
    settings.secrets = [("merchant_secret_key".to_owned(), KEY_OF_TESTS.into())].into();
    settings
}

fn veritrans(mode: Mode) -> Box<dyn Connector> {
    configured("veritrans".parse().unwrap(), &settings(mode, CCID_OF_TESTS)).unwrap()
}

fn reply(value: &Value) -> Reply {
    Reply::new(200, value.to_string().into_bytes())
}

/// Their document, for order 00000000000000042.
fn yes() -> Value {
    json!({"result": {
        "vResultCode": "A001000000000000", "mstatus": "success", "merrMsg": "処理が成功しました。", "orderId": ORDER, "custTxn": "30446978",
        "marchTxn": "30446978", "resAuthCode": "000000", "reqCardNumber": "411111********11", "acquirerCode": "05", "resActionCode": "000",
        "resCenterErrorCode": "   ", "serviceType": "card", "txnVersion": "2.0.0", "reqAmount": "1500",
    }})
}

fn no(code: &str, center: &str) -> Value {
    json!({"result": {"vResultCode": code, "mstatus": "failure", "merrMsg": "…", "orderId": ORDER, "resCenterErrorCode": center}})
}

fn approval() -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new("30446978").unwrap(),
        code: Some("000000".into()),
        card: None,
    })
}

fn ended(step: Result<Step, BuildError>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Send(..)) => panic!("one more request"),
        Err(error) => panic!("{error}"),
    }
}

/// The one request of an operation as path and body, and what an answer to it means.
fn done(op: &Durable<Intent>, answer: &Reply) -> (String, Outcome) {
    let veritrans = veritrans(Mode::Test);
    let card = card(CARD, Some("987"));
    let keyed = op.get().token.is_none() && op.get().parent.is_none();
    let asked = asked(op, keyed.then_some(&card));
    let (request, progress) = sends(veritrans.as_ref(), &asked, &Progress::default(), None);
    assert!(!progress.needs_card && request.content_type.starts_with("application/json"));
    let sent = body(&request).replace(CARD, "<number>").replace("\"987\"", "\"<code>\"");
    let outcome = ended(veritrans.step(&asked, &progress, Some(answer)));
    (format!("{} {sent}", request.path), outcome)
}

/// The digests of their document and of ekerik220/3g-mdk-go (core tests).
#[test]
fn the_signature_is_theirs() {
    for (ccid, params, key, hash) in [
        (
            CCID_OF_TESTS,
            r#"{"orderId":"ord-0001","amount":"1500","jpo":"10","withCapture":"false","cardNumber":"4111111111111111","cardExpire":"12/30","securityCode":"123","txnVersion":"2.0.0","dummyRequest":"1","merchantCcid":"A100000000000000000000cc"}"#,
            KEY_OF_TESTS,
            "333115e330ac64515ad3b6bcfd1f5f09bda171c7a9f67671da48deeceabfc280",
        ),
        (
            CCID_OF_TESTS,
            r#"{"txnVersion":"1.0.0","dummyRequest":"0","merchantCcid":"A100000000000000000000cc","payNowIdParam":{"accountParam":{"accountId":"dummy-account-id"},"token":"abcdef01-2345-6789-0abc-def012345678"},"serviceOptionType":"mpi-complete","orderId":"dummy-order-id","amount":"100","deviceChannel":"02"}"#,
            "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
            "2b110237583f7717ccde4b641e3b31b6364e8885b4967cdb34af61e77d3c82f9",
        ),
    ] {
        let signer = Veritrans {
            ccid: ccid.to_owned(),
            secret_key: key.into(),
            dummy: true,
        };
        assert_eq!(signer.signature(params.as_bytes()), hash);
    }
}

#[test]
fn a_charge_is_one_signed_request() {
    let (sent, outcome) = done(&of(OperationKind::Authorise, 1500), &reply(&yes()));
    let (params, hash) = sent.split_once(",\"authHash\":").unwrap();
    assert_eq!(
        params,
        r#"/test-paynow/v2/Authorize/card {"params":{"orderId":"00000000000000042","amount":"1500","jpo":"10","withCapture":"false","cardNumber":"<number>","cardExpire":"12/30","securityCode":"<code>","txnVersion":"2.0.0","dummyRequest":"1","merchantCcid":"A100000000000000000000cc"}"#
    );
    // What is signed are the bytes between the names.
    let signed = params.split_once("\"params\":").unwrap().1;
    let signed = signed.replace("<number>", CARD).replace("<code>", "987");
    let expected = digest::sha256(&[CCID_OF_TESTS, &signed, KEY_OF_TESTS].map(str::as_bytes));
    assert_eq!(hash, format!("\"{expected}\"}}"));
    assert_eq!(outcome, approval());
    let (sent, outcome) = done(&intent(1500), &reply(&yes()));
    assert!(sent.contains(r#""withCapture":"true""#));
    assert_eq!(outcome, approval());
}

/// Where money moves the paths and the flag are others.
#[test]
fn live_is_told_in_two_places() {
    let card = card(CARD, None);
    let op = intent(1500);
    let live = veritrans(Mode::Live);
    let (request, _) = sends(live.as_ref(), &asked(&op, Some(&card)), &Progress::default(), None);
    assert_eq!(request.path, "/paynow/v2/Authorize/card");
    assert!(body(&request).contains(r#""dummyRequest":"0""#));
    for wrong in ["A100000000000000000000cx", "A1cc", "A10000000000000000000 cc"] {
        let made = configured("veritrans".parse().unwrap(), &settings(Mode::Live, wrong));
        assert!(matches!(made.err(), Some(SettingError::Value { name, .. }) if name == "merchant_ccid"), "{wrong}");
    }
}

#[test]
fn plans_and_stored_cards_have_their_fields() {
    let three = Count::new(3).unwrap();
    for (plan, jpo) in [
        (Plan::Instalments(three), "61C03"),
        (Plan::BonusLumpSum, "21"),
        (Plan::Revolving, "80"),
    ] {
        let op = Durable::attest(Intent { plan, ..intent(1500).get().clone() });
        let (sent, _) = done(&op, &reply(&yes()));
        assert!(sent.contains(&format!("\"jpo\":\"{jpo}\"")), "{sent}");
    }
    let plan = Plan::BonusInstalments(three);
    let op = Durable::attest(Intent { plan, ..intent(1500).get().clone() });
    let card = card(CARD, None);
    let refused = veritrans(Mode::Test).step(&asked(&op, Some(&card)), &Progress::default(), None);
    assert_eq!(refused.err(), Some(BuildError::Plan { plan }));
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("i202611v260000r00007").unwrap()),
        ..intent(1500).get().clone()
    });
    let (sent, outcome) = done(&token, &reply(&yes()));
    assert!(sent.contains(r#""withCapture":"true","payNowIdParam":{"accountParam":{"accountId":"i202611v260000r00007"}},"txnVersion""#));
    assert_eq!(outcome, approval());
}

#[test]
fn what_each_answer_means() {
    let declined = |reason, code: &str, hard| {
        Outcome::Declined(Decline { reason, code: code.into(), hard, action: None })
    };
    let unknown = |doubt| Outcome::Unknown(doubt);
    let but = |name: &str, value: Value| {
        let mut answer = yes();
        answer["result"][name] = value;
        answer
    };
    for (answer, expected) in [
        (yes(), approval()),
        (but("vResultCode", "A001X00100000000".into()), approval()),
        (but("reqAmount", Value::Null), approval()),
        (but("mstatus", "pending".into()), unknown(Doubt::Pending)),
        (but("mstatus", "done".into()), unknown(Doubt::Malformed)),
        (but("mstatus", "failure".into()), unknown(Doubt::UnlistedCode)),
        (but("vResultCode", "A002000000000000".into()), unknown(Doubt::UnlistedCode)),
        (but("vResultCode", "A001".into()), unknown(Doubt::UnlistedCode)),
        (but("orderId", "00000000000000043".into()), unknown(Doubt::Mismatch)),
        (but("orderId", Value::Null), unknown(Doubt::Mismatch)),
        (but("reqAmount", "1501".into()), unknown(Doubt::Mismatch)),
        (but("reqAmount", "x".into()), unknown(Doubt::Malformed)),
        (but("custTxn", Value::Null), unknown(Doubt::Malformed)),
        (but("custTxn", CARD.into()), unknown(Doubt::Malformed)),
        (no("AG41000000000000", "G44"), declined(Reason::CvvMismatch, "G44", false)),
        (no("AG47000000000000", "   "), declined(Reason::LostOrStolen, "AG47", true)),
        (no("AB12000000000000", ""), declined(Reason::CardNotSupported, "AB12", false)),
        (no("AG24000000000000", "C50"), unknown(Doubt::UnlistedCode)),
        (no("AC11000000000000", ""), Outcome::NotCharged(Why::Rejected)),
        (no("ZZ01000000000000", ""), unknown(Doubt::UnlistedCode)),
        (json!({}), unknown(Doubt::Malformed)),
        (json!([]), unknown(Doubt::Malformed)),
    ] {
        assert_eq!(done(&intent(1500), &reply(&answer)).1, expected, "{answer}");
    }
    let mut other = no("AG41000000000000", "G44");
    other["result"]["orderId"] = "00000000000000043".into();
    assert_eq!(done(&intent(1500), &reply(&other)).1, unknown(Doubt::Mismatch));
    for (answer, expected) in [
        (Reply::new(503, Vec::new()), Doubt::Status { status: 503 }),
        (Reply::new(200, b"<html>".to_vec()), Doubt::Malformed),
        (Reply::too_long(200), Doubt::Malformed),
    ] {
        assert_eq!(done(&intent(1500), &answer).1, unknown(expected));
    }
}

#[test]
fn later_operations_name_the_order() {
    for (kind, amount, path, members) in [
        (OperationKind::Capture, 1400, "/test-paynow/v2/Capture/card", r#"{"params":{"orderId":"00000000000000042","amount":"1400","txnVersion""#),
        (OperationKind::Refund, 400, "/test-paynow/v2/Cancel/card", r#"{"params":{"orderId":"00000000000000042","amount":"400","txnVersion""#),
        (OperationKind::Void, 1500, "/test-paynow/v2/Cancel/card", r#"{"params":{"orderId":"00000000000000042","txnVersion""#),
    ] {
        let mut answer = yes();
        answer["result"]["reqAmount"] = amount.to_string().into();
        let (sent, outcome) = done(&after(kind, amount, Some("30446978")), &reply(&answer));
        assert!(sent.starts_with(&format!("{path} {members}")), "{sent}");
        assert_eq!(outcome, approval(), "{kind:?}");
        let gone = no("ACD4000000000000", "");
        let (_, outcome) = done(&after(kind, amount, Some("30446978")), &reply(&gone));
        assert_eq!(outcome, Outcome::NotCharged(Why::Rejected), "{kind:?}");
    }
    // A refund of another amount than was asked for.
    let (_, outcome) = done(&after(OperationKind::Refund, 400, None), &reply(&yes()));
    assert_eq!(outcome, Outcome::Unknown(Doubt::Mismatch));
}

/// A transaction of a search.
fn entry(command: &str, status: &str, code: &str, amount: Value) -> Value {
    json!({
        "command": command, "mstatus": status, "vResultCode": code, "amount": amount, "txnId": "30446978", "txnDatetime": "2026-04-01 12:00:06.0",
        "properTransactionInfo": {"resAuthCode": "000000", "resCenterErrorCode": if code.starts_with("AG") { "G44" } else { "   " }},
    })
}

fn did(command: &str, amount: u64) -> Value {
    entry(command, "success", "A001000000000000", amount.to_string().into())
}

fn search(list: &[Value]) -> Value {
    json!({"result": {
        "vResultCode": "N001000000000000", "mstatus": "success", "serviceType": "search", "overMaxCountFlag": false, "searchCount": 1,
        "orderInfos": {"orderInfo": [{"index": 0, "orderId": ORDER, "orderStatus": "end", "serviceTypeCd": "card", "transactionInfos": {"transactionInfo": list}}]},
    }})
}

fn nothing() -> Value {
    let mut answer = search(&[]);
    answer["result"]["searchCount"] = 0.into();
    answer["result"]["orderInfos"]["orderInfo"] = json!([]);
    answer
}

/// "Not there" is a verdict only when no request of ours can be on its way any more.
#[test]
fn a_query_says_what_became_of_the_operation() {
    use OperationKind::{Authorise, Capture, Charge, Refund, Void};
    let old = NOW + SETTLED_AFTER_S;
    let never = || Some(Outcome::NotCharged(Why::NotArrived));
    let unknown = |doubt| Some(Outcome::Unknown(doubt));
    let refused = entry("Authorize", "failure", "AG41000000000000", Value::Null);
    let pending = entry("Authorize", "pending", "A001000000000000", "1500".into());
    let failed = entry("Capture", "failure", "NH02000000000000", Value::Null);
    let mut reserved = did("Authorize", 1500);
    reserved["properTransactionInfo"]["reqWithCapture"] = "false".into();
    let mut other = search(&[did("Authorize", 1500)]);
    other["result"]["orderInfos"]["orderInfo"][0]["orderId"] = "00000000000000043".into();
    for (kind, answer, at, expected) in [
        (Charge, search(&[did("Authorize", 1500)]), NOW, None),
        (Authorise, search(&[did("Authorize", 1500)]), NOW, None),
        // As recorded: a part was given back later.
        (Charge, search(&[did("Authorize", 1500), failed.clone(), did("Cancel", 5)]), NOW, None),
        (Charge, search(&[refused.clone(), did("Authorize", 1500)]), NOW, None),
        (Charge, search(&[did("Authorize", 1501)]), NOW, unknown(Doubt::Mismatch)),
        (Charge, search(&[did("Authorize", 1500), did("Authorize", 1500)]), NOW, unknown(Doubt::Mismatch)),
        (Charge, search(&[did("Authorize", 1500), did("Cancel", 1500)]), NOW, Some(Outcome::NotCharged(Why::Reversed))),
        (Charge, search(&[did("Authorize", 1500), entry("Cancel", "success", "A001000000000000", Value::Null)]), NOW, Some(Outcome::NotCharged(Why::Reversed))),
        (Charge, search(&[did("Cancel", 1500)]), NOW, unknown(Doubt::Mismatch)),
        (Charge, search(&[reserved.clone()]), NOW, unknown(Doubt::Mismatch)),
        (Authorise, search(&[reserved.clone()]), NOW, None),
        (Charge, search(&[refused]), NOW, Some(Outcome::Declined(Decline { reason: Reason::CvvMismatch, code: "G44".into(), hard: false, action: None }))),
        (Charge, search(&[pending]), old, unknown(Doubt::Pending)),
        (Charge, search(&[did("ReAuthorize", 1500)]), old, unknown(Doubt::Mismatch)),
        (Charge, search(&[]), old, unknown(Doubt::Mismatch)),
        (Charge, other, old, unknown(Doubt::Mismatch)),
        (Charge, nothing(), NOW, unknown(Doubt::Pending)),
        (Charge, nothing(), old, never()),
        (Charge, no("NZ01000000000000", ""), old, unknown(Doubt::UnlistedCode)),
        (Capture, search(&[did("Authorize", 1500), did("Capture", 1500)]), NOW, None),
        (Capture, search(&[did("Authorize", 1500), did("Capture", 1400)]), NOW, unknown(Doubt::Mismatch)),
        (Capture, search(&[did("Authorize", 1500), failed]), old, never()),
        (Capture, search(&[did("Authorize", 1500)]), NOW, unknown(Doubt::Pending)),
        (Void, search(&[did("Authorize", 1500), did("Cancel", 1500)]), NOW, None),
        (Void, search(&[did("Authorize", 1500)]), old, never()),
        (Void, nothing(), old, never()),
        (Refund, search(&[did("Authorize", 1500), did("Cancel", 1000), did("Cancel", 500)]), NOW, None),
        (Refund, search(&[did("Authorize", 1500), did("Capture", 1400), did("Cancel", 1400)]), NOW, None),
        (Refund, search(&[did("Authorize", 1500), did("Cancel", 500)]), old, unknown(Doubt::Mismatch)),
        // All of it is back, and less was asked for.
        (Refund, search(&[did("Authorize", 1600), did("Cancel", 1600)]), old, unknown(Doubt::Mismatch)),
        (Refund, search(&[did("Authorize", 1600), did("Cancel", 100), did("Cancel", 1500)]), old, None),
        (Refund, search(&[did("Authorize", 1500)]), old, never()),
    ] {
        let op = after(OperationKind::Query, 1500, None);
        let mut about = *op.get().parent.clone().unwrap();
        about.kind = kind;
        let outcome = found(op.get(), &about, at, &reply(&answer));
        match expected {
            Some(expected) => assert_eq!(outcome, expected, "{kind:?} {answer}"),
            None => assert_eq!(outcome, approval(), "{kind:?} {answer}"),
        }
    }
    let (sent, _) = done(&after(OperationKind::Query, 1500, None), &reply(&nothing()));
    assert!(sent.starts_with(
        r#"/test-paynow-search/v2/Search/search {"params":{"newerFlag":"false","containDummyFlag":"1","serviceTypeCd":["card"],"searchParameters":{"common":{"orderId":"00000000000000042"}},"txnVersion""#
    ), "{sent}");
}

#[test]
fn a_card_is_stored_in_an_account_of_its_own() {
    let veritrans = veritrans(Mode::Test);
    let op = of(OperationKind::Tokenise, 1);
    let card = card(CARD, None);
    let asked = asked(&op, Some(&card));
    let stored = |status: &str| {
        json!({
            "payNowIdResponse": {"account": {"accountId": "i000000v000000r00042", "cardInfo": []}, "status": status},
            "result": {"mstatus": status, "vResultCode": "X001000000000000"},
        })
    };
    let (first, progress) = sends(veritrans.as_ref(), &asked, &Progress::default(), None);
    assert_eq!(first.path, "/test-paynowid/v1/Add/account");
    assert!(body(&first).starts_with(r#"{"params":{"payNowIdParam":{"accountParam":{"accountId":"i000000v000000r00042"}},"#));
    assert!(progress.needs_card && progress.harmless);
    for (answer, why) in [
        (reply(&stored("failure")), Why::Rejected),
        (Reply::new(503, Vec::new()), Why::Busy),
    ] {
        let outcome = ended(veritrans.step(&asked, &progress, Some(&answer)));
        assert_eq!(outcome, Outcome::NotCharged(why));
    }
    let answer = reply(&stored("success"));
    let (second, progress) = sends(veritrans.as_ref(), &asked, &progress, Some(&answer));
    assert_eq!(second.path, "/test-paynowid/v1/Add/cardinfo");
    assert!(body(&second).replace(CARD, "<number>").contains(
        r#"{"accountId":"i000000v000000r00042","cardParam":{"cardNumber":"<number>","cardExpire":"12/30","defaultCard":"1"}}"#
    ));
    assert!(!progress.needs_card && progress.harmless);
    let outcome = ended(veritrans.step(&asked, &progress, Some(&answer)));
    assert!(matches!(&outcome, Outcome::Approved(a) if a.acquirer_ref.as_str() == "i000000v000000r00042"), "{outcome:?}");
    let outcome = ended(veritrans.step(&asked, &progress, Some(&reply(&no("AC25000000000000", "")))));
    assert!(matches!(&outcome, Outcome::Declined(d) if d.reason == Reason::InvalidNumber), "{outcome:?}");
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let veritrans = veritrans(Mode::Test);
    let card = card(CARD, None);
    let field = Some(BuildError::Field { field: "amount" });
    let first = Progress::default();
    let dollars = Durable::attest(Intent {
        amount: Money::new(1500, Currency::Usd).unwrap(),
        ..intent(1500).get().clone()
    });
    assert_eq!(veritrans.step(&asked(&dollars, Some(&card)), &first, None).err(), field);
    let more = after(OperationKind::Refund, 1501, None);
    assert_eq!(veritrans.step(&asked(&more, None), &first, None).err(), field);
    let verify = of(OperationKind::Verify, 1);
    assert!(matches!(
        veritrans.step(&asked(&verify, Some(&card)), &first, None).err(),
        Some(BuildError::Unsupported { .. })
    ));
}

proptest! {
    /// Any bytes give an outcome, and an approval only in their own words.
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200), stage in 1..=2_u8) {
        let veritrans = veritrans(Mode::Test);
        for op in [intent(1500), after(OperationKind::Void, 1500, None), after(OperationKind::Query, 1500, None), of(OperationKind::Tokenise, 1)] {
            let progress = Progress { stage, ..Progress::default() };
            let card = card(CARD, None);
            let step = veritrans.step(&asked(&op, Some(&card)), &progress, Some(&Reply::new(status, bytes.clone())));
            prop_assert!(!matches!(step, Ok(Step::Done(Outcome::Approved(_)))));
        }
    }

    /// Nor does JSON of any shape approve, with the names that are read in it.
    #[test]
    fn any_shape_is_read(status in "success|failure|pending|x", code in "A001|N001|A002|A001000000000001|AG41000000000000", order in "0{15}4[23]", amount in "1500|1501|x", list in 0..4_usize) {
        let entries = vec![json!({"command": "Authorize", "mstatus": status, "vResultCode": code, "amount": amount, "txnId": "1"}); list];
        let answer = json!({"result": {"mstatus": status, "vResultCode": code, "orderId": order, "reqAmount": amount, "custTxn": "1", "orderInfos": {"orderInfo": [{"orderId": order, "transactionInfos": {"transactionInfo": entries}}]}}});
        let good = status == "success" && code == "A001000000000001" && order == ORDER && amount == "1500";
        let (_, charged) = done(&intent(1500), &reply(&answer));
        prop_assert_eq!(matches!(charged, Outcome::Approved(_)), good);
        // This one is no answer of theirs to a search: its code is that of a charge.
        let (_, found) = done(&after(OperationKind::Query, 1500, None), &reply(&answer));
        prop_assert!(!matches!(found, Outcome::Approved(_)));
    }

    /// There is no signature in their answers. A changed byte may spoil the name of what is only compared, or their number; never the
    /// order, the amount or the words for yes.
    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in 0..400_usize, byte in any::<u8>()) {
        let good = yes().to_string();
        let mut bytes = good.into_bytes();
        let at = cut % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let (_, outcome) = done(&intent(1500), &Reply::new(200, bytes.clone()));
        if let Outcome::Approved(approval) = outcome {
            let read: Value = serde_json::from_slice(&bytes).unwrap();
            let result = &read["result"];
            prop_assert_eq!(&result["orderId"], ORDER);
            prop_assert_eq!(&result["mstatus"], "success");
            prop_assert!(result["vResultCode"].as_str().unwrap().starts_with("A001"));
            prop_assert!(result["reqAmount"] == "1500" || result["reqAmount"].is_null());
            prop_assert_eq!(&result["custTxn"], approval.acquirer_ref.as_str());
        }
    }
}
