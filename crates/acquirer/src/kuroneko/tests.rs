use ivrpay_payment::{Count, Decline, Durable, Money, Truncated};
use proptest::prelude::*;

use super::*;
use crate::{SettingError, configured};
use crate::testing::{NOW, after, asked, body, card, intent, of, sends};

const CARD: &str = "4111111111111111";
const ORDER: &str = "00000000000000042";

fn settings() -> Settings {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    let texts = [
        ("trader_code", "888885555"),
        ("goods_name", "phone"),
        ("buyer_name", "電話"),
        ("buyer_tel", "0312345678"),
        ("buyer_email", "none@example.jp"),
    ];
    settings.parameters = texts.map(|(k, v)| (k.into(), v.into())).into();
    settings.secrets = [("access_key".to_owned(), "accesskey01".into())].into();
    settings
}

fn with(settings: &Settings) -> Box<dyn Connector> {
    configured("kuroneko".parse().unwrap(), settings).unwrap()
}

fn xml(inside: &str) -> String {
    format!("<return>{inside}<returnDate>20260401120001</returnDate></return>")
}

fn reply(text: &str) -> Reply {
    Reply::new(200, text.as_bytes().to_vec())
}

/// Their document.
fn yes() -> String {
    xml("<returnCode>0</returnCode><errorCode></errorCode><crdCResCd>123456</crdCResCd>")
}

fn done() -> String {
    xml("<returnCode>0</returnCode><errorCode></errorCode>")
}

fn no(error: &str, credit: &str) -> String {
    xml(&format!(
        "<returnCode>1</returnCode><errorCode>{error}</errorCode><creditErrorCode>{credit}</creditErrorCode>"
    ))
}

fn info(status: &str, price: u64) -> String {
    xml(&format!(
        "<returnCode>0</returnCode><errorCode></errorCode><resultCount>1</resultCount><resultData><orderNo>{ORDER}</orderNo><settlePrice>{price}</settlePrice><settleMethod>9</settleMethod><statusInfo>{status}</statusInfo><payWay>1</payWay><crdCResCd>123456</crdCResCd></resultData>"
    ))
}

fn nothing() -> String {
    xml("<returnCode>0</returnCode><errorCode></errorCode><resultCount>0</resultCount>")
}

fn stored(cards: usize) -> String {
    let card = "<cardData><cardKey>1</cardKey><maskingCardNo>************1111</maskingCardNo><cardExp>1230</cardExp><cardOwner>TEL</cardOwner><cardCodeApi>9</cardCodeApi><lastCreditDate>20260331235959</lastCreditDate></cardData>";
    xml(&format!(
        "<returnCode>0</returnCode><errorCode></errorCode><cardUnit>{cards}</cardUnit>{}",
        card.repeat(cards)
    ))
}

fn approval(code: Option<&str>) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(ORDER).unwrap(),
        code: code.map(str::to_owned),
        card: None,
    })
}

/// An operation with these answers: what was sent, as path and body without the merchant's own fields, whether each could move nothing, and
/// how it ended.
fn run(op: &Durable<Intent>, answers: &[&str]) -> (Vec<(String, bool)>, Outcome) {
    let kuroneko = with(&settings());
    let card = card(CARD, Some("987"));
    let keyed = op.get().token.is_none() && op.get().parent.is_none();
    let (mut progress, mut last, mut sent) = (Progress::default(), None, Vec::new());
    let mut card = keyed.then_some(&card);
    for answer in answers {
        let asked = asked(op, card);
        let (request, next) = sends(kuroneko.as_ref(), &asked, &progress, last.as_ref());
        assert!(!next.needs_card);
        card = None;
        let text = body(&request).replace(CARD, "<number>").replace("=987", "=<code>");
        let text = text.split_once("&trader_code=888885555").unwrap();
        sent.push((format!("{} {}{}", request.path, text.0, text.1), next.harmless));
        (progress, last) = (next, Some(reply(answer)));
    }
    match kuroneko.step(&asked(op, card), &progress, last.as_ref()) {
        Ok(Step::Done(outcome)) => (sent, outcome),
        Ok(Step::Send(request, _)) => panic!("one more request: {}", request.path),
        Err(error) => panic!("{error}"),
    }
}

/// The paths of what was sent.
fn paths(sent: &[(String, bool)]) -> Vec<&str> {
    sent.iter().filter_map(|(text, _)| text.split(' ').next()).collect()
}

const CREDIT_BODY: &str = "credit.api function_div=A01&device_div=3&order_no=00000000000000042&settle_price=1500&goods_name=phone&buyer_name_kanji=%E9%9B%BB%E8%A9%B1&buyer_tel=0312345678&buyer_email=none%40example.jp&auth_div=2&pay_way=1&option_service_div=00&card_code_api=9&card_no=<number>&card_owner=TEL&card_exp=1230&security_code=<code>";
const SHIP_BODY: &str = "shipmentEntry.api function_div=E01&order_no=00000000000000042&slip_no=00000000000000042&delivery_service_code=99";

/// The vector of check_sum (their document).
#[test]
fn the_check_sum_is_theirs() {
    let member = Member { id: "member01", key: "authkey1" };
    assert_eq!(
        member.check_sum(&"accesskey01".into()),
        "bf19a3ec2bae0149afc166aaa3bdf9534564245d2e0d54487b5858f1ad61b2db"
    );
}

/// The request of their document, with an order number of ours.
#[test]
fn an_authorisation_is_one_request_and_a_charge_two() {
    let (sent, outcome) = run(&of(OperationKind::Authorise, 1500), &[&yes()]);
    assert_eq!(sent, [(CREDIT_BODY.to_owned(), false)]);
    assert_eq!(outcome, approval(Some("123456")));
    let (sent, outcome) = run(&intent(1500), &[&yes(), &done()]);
    assert_eq!(sent, [(CREDIT_BODY.to_owned(), false), (SHIP_BODY.to_owned(), false)]);
    assert_eq!(outcome, approval(Some("123456")));
}

/// Where the shipment is refused, what is reserved is released; where nobody knows, nothing more is sent.
#[test]
fn a_charge_that_cannot_be_taken_is_released() {
    let refused = no("E011010351", "");
    let unknown = |doubt| Outcome::Unknown(doubt);
    let system = no("Z019999999", "");
    for (answers, way, expected) in [
        (vec![&*refused, &*done()], vec!["credit.api", "shipmentEntry.api", "creditCancel.api"], Outcome::NotCharged(Why::Reversed)),
        (vec![&*refused, &*refused], vec!["credit.api", "shipmentEntry.api", "creditCancel.api"], unknown(Doubt::UnlistedCode)),
        (vec![&*refused, "<html>"], vec!["credit.api", "shipmentEntry.api", "creditCancel.api"], unknown(Doubt::Malformed)),
        (vec![&*system], vec!["credit.api", "shipmentEntry.api"], unknown(Doubt::UnlistedCode)),
        (vec!["<return/>"], vec!["credit.api", "shipmentEntry.api"], unknown(Doubt::Malformed)),
    ] {
        let first = yes();
        let answers: Vec<_> = [&*first].into_iter().chain(answers).collect();
        let (sent, outcome) = run(&intent(1500), &answers);
        assert_eq!((paths(&sent), outcome), (way, expected), "{answers:?}");
    }
}

#[test]
fn plans_and_brands_have_their_fields() {
    let three = Count::new(3).unwrap();
    for (plan, field) in [(Plan::Instalments(three), "&pay_way=3&"), (Plan::Revolving, "&pay_way=0&")] {
        let op = Durable::attest(Intent { plan, ..of(OperationKind::Authorise, 1500).get().clone() });
        let (sent, _) = run(&op, &[&yes()]);
        assert!(sent[0].0.contains(field), "{sent:?}");
    }
    let kuroneko = with(&settings());
    let first = Progress::default();
    let card = card(CARD, None);
    for plan in [Plan::BonusLumpSum, Plan::BonusInstalments(three)] {
        let op = Durable::attest(Intent { plan, ..intent(1500).get().clone() });
        let refused = kuroneko.step(&asked(&op, Some(&card)), &first, None);
        assert_eq!(refused.err(), Some(BuildError::Plan { plan }));
    }
    for (brand, field) in [(Brand::Jcb, "3"), (Brand::Mastercard, "10"), (Brand::Amex, "12"), (Brand::DinersClub, "2")] {
        let card = Truncated::new(brand, [1, 1, 1, 1]).unwrap();
        let op = Durable::attest(Intent { card, ..of(OperationKind::Authorise, 1500).get().clone() });
        let (sent, _) = run(&op, &[&yes()]);
        assert!(sent[0].0.contains(&format!("&card_code_api={field}&")), "{sent:?}");
    }
    // A brand without a code is refused before anything is sent.
    let other = Truncated::new(Brand::Unionpay, [1, 1, 1, 1]).unwrap();
    let op = Durable::attest(Intent { card: other, ..intent(1500).get().clone() });
    assert!(matches!(
        kuroneko.step(&asked(&op, Some(&card)), &first, None),
        Ok(Step::Done(Outcome::Declined(Decline { reason: Reason::CardNotSupported, .. })))
    ));
    let dollars = Durable::attest(Intent { amount: Money::new(1500, Currency::Usd).unwrap(), ..intent(1500).get().clone() });
    let refused = kuroneko.step(&asked(&dollars, Some(&card)), &first, None);
    assert_eq!(refused.err(), Some(BuildError::Field { field: "settle_price" }));
    // Without a code another kind of authentication is asked for.
    let op = of(OperationKind::Authorise, 1500);
    let (request, _) = sends(kuroneko.as_ref(), &asked(&op, Some(&card)), &first, None);
    assert!(body(&request).contains("&auth_div=0&") && !body(&request).contains("security_code"));
}

#[test]
fn what_each_answer_means() {
    let declined = |reason, code: &str, hard| {
        Outcome::Declined(Decline { reason, code: code.into(), hard, action: None })
    };
    let unknown = |doubt| Outcome::Unknown(doubt);
    for (answer, expected) in [
        (no("A012060001", "G55"), declined(Reason::LimitExceeded, "G55", false)),
        (no("A012060001", "G60"), declined(Reason::LostOrStolen, "G60", true)),
        (no("A082000008", ""), declined(Reason::InvalidNumber, "A08:2000008", false)),
        (no("A012060001", "999"), unknown(Doubt::UnlistedCode)),
        (no("Z010000000", ""), Outcome::NotCharged(Why::Busy)),
        (no("Z012000009", ""), Outcome::NotCharged(Why::Rejected)),
        (no("", ""), unknown(Doubt::UnlistedCode)),
        (done(), unknown(Doubt::Malformed)),
        (yes().replace("<errorCode></errorCode>", "<errorCode>A012060001</errorCode>"), unknown(Doubt::Malformed)),
        (yes().replace("<returnCode>0", "<returnCode>2"), unknown(Doubt::Malformed)),
        (yes().replace("return>", "answer>"), unknown(Doubt::Malformed)),
        ("<html>0</html>".to_owned(), unknown(Doubt::Malformed)),
        (String::new(), unknown(Doubt::Malformed)),
    ] {
        assert_eq!(run(&intent(1500), &[&answer]).1, expected, "{answer}");
    }
    let op = intent(1500);
    let progress = Progress { stage: AUTHORISED, ..Progress::default() };
    for (answer, doubt) in [
        (Reply::new(503, Vec::new()), Doubt::Status { status: 503 }),
        (Reply::new(200, vec![0xff, 0xfe]), Doubt::Malformed),
        (Reply::too_long(200), Doubt::Malformed),
    ] {
        let step = with(&settings()).step(&asked(&op, None), &progress, Some(&answer));
        assert!(matches!(step, Ok(Step::Done(Outcome::Unknown(d))) if d == doubt));
    }
}

#[test]
fn later_operations_find_the_order_first() {
    use OperationKind::{Capture, Change, Refund, Void};
    let cancel = "creditCancel.api function_div=A06&order_no=00000000000000042";
    let change = "creditChangePrice.api function_div=A07&order_no=00000000000000042&new_price=1100";
    for (kind, amount, before, request) in [
        (Capture, 1500, info("4", 1500), SHIP_BODY),
        (Void, 1500, info("4", 1500), cancel),
        (Refund, 1500, info("30", 1500), cancel),
        (Refund, 400, info("30", 1500), change),
        (Change, 1100, info("4", 1500), change),
        (Change, 1100, info("4", 900), change),
    ] {
        let (sent, outcome) = run(&after(kind, amount, None), &[&before, &done()]);
        assert_eq!(sent, [
            ("tradeInfo.api function_div=E04&order_no=00000000000000042".to_owned(), true),
            (request.to_owned(), false),
        ]);
        assert_eq!(outcome, approval(None), "{kind:?}");
        let (_, outcome) = run(&after(kind, amount, None), &[&before, &no("A062010004", "")]);
        assert_eq!(outcome, Outcome::NotCharged(Why::Rejected), "{kind:?}");
    }
    for (kind, amount, before, why) in [
        (Capture, 1400, info("4", 1500), Why::Rejected),
        (Capture, 1500, info("30", 1500), Why::Rejected),
        (Refund, 1501, info("30", 1500), Why::Rejected),
        (Refund, 1500, info("40", 1500), Why::Rejected),
        (Change, 1100, info("30", 1500), Why::Rejected),
        (Change, 1500, info("30", 1500), Why::Rejected),
        (Void, 1500, info("13", 1500), Why::Rejected),
        (Void, 1500, nothing(), Why::Rejected),
        (Void, 1500, no("Z010000000", ""), Why::Busy),
        (Void, 1500, "<html>".to_owned(), Why::Busy),
    ] {
        let (_, outcome) = run(&after(kind, amount, None), &[&before]);
        assert_eq!(outcome, Outcome::NotCharged(why), "{kind:?} {before}");
    }
    // Somebody has done it in Yamato's screens: nothing more is sent.
    let (sent, outcome) = run(&after(Change, 1500, None), &[&info("4", 1500)]);
    assert_eq!((sent.len(), outcome), (1, approval(Some("123456"))));
    let night = run(&after(Refund, 400, None), &[&info("30", 1500), &no("A070000000", "")]);
    assert_eq!(night.1, Outcome::NotCharged(Why::Busy));
    // The old amount could not be given back: the new one may stand beside it.
    let both = run(&after(Refund, 400, None), &[&info("30", 1500), &no("A077000001", "G12")]);
    assert_eq!(both.1, Outcome::Unknown(Doubt::UnlistedCode));
}

/// "Not there" is a verdict only when no request of ours can be on its way any more.
#[test]
fn a_query_says_what_became_of_the_operation() {
    use OperationKind::{Authorise, Capture, Change, Charge, Refund, Void};
    let old = NOW + SETTLED_AFTER_S;
    let never = || Some(Outcome::NotCharged(Why::NotArrived));
    let unknown = |doubt| Some(Outcome::Unknown(doubt));
    let mut rows = vec![
        (Charge, None, info("30", 1500), NOW, None),
        (Charge, None, info("31", 1500), NOW, None),
        (Authorise, None, info("4", 1500), NOW, None),
        (Authorise, None, info("30", 1500), NOW, None),
        // Reserved and not taken is neither yes nor no to a charge.
        (Charge, None, info("4", 1500), NOW, unknown(Doubt::Pending)),
        (Charge, None, info("4", 1500), old, unknown(Doubt::HalfDone)),
        (Charge, None, info("4", 1501), old, unknown(Doubt::Mismatch)),
        (Charge, None, info("30", 1501), old, unknown(Doubt::Mismatch)),
        (Authorise, None, info("4", 1501), old, unknown(Doubt::Mismatch)),
        (Charge, None, info("40", 1500), NOW, Some(Outcome::NotCharged(Why::Reversed))),
        (Charge, None, info("11", 1500), NOW, Some(Outcome::Declined(Decline { reason: Reason::RequestRefused, code: "statusInfo 11".into(), hard: false, action: None }))),
        (Charge, None, info("12", 1500), NOW, Some(Outcome::NotCharged(Why::Rejected))),
        (Charge, None, nothing(), NOW, unknown(Doubt::Pending)),
        (Charge, None, nothing(), old, never()),
        (Charge, None, no("Z012000009", ""), old, unknown(Doubt::UnlistedCode)),
        (Charge, None, nothing().replace(">0</resultCount", ">1</resultCount"), old, unknown(Doubt::Malformed)),
        (Charge, None, info("30", 1500).replace("00042", "00043"), old, unknown(Doubt::Mismatch)),
        (Capture, None, info("30", 1500), NOW, None),
        (Capture, None, info("4", 1500), NOW, unknown(Doubt::Pending)),
        (Capture, None, info("4", 1500), old, never()),
        (Capture, None, info("40", 1500), old, unknown(Doubt::Mismatch)),
        (Void, None, info("40", 1500), NOW, None),
        (Void, None, info("4", 1500), old, never()),
        (Change, Some("1500-1800"), info("4", 1800), NOW, None),
        (Change, Some("1500-1800"), info("4", 1500), old, never()),
        (Change, Some("1500-1800"), info("4", 1500), NOW, unknown(Doubt::Pending)),
        (Change, Some("1500-1800"), info("4", 1600), old, unknown(Doubt::Mismatch)),
        (Change, Some("1500-1800"), info("30", 1800), old, unknown(Doubt::Mismatch)),
        (Change, Some("1500-1800"), info("16", 1500), old, unknown(Doubt::Mismatch)),
        (Change, None, info("4", 1500), old, never()),
        (Refund, Some("1500-0"), info("40", 1500), NOW, None),
        (Refund, Some("1500-1100"), info("40", 1500), old, unknown(Doubt::Mismatch)),
        (Refund, None, info("40", 1500), old, unknown(Doubt::Mismatch)),
        (Refund, None, info("30", 1500), old, unknown(Doubt::Mismatch)),
        (Refund, Some("1500-0"), info("30", 1500), old, never()),
        (Refund, Some("1500-1100"), info("30", 1500), NOW, unknown(Doubt::Pending)),
        (Refund, Some("1500-1100"), info("30", 1100), NOW, None),
        (Refund, Some("1500-1100"), info("30", 700), old, unknown(Doubt::Mismatch)),
    ];
    for status in ["0", "1", "20", "21"] {
        rows.push((Charge, None, info(status, 1500), old, unknown(Doubt::Pending)));
    }
    for status in ["2", "3", "5", "13", "14", "15", "16", "17", "23", "99"] {
        rows.push((Charge, None, info(status, 1500), old, unknown(Doubt::Mismatch)));
    }
    for (kind, reference, answer, at, expected) in rows {
        let op = after(OperationKind::Query, 1500, reference);
        let mut about = *op.get().parent.clone().unwrap();
        about.kind = kind;
        let outcome = found(&about, at, &reply(&answer));
        let expected = expected.unwrap_or_else(|| approval(Some("123456")));
        assert_eq!(outcome, expected, "{kind:?} {answer}");
    }
    // A card that was left, by the yen that was released.
    let op = after(OperationKind::Query, 1500, None);
    let mut about = *op.get().parent.clone().unwrap();
    about.kind = OperationKind::Tokenise;
    let left = found(&about, old, &reply(&info("40", 1)));
    assert!(matches!(&left, Outcome::Approved(a) if a.acquirer_ref.as_str() == "i000000v000000r00042:00000003"), "{left:?}");
    assert_eq!(found(&about, old, &reply(&info("4", 1))), Outcome::Unknown(Doubt::Mismatch));
    assert_eq!(found(&about, old, &reply(&nothing())), Outcome::NotCharged(Why::NotArrived));
    let (sent, _) = run(&after(OperationKind::Query, 1500, None), &[&nothing()]);
    assert_eq!(sent, [("tradeInfo.api function_div=E04&order_no=00000000000000042".to_owned(), true)]);
}

#[test]
fn a_card_is_stored_with_one_yen_that_is_released() {
    let op = of(OperationKind::Tokenise, 1500);
    let (sent, outcome) = run(&op, &[&yes(), &done()]);
    assert_eq!(paths(&sent), ["credit.api", "creditCancel.api"]);
    let sum = digest::sha256(&["i000000v000000r00042", "00000003", "accesskey01"].map(str::as_bytes));
    assert!(sent[0].0.contains("&settle_price=1&"), "{sent:?}");
    assert!(sent[0].0.ends_with(&format!(
        "&option_service_div=01&card_code_api=9&card_no=<number>&card_owner=TEL&card_exp=1230&security_code=<code>&member_id=i000000v000000r00042&authentication_key=00000003&check_sum={sum}"
    )), "{sent:?}");
    assert!(matches!(&outcome, Outcome::Approved(a) if a.acquirer_ref.as_str() == "i000000v000000r00042:00000003"), "{outcome:?}");
    let (_, outcome) = run(&op, &[&no("A012060001", "G12")]);
    assert!(matches!(outcome, Outcome::Declined(d) if d.reason == Reason::CardUnusable));
    // One yen stays reserved: a person looks.
    let (_, outcome) = run(&op, &[&yes(), &no("A062010003", "")]);
    assert_eq!(outcome, Outcome::Unknown(Doubt::UnlistedCode));
}

#[test]
fn a_stored_card_is_looked_up_and_charged() {
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("member01:authkey1").unwrap()),
        ..of(OperationKind::Authorise, 1500).get().clone()
    });
    let (sent, outcome) = run(&token, &[&stored(1), &yes()]);
    let sum = "bf19a3ec2bae0149afc166aaa3bdf9534564245d2e0d54487b5858f1ad61b2db";
    let member = format!("member_id=member01&authentication_key=authkey1&check_sum={sum}");
    assert_eq!(sent[0], (format!("creditInfoGet.api function_div=A03&{member}"), true));
    assert!(sent[1].0.ends_with(&format!(
        "&auth_div=0&pay_way=1&option_service_div=01&card_code_api=9&{member}&card_key=1&last_credit_date=20260331235959"
    )), "{sent:?}");
    assert_eq!(outcome, approval(Some("123456")));
    // Of none and of several nobody knows which one; without an answer nothing was charged.
    for (answer, why) in [
        (stored(0), Why::Rejected),
        (stored(2), Why::Rejected),
        (no("A033000001", ""), Why::Rejected),
        ("<html>".to_owned(), Why::Busy),
    ] {
        assert_eq!(run(&token, &[&answer]).1, Outcome::NotCharged(why), "{answer}");
    }
    assert!(with(&settings()).about().capabilities.tokenise);
    let mut without = settings();
    without.secrets.clear();
    assert!(!with(&without).about().capabilities.tokenise);
    for op in [&token, &of(OperationKind::Tokenise, 1)] {
        let card = card(CARD, None);
        let refused = with(&without).step(&asked(op, Some(&card)), &Progress::default(), None);
        assert!(matches!(refused.err(), Some(BuildError::Unsupported { .. })));
    }
}

#[test]
fn live_has_other_names_and_settings_are_looked_at() {
    let mut live = settings();
    live.mode = Mode::Live;
    let card = card(CARD, None);
    let op = intent(1500);
    let (request, _) = sends(with(&live).as_ref(), &asked(&op, Some(&card)), &Progress::default(), None);
    assert_eq!(request.path, "credit");
    for (name, value) in [("buyer_tel", "123"), ("buyer_tel", "03 1234 5678"), ("buyer_email", "nobody"), ("buyer_email", "@x")] {
        let mut wrong = settings();
        wrong.parameters.insert(name.to_owned(), value.to_owned());
        let made = configured("kuroneko".parse().unwrap(), &wrong);
        assert!(matches!(made.err(), Some(SettingError::Value { name: n, .. }) if n == name), "{value}");
    }
    let mut long = settings();
    long.parameters.insert("goods_name".to_owned(), "品".repeat(100));
    long.parameters.insert("buyer_name".to_owned(), "名".repeat(20));
    sends(with(&long).as_ref(), &asked(&op, Some(&card)), &Progress::default(), None);
}

proptest! {
    /// Any bytes give an outcome, and an approval only in their own words.
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200), stage in 1..=8_u8) {
        let kuroneko = with(&settings());
        for op in [intent(1500), after(OperationKind::Void, 1500, None), after(OperationKind::Query, 1500, None), of(OperationKind::Tokenise, 1)] {
            let progress = Progress { stage, ..Progress::default() };
            let step = kuroneko.step(&asked(&op, None), &progress, Some(&Reply::new(status, bytes.clone())));
            prop_assert!(!matches!(step, Ok(Step::Done(Outcome::Approved(_)) | Step::Send(..))));
        }
    }

    /// Nor do their own elements in any order.
    #[test]
    fn any_elements_are_read(parts in prop::collection::vec("<returnCode>[012]</returnCode>|<errorCode>(A012060001)?</errorCode>|<crdCResCd>[0-9]{0,9}</crdCResCd>|<resultCount>[01]</resultCount>", 0..6)) {
        let text = xml(&parts.concat());
        let code = parts.iter().find(|p| p.starts_with("<returnCode"));
        let error = parts.iter().find(|p| p.starts_with("<errorCode"));
        let good = code.is_some_and(|c| c.contains('0')) && error.is_none_or(|e| !e.contains('A'));
        if let Outcome::Approved(_) = authorised(intent(1500).get(), &reply(&text)) {
            prop_assert!(good, "{}", text);
        }
    }

    /// There is no signature in their answers. A changed byte may be another approval number; never another order, or a yes from a no.
    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in 0..300_usize, byte in any::<u8>()) {
        for (good, approves) in [(yes(), true), (no("A012060001", "G55"), false)] {
            let mut bytes = good.into_bytes();
            let at = cut % bytes.len();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let outcome = authorised(intent(1500).get(), &Reply::new(200, bytes));
            if let Outcome::Approved(approval) = outcome {
                prop_assert!(approves);
                prop_assert_eq!(approval.acquirer_ref.as_str(), ORDER);
            }
        }
    }
}

/// What the configuration is judged by and what is sent are two tables.
#[test]
fn the_brands_are_those_that_have_a_code() {
    let has: Vec<_> = Brand::ALL.into_iter().filter(|b| company(*b).is_some()).collect();
    assert_eq!(has, ABOUT.capabilities.brands);
}
