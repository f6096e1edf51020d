use ivrpay_card::Card;
use ivrpay_payment::{Decline, Durable, OperatorId, OrderId, Reason, Why};

use super::*;
use crate::testing::{asked, card, intent};

fn of_order(minor: u64, order: &str, operator: &str) -> Durable<Intent> {
    Durable::attest(Intent {
        order: Some(OrderId::new(order).unwrap()),
        operator: Some(OperatorId::new(operator).unwrap()),
        ..intent(minor).get().clone()
    })
}

/// The request's body with all card data masked.
fn body(generic: &Generic, op: &Durable<Intent>, card: &Card) -> String {
    let Ok(Step::Send(request, progress)) =
        generic.step(&asked(op, Some(card)), &Progress::default(), None)
    else {
        panic!("the first step sends");
    };
    assert!(
        !progress.needs_card,
        "the card is not needed after the request is built"
    );
    assert_eq!(
        (request.method, request.content_type, request.path.as_str()),
        (Method::Post, "application/json", "")
    );
    let mut body = request
        .body
        .expose(|b| String::from_utf8(b.to_vec()).unwrap());
    card.pan
        .expose(|d| body = body.replace(std::str::from_utf8(d).unwrap(), "<number>"));
    if let Some(code) = &card.code {
        code.expose(|d| {
            body = body.replace(
                &format!("\"{}\"", std::str::from_utf8(d).unwrap()),
                "\"<code>\"",
            )
        });
    }
    body
}

#[test]
fn the_request_is_the_contracts() {
    insta::assert_snapshot!(
        body(&Generic::default(), &intent(1500), &card("4111111111111111", Some("987"))),
        @r#"{"method":"charge","transaction_id":"0193a1b2-0000-7000-8000-000000000003","cardnumber":"<number>","cvv":"<code>","expiry_month":"12","expiry_year":"30","amount":"1500","currency_code":"JPY","parameters":{"payment_id":"0193a1b2-0000-7000-8000-000000000001","acquirer_order":"00000000000000042","payment_plan":"lump_sum","moto":"true"}}"#
    );
}

#[test]
fn a_card_without_code_and_parameters_of_the_merchant() {
    let generic = Generic::new(vec![("merchant_id".into(), "花屋 \"A\"\\1".into())]).unwrap();
    insta::assert_snapshot!(
        body(&generic, &of_order(99_999_999, "A-1", "tanaka"), &card("378282246310005", None)),
        @r#"{"method":"charge","transaction_id":"0193a1b2-0000-7000-8000-000000000003","cardnumber":"<number>","expiry_month":"12","expiry_year":"30","amount":"99999999","currency_code":"JPY","parameters":{"merchant_id":"花屋 \"A\"\\1","payment_id":"0193a1b2-0000-7000-8000-000000000001","acquirer_order":"00000000000000042","order_id":"A-1","operator_id":"tanaka","payment_plan":"lump_sum","moto":"true"}}"#
    );
}

#[test]
fn the_longest_parameters_fit_the_request() {
    for sign in ["v", "\""] {
        // A quotation mark takes two bytes when escaped: the longest that there is.
        let generic =
            Generic::new(vec![("p".into(), sign.repeat(Generic::PARAMETERS_MAX - 1))]).unwrap();
        let card = card("4111111111111111", Some("987"));
        let longest = of_order(99_999_999, &"o".repeat(64), &"p".repeat(64));
        assert!(
            generic
                .step(&asked(&longest, Some(&card)), &Progress::default(), None)
                .is_ok()
        );
    }
    for (name, value) in [
        ("p", "v".repeat(Generic::PARAMETERS_MAX)),
        ("moto", "false".into()),
        ("P", "v".into()),
        ("p", "\n".into()),
    ] {
        let refused = Generic::new(vec![(name.to_owned(), value)]).unwrap_err();
        assert!(
            matches!(&refused, SettingError::Value { name: n, .. } if n == name),
            "{refused}"
        );
    }
}

#[test]
fn without_a_card_nothing_is_built() {
    let refused = Generic::default().step(&asked(&intent(1), None), &Progress::default(), None);
    assert_eq!(refused.err(), Some(BuildError::CardGone));
}

#[test]
fn what_the_contract_lacks_is_not_sent() {
    let op = Durable::attest(Intent {
        kind: OperationKind::Refund,
        ..intent(1).get().clone()
    });
    let refused = Generic::default().step(&asked(&op, None), &Progress::default(), None);
    assert_eq!(
        refused.err(),
        Some(BuildError::Unsupported {
            kind: OperationKind::Refund
        })
    );
}

#[track_caller]
fn check(status: u16, body: &str, expected: &Outcome) {
    let reply = Reply::new(status, body.as_bytes().to_vec());
    assert_eq!(
        &read(intent(1500).get(), &reply),
        expected,
        "{status} {body}"
    );
}

fn approved(reference: &str, code: Option<&str>) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(reference).unwrap(),
        code: code.map(String::from),
        card: None,
    })
}

fn declined(reason: Reason, code: &str) -> Outcome {
    Outcome::Declined(Decline {
        reason,
        code: code.into(),
        hard: matches!(reason, Reason::LostOrStolen | Reason::InvalidNumber),
        action: None,
    })
}

#[test]
fn approvals() {
    for (body, code) in [
        (
            r#"{"charge_id":"ch_1","error_code":null,"error_message":null}"#,
            None,
        ),
        (r#"{"charge_id":"ch_1"}"#, None),
        (
            r#"{"charge_id":"ch_1","error_code":null,"parameters":[]}"#,
            None,
        ),
        (
            r#"{"charge_id":"ch_1","error_code":null,"parameters":{"confirmation_number":"A1B2"}}"#,
            Some("A1B2"),
        ),
        (
            r#"{"charge_id":"ch_1","parameters":{"confirmation_number":"A1","approval_code":123456}}"#,
            Some("123456"),
        ),
        (
            r#"{"charge_id":"ch_1","parameters":{"approval_code":"4111111111111111"}}"#,
            None,
        ),
        (
            r#"{"charge_id":"ch_1","parameters":{"approval_code":"<b>ok</b>"}}"#,
            None,
        ),
        (
            r#" {"charge_id":"ch_1","parameters":{"amount":"1500.00","currency_code":"jpy"}}"#,
            None,
        ),
        (
            r#"{"charge_id":"ch_1","amount":1500,"transaction_id":"0193A1B2-0000-7000-8000-000000000003"}"#,
            None,
        ),
    ] {
        check(200, body, &approved("ch_1", code));
    }
}

#[test]
fn declines() {
    let no_funds = declined(Reason::InsufficientFunds, "insufficient_funds");
    let body =
        r#"{"charge_id":null,"error_code":"insufficient_funds","error_message":"Card declined"}"#;
    check(200, body, &no_funds);
    check(402, body, &no_funds);
    check(400, body, &no_funds);
    check(200, r#"{"error_code":"insufficient_funds"}"#, &no_funds);
    check(
        200,
        r#"{"charge_id":null,"error_code":"E-4711"}"#,
        &declined(Reason::Other, "E-4711"),
    );
    check(
        200,
        r#"{"charge_id":null,"error_code":4711}"#,
        &declined(Reason::Other, "4711"),
    );
    check(
        200,
        r#"{"charge_id":null,"error_code":"42G440000"}"#,
        &declined(Reason::CvvMismatch, "42G440000"),
    );
    check(
        200,
        r#"{"charge_id":null,"error_code":"no 4111111111111111"}"#,
        &declined(Reason::Other, "no xxxxxxxxxxxxxxxx"),
    );
}

#[test]
fn our_fault_is_no_decline() {
    check(
        401,
        r#"{"charge_id":null,"error_code":"authentication_error"}"#,
        &Outcome::NotCharged(Why::Rejected),
    );
    check(
        400,
        r#"{"charge_id":null,"error_code":"invalid_request_error"}"#,
        &Outcome::NotCharged(Why::Rejected),
    );
    check(
        429,
        r#"{"charge_id":null,"error_code":"rate_limit"}"#,
        &Outcome::NotCharged(Why::Busy),
    );
}

#[test]
fn what_is_not_clear_is_unknown() {
    for body in [
        "",
        "<html><body>It works!</body></html>",
        "null",
        "[]",
        r#"["ch_1",null]"#,
        r#""ch_1""#,
        r#"{"charge_id":"ch_1""#,
        r#"{"charge_id":"ch_1"} {"charge_id":"ch_2"}"#,
        r#"{"charge_id":"ch_1","charge_id":"ch_2"}"#,
        r#"{"charge_id":null,"error_code":null}"#,
        r#"{}"#,
        r#"{"charge_id":"ch_1","error_code":"insufficient_funds"}"#,
        r#"{"charge_id":"","error_code":null}"#,
        r#"{"charge_id":"ch_1","error_code":""}"#,
        r#"{"charge_id":true}"#,
        r#"{"charge_id":"ch 1\n"}"#,
        r#"{"charge_id":"ch_4111111111111111"}"#,
        r#"{"charge_id":"ch_1","parameters":"none"}"#,
        "{\"charge_id\":\"\u{0}\"}",
    ] {
        check(200, body, &Outcome::Unknown(Doubt::Malformed));
    }
    let approval = r#"{"charge_id":"ch_1","error_code":null}"#;
    for status in [100, 201, 202, 204, 301, 302, 400, 404, 500, 502, 503, 999] {
        check(
            status,
            approval,
            &Outcome::Unknown(Doubt::Status { status }),
        );
    }
    for (status, body) in [
        (404, "<html>"),
        (
            500,
            r#"{"charge_id":null,"error_code":"insufficient_funds"}"#,
        ),
        (429, ""),
    ] {
        check(status, body, &Outcome::Unknown(Doubt::Status { status }));
    }
    check(
        200,
        r#"{"charge_id":null,"error_code":"processing_error"}"#,
        &Outcome::Unknown(Doubt::UnlistedCode),
    );
    check(
        200,
        r#"{"charge_id":null,"error_code":"C50"}"#,
        &Outcome::Unknown(Doubt::UnlistedCode),
    );
    let long = Reply::too_long(200);
    assert_eq!(
        read(intent(1500).get(), &long),
        Outcome::Unknown(Doubt::Malformed)
    );
    let long = Reply::new(200, vec![b' '; Reply::BODY_MAX + 1]);
    assert_eq!(
        read(intent(1500).get(), &long),
        Outcome::Unknown(Doubt::Malformed)
    );
}

#[test]
fn an_answer_about_something_else_is_a_mismatch() {
    for echo in [
        r#""amount":"1501""#,
        r#""amount":1501"#,
        r#""amount":"1500.5""#,
        r#""amount":"1,500""#,
        r#""amount":"-1500""#,
        r#""amount":{}"#,
        r#""amount":"99999999999999999999999""#,
        r#""currency_code":"USD""#,
        r#""transaction_id":"0193a1b2-0000-7000-8000-000000000009""#,
    ] {
        check(
            200,
            &format!(r#"{{"charge_id":"ch_1",{echo}}}"#),
            &Outcome::Unknown(Doubt::Mismatch),
        );
        check(
            200,
            &format!(r#"{{"charge_id":"ch_1","parameters":{{{echo}}}}}"#),
            &Outcome::Unknown(Doubt::Mismatch),
        );
        check(
            200,
            &format!(r#"{{"error_code":"lost_card","parameters":{{{echo}}}}}"#),
            &Outcome::Unknown(Doubt::Mismatch),
        );
    }
    for order in [
        r#""acquirer_order":"00000000000000043""#,
        r#""payment_id":"x""#,
    ] {
        check(
            200,
            &format!(r#"{{"charge_id":"ch_1","parameters":{{{order}}}}}"#),
            &Outcome::Unknown(Doubt::Mismatch),
        );
    }
}

#[test]
fn decimals() {
    for (text, currency, expected) in [
        ("25.00", Currency::Usd, Some(2500)),
        ("25", Currency::Usd, Some(2500)),
        ("25.0", Currency::Usd, Some(2500)),
        ("25.000", Currency::Usd, Some(2500)),
        ("0.05", Currency::Usd, Some(5)),
        ("25.001", Currency::Usd, None),
        ("1500.00", Currency::Jpy, Some(1500)),
        ("1500.", Currency::Jpy, Some(1500)),
        ("1500.01", Currency::Jpy, None),
        (".5", Currency::Usd, None),
        ("2.5.0", Currency::Usd, None),
        ("1e3", Currency::Usd, None),
        ("", Currency::Usd, None),
    ] {
        assert_eq!(minor(text, currency), expected, "{text}");
    }
}
