use ivrpay_payment::{CardToken, Count, Decline, Durable, Reason};
use proptest::prelude::*;

use super::*;
use crate::testing::{NOW, after, asked, body, card, intent, of};
use crate::{Mode, configured, SettingError};

const CARD: &str = "4242424242424242";
const PAIR: &str = "B99999001ST010011110100361052543:00000616307350";

fn settings(sales: &str) -> Settings {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    let texts = [
        ("merchant_id", "99999"),
        ("service_id", "001"),
        ("item_id", "ITEM01"),
        ("item_name", "電話注文"),
        ("sales", sales),
    ];
    settings.parameters = texts.map(|(k, v)| (k.into(), v.into())).into();
    let secrets = [
        ("hash_key", "0123456789abcdef0123456789abcdef01234567"),
        ("des_key", "0123456789abcdef01234567"),
        ("des_iv", "abcdefgh"),
    ];
    settings.secrets = secrets.map(|(k, v)| (k.into(), v.into())).into();
    settings
}

fn sbps(sales: &str) -> Sbps {
    Sbps::new(&settings(sales))
}

fn reply(text: &str) -> Reply {
    Reply::new(200, japan::encode(text).unwrap())
}

fn sealed(text: &str) -> String {
    let sealed = sbps("requested").cipher.seal(&[text.as_bytes()]).unwrap();
    sealed.expose(|b| String::from_utf8(b.to_vec()).unwrap())
}

/// As recorded, with ids and keys of these tests.
fn ok(function: &str, inside: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='Shift_JIS' ?>\n  <sps-api-response id=\"{function}\">\n    <res_result>OK</res_result>\n    {inside}\n    <res_process_date>20260401120001</res_process_date>\n    <res_err_code/>\n    <res_date>20260401120001</res_date>\n  </sps-api-response>\n"
    )
}

fn ng(code: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='Shift_JIS' ?>\n  <sps-api-response>\n    <res_result>NG</res_result>\n    <res_err_code>{code}</res_err_code>\n    <res_date>20260401120001</res_date>\n  </sps-api-response>\n"
    )
}

fn authorised() -> String {
    ok(
        "ST01-00111-101",
        &format!(
            "<res_sps_transaction_id>B99999001ST010011110100361052543</res_sps_transaction_id><res_tracking_id>00000616307350</res_tracking_id><res_pay_method_info><cardbrand_code>{}</cardbrand_code><recognized_no>{}</recognized_no></res_pay_method_info>",
            sealed("V"),
            sealed("123456")
        ),
    )
}

fn done(function: &str) -> String {
    ok(
        function,
        "<res_sps_transaction_id>B99999001ST020010110100361052544</res_sps_transaction_id>",
    )
}

fn stands(commit: u8, payment: u8) -> String {
    ok(
        "MG01-00101-101",
        &format!(
            "<res_sps_transaction_id>B99999001MG010010110100361052545</res_sps_transaction_id><res_status>0</res_status><res_pay_method_info><recognized_no>{}</recognized_no><commit_status>{}</commit_status><payment_status>{}</payment_status></res_pay_method_info>",
            sealed("123456"),
            sealed(&commit.to_string()),
            sealed(&payment.to_string())
        ),
    )
}

fn ended(step: Result<Step, BuildError>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Send(..)) => panic!("one more request"),
        Err(error) => panic!("{error}"),
    }
}

/// Runs an operation against these answers: the bodies that it sends, and its end.
fn run(sbps: &Sbps, op: &Durable<Intent>, answers: &[&str]) -> (Vec<String>, Outcome) {
    let card = card(CARD, Some("000"));
    let keyed = op.get().parent.is_none() && op.get().token.is_none();
    let asked = asked(op, keyed.then_some(&card));
    let (mut progress, mut last, mut sent) = (Progress::default(), None, Vec::new());
    for answer in answers {
        let (request, next) = match sbps.step(&asked, &progress, last.as_ref()) {
            Ok(Step::Send(request, next)) => (request, next),
            other => return (sent, ended(other)),
        };
        assert_eq!(request.path, "xmlapi.do");
        let moves = !body(&request).contains("id=\"MG0");
        assert_eq!(next.harmless, !moves, "{}", body(&request));
        assert!(!next.needs_card);
        sent.push(body(&request));
        (progress, last) = (next, Some(reply(answer)));
    }
    (sent, ended(sbps.step(&asked, &progress, last.as_ref())))
}

fn functions(sent: &[String]) -> Vec<&str> {
    sent.iter().map(|body| body.split_once("id=\"").unwrap().1.get(..10).unwrap()).collect()
}

fn approved(code: Option<&str>) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(PAIR).unwrap(),
        code: code.map(str::to_owned),
        card: None,
    })
}

/// The worked example of their document, hash and 3DES included.
#[test]
fn the_worked_example_is_written_byte_for_byte() {
    let card = card(CARD, Some("000"));
    let sbps = sbps("requested");
    let request = sbps
        .authorise(NOW, ("CUST0001", "ORD-0001"), 1500, ("10", None), Some(&card))
        .unwrap();
    assert_eq!(request.content_type, "text/xml; charset=Shift_JIS");
    assert_eq!(
        body(&request),
        "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><sps-api-request id=\"ST01-00111-101\"><merchant_id>99999</merchant_id><service_id>001</service_id><cust_code>CUST0001</cust_code><order_id>ORD-0001</order_id><item_id>ITEM01</item_id><item_name>k2SYYpKNlbY=</item_name><amount>1500</amount><sps_cust_info_return_flg>1</sps_cust_info_return_flg><dtls></dtls><pay_method_info><cc_number>i2UqoIYubRhdkWwd9hGtwQ==</cc_number><cc_expiration>czHidshVoD8=</cc_expiration><security_code>UnK9lLAFEWU=</security_code><dealings_type>O9/0qK/OHcE=</dealings_type></pay_method_info><pay_option_manage><cust_manage_flg>0</cust_manage_flg><cardbrand_return_flg>1</cardbrand_return_flg></pay_option_manage><encrypted_flg>1</encrypted_flg><request_date>20260401120000</request_date><limit_second>600</limit_second><sps_hashcode>3b53fead50613532872e53d14f83761b3d670fb0</sps_hashcode></sps-api-request>"
    );
}

#[test]
fn a_charge_is_authorised_committed_and_sold() {
    let answers = [&*authorised(), &done("ST02-00101-101"), &done("ST02-00201-101")];
    let (sent, outcome) = run(&sbps("requested"), &intent(1500), &answers);
    assert_eq!(functions(&sent), ["ST01-00111", "ST02-00101", "ST02-00201"]);
    assert!(sent[0].contains("<cust_code>00000000000000042</cust_code><order_id>00000000000000042<"));
    assert!(sent[1].contains(
        "<sps_transaction_id>B99999001ST010011110100361052543</sps_transaction_id><tracking_id>00000616307350</tracking_id><processing_datetime>20260401120000</processing_datetime><request_date>"
    ));
    assert!(sent[2].contains("<pay_option_manage><amount>1500</amount></pay_option_manage>"));
    assert_eq!(outcome, approved(Some("123456")));
    // Automatic sales, and an authorisation, end with the commit.
    for (sales, op) in [
        ("automatic", intent(1500)),
        ("requested", of(OperationKind::Authorise, 1500)),
    ] {
        let (sent, outcome) = run(&sbps(sales), &op, &answers[..2]);
        assert_eq!(functions(&sent), ["ST01-00111", "ST02-00101"]);
        assert_eq!(outcome, approved(Some("123456")));
    }
}

#[test]
fn plans_and_stored_cards_have_their_fields() {
    for (plan, kind, times) in [
        (Plan::Instalments(Count::new(10).unwrap()), "61", Some("10")),
        (Plan::BonusLumpSum, "21", None),
        (Plan::Revolving, "80", None),
    ] {
        let op = Durable::attest(Intent {
            plan,
            ..intent(1500).get().clone()
        });
        let (sent, _) = run(&sbps("automatic"), &op, &[&authorised(), &done("ST02-00101-101")]);
        let times = times.map(|t| format!("<divide_times>{}</divide_times>", sealed(t)));
        let fields = format!(
            "<dealings_type>{}</dealings_type>{}</pay_method_info>",
            sealed(kind),
            times.unwrap_or_default()
        );
        assert!(sent[0].contains(&fields), "{}", sent[0]);
    }
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("00000000000000007").unwrap()),
        ..intent(1500).get().clone()
    });
    let answer = authorised().replace("ST01-00111-101", "ST01-00131-101");
    let (sent, outcome) = run(&sbps("automatic"), &token, &[&answer, &done("ST02-00101-101")]);
    assert_eq!(functions(&sent), ["ST01-00131", "ST02-00101"]);
    assert!(sent[0].contains("<cust_code>00000000000000007</cust_code><order_id>00000000000000042<"));
    assert!(sent[0].contains("<pay_method_info><dealings_type>"));
    assert_eq!(outcome, approved(Some("123456")));
}

#[test]
fn what_each_answer_to_an_authorisation_means() {
    let declined = |reason, code: &str, hard| {
        Outcome::Declined(Decline {
            reason,
            code: code.into(),
            hard,
            action: None,
        })
    };
    let unknown = Outcome::Unknown;
    let good = authorised();
    for (answer, expected) in [
        (ng("10122999"), declined(Reason::LimitExceeded, "10122999", false)),
        (ng("10170999"), declined(Reason::LostOrStolen, "10170999", true)),
        (ng("10135999"), declined(Reason::PlanNotAllowed, "10135999", false)),
        (ng("10105202"), Outcome::NotCharged(Why::Rejected)),
        (ng("10110023"), Outcome::NotCharged(Why::Busy)),
        (ng("10196004"), unknown(Doubt::UnlistedCode)),
        (ng("10180999"), unknown(Doubt::UnlistedCode)),
        (ng("10199999"), unknown(Doubt::UnlistedCode)),
        (ng(""), unknown(Doubt::UnlistedCode)),
        (String::new(), unknown(Doubt::Malformed)),
        ("<html></html>".into(), unknown(Doubt::Malformed)),
        (good.replace(">OK<", "><"), unknown(Doubt::Malformed)),
        (good.replace("<res_err_code/>", "<res_err_code>10180999</res_err_code>"), unknown(Doubt::Malformed)),
        (good.replace("ST01-00111-101\"", "ST02-00101-101\""), unknown(Doubt::Mismatch)),
        (good.replace("<res_tracking_id>00000616307350</res_tracking_id>", ""), unknown(Doubt::Malformed)),
        // The card's last four, and a check digit that could be one: not written into the journal.
        (good.replace("00000616307350", "x4111111111111111"), unknown(Doubt::Malformed)),
    ] {
        assert_eq!(run(&sbps("requested"), &intent(1500), &[&answer]).1, expected, "{answer}");
    }
    let step = sbps("requested").step(
        &asked(&intent(1500), None),
        &Progress {
            stage: 1,
            ..Progress::default()
        },
        Some(&Reply::new(503, Vec::new())),
    );
    assert_eq!(ended(step), unknown(Doubt::Status { status: 503 }));
}

/// From the authorisation on, no refusal says that nothing happened.
#[test]
fn a_commit_or_sale_that_is_refused_is_in_doubt() {
    for (answers, sales) in [
        (vec![authorised(), ng("10160999")], "automatic"),
        (vec![authorised(), "<html/>".into()], "automatic"),
        (vec![authorised(), done("ST02-00101-101"), ng("10137999")], "requested"),
    ] {
        let answers: Vec<_> = answers.iter().map(String::as_str).collect();
        let (_, outcome) = run(&sbps(sales), &intent(1500), &answers);
        assert_eq!(outcome, Outcome::Unknown(Doubt::Pending));
    }
}

#[test]
fn later_operations_ask_how_it_stands_first() {
    let rejected = Outcome::NotCharged(Why::Rejected);
    let (sale, authorisation) = (OperationKind::Charge, OperationKind::Authorise);
    for (kind, of, amount, state, function, amount_sent) in [
        (OperationKind::Capture, authorisation, 1500, (1, 1), "ST02-00201", true),
        (OperationKind::Capture, authorisation, 400, (1, 1), "ST02-00201", true),
        (OperationKind::Capture, authorisation, 1500, (1, 2), "", false),
        (OperationKind::Capture, authorisation, 1500, (0, 1), "", false),
        (OperationKind::Void, authorisation, 1500, (1, 1), "ST02-00305", false),
        (OperationKind::Void, authorisation, 1500, (1, 2), "", false),
        (OperationKind::Void, sale, 1500, (1, 2), "ST02-00303", false),
        (OperationKind::Void, sale, 1500, (1, 3), "", false),
        (OperationKind::Refund, sale, 1500, (1, 2), "ST02-00303", false),
        (OperationKind::Refund, sale, 400, (1, 2), "ST02-00307", true),
        (OperationKind::Refund, sale, 1500, (1, 4), "", false),
    ] {
        let mut op = after(kind, amount, Some(PAIR)).get().clone();
        op.parent.as_mut().unwrap().kind = of;
        let op = Durable::attest(op);
        let (asked, id) = (stands(state.0, state.1), format!("{function}-101"));
        let answers = [&*asked, &done(&id)];
        let taken = if function.is_empty() { 1 } else { 2 };
        let (sent, outcome) = run(&sbps("requested"), &op, &answers[..taken]);
        let names = functions(&sent);
        if function.is_empty() {
            assert_eq!((names, outcome), (vec!["MG01-00101"], rejected.clone()), "{kind:?} {state:?}");
            continue;
        }
        assert_eq!((names, outcome), (vec!["MG01-00101", function], approved(None)));
        let field = format!("<amount>{amount}</amount>");
        assert_eq!(sent[1].contains(&field), amount_sent, "{kind:?}");
    }
    let op = after(OperationKind::Refund, 1500, Some(PAIR));
    for (answers, expected) in [
        (vec![ng("10109025")], rejected.clone()),
        (vec![ng("10190999")], Outcome::NotCharged(Why::Busy)),
        (vec!["".to_owned()], Outcome::NotCharged(Why::Busy)),
        (vec![stands(1, 2), ng("10142999")], rejected),
        (vec![stands(1, 2), ng("10146999")], Outcome::Unknown(Doubt::UnlistedCode)),
        (vec![stands(1, 2), "<a/>".to_owned()], Outcome::Unknown(Doubt::Malformed)),
    ] {
        let answers: Vec<_> = answers.iter().map(String::as_str).collect();
        assert_eq!(run(&sbps("requested"), &op, &answers).1, expected, "{answers:?}");
    }
}

/// What an inquiry says of each operation, a refund's size told by what we noted of it.
#[test]
fn a_query_says_what_became_of_the_operation() {
    use OperationKind::{Authorise, Capture, Charge, Refund, Void};
    let old = NOW + SETTLED_AFTER_S;
    let never = Outcome::NotCharged(Why::NotArrived);
    let reversed = Outcome::NotCharged(Why::Reversed);
    let pending = Outcome::Unknown(Doubt::Pending);
    let half = Outcome::Unknown(Doubt::HalfDone);
    let mismatch = Outcome::Unknown(Doubt::Mismatch);
    let yes = approved(Some("123456"));
    for (sales, kind, note, state, at, expected) in [
        ("requested", Charge, "", (1, 2), NOW, &yes),
        ("requested", Charge, "", (1, 1), NOW, &pending),
        ("requested", Charge, "", (1, 1), old, &half),
        ("requested", Authorise, "", (0, 1), old, &half),
        ("automatic", Charge, "", (1, 1), NOW, &yes),
        ("requested", Charge, "", (0, 1), NOW, &pending),
        ("requested", Charge, "", (0, 1), old, &half),
        ("automatic", Charge, "", (0, 1), old, &half),
        ("requested", Charge, "", (1, 3), NOW, &reversed),
        ("requested", Charge, "", (3, 3), NOW, &reversed),
        ("requested", Charge, "", (7, 7), old, &mismatch),
        // Refunded: all of it, or a part.
        ("requested", Charge, "", (1, 4), old, &mismatch),
        ("automatic", Charge, "", (1, 4), old, &mismatch),
        ("requested", Authorise, "", (1, 4), old, &mismatch),
        ("requested", Authorise, "", (1, 1), NOW, &yes),
        ("requested", Capture, ":whole", (1, 2), NOW, &yes),
        ("requested", Capture, ":whole", (1, 1), NOW, &pending),
        ("requested", Capture, ":whole", (1, 1), old, &never),
        ("requested", Void, ":whole", (1, 3), NOW, &yes),
        ("requested", Void, ":whole", (1, 1), old, &never),
        ("requested", Void, ":whole", (1, 4), NOW, &yes),
        ("requested", Void, ":half", (3, 3), NOW, &yes),
        ("requested", Void, ":half", (0, 1), old, &never),
        ("requested", Void, "", (1, 4), NOW, &mismatch),
        ("requested", Refund, ":whole", (1, 4), NOW, &yes),
        ("requested", Refund, ":whole", (1, 2), NOW, &pending),
        ("requested", Refund, ":whole", (1, 2), old, &never),
        ("requested", Refund, ":part", (1, 2), old, &mismatch),
        ("requested", Refund, ":part", (1, 4), old, &mismatch),
    ] {
        let op = after(OperationKind::Query, 1500, Some(&format!("{PAIR}{note}")));
        let mut about = *op.get().parent.clone().unwrap();
        about.kind = kind;
        let pair = Pair::from(about.acquirer_ref.as_ref().unwrap()).unwrap();
        let outcome = sbps(sales).found(&about, &pair, at, &reply(&stands(state.0, state.1)));
        assert_eq!(outcome, *expected, "{sales} {kind:?} {state:?}");
        // What no answer settles is not asked about.
        let known = kind != Refund || note == ":whole";
        assert_eq!(sbps(sales).can_ask(&about), known, "{kind:?} {note}");
    }
    let op = after(OperationKind::Query, 1500, Some(PAIR));
    let unknown = |answer: &str| run(&sbps("requested"), &op, &[answer]).1;
    assert_eq!(unknown(&ng("10183027")), Outcome::Unknown(Doubt::UnlistedCode));
    assert_eq!(unknown(&ng("10109025")), Outcome::Unknown(Doubt::UnlistedCode));
    assert_eq!(unknown(&ng("10194999")), pending);
    assert_eq!(
        unknown(&stands(1, 2).replace("<res_status>0", "<res_status>1")),
        Outcome::Unknown(Doubt::Malformed)
    );
    // Without the tracking id nothing can be asked.
    let blind = after(OperationKind::Query, 1500, None);
    let (sent, outcome) = run(&sbps("requested"), &blind, &[]);
    assert_eq!((sent.len(), outcome), (0, Outcome::Unknown(Doubt::NoReply)));
}

#[test]
fn a_card_is_stored_under_the_orders_number() {
    let op = of(OperationKind::Tokenise, 1);
    let (sent, outcome) = run(&sbps("automatic"), &op, &[&done("MG02-00101-101")]);
    assert!(sent[0].contains("<sps-api-request id=\"MG02-00101-101\"><merchant_id>99999</merchant_id><service_id>001</service_id><cust_code>00000000000000042</cust_code><sps_cust_info_return_flg>1</sps_cust_info_return_flg><pay_method_info><cc_number>i2UqoIYubRhdkWwd9hGtwQ==</cc_number>"));
    assert!(
        matches!(&outcome, Outcome::Approved(a) if a.acquirer_ref.as_str() == "00000000000000042"),
        "{outcome:?}"
    );
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let card = card(CARD, None);
    let refused = |sales: &str, op: &Durable<Intent>| {
        sbps(sales)
            .step(&asked(op, Some(&card)), &Progress::default(), None)
            .err()
    };
    let amount = Some(BuildError::Field { field: "amount" });
    assert_eq!(refused("automatic", &intent(10_000_000)), amount);
    let more = after(OperationKind::Refund, 1501, Some(PAIR));
    assert_eq!(refused("automatic", &more), amount);
    let blind = after(OperationKind::Refund, 1500, None);
    let tracking = Some(BuildError::Field { field: "tracking_id" });
    assert_eq!(refused("automatic", &blind), tracking);
    let plan = Plan::BonusInstalments(Count::new(2).unwrap());
    let bonus = Durable::attest(Intent {
        plan,
        ..intent(1500).get().clone()
    });
    assert_eq!(refused("automatic", &bonus), Some(BuildError::Plan { plan }));
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("x".repeat(65)).unwrap()),
        ..intent(1500).get().clone()
    });
    let customer = Some(BuildError::Field { field: "cust_code" });
    assert_eq!(refused("automatic", &token), customer);
    for (sales, kind) in [
        ("automatic", OperationKind::Authorise),
        ("automatic", OperationKind::Capture),
        ("requested", OperationKind::Verify),
    ] {
        let unsupported = Some(BuildError::Unsupported { kind });
        assert_eq!(refused(sales, &of(kind, 1500)), unsupported);
    }
}

#[test]
fn settings_are_looked_at() {
    for (name, value) in [
        ("merchant_id", "9999"),
        ("service_id", "0a1"),
        ("item_id", "商品"),
        ("item_name", "😀"),
        ("item_name", "あいうえおかきくけこさしすせそたちつてとな"),
        ("sales", "auto"),
        ("des_key", "あ"),
        ("des_iv", "1234567"),
        ("des_iv", "あああ"),
    ] {
        let mut settings = settings("requested");
        if name.starts_with("des") {
            settings.secrets.insert(name.into(), value.into());
        } else {
            settings.parameters.insert(name.into(), value.into());
        }
        let refused = configured("sbps".parse().unwrap(), &settings).err();
        assert!(
            matches!(&refused, Some(SettingError::Value { name: n, .. }) if n == name),
            "{name}: {refused:?}"
        );
    }
}

proptest! {
    /// Any bytes give an outcome, and no approval.
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200), stage in 1..=3_u8) {
        let sbps = sbps("requested");
        let pair = AcquirerRef::new(PAIR).ok();
        for (op, stages) in [
            (intent(1500), 1..=3),
            (after(OperationKind::Void, 1500, Some(PAIR)), 1..=2),
            (after(OperationKind::Query, 1500, Some(PAIR)), 1..=1),
            (of(OperationKind::Tokenise, 1), 1..=1),
        ] {
            if !stages.contains(&stage) { continue; }
            let progress = Progress { stage, reference: pair.clone(), ..Progress::default() };
            let step = sbps.step(&asked(&op, None), &progress, Some(&Reply::new(status, bytes.clone())));
            prop_assert!(matches!(step, Ok(Step::Done(ref outcome)) if !matches!(outcome, Outcome::Approved(_))));
        }
    }

    /// A changed byte leads to the same approval, or to none: the ids that go into the next request are those of the answer.
    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let sbps = sbps("requested");
        for (op, stage, good) in [
            (intent(1500), 2, done("ST02-00101-101")),
            (intent(1500), 3, done("ST02-00201-101")),
            (after(OperationKind::Query, 1500, Some(PAIR)), 1, stands(1, 2)),
        ] {
            let mut bytes = good.into_bytes();
            let at = cut.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let progress = Progress { stage, reference: AcquirerRef::new(PAIR).ok(), ..Progress::default() };
            let step = sbps.step(&asked(&op, None), &progress, Some(&Reply::new(200, bytes)));
            if let Ok(Step::Done(Outcome::Approved(approval))) = step {
                prop_assert_eq!(approval.acquirer_ref.as_str(), PAIR);
            }
        }
    }
}
