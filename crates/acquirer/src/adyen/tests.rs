use ivrpay_payment::{Count, Decline, Durable};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::testing::{after, asked, body, card, intent, of, sends};
use crate::{Mode, configured};

const CARD: &str = "4111111111111111";
const ORDER: &str = "00000000000000042";
const OPERATION: &str = "0193a1b2-0000-7000-8000-000000000002";
const LATER: &str = "0193a1b2-0000-7000-8000-000000000005";
const PSP: &str = "993617895204576J";

fn adyen() -> Box<dyn Connector> {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    settings.parameters = [("merchant_account".to_owned(), "TestMerchant".to_owned())].into();
    settings.secrets = [("api_key".to_owned(), "AQE1".into())].into();
    configured("adyen".parse().unwrap(), &settings).unwrap()
}

fn ended(step: Result<Step, BuildError>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Send(..)) => panic!("one more request"),
        Err(error) => panic!("{error}"),
    }
}

/// The request as path and body, whether it is harmless, and what the answer comes to.
fn ran(op: &Durable<Intent>, status: u16, answer: &Value) -> (String, bool, Outcome) {
    let adyen = adyen();
    let card = card(CARD, Some("737"));
    let keyed = op.get().token.is_none() && op.get().parent.is_none();
    let (request, progress) = sends(
        adyen.as_ref(),
        &asked(op, keyed.then_some(&card)),
        &Progress::default(),
        None,
    );
    assert!(!progress.needs_card);
    assert_eq!(request.headers[1], ("idempotency-key", op.get().idempotency_key.to_string()));
    assert_eq!(request.credentials[0].0, "x-api-key");
    assert_eq!(request.credentials[0].1.expose_secret(), "AQE1");
    let text = body(&request).replace(CARD, "<number>").replace("737", "<code>");
    let reply = Reply::new(status, answer.to_string().into_bytes());
    let outcome = ended(adyen.step(&asked(op, None), &progress, Some(&reply)));
    (format!("{} {text}", request.path), progress.harmless, outcome)
}

fn authorised(value: u64) -> Value {
    json!({
        "pspReference": PSP, "resultCode": "Authorised", "merchantReference": ORDER,
        "amount": {"value": value, "currency": "JPY"}, "additionalData": {"authCode": "044925", "cvcResult": "1 Matches"},
    })
}

fn refused(code: &str) -> Value {
    json!({
        "pspReference": PSP, "resultCode": "Refused", "refusalReason": "x", "refusalReasonCode": code, "merchantReference": ORDER,
    })
}

fn yes() -> Outcome {
    text::approved(PSP, Some("044925"), intent(1500).get().card)
}

/// The example of docs.adyen.com with our numbers.
#[test]
fn a_payment_is_one_request() {
    let head = |value: u64| {
        format!(
            r#"/payments {{"merchantAccount":"TestMerchant","amount":{{"value":{value},"currency":"JPY"}},"reference":"{ORDER}","shopperInteraction":"Moto","returnUrl":"https://example.com/none","paymentMethod":{{"type":"scheme","number":"<number>","expiryMonth":"12","expiryYear":"2030","cvc":"<code>","holderName":"TEL ORDER"}}"#
        )
    };
    let stored = json!({
        "pspReference": PSP, "resultCode": "Authorised", "merchantReference": ORDER,
        "additionalData": {"tokenization.storedPaymentMethodId": "M5N7TQ4TG5PFWR50"},
    });
    let token = format!("{OPERATION}:M5N7TQ4TG5PFWR50");
    for (kind, value, rest, answer, harmless, expected) in [
        (OperationKind::Charge, 1500, r#","captureDelayHours":1}"#.to_owned(), authorised(1500), false, yes()),
        (
            OperationKind::Authorise,
            1500,
            r#","additionalData":{"manualCapture":"true"}}"#.to_owned(),
            authorised(1500),
            false,
            yes(),
        ),
        (OperationKind::Verify, 0, "}".to_owned(), authorised(0), true, yes()),
        (
            OperationKind::Tokenise,
            0,
            format!(r#","storePaymentMethod":true,"shopperReference":"{OPERATION}","recurringProcessingModel":"CardOnFile"}}"#),
            stored,
            true,
            text::approved(&token, None, intent(1).get().card),
        ),
        (
            OperationKind::Tokenise,
            0,
            format!(r#","storePaymentMethod":true,"shopperReference":"{OPERATION}","recurringProcessingModel":"CardOnFile"}}"#),
            authorised(0),
            true,
            Outcome::Unknown(Doubt::Pending),
        ),
    ] {
        let op = of(kind, 1500);
        let (sent, is_harmless, outcome) = ran(&op, 200, &answer);
        assert_eq!(sent, head(value) + &rest);
        assert_eq!((is_harmless, outcome), (harmless, expected));
    }
    let op = Durable::attest(Intent {
        token: Some(CardToken::new(token).unwrap()),
        ..intent(1500).get().clone()
    });
    let (sent, _, outcome) = ran(&op, 200, &authorised(1500));
    assert!(
        sent.contains(r#""shopperInteraction":"ContAuth","returnUrl":"https://example.com/none","paymentMethod":{"type":"scheme","storedPaymentMethodId":"M5N7TQ4TG5PFWR50"},"captureDelayHours":1,"#),
        "{sent}"
    );
    assert!(sent.ends_with(&format!(r#","shopperReference":"{OPERATION}","recurringProcessingModel":"CardOnFile"}}"#)));
    assert_eq!(outcome, yes());
}

#[test]
fn plans_have_their_fields() {
    let three = Count::new(3).unwrap();
    let with = |plan| Durable::attest(Intent { plan, ..intent(1500).get().clone() });
    for (plan, expected) in [
        (Plan::Instalments(three), r#","installments":{"value":3,"plan":"regular"}}"#),
        (Plan::BonusLumpSum, r#","installments":{"value":1,"plan":"bonus"}}"#),
        (Plan::Revolving, r#","installments":{"value":1,"plan":"revolving"}}"#),
    ] {
        let (sent, ..) = ran(&with(plan), 200, &authorised(1500));
        assert!(sent.ends_with(expected), "{sent}");
    }
    let (op, card) = (with(Plan::BonusInstalments(three)), card(CARD, None));
    let refused = adyen().step(&asked(&op, Some(&card)), &Progress::default(), None);
    assert_eq!(refused.err(), Some(BuildError::Plan { plan: Plan::BonusInstalments(three) }));
}

#[test]
fn what_each_answer_means() {
    let declined = |reason, code: &str, hard| {
        Outcome::Declined(Decline { reason, code: code.into(), hard, action: None })
    };
    let unknown = Outcome::Unknown;
    let rejected = Outcome::NotCharged(ivrpay_payment::Why::Rejected);
    let busy = Outcome::NotCharged(ivrpay_payment::Why::Busy);
    let with = |pointer: &str, new: Value| {
        let mut answer = authorised(1500);
        *answer.pointer_mut(pointer).unwrap() = new;
        answer
    };
    let result = |code: &str| with("/resultCode", code.into());
    let fault = |code: &str, kind: &str| json!({"status": 422, "errorCode": code, "errorType": kind, "message": "x"});
    let mut bare = authorised(1500);
    bare.as_object_mut().unwrap().remove("amount");
    for (status, answer, expected) in [
        (200, refused("12"), declined(Reason::InsufficientFunds, "12", false)),
        (200, refused("5"), declined(Reason::Pickup, "5", true)),
        (200, refused("4"), unknown(Doubt::UnlistedCode)),
        (200, refused("21"), busy),
        (200, refused("999"), declined(Reason::Other, "999", false)),
        (200, result("Cancelled"), declined(Reason::Other, "Cancelled", false)),
        (200, result("RedirectShopper"), declined(Reason::AuthenticationRequired, "RedirectShopper", false)),
        (200, result("Pending"), unknown(Doubt::Pending)),
        (200, result("Received"), unknown(Doubt::Pending)),
        (200, result("Error"), unknown(Doubt::UnlistedCode)),
        (200, result("PartiallyAuthorised"), unknown(Doubt::Mismatch)),
        (200, result("AuthenticationFinished"), unknown(Doubt::Malformed)),
        (200, with("/merchantReference", "43".into()), unknown(Doubt::Mismatch)),
        (200, with("/amount/value", 1501.into()), unknown(Doubt::Mismatch)),
        (200, with("/amount/currency", "USD".into()), unknown(Doubt::Mismatch)),
        (200, with("/pspReference", "../x".into()), unknown(Doubt::Malformed)),
        (200, with("/pspReference", CARD.into()), unknown(Doubt::Malformed)),
        (200, bare, yes()),
        (200, json!([1]), unknown(Doubt::Malformed)),
        (201, authorised(1500), unknown(Doubt::Status { status: 201 })),
        (422, fault("101", "validation"), declined(Reason::InvalidNumber, "101", false)),
        (422, fault("103", "validation"), declined(Reason::CvvMismatch, "103", false)),
        (422, fault("130", "validation"), rejected.clone()),
        (422, fault("704", "validation"), unknown(Doubt::UnlistedCode)),
        (422, fault("905", "internal"), unknown(Doubt::UnlistedCode)),
        (403, fault("901", "security"), rejected),
        (429, fault("000", "internal"), unknown(Doubt::Status { status: 429 })),
        (500, fault("101", "validation"), unknown(Doubt::Status { status: 500 })),
        (400, json!({}), unknown(Doubt::Status { status: 400 })),
        (503, json!(null), unknown(Doubt::Status { status: 503 })),
    ] {
        assert_eq!(ran(&intent(1500), status, &answer).2, expected, "{status} {answer}");
    }
}

/// `received` is not done, and is never called so.
#[test]
fn later_operations_are_received_and_not_called_done() {
    let pending = Outcome::Unknown(Doubt::Pending);
    let received = json!({"paymentPspReference": PSP, "pspReference": "X1", "status": "received"});
    let amount = |value: u64| format!(r#""amount":{{"value":{value},"currency":"JPY"}},"#);
    let charged = |kind, value| after(kind, value, Some(PSP));
    let reserved = |kind, value| {
        let op = charged(kind, value);
        let mut parent = op.get().parent.clone().unwrap();
        parent.kind = OperationKind::Authorise;
        Durable::attest(Intent { parent: Some(parent), ..op.get().clone() })
    };
    for (op, path, sum) in [
        (reserved(OperationKind::Capture, 1200), "captures", amount(1200)),
        (reserved(OperationKind::Void, 1500), "cancels", String::new()),
        (charged(OperationKind::Void, 1500), "reversals", String::new()),
        (charged(OperationKind::Refund, 400), "refunds", amount(400)),
        // All of a charge that is perhaps not captured yet; what was reserved has been captured by us.
        (charged(OperationKind::Refund, 1500), "reversals", String::new()),
        (reserved(OperationKind::Refund, 1500), "refunds", amount(1500)),
    ] {
        let (sent, harmless, outcome) = ran(&op, 201, &received);
        let expected = format!(
            r#"/payments/{PSP}/{path} {{"merchantAccount":"TestMerchant",{sum}"reference":"{LATER}"}}"#
        );
        assert_eq!((sent, harmless, &outcome), (expected, false, &pending));
    }
    let technical = after(OperationKind::Void, 1500, None);
    let answer = json!({"paymentReference": ORDER, "pspReference": "X1", "status": "received"});
    let (sent, _, outcome) = ran(&technical, 201, &answer);
    assert_eq!(
        sent,
        format!(
            r#"/cancels {{"merchantAccount":"TestMerchant","paymentReference":"{ORDER}","reference":"{LATER}"}}"#
        )
    );
    assert_eq!(outcome, pending);
    for (status, answer, expected) in [
        (201, json!({"paymentReference": "43", "status": "received"}), Outcome::Unknown(Doubt::Mismatch)),
        (201, json!({"paymentReference": ORDER, "status": "done"}), Outcome::Unknown(Doubt::Malformed)),
        (200, answer.clone(), Outcome::Unknown(Doubt::Malformed)),
        (
            422,
            json!({"errorCode": "167", "errorType": "validation"}),
            Outcome::NotCharged(ivrpay_payment::Why::Rejected),
        ),
        (500, json!({}), Outcome::Unknown(Doubt::Status { status: 500 })),
    ] {
        assert_eq!(ran(&technical, status, &answer).2, expected, "{status} {answer}");
    }
}

#[test]
fn what_adyen_lacks_is_not_sent() {
    for (op, error) in [
        (
            after(OperationKind::Query, 1500, Some(PSP)),
            BuildError::Unsupported { kind: OperationKind::Query },
        ),
        (after(OperationKind::Capture, 1500, None), BuildError::NoParent),
        (after(OperationKind::Refund, 1500, Some("../1")), BuildError::NoParent),
    ] {
        let refused = adyen().step(&asked(&op, None), &Progress::default(), None);
        assert_eq!(refused.err(), Some(error));
    }
}

fn at_answer(op: &Durable<Intent>, status: u16, bytes: Vec<u8>) -> Outcome {
    let progress = Progress { stage: 1, ..Progress::default() };
    ended(adyen().step(&asked(op, None), &progress, Some(&Reply::new(status, bytes))))
}

proptest! {
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), Just(201), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for op in [intent(1500), of(OperationKind::Tokenise, 1), after(OperationKind::Void, 1500, None)] {
            prop_assert!(!matches!(at_answer(&op, status, bytes.clone()), Outcome::Approved(_)));
        }
    }

    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in 0..400_usize, byte in any::<u8>()) {
        let good = authorised(1500).to_string();
        let mut bytes = good.clone().into_bytes();
        let at = cut % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Outcome::Approved(approval) = at_answer(&intent(1500), 200, bytes) {
            // Nothing but the two references themselves may have been changed, or what is not read.
            let psp = good.find(PSP).unwrap();
            let in_it = (psp..psp + PSP.len()).contains(&at);
            prop_assert!(in_it || approval.acquirer_ref.as_str() == PSP);
        }
    }
}
