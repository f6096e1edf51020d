use ivrpay_payment::{CardToken, Count, Currency, Decline, Durable, Plan};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{KEY, NOW, after, asked, body, card, intent, of, sends};
use crate::configured;

const CARD: &str = "4242424242424242";
const ORDER: &str = "00000000000000042";
const OPERATION: &str = "0193a1b2-0000-7000-8000-000000000002";
/// The operation and the key of [`after`].
const LATER: &str = "0193a1b2-0000-7000-8000-000000000005";
const LATER_KEY: &str = "0193a1b2-0000-7000-8000-000000000006";

fn settings(mode: Mode, key: &str) -> Settings {
    let mut settings = Settings::new(mode);
    settings.raw_pan = true;
    settings.secrets = [("secret_key".to_owned(), key.into())].into();
    settings
}

fn stripe() -> Box<dyn Connector> {
    let settings = settings(Mode::Test, "sk_test_1");
    configured("stripe".parse().unwrap(), &settings).unwrap()
}

fn reply(status: u16, answer: &Value) -> Reply {
    Reply::new(status, answer.to_string().into_bytes())
}

fn ended(step: Result<Step, BuildError>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Send(..)) => panic!("one more request"),
        Err(error) => panic!("{error}"),
    }
}

fn yes(reference: &str) -> Outcome {
    text::approved(reference, None, intent(1500).get().card)
}

/// An intent of [`intent`] as Stripe shows it.
fn shown(status: &str) -> Value {
    let received = if status == "succeeded" { 1500 } else { 0 };
    json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "amount": 1500, "amount_received": received, "currency": "jpy",
        "metadata": {"order_id": ORDER, "operation_id": OPERATION}, "last_payment_error": null, "latest_charge": "ch_1",
    })
}

fn with(mut value: Value, pointer: &str, new: impl Into<Value>) -> Value {
    *value.pointer_mut(pointer).unwrap() = new.into();
    value
}

fn list(all: &[Value], more: bool) -> Value {
    json!({"object": "list", "data": all, "has_more": more, "url": "/v1/x"})
}

fn handed_over() -> Value {
    json!({"id": "pm_1ABC", "object": "payment_method", "type": "card"})
}

/// Requests as method, path, key and body, and the end.
fn ran(op: &Durable<Intent>, answers: &[(u16, Value)]) -> (Vec<String>, Vec<bool>, Outcome) {
    let stripe = stripe();
    let card = card(CARD, Some("123"));
    let keyed = op.get().token.is_none() && op.get().parent.is_none();
    let (mut progress, mut last, mut sent, mut harmless) =
        (Progress::default(), None, Vec::new(), Vec::new());
    for (at, (status, answer)) in answers.iter().enumerate() {
        let asked = asked(op, (keyed && at == 0).then_some(&card));
        let (request, next) = sends(stripe.as_ref(), &asked, &progress, last.as_ref());
        assert!(!next.needs_card, "the card is gone with the first request");
        assert_eq!(request.credentials[0].1.expose_secret(), "Bearer sk_test_1");
        let key = request.headers.first().map_or("", |header| &header.1);
        let text = body(&request).replace(CARD, "<number>").replace("=123", "=<code>");
        sent.push(format!("{} {} {key} {text}", request.method.name(), request.path));
        harmless.push(next.harmless);
        (progress, last) = (next, Some(reply(*status, answer)));
    }
    let outcome = ended(stripe.step(&asked(op, None), &progress, last.as_ref()));
    (sent, harmless, outcome)
}

/// The bodies of docs.stripe.com's example, acquirers that are asked by telephone.
#[test]
fn a_card_is_handed_over_and_confirmed() {
    let op = of(OperationKind::Authorise, 1500);
    let (sent, harmless, outcome) =
        ran(&op, &[(200, handed_over()), (200, shown("requires_capture"))]);
    assert_eq!(
        sent,
        [
            format!(
                "POST /payment_methods {KEY}-card type=card&card%5Bnumber%5D=<number>&card%5Bexp_month%5D=12&card%5Bexp_year%5D=2030&card%5Bcvc%5D=<code>"
            ),
            format!(
                "POST /payment_intents {KEY} amount=1500&currency=jpy&confirm=true&capture_method=manual&payment_method=pm_1ABC&payment_method_types%5B0%5D=card&payment_method_options%5Bcard%5D%5Bmoto%5D=true&error_on_requires_action=true&metadata%5Border_id%5D={ORDER}&metadata%5Boperation_id%5D={OPERATION}"
            ),
        ]
    );
    assert_eq!((harmless, outcome), (vec![true, false], yes("pi_1")));
    let (sent, _, outcome) =
        ran(&intent(1500), &[(200, handed_over()), (200, shown("succeeded"))]);
    assert!(sent[1].contains("&capture_method=automatic&"));
    assert_eq!(outcome, yes("pi_1"));
}

#[test]
fn a_stored_card_is_charged_without_the_number() {
    let op = |token: &str| {
        Durable::attest(Intent {
            token: Some(CardToken::new(token).unwrap()),
            ..intent(1500).get().clone()
        })
    };
    let (sent, harmless, outcome) = ran(&op("cus_1:pm_2"), &[(200, shown("succeeded"))]);
    assert!(sent[0].contains("&customer=cus_1&payment_method=pm_2&"), "{}", sent[0]);
    assert_eq!((harmless, outcome), (vec![false], yes("pi_1")));
    let other = op("pm_2");
    let refused = stripe().step(&asked(&other, None), &Progress::default(), None);
    assert_eq!(refused.err(), Some(BuildError::Field { field: "payment_method" }));
}

#[test]
fn a_card_is_stored_for_a_customer() {
    let op = of(OperationKind::Tokenise, 1);
    let customer = json!({"id": "cus_9", "object": "customer"});
    let answers = [(200, handed_over()), (200, customer), (200, handed_over())];
    let (sent, harmless, outcome) = ran(&op, &answers);
    assert_eq!(
        sent[1..],
        [
            format!(
                "POST /customers {KEY}-customer metadata%5Border_id%5D={ORDER}&metadata%5Boperation_id%5D={OPERATION}"
            ),
            format!("POST /payment_methods/pm_1ABC/attach {KEY} customer=cus_9"),
        ]
    );
    assert_eq!((harmless, outcome), (vec![true; 3], yes("cus_9:pm_1ABC")));
    let declined = json!({"error": {"type": "card_error", "code": "incorrect_cvc"}});
    let (.., outcome) = ran(&op, &[answers[0].clone(), answers[1].clone(), (402, declined)]);
    assert!(matches!(outcome, Outcome::Declined(_)));
}

#[test]
fn a_card_is_checked_without_money() {
    let op = of(OperationKind::Verify, 1);
    let metadata = json!({"order_id": ORDER, "operation_id": OPERATION});
    let setup = json!({"id": "seti_1", "object": "setup_intent", "status": "succeeded", "metadata": metadata});
    let (sent, harmless, outcome) = ran(&op, &[(200, handed_over()), (200, setup)]);
    assert_eq!(
        sent[1],
        format!(
            "POST /setup_intents {KEY} confirm=true&usage=off_session&payment_method=pm_1ABC&payment_method_types%5B0%5D=card&payment_method_options%5Bcard%5D%5Bmoto%5D=true&metadata%5Border_id%5D={ORDER}&metadata%5Boperation_id%5D={OPERATION}"
        )
    );
    assert_eq!((harmless, outcome), (vec![true, true], yes("seti_1")));
}

/// Until the intent nothing has moved, whatever is answered; from there on only a listed refusal says that nothing has.
#[test]
fn what_each_answer_means() {
    let declined = |reason, code: &str, hard| {
        Outcome::Declined(Decline { reason, code: code.into(), hard, action: None })
    };
    let not = Outcome::NotCharged;
    let unknown = Outcome::Unknown;
    let error = |error: Value| json!({ "error": error });
    let refusal = |code: &str| error(json!({"type": "card_error", "code": "card_declined", "decline_code": code}));
    let request = |code: &str| error(json!({"type": "invalid_request_error", "code": code}));
    for (status, answer, expected) in [
        (402, error(json!({"type": "card_error", "code": "incorrect_number"})), declined(Reason::InvalidNumber, "incorrect_number", true)),
        (402, error(json!({"type": "card_error", "code": "invalid_expiry_year"})), declined(Reason::InvalidExpiry, "invalid_expiry_year", false)),
        (400, request("parameter_unknown"), not(Why::Rejected)),
        (401, request(""), not(Why::Rejected)),
        (429, request("rate_limit"), not(Why::Busy)),
        (500, error(json!({"type": "api_error"})), not(Why::Busy)),
        (200, json!([]), not(Why::Busy)),
        (200, json!({"object": "payment_method", "id": "pm_/../x"}), not(Why::Rejected)),
    ] {
        let (.., outcome) = ran(&intent(1500), &[(status, answer.clone())]);
        assert_eq!(outcome, expected, "{status} {answer}");
    }
    let ours = shown("succeeded");
    let failed = |code: &str| {
        let error = json!({"type": "card_error", "code": code});
        with(shown("requires_payment_method"), "/last_payment_error", error)
    };
    for (status, answer, expected) in [
        (402, refusal("insufficient_funds"), declined(Reason::InsufficientFunds, "insufficient_funds", false)),
        (402, refusal("lost_card"), declined(Reason::LostOrStolen, "lost_card", true)),
        (402, refusal("processing_error"), unknown(Doubt::UnlistedCode)),
        (402, error(json!({"type": "card_error", "code": "never_heard_of"})), unknown(Doubt::UnlistedCode)),
        (
            402,
            error(json!({"type": "card_error", "code": "card_declined", "payment_intent": {"id": "pi_2", "status": "succeeded"}})),
            unknown(Doubt::Mismatch),
        ),
        (400, request("amount_too_small"), declined(Reason::AmountError, "amount_too_small", false)),
        (400, request("parameter_missing"), not(Why::Rejected)),
        (400, error(json!({"type": "idempotency_error"})), unknown(Doubt::UnlistedCode)),
        (429, request("lock_timeout"), not(Why::Busy)),
        (400, request("rate_limit"), unknown(Doubt::Status { status: 400 })),
        (409, request("idempotency_key_in_use"), unknown(Doubt::Status { status: 409 })),
        (409, refusal("insufficient_funds"), unknown(Doubt::Status { status: 409 })),
        (503, refusal("insufficient_funds"), unknown(Doubt::Status { status: 503 })),
        (402, json!({"no": "error"}), unknown(Doubt::Status { status: 402 })),
        (201, ours.clone(), unknown(Doubt::Status { status: 201 })),
        (200, json!(null), unknown(Doubt::Malformed)),
        (200, with(ours.clone(), "/object", "charge"), unknown(Doubt::Malformed)),
        (200, with(ours.clone(), "/amount", 1501), unknown(Doubt::Mismatch)),
        (200, with(ours.clone(), "/currency", "usd"), unknown(Doubt::Mismatch)),
        (200, with(ours.clone(), "/metadata/order_id", "1"), unknown(Doubt::Mismatch)),
        (200, with(ours.clone(), "/metadata/operation_id", LATER), unknown(Doubt::Mismatch)),
        (200, with(ours.clone(), "/id", "ch_1"), unknown(Doubt::Malformed)),
        (200, with(ours.clone(), "/id", format!("pi_{CARD}")), unknown(Doubt::Malformed)),
        (200, shown("requires_capture"), unknown(Doubt::Mismatch)),
        (200, shown("processing"), unknown(Doubt::Pending)),
        (200, shown("requires_payment_method"), unknown(Doubt::Pending)),
        (200, failed("expired_card"), declined(Reason::ExpiredCard, "expired_card", false)),
        (200, shown("requires_action"), declined(Reason::AuthenticationRequired, "requires_action", false)),
        (200, shown("canceled"), not(Why::Reversed)),
        (200, shown("anything"), unknown(Doubt::Malformed)),
    ] {
        let card = of_card(CARD);
        let op = Durable::attest(Intent { card, ..intent(1500).get().clone() });
        let (.., outcome) = ran(&op, &[(200, handed_over()), (status, answer.clone())]);
        assert_eq!(outcome, expected, "{status} {answer}");
    }
}

fn of_card(number: &str) -> Truncated {
    card(number, None).pan.truncated()
}

fn refund(status: &str) -> Value {
    json!({
        "id": "re_1", "object": "refund", "status": status, "amount": 400, "currency": "jpy", "payment_intent": "pi_1",
        "metadata": {"order_id": ORDER, "operation_id": LATER},
    })
}

#[test]
fn later_operations_look_at_the_intent_first() {
    let captured = |sum: u64| with(shown("succeeded"), "/amount_received", sum);
    let metadata = format!("&metadata%5Border_id%5D={ORDER}&metadata%5Boperation_id%5D={LATER}");
    for (kind, amount, before, after_, request, expected) in [
        (
            OperationKind::Capture,
            1200,
            shown("requires_capture"),
            captured(1200),
            format!("POST /payment_intents/pi_1/capture {LATER_KEY} amount_to_capture=1200"),
            yes("pi_1"),
        ),
        (
            OperationKind::Capture,
            1200,
            shown("requires_capture"),
            captured(1500),
            format!("POST /payment_intents/pi_1/capture {LATER_KEY} amount_to_capture=1200"),
            Outcome::Unknown(Doubt::Mismatch),
        ),
        (
            OperationKind::Void,
            1500,
            shown("requires_capture"),
            shown("canceled"),
            format!("POST /payment_intents/pi_1/cancel {LATER_KEY} cancellation_reason=requested_by_customer"),
            yes("pi_1"),
        ),
        (
            OperationKind::Refund,
            400,
            shown("succeeded"),
            refund("succeeded"),
            format!("POST /refunds {LATER_KEY} payment_intent=pi_1&amount=400&reason=requested_by_customer{metadata}"),
            yes("re_1"),
        ),
        (
            OperationKind::Refund,
            400,
            shown("succeeded"),
            refund("pending"),
            format!("POST /refunds {LATER_KEY} payment_intent=pi_1&amount=400&reason=requested_by_customer{metadata}"),
            Outcome::Unknown(Doubt::Pending),
        ),
    ] {
        // By its id, and where that is not known, from a list.
        for (reference, found) in [
            (Some("pi_1"), before.clone()),
            (None, list(&[with(shown("succeeded"), "/metadata/order_id", "7"), before.clone()], false)),
        ] {
            let op = after(kind, amount, reference);
            let (sent, harmless, outcome) = ran(&op, &[(200, found), (200, after_.clone())]);
            let from = NOW - CREATED_BEFORE_S;
            assert_eq!(
                sent,
                [
                    match reference {
                        Some(_) => "GET /payment_intents/pi_1  ".to_owned(),
                        None => format!("GET /payment_intents?created%5Bgte%5D={from}&limit=15  "),
                    },
                    request.clone()
                ]
            );
            assert_eq!((harmless, &outcome), (vec![true, false], &expected));
        }
    }
    let rejected = Outcome::NotCharged(Why::Rejected);
    for (kind, amount, status, answer, expected) in [
        (OperationKind::Capture, 1501, 200, shown("requires_capture"), rejected.clone()),
        (OperationKind::Capture, 1500, 200, shown("succeeded"), rejected.clone()),
        (OperationKind::Void, 1500, 200, shown("succeeded"), rejected.clone()),
        (OperationKind::Void, 1500, 200, shown("canceled"), yes("pi_1")),
        (OperationKind::Refund, 1501, 200, shown("succeeded"), rejected.clone()),
        (OperationKind::Refund, 400, 200, shown("requires_capture"), rejected.clone()),
        (OperationKind::Refund, 400, 200, with(shown("succeeded"), "/currency", "usd"), rejected),
        (OperationKind::Refund, 400, 200, with(shown("succeeded"), "/metadata/order_id", "7"), Outcome::NotCharged(Why::Busy)),
        (OperationKind::Void, 1500, 500, json!({}), Outcome::NotCharged(Why::Busy)),
    ] {
        let (.., outcome) = ran(&after(kind, amount, Some("pi_1")), &[(status, answer.clone())]);
        assert_eq!(outcome, expected, "{kind:?} {answer}");
    }
}

/// "Not there" is a verdict only when no request of ours can be on its way any more, and every page was read.
#[test]
fn a_query_says_what_became_of_the_operation() {
    let query = |kind, amount, reference: Option<&str>, old: i64| {
        let op = after(OperationKind::Query, amount, reference);
        let mut parent = *op.get().parent.clone().unwrap();
        parent.kind = kind;
        parent.amount = Money::new(amount, Currency::Jpy).unwrap();
        parent.at_unix_s = NOW - old;
        if kind == OperationKind::Refund {
            parent.operation_id = LATER.parse().unwrap();
        }
        Durable::attest(Intent { parent: Some(Box::new(parent)), ..op.get().clone() })
    };
    let never = || Outcome::NotCharged(Why::NotArrived);
    let unknown = Outcome::Unknown;
    let other = || with(shown("succeeded"), "/metadata/operation_id", LATER);
    let failed = with(
        shown("requires_payment_method"),
        "/last_payment_error",
        json!({"type": "card_error", "code": "processing_error"}),
    );
    use OperationKind::{Authorise, Capture, Charge, Refund, Void};
    for (kind, reference, old, answer, expected) in [
        (Charge, None, 1, list(&[other(), shown("succeeded")], true), yes("pi_1")),
        (Charge, Some("pi_1"), 1, shown("succeeded"), yes("pi_1")),
        // A reference of another kind is none.
        (Charge, Some("pm_1"), 1, list(&[shown("succeeded")], true), yes("pi_1")),
        (Charge, Some("pi_1"), 1, other(), unknown(Doubt::Mismatch)),
        (Charge, None, 400, list(&[shown("requires_capture")], false), unknown(Doubt::Mismatch)),
        (Authorise, None, 400, list(&[shown("requires_capture")], false), yes("pi_1")),
        (Authorise, None, 400, list(&[shown("succeeded")], false), yes("pi_1")),
        (Authorise, None, 400, list(&[shown("canceled")], false), Outcome::NotCharged(Why::Reversed)),
        (Charge, None, 400, list(&[shown("succeeded"), shown("succeeded")], false), unknown(Doubt::Mismatch)),
        (Charge, None, 1, list(&[other()], false), unknown(Doubt::Pending)),
        (Charge, None, 400, list(&[other()], false), never()),
        (Charge, None, 400, list(&[], false), never()),
        (Charge, None, 400, list(&[], true), unknown(Doubt::Malformed)),
        (Charge, None, 400, list(&[json!({"object": "charge"})], false), unknown(Doubt::Malformed)),
        (Charge, None, 400, json!({"object": "list", "data": []}), unknown(Doubt::Malformed)),
        (Charge, None, 1, list(&[shown("requires_payment_method")], false), unknown(Doubt::Pending)),
        (Charge, None, 400, list(&[shown("requires_payment_method")], false), never()),
        (
            Charge,
            None,
            1,
            list(&[failed], false),
            soft(Reason::IssuerUnavailable).outcome("processing_error"),
        ),
        (Capture, Some("pi_1"), 1, shown("succeeded"), yes("pi_1")),
        (Capture, Some("pi_1"), 1, with(shown("succeeded"), "/amount_received", 9), unknown(Doubt::Mismatch)),
        (Capture, Some("pi_1"), 1, shown("requires_capture"), unknown(Doubt::Pending)),
        (Capture, Some("pi_1"), 400, shown("requires_capture"), never()),
        (Capture, None, 400, list(&[], false), unknown(Doubt::Pending)),
        (Void, Some("pi_1"), 1, shown("canceled"), yes("pi_1")),
        (Void, Some("pi_1"), 400, shown("requires_capture"), never()),
        (Refund, Some("pi_1"), 1, list(&[refund("succeeded")], true), yes("re_1")),
        (Refund, Some("pi_1"), 1, list(&[], false), unknown(Doubt::Pending)),
        (Refund, Some("pi_1"), 400, list(&[], false), never()),
        (Refund, Some("pi_1"), 400, list(&[refund("failed")], false), Outcome::NotCharged(Why::Rejected)),
    ] {
        let amount = if kind == Refund { 400 } else { 1500 };
        let op = query(kind, amount, reference, old);
        let (_, harmless, outcome) = ran(&op, &[(200, answer.clone())]);
        assert_eq!((harmless, outcome), (vec![true], expected), "{kind:?} {reference:?} {answer}");
    }
    // Page after page, and no verdict where there are more.
    let op = query(Charge, 1500, None, 400);
    let page = |n: u8| (200, list(&[with(other(), "/id", format!("pi_{n}"))], true));
    let pages: Vec<_> = (1..=PAGES_MAX).map(page).collect();
    let (sent, _, outcome) = ran(&op, &pages);
    assert!(sent[1].contains("&limit=15&starting_after=pi_1 "), "{}", sent[1]);
    assert_eq!(outcome, unknown(Doubt::Malformed));
    let (.., outcome) = ran(&op, &[page(1), (200, list(&[shown("succeeded")], true))]);
    assert_eq!(outcome, yes("pi_1"));
    // A refund of which no intent was noted.
    let op = query(Refund, 400, None, 400);
    assert_eq!(
        ended(stripe().step(&asked(&op, None), &Progress::default(), None)),
        unknown(Doubt::Pending)
    );
}

#[test]
fn what_stripe_lacks_is_not_sent() {
    let card = card(CARD, None);
    let plan = Plan::Instalments(Count::new(3).unwrap());
    let op = Durable::attest(Intent { plan, ..intent(1500).get().clone() });
    let refused = stripe().step(&asked(&op, Some(&card)), &Progress::default(), None);
    assert_eq!(refused.err(), Some(BuildError::Plan { plan }));
}

#[test]
fn a_key_of_the_other_mode_is_refused() {
    for (mode, key, good) in [
        (Mode::Test, "sk_test_1", true),
        (Mode::Test, "rk_test_1", true),
        (Mode::Test, "sk_live_1", false),
        (Mode::Live, "sk_live_1", true),
        (Mode::Live, "sk_test_1", false),
        (Mode::Live, "pk_live_1", false),
        (Mode::Test, "sk_test_\u{e9}", false),
    ] {
        let made = configured("stripe".parse().unwrap(), &settings(mode, key));
        assert_eq!(made.is_ok(), good, "{mode:?} {key}");
    }
}

/// Operations, the stages at which they read an answer, and a good answer of each.
fn all() -> Vec<(Durable<Intent>, u8, Value)> {
    let found = list(&[shown("succeeded")], false);
    vec![
        (intent(1500), 2, shown("succeeded")),
        (of(OperationKind::Authorise, 1500), 2, shown("requires_capture")),
        (after(OperationKind::Capture, 1500, Some("pi_1")), ALTERED, shown("succeeded")),
        (after(OperationKind::Void, 1500, Some("pi_1")), ALTERED, shown("canceled")),
        (after(OperationKind::Refund, 400, Some("pi_1")), ALTERED, refund("succeeded")),
        (after(OperationKind::Query, 1500, None), 1, found),
    ]
}

fn at_stage(op: &Durable<Intent>, stage: u8, reply: &Reply) -> Result<Step, BuildError> {
    let progress = Progress {
        stage,
        reference: AcquirerRef::new("pi_1").ok(),
        ..Progress::default()
    };
    stripe().step(&asked(op, None), &progress, Some(reply))
}

proptest! {
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (op, stage, _) in all() {
            let step = at_stage(&op, stage, &Reply::new(status, bytes.clone()));
            prop_assert!(!matches!(step, Ok(Step::Done(Outcome::Approved(_)))));
        }
    }

    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in 0..400_usize, byte in any::<u8>()) {
        for (op, stage, good) in all() {
            let good = good.to_string();
            let mut bytes = good.clone().into_bytes();
            let at = cut % bytes.len();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            if let Ok(Step::Done(Outcome::Approved(approval))) = at_stage(&op, stage, &Reply::new(200, bytes)) {
                // Nothing but the reference itself may have been changed, or what is not read.
                let reference = approval.acquirer_ref.as_str();
                prop_assert!(reference.starts_with("pi_") || reference.starts_with("re_"));
                let before = good.get(..at).unwrap_or_default();
                let in_it = [r#""id":"pi_"#, r#""id":"re_"#].iter().any(|end| before.ends_with(end));
                prop_assert!(in_it || ["pi_1", "re_1"].contains(&reference));
            }
        }
    }
}
