use ivrpay_payment::{CardToken, Count, Decline, Durable, Plan};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::testing::{NOW, after, asked, body, card, intent, of, sends};
use crate::{Mode, configured};

const CARD: &str = "4242424242424242";
const ORDER: &str = "00000000000000042";
const OPERATION: &str = "0193a1b2-0000-7000-8000-000000000002";
const PAYMENT: &str = "tel000000000000000000000000042";
const REFUND: &str = "ref1b2000070008000000000000005";

fn hyperswitch() -> Box<dyn Connector> {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    settings.secrets = [("api_key".to_owned(), "snd_1".into())].into();
    configured("hyperswitch".parse().unwrap(), &settings).unwrap()
}

fn ended(step: Result<Step, BuildError>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Send(..)) => panic!("one more request"),
        Err(error) => panic!("{error}"),
    }
}

/// The request, whether it is harmless, and what the answer comes to.
fn ran(op: &Durable<Intent>, status: u16, answer: &Value) -> (String, bool, Outcome) {
    let connector = hyperswitch();
    let card = card(CARD, Some("123"));
    let keyed = op.get().parent.is_none();
    let (request, progress) = sends(
        connector.as_ref(),
        &asked(op, keyed.then_some(&card)),
        &Progress::default(),
        None,
    );
    assert!(!progress.needs_card);
    assert_eq!(request.credentials[0].0, "api-key");
    assert_eq!(request.credentials[0].1.expose_secret(), "snd_1");
    let text = body(&request).replace(CARD, "<number>").replace("\"123\"", "\"<code>\"");
    let reply = Reply::new(status, answer.to_string().into_bytes());
    let outcome = ended(connector.step(&asked(op, None), &progress, Some(&reply)));
    let request = format!("{} {} {text}", request.method.name(), request.path);
    (request, progress.harmless, outcome)
}

fn payment(status: &str) -> Value {
    let received = if status == "succeeded" { 1500 } else { 0 };
    json!({
        "payment_id": PAYMENT, "status": status, "amount": 1500, "amount_received": received, "currency": "JPY", "connector": "x",
        "error_code": null, "merchant_order_reference_id": ORDER, "metadata": {"operation_id": OPERATION},
    })
}

fn refund(status: &str) -> Value {
    json!({"refund_id": REFUND, "payment_id": PAYMENT, "status": status, "amount": 400, "currency": "JPY"})
}

fn with(mut value: Value, pointer: &str, new: impl Into<Value>) -> Value {
    *value.pointer_mut(pointer).unwrap() = new.into();
    value
}

fn fault(code: &str) -> Value {
    json!({"error": {"type": "invalid_request", "code": code, "message": "x"}})
}

fn yes(reference: &str) -> Outcome {
    text::approved(reference, None, intent(1500).get().card)
}

/// The example of Hyperswitch's reference with our numbers.
#[test]
fn a_payment_is_one_request() {
    for (kind, capture, status) in [
        (OperationKind::Charge, "automatic", "succeeded"),
        (OperationKind::Authorise, "manual", "requires_capture"),
    ] {
        let (sent, harmless, outcome) = ran(&of(kind, 1500), 200, &payment(status));
        assert_eq!(
            sent,
            format!(
                r#"POST /payments {{"payment_id":"{PAYMENT}","amount":1500,"currency":"JPY","confirm":true,"capture_method":"{capture}","authentication_type":"no_three_ds","payment_channel":"telephone_order","payment_method":"card","payment_method_data":{{"card":{{"card_number":"<number>","card_exp_month":"12","card_exp_year":"2030","card_cvc":"<code>","card_holder_name":"TEL ORDER"}}}},"merchant_order_reference_id":"{ORDER}","metadata":{{"operation_id":"{OPERATION}"}}}}"#
            )
        );
        assert_eq!((harmless, outcome), (false, yes(PAYMENT)));
    }
    assert_eq!((PAYMENT.len(), REFUND.len()), (30, 30));
    let most = AcquirerOrder::new(AcquirerOrder::MAX).unwrap();
    assert_eq!(payment_id(most).len(), 30);
}

#[test]
fn what_each_answer_means() {
    let declined = |reason, code: &str, hard| {
        Outcome::Declined(Decline { reason, code: code.into(), hard, action: None })
    };
    let (unknown, rejected) = (Outcome::Unknown, Outcome::NotCharged(Why::Rejected));
    let good = || payment("succeeded");
    let failed = |code: &str| with(payment("failed"), "/error_code", code);
    for (status, answer, expected) in [
        (200, failed("insufficient_funds"), declined(Reason::InsufficientFunds, "insufficient_funds", false)),
        (200, failed("stolen_card"), declined(Reason::LostOrStolen, "stolen_card", true)),
        (200, failed("processing_error"), declined(Reason::Other, "processing_error", false)),
        (200, failed("05"), declined(Reason::Other, "05", false)),
        (200, payment("failed"), declined(Reason::Other, "failed", false)),
        (
            200,
            payment("requires_customer_action"),
            declined(Reason::AuthenticationRequired, "requires_customer_action", false),
        ),
        (200, payment("processing"), unknown(Doubt::Pending)),
        (200, payment("requires_payment_method"), unknown(Doubt::Pending)),
        (200, payment("requires_capture"), unknown(Doubt::Mismatch)),
        (200, payment("partially_captured"), unknown(Doubt::Mismatch)),
        (200, payment("cancelled"), Outcome::NotCharged(Why::Reversed)),
        (200, payment("anything"), unknown(Doubt::Malformed)),
        (200, with(good(), "/payment_id", "tel1"), unknown(Doubt::Mismatch)),
        (200, with(good(), "/metadata/operation_id", "1"), unknown(Doubt::Mismatch)),
        (200, with(good(), "/amount", 1501), unknown(Doubt::Mismatch)),
        (200, with(good(), "/currency", "USD"), unknown(Doubt::Mismatch)),
        (200, with(failed("do_not_honor"), "/payment_id", "tel1"), unknown(Doubt::Mismatch)),
        (200, json!([]), unknown(Doubt::Malformed)),
        (400, fault("IR_04"), rejected.clone()),
        (401, fault("IR_01"), rejected),
        (400, fault("HE_01"), unknown(Doubt::UnlistedCode)),
        (400, fault("CE_00"), unknown(Doubt::UnlistedCode)),
        (400, json!({}), unknown(Doubt::Status { status: 400 })),
        (429, fault("IR_04"), unknown(Doubt::Status { status: 429 })),
        (500, fault("HE_00"), unknown(Doubt::Status { status: 500 })),
        (201, good(), unknown(Doubt::Status { status: 201 })),
    ] {
        assert_eq!(ran(&intent(1500), status, &answer).2, expected, "{status} {answer}");
    }
}

#[test]
fn later_operations_name_the_payment() {
    let partial = |received: u64| with(payment("partially_captured"), "/amount_received", received);
    let pending = Outcome::Unknown(Doubt::Pending);
    let mismatch = Outcome::Unknown(Doubt::Mismatch);
    let capture = format!(r#"POST /payments/{PAYMENT}/capture {{"amount_to_capture":1200}}"#);
    let cancel = format!(r#"POST /payments/{PAYMENT}/cancel {{"cancellation_reason":"requested_by_customer"}}"#);
    let back = format!(r#"POST /refunds {{"payment_id":"{PAYMENT}","refund_id":"{REFUND}","amount":400}}"#);
    use OperationKind::{Capture, Refund, Void};
    for (kind, amount, request, status, answer, expected) in [
        (Capture, 1200, &capture, 200, partial(1200), yes(PAYMENT)),
        (Capture, 1200, &capture, 200, partial(1100), mismatch.clone()),
        (Capture, 1200, &capture, 200, payment("processing"), pending.clone()),
        (Capture, 1200, &capture, 200, payment("requires_capture"), mismatch.clone()),
        (Capture, 1200, &capture, 400, fault("IR_14"), Outcome::NotCharged(Why::Rejected)),
        (Void, 1500, &cancel, 200, payment("cancelled"), yes(PAYMENT)),
        (Void, 1500, &cancel, 200, payment("succeeded"), mismatch.clone()),
        (Void, 1500, &cancel, 200, with(payment("cancelled"), "/payment_id", "x"), mismatch.clone()),
        (Refund, 400, &back, 200, refund("succeeded"), yes(REFUND)),
        (Refund, 400, &back, 200, refund("pending"), pending),
        (Refund, 400, &back, 200, refund("failed"), Outcome::NotCharged(Why::Rejected)),
        (Refund, 400, &back, 200, with(refund("succeeded"), "/amount", 401), mismatch.clone()),
        (Refund, 400, &back, 200, with(refund("succeeded"), "/refund_id", "x"), mismatch),
        (Refund, 400, &back, 502, json!({}), Outcome::Unknown(Doubt::Status { status: 502 })),
    ] {
        let (sent, harmless, outcome) = ran(&after(kind, amount, None), status, &answer);
        assert_eq!((&sent, harmless, outcome), (request, false, expected), "{answer}");
    }
}

/// "Not there" is a verdict only when no request of ours can be on its way any more.
#[test]
fn a_query_says_what_became_of_the_operation() {
    let never = || Outcome::NotCharged(Why::NotArrived);
    let unknown = Outcome::Unknown;
    let partial = || with(payment("partially_captured"), "/amount_received", 1500);
    use OperationKind::{Authorise, Capture, Charge, Refund, Void};
    for (kind, old, status, answer, expected) in [
        (Charge, 1, 200, payment("succeeded"), yes(PAYMENT)),
        (Charge, 1, 200, with(payment("succeeded"), "/metadata/operation_id", "1"), unknown(Doubt::Mismatch)),
        (Charge, 1, 200, payment("requires_capture"), unknown(Doubt::Mismatch)),
        (Charge, 1, 404, fault("HE_02"), unknown(Doubt::Pending)),
        (Charge, 400, 404, fault("HE_02"), never()),
        (Charge, 400, 404, fault("IR_02"), unknown(Doubt::Status { status: 404 })),
        (Charge, 400, 400, fault("HE_02"), unknown(Doubt::Status { status: 400 })),
        (Charge, 400, 401, fault("IR_01"), unknown(Doubt::Status { status: 401 })),
        (Charge, 400, 404, json!({}), unknown(Doubt::Status { status: 404 })),
        (Charge, 400, 200, payment("requires_confirmation"), never()),
        (Charge, 400, 200, payment("processing"), unknown(Doubt::Pending)),
        (Authorise, 1, 200, payment("requires_capture"), yes(PAYMENT)),
        (Authorise, 1, 200, payment("succeeded"), yes(PAYMENT)),
        (Authorise, 1, 200, partial(), yes(PAYMENT)),
        (Authorise, 1, 200, payment("cancelled"), Outcome::NotCharged(Why::Reversed)),
        (Capture, 1, 200, partial(), yes(PAYMENT)),
        (Capture, 1, 200, with(partial(), "/amount_received", 9), unknown(Doubt::Mismatch)),
        (Capture, 1, 200, payment("requires_capture"), unknown(Doubt::Pending)),
        (Capture, 400, 200, payment("requires_capture"), never()),
        (Void, 1, 200, payment("cancelled"), yes(PAYMENT)),
        (Void, 400, 200, payment("requires_capture"), never()),
        (Refund, 1, 200, refund("succeeded"), yes(REFUND)),
        (Refund, 1, 200, refund("review"), unknown(Doubt::Pending)),
        (Refund, 400, 404, fault("HE_02"), never()),
    ] {
        let amount = if kind == Refund { 400 } else { 1500 };
        let op = after(OperationKind::Query, amount, None);
        let mut parent = op.get().parent.clone().unwrap();
        parent.kind = kind;
        parent.amount = op.get().amount;
        parent.at_unix_s = NOW - old;
        if kind == Refund {
            parent.operation_id = op.get().operation_id;
        }
        let op = Durable::attest(Intent { parent: Some(parent), ..op.get().clone() });
        let (sent, harmless, outcome) = ran(&op, status, &answer);
        let path = match kind {
            Refund => format!("GET /refunds/{REFUND} "),
            _ => format!("GET /payments/{PAYMENT}?force_sync=true "),
        };
        assert_eq!((sent, harmless, outcome), (path, true, expected), "{kind:?} {old} {answer}");
    }
}

#[test]
fn what_hyperswitch_lacks_is_not_sent() {
    let card = card(CARD, None);
    let plan = Plan::Revolving;
    let with = |plan, token: Option<&str>| {
        let token = token.map(|text| CardToken::new(text).unwrap());
        Durable::attest(Intent { plan, token, ..intent(1500).get().clone() })
    };
    let three = Plan::Instalments(Count::new(3).unwrap());
    for (op, error) in [
        (with(plan, None), BuildError::Plan { plan }),
        (with(three, None), BuildError::Plan { plan: three }),
        (with(Plan::LumpSum, Some("pm_1")), BuildError::Field { field: "payment_token" }),
        (of(OperationKind::Verify, 1), BuildError::Unsupported { kind: OperationKind::Verify }),
        (of(OperationKind::Tokenise, 1), BuildError::Unsupported { kind: OperationKind::Tokenise }),
        (of(OperationKind::Capture, 1), BuildError::NoParent),
    ] {
        let refused = hyperswitch().step(&asked(&op, Some(&card)), &Progress::default(), None);
        assert_eq!(refused.err(), Some(error));
    }
}

fn all() -> [(Durable<Intent>, Value); 5] {
    [
        (intent(1500), payment("succeeded")),
        (after(OperationKind::Capture, 1500, None), payment("succeeded")),
        (after(OperationKind::Void, 1500, None), payment("cancelled")),
        (after(OperationKind::Refund, 400, None), refund("succeeded")),
        (after(OperationKind::Query, 1500, None), payment("succeeded")),
    ]
}

fn at_answer(op: &Durable<Intent>, status: u16, bytes: Vec<u8>) -> Outcome {
    let progress = Progress { stage: 1, ..Progress::default() };
    ended(hyperswitch().step(&asked(op, None), &progress, Some(&Reply::new(status, bytes))))
}

proptest! {
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (op, _) in all() {
            prop_assert!(!matches!(at_answer(&op, status, bytes.clone()), Outcome::Approved(_)));
        }
    }

    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in 0..400_usize, byte in any::<u8>()) {
        for (op, good) in all() {
            let good = good.to_string().into_bytes();
            let at = cut % good.len();
            let mut bytes = good.clone();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let outcome = at_answer(&op, 200, bytes);
            // What is not read may be changed; what is approved is then the same.
            if matches!(outcome, Outcome::Approved(_)) {
                prop_assert_eq!(outcome, at_answer(&op, 200, good));
            }
        }
    }
}
