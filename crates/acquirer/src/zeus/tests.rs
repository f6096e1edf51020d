use ivrpay_payment::{CardToken, Count, Decline, Durable, Reason};
use proptest::prelude::*;

use super::*;
use crate::{SettingError, configured};
use crate::testing::{NOW, after, asked, body, card, intent, of, sends};

const CARD: &str = "4111111111111111";
const ORDER: &str = "2026040112000001234567";

fn settings(mode: Mode) -> Settings {
    let mut settings = Settings::new(mode);
    settings.raw_pan = true;
    let texts = [
        ("clientip", "1234567890"),
        ("telno", "0312345678"),
        ("email", "none@example.jp"),
    ];
    settings.parameters = texts.map(|(k, v)| (k.into(), v.into())).into();
    let secrets = [("key", "APIKEY"), ("zkey", "ZKEY")];
    settings.secrets = secrets.map(|(k, v)| (k.into(), v.into())).into();
    settings
}

fn zeus() -> Zeus {
    Zeus::new(&settings(Mode::Live))
}

fn reply(text: &str) -> Reply {
    Reply::new(200, text.as_bytes().to_vec())
}

/// Their document.
fn paid() -> String {
    format!(
        "<response service=\"secure_link\" action=\"payment\"><result><status>success</status><code/></result><card><number><prefix>411111</prefix><suffix>1111</suffix></number></card><order_number>{ORDER}</order_number></response>"
    )
}

fn refused(status: &str, code: &str) -> String {
    format!(
        "<response service=\"secure_link\" action=\"payment\"><result><status>{status}</status><code>{code}</code></result></response>"
    )
}

fn returned(status: &str) -> String {
    refused(status, "").replace("\"payment\"", "\"payment_return\"")
}

fn changed(number: &str) -> String {
    format!(
        "<response><result><status>success</status><result_order_number>{number}</result_order_number></result></response>"
    )
}

fn stood(result: &str, king: u64) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><message><response><data><RESULT>{result}</RESULT><KING>{king}</KING></data></response></message>"
    );
    Reply::new(200, japan::encode(&text).unwrap())
}

fn yes(number: &str, code: Option<&str>) -> Outcome {
    Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new(number).unwrap(),
        code: code.map(str::to_owned),
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

/// A payment: its body, and what is made of the answer.
fn pay(zeus: &Zeus, op: &Durable<Intent>, answer: &str) -> (String, Outcome) {
    let card = card(CARD, Some("123"));
    let asked = asked(op, op.get().token.is_none().then_some(&card));
    let (request, progress) = sends(zeus, &asked, &Progress::default(), None);
    assert_eq!(request.path, "secure/api.cgi");
    assert!(!progress.harmless && !progress.needs_card);
    let outcome = ended(zeus.step(&asked, &progress, Some(&reply(answer))));
    (body(&request).replace(CARD, "<number>"), outcome)
}

/// The worked example of their document, with our order's number for both keys.
#[test]
fn the_worked_example_is_written_byte_for_byte() {
    let (sent, outcome) = pay(&zeus(), &intent(1500), &paid());
    assert_eq!(
        sent,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><request service=\"secure_link\" action=\"payment\"><authentication><clientip>1234567890</clientip><key>APIKEY</key></authentication><card><number><number></number><expires><year>2030</year><month>12</month></expires><cvv>123</cvv><name>TEL ORDER</name></card><payment><amount>1500</amount><count>01</count></payment><user><telno validation=\"strict\">0312345678</telno><email language=\"japanese\">none@example.jp</email></user><uniq_key><sendid>00000000000000042</sendid><sendpoint>00000000000000042</sendpoint></uniq_key></request>"
    );
    assert_eq!(outcome, yes(ORDER, None));
}

#[test]
fn plans_and_stored_cards_have_their_fields() {
    let instalments = |n| Plan::Instalments(Count::new(n).unwrap());
    for (plan, count) in [
        (instalments(3), "03"),
        (instalments(24), "24"),
        (Plan::BonusLumpSum, "B1"),
        (Plan::Revolving, "99"),
    ] {
        let op = Durable::attest(Intent {
            plan,
            ..intent(1500).get().clone()
        });
        let (sent, _) = pay(&zeus(), &op, &paid());
        assert!(sent.contains(&format!("<count>{count}</count>")), "{sent}");
    }
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("00000000000000007").unwrap()),
        ..intent(1500).get().clone()
    });
    let (sent, outcome) = pay(&zeus(), &token, &paid());
    assert!(sent.contains("<card><history action=\"send_email\"><key>sendid</key></history></card><payment>"));
    assert!(sent.contains("<sendid>00000000000000007</sendid><sendpoint>00000000000000042</sendpoint>"));
    assert_eq!(outcome, yes(ORDER, None));
    for plan in [instalments(4), Plan::BonusInstalments(Count::new(2).unwrap())] {
        let op = Durable::attest(Intent {
            plan,
            ..intent(1500).get().clone()
        });
        let card = card(CARD, None);
        let step = zeus().step(&asked(&op, Some(&card)), &Progress::default(), None);
        assert_eq!(step.err(), Some(BuildError::Plan { plan }));
    }
}

#[test]
fn the_counts_that_are_told_are_those_that_have_a_field() {
    for count in (2..=99).filter_map(Count::new) {
        let plan = Plan::Instalments(count);
        assert_eq!(ABOUT.capabilities.plans.has(plan), super::count(plan).is_ok(), "{plan}");
    }
}

#[test]
fn what_each_answer_to_a_payment_means() {
    let declined = |reason, code: &str| {
        Outcome::Declined(Decline {
            reason,
            code: code.into(),
            hard: false,
            action: None,
        })
    };
    let unknown = Outcome::Unknown;
    let good = paid();
    let with = |inside: &str| good.replace("</order_number>", &format!("</order_number>{inside}"));
    let number = |number: &str| good.replace(ORDER, number);
    for (answer, expected) in [
        (refused("failure", ""), declined(Reason::CardUnusable, "failure")),
        (refused("invalid", "02130514"), declined(Reason::InvalidNumber, "02130514")),
        (refused("invalid", "02130922"), declined(Reason::ExpiredCard, "02130922")),
        (refused("invalid", "02131414"), Outcome::NotCharged(Why::Rejected)),
        (refused("maintenance", ""), Outcome::NotCharged(Why::Busy)),
        (refused("outside", ""), unknown(Doubt::UnlistedCode)),
        (refused("success", "02130514"), unknown(Doubt::UnlistedCode)),
        (refused("success", "000"), unknown(Doubt::Malformed)),
        (good.replace("success", ""), unknown(Doubt::UnlistedCode)),
        (good.replace("<suffix>1111", "<suffix>1112"), unknown(Doubt::Mismatch)),
        (good.replace("\"payment\"", "\"payment_return\""), unknown(Doubt::Mismatch)),
        (good.replace("secure_link", "secure_link_3d"), unknown(Doubt::Mismatch)),
        (with("<addition_value><sendpoint>00000000000000043</sendpoint></addition_value>"), unknown(Doubt::Mismatch)),
        (with("<am_data><syonin>999999</syonin></am_data>"), yes(ORDER, Some("999999"))),
        // A test order is no payment where goods are sold.
        (number("TEST-2026040112000001234567"), unknown(Doubt::Mismatch)),
        (number("11.111.11.11-000-222-333"), yes("11.111.11.11-000-222-333", None)),
        (number("4111111111111111"), unknown(Doubt::Malformed)),
        (number("20260401-4111111111111111"), unknown(Doubt::Malformed)),
        (number("a:b"), unknown(Doubt::Malformed)),
        ("Success_order".into(), unknown(Doubt::Malformed)),
        (String::new(), unknown(Doubt::Malformed)),
    ] {
        assert_eq!(pay(&zeus(), &intent(1500), &answer).1, expected, "{answer}");
    }
    let test = Zeus::new(&settings(Mode::Test));
    let answer = number("TEST-2026040112000001234567");
    let outcome = pay(&test, &intent(1500), &answer).1;
    assert_eq!(outcome, yes("TEST-2026040112000001234567", None));
    let lost = zeus().paid(intent(1500).get(), NOW, &Reply::new(502, Vec::new()));
    assert_eq!(lost, unknown(Doubt::Status { status: 502 }));
}

/// A later operation: its requests, and its end.
fn later(op: &Durable<Intent>, answers: Vec<Reply>) -> (Vec<String>, Outcome) {
    let zeus = zeus();
    let asked = asked(op, None);
    let (mut progress, mut last, mut sent) = (Progress::default(), None, Vec::new());
    for answer in answers {
        let (request, next) = sends(&zeus, &asked, &progress, last.as_ref());
        assert_eq!(next.harmless, request.path == "order_ref.cgi");
        sent.push(format!("{} {}", request.path, body(&request)));
        (progress, last) = (next, Some(answer));
    }
    (sent, ended(zeus.step(&asked, &progress, last.as_ref())))
}

#[test]
fn later_operations_ask_how_it_stands_first() {
    let (sent, outcome) = later(
        &after(OperationKind::Refund, 1500, Some(ORDER)),
        vec![stood("決済完了", 1500), reply(&returned("success"))],
    );
    assert_eq!(
        sent,
        [
            format!("order_ref.cgi clientip=1234567890&zkey=ZKEY&order_no={ORDER}"),
            format!(
                "secure/api.cgi <?xml version=\"1.0\" encoding=\"utf-8\"?><request service=\"secure_link\" action=\"payment_return\"><authentication><clientip>1234567890</clientip><key>APIKEY</key></authentication><return><order_number>{ORDER}</order_number></return></request>"
            ),
        ]
    );
    assert_eq!(outcome, yes(ORDER, None));
    let (sent, outcome) = later(
        &after(OperationKind::Refund, 400, Some(ORDER)),
        vec![stood("決済完了", 1500), reply(&changed("2026040212000001234568"))],
    );
    assert_eq!(
        sent[1],
        format!(
            "credit/price_change/reflect/index.cgi <?xml version=\"1.0\" encoding=\"utf-8\"?><request><authentication><clientip>1234567890</clientip><key>APIKEY</key></authentication><transaction><money>1100</money><order_number>{ORDER}</order_number><pubsec>yes</pubsec></transaction></request>"
        )
    );
    assert_eq!(outcome, yes("2026040212000001234568", None));
    let not = |why| Outcome::NotCharged(why);
    let unknown = Outcome::Unknown;
    for (kind, amount, answers, expected) in [
        (OperationKind::Void, 1500, vec![stood("仮売完了", 1500), reply(&returned("success"))], yes(ORDER, None)),
        (OperationKind::Refund, 1500, vec![stood("仮売完了", 1500)], not(Why::Rejected)),
        (OperationKind::Refund, 1500, vec![stood("取り消し", 1500)], not(Why::Rejected)),
        // Somebody has changed the amount before.
        (OperationKind::Refund, 400, vec![stood("決済完了", 1100)], not(Why::Rejected)),
        (OperationKind::Refund, 1500, vec![stood("審査中", 1500)], not(Why::Busy)),
        (OperationKind::Refund, 1500, vec![reply("<html/>")], not(Why::Busy)),
        (OperationKind::Refund, 1500, vec![stood("決済完了", 1500), reply(&returned("failure"))], not(Why::Rejected)),
        (OperationKind::Refund, 1500, vec![stood("決済完了", 1500), reply(&returned("maintenance"))], not(Why::Busy)),
        (OperationKind::Refund, 1500, vec![stood("決済完了", 1500), reply(&returned("perhaps"))], unknown(Doubt::UnlistedCode)),
        (OperationKind::Refund, 1500, vec![stood("決済完了", 1500), reply(&paid())], unknown(Doubt::Mismatch)),
        (OperationKind::Refund, 1500, vec![stood("決済完了", 1500), reply("")], unknown(Doubt::Malformed)),
        (OperationKind::Refund, 400, vec![stood("決済完了", 1500), reply(&changed(CARD))], unknown(Doubt::Malformed)),
    ] {
        let outcome = later(&after(kind, amount, Some(ORDER)), answers).1;
        assert_eq!(outcome, expected, "{kind:?} {amount}");
    }
}

#[test]
fn a_query_says_what_became_of_the_operation() {
    use OperationKind::{Charge, Refund, Void};
    let old = NOW + SETTLED_AFTER_S;
    let never = Outcome::NotCharged(Why::NotArrived);
    let reversed = Outcome::NotCharged(Why::Reversed);
    let pending = Outcome::Unknown(Doubt::Pending);
    let mismatch = Outcome::Unknown(Doubt::Mismatch);
    let yes = yes(ORDER, None);
    for (kind, note, result, king, at, expected) in [
        (Charge, "", "決済完了", 1500, NOW, &yes),
        (Charge, "", "決済完了", 1501, NOW, &mismatch),
        (Charge, "", "仮売完了", 1500, NOW, &mismatch),
        (Charge, "", "取り消し", 1500, NOW, &reversed),
        (Void, ":whole", "取り消し", 1500, NOW, &yes),
        (Void, ":whole", "決済完了", 1500, NOW, &pending),
        (Void, ":whole", "決済完了", 1500, old, &never),
        (Refund, ":whole", "取り消し", 1500, NOW, &yes),
        (Refund, ":whole", "決済完了", 1100, old, &mismatch),
        (Refund, ":part", "取り消し", 1500, old, &mismatch),
        (Refund, ":part", "決済完了", 1500, old, &mismatch),
    ] {
        let op = after(OperationKind::Query, 1500, Some(&format!("{ORDER}{note}")));
        let mut about = *op.get().parent.clone().unwrap();
        about.kind = kind;
        let outcome = found(&about, ORDER, at, &stood(result, king));
        assert_eq!(outcome, *expected, "{kind:?} {result} {king}");
        // What no answer settles is not asked about.
        let known = kind != Refund || note == ":whole";
        assert_eq!(zeus().can_ask(&about), known, "{kind:?} {note}");
    }
    let op = after(OperationKind::Query, 1500, Some(ORDER));
    let (sent, outcome) = later(&op, vec![stood("決済完了", 1500)]);
    assert_eq!((sent.len(), outcome), (1, yes));
    for (answer, doubt) in [
        (stood("審査中", 1500), Doubt::UnlistedCode),
        (reply("<message><response></response></message>"), Doubt::Malformed),
    ] {
        assert_eq!(later(&op, vec![answer]).1, Outcome::Unknown(doubt));
    }
    // Without ZEUS's number nothing can be asked.
    let blind = after(OperationKind::Query, 1500, None);
    let (sent, outcome) = later(&blind, Vec::new());
    assert_eq!((sent.len(), outcome), (0, Outcome::Unknown(Doubt::NoReply)));
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let card = card(CARD, None);
    let refused = |op: &Durable<Intent>| {
        zeus()
            .step(&asked(op, Some(&card)), &Progress::default(), None)
            .err()
    };
    let amount = Some(BuildError::Field { field: "amount" });
    assert_eq!(refused(&intent(10_000_000)), amount);
    assert_eq!(refused(&after(OperationKind::Refund, 1501, Some(ORDER))), amount);
    let number = Some(BuildError::Field { field: "order_number" });
    assert_eq!(refused(&after(OperationKind::Void, 1500, None)), number);
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("no-card-of-zeus").unwrap()),
        ..intent(1500).get().clone()
    });
    assert_eq!(refused(&token), Some(BuildError::Field { field: "sendid" }));
    for kind in [
        OperationKind::Authorise,
        OperationKind::Capture,
        OperationKind::Tokenise,
        OperationKind::Verify,
    ] {
        let unsupported = Some(BuildError::Unsupported { kind });
        assert_eq!(refused(&of(kind, 1500)), unsupported);
    }
}

#[test]
fn settings_are_looked_at() {
    for (name, value) in [
        ("clientip", "123456"),
        ("telno", "03-1234-5678"),
        ("telno", "031234"),
        ("email", "nobody"),
    ] {
        let mut settings = settings(Mode::Test);
        settings.parameters.insert(name.into(), value.into());
        let refused = configured("zeus".parse().unwrap(), &settings).err();
        let wrong = matches!(&refused, Some(SettingError::Value { name: n, .. }) if n == name);
        assert!(wrong, "{name}: {refused:?}");
    }
}

proptest! {
    /// Any bytes give an outcome, and no approval.
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200), stage in 1..=2_u8) {
        let zeus = zeus();
        for (op, stages) in [
            (intent(1500), 1..=1),
            (after(OperationKind::Void, 1500, Some(ORDER)), 1..=2),
            (after(OperationKind::Refund, 400, Some(ORDER)), 1..=2),
            (after(OperationKind::Query, 1500, Some(ORDER)), 1..=1),
        ] {
            if !stages.contains(&stage) { continue; }
            let progress = Progress { stage, reference: AcquirerRef::new(ORDER).ok(), ..Progress::default() };
            let step = zeus.step(&asked(&op, None), &progress, Some(&Reply::new(status, bytes.clone())));
            prop_assert!(matches!(step, Ok(Step::Done(ref outcome)) if !matches!(outcome, Outcome::Approved(_))));
        }
    }

    /// A changed byte leads to the same approval, or to none; but for ZEUS's own number, which nothing signs.
    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = paid();
        let at = cut.index(good.len());
        let mut bytes = good.clone().into_bytes();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let outcome = zeus().paid(intent(1500).get(), NOW, &Reply::new(200, bytes));
        let from = good.find(ORDER).unwrap();
        if let Outcome::Approved(approval) = outcome {
            let own = (from..from + ORDER.len()).contains(&at);
            prop_assert!(own || approval.acquirer_ref.as_str() == ORDER);
        }
    }
}
