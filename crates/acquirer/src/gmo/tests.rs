use ivrpay_payment::{Approval, CardToken, Count, Decline, Durable};
use proptest::prelude::*;

use super::*;
use crate::testing::{NOW, after, asked, body, card, intent, of, sends};
use crate::{Mode, configured};

const CARD: &str = "4111111111111111";

fn settings() -> Settings {
    let mut settings = Settings::new(Mode::Test);
    settings.raw_pan = true;
    let texts = [("shop_id", "tshop00000001"), ("site_id", "tsite00000001")];
    settings.parameters = texts.map(|(k, v)| (k.into(), v.into())).into();
    let secrets = [("shop_pass", "shoppass01"), ("site_pass", "sitepass01")];
    settings.secrets = secrets.map(|(k, v)| (k.into(), v.into())).into();
    settings
}

fn gmo() -> Box<dyn Connector> {
    configured("gmo".parse().unwrap(), &settings()).unwrap()
}

fn reply(text: &str) -> Reply {
    Reply::new(200, japan::encode(text).unwrap())
}

const ENTERED: &str = "AccessID=3618be802c7ac572414274731e50cb6c&AccessPass=4099664bd4b110800e09805539d1d7b5";
/// Signed with the shop's password of these tests.
fn executed() -> String {
    let parts = [
        "00000000000000042",
        "2a99662",
        "1",
        "",
        "6416276",
        "2604011202111111111111198895",
        "20260401120212",
        "shoppass01",
    ];
    let signed = digest::md5(&parts.map(str::as_bytes));
    format!(
        "ACS=0&OrderID=00000000000000042&Forward=2a99662&Method=1&PayTimes=&Approve=6416276&TranID=2604011202111111111111198895&TranDate=20260401120212&CheckString={signed}"
    )
}

fn ended(step: Result<Step, BuildError>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Send(..)) => panic!("one more request"),
        Err(error) => panic!("{error}"),
    }
}

/// The whole way of a payment: bodies as they go out.
fn paid(op: &Durable<Intent>, entered: &str, executed: &str) -> (Vec<String>, Outcome) {
    let gmo = gmo();
    let card = card(CARD, Some("987"));
    let asked = asked(op, op.get().token.is_none().then_some(&card));
    let (entry, first) = sends(gmo.as_ref(), &asked, &Progress::default(), None);
    assert_eq!(entry.path, "EntryTran.idPass");
    assert!(first.harmless, "an entry moves nothing");
    let mut bodies = vec![body(&entry)];
    let entered = reply(entered);
    let (execution, second) = match gmo.step(&asked, &first, Some(&entered)) {
        Ok(Step::Send(request, progress)) => (request, progress),
        other => return (bodies, ended(other)),
    };
    let check = op.get().kind == OperationKind::Verify;
    assert!(!second.needs_card && second.harmless == check);
    bodies.push(body(&execution).replace(CARD, "<number>").replace("=987", "=<code>"));
    let outcome = ended(gmo.step(&asked, &second, Some(&reply(executed))));
    (bodies, outcome)
}

/// The vector of CheckString (their document).
#[test]
fn the_check_string_is_theirs() {
    let parts = [
        "ORD-0001",
        "2a99662",
        "1",
        "",
        "6416276",
        "1303011202111111111111198895",
        "20130301120312",
        "shoppass01",
    ];
    assert_eq!(
        digest::md5(&parts.map(str::as_bytes)),
        "ed409bbf4eb36553b13e6d89847e319d"
    );
}

#[test]
fn a_charge_is_entered_and_executed() {
    let (bodies, outcome) = paid(&intent(1500), ENTERED, &executed());
    assert_eq!(
        bodies,
        [
            "ShopID=tshop00000001&ShopPass=shoppass01&OrderID=00000000000000042&JobCd=CAPTURE&Amount=1500",
            "AccessID=3618be802c7ac572414274731e50cb6c&AccessPass=4099664bd4b110800e09805539d1d7b5&OrderID=00000000000000042&Method=1&CardNo=<number>&Expire=3012&SecurityCode=<code>&DeviceCategory=0",
        ]
    );
    assert_eq!(
        outcome,
        Outcome::Approved(Approval {
            acquirer_ref: AcquirerRef::new("2604011202111111111111198895").unwrap(),
            code: Some("6416276".into()),
            card: None,
        })
    );
}

#[test]
fn plans_checks_and_stored_cards_have_their_fields() {
    let three = Count::new(3).unwrap();
    for (plan, fields) in [
        (Plan::Instalments(three), "&Method=2&PayTimes=3&"),
        (Plan::BonusLumpSum, "&Method=3&CardNo"),
        (Plan::Revolving, "&Method=4&CardNo"),
        (Plan::BonusInstalments(three), "&Method=5&PayTimes=3&"),
    ] {
        let op = Durable::attest(Intent {
            plan,
            ..intent(1500).get().clone()
        });
        let (bodies, _) = paid(&op, ENTERED, &executed());
        assert!(bodies[1].contains(fields), "{}", bodies[1]);
    }
    let (bodies, _) = paid(&of(OperationKind::Authorise, 1500), ENTERED, &executed());
    assert!(bodies[0].ends_with("&JobCd=AUTH&Amount=1500"));
    let (bodies, _) = paid(&of(OperationKind::Verify, 1), ENTERED, &executed());
    assert!(bodies[0].ends_with("&JobCd=CHECK"));
    assert!(!bodies[1].contains("Method"));
    let token = Durable::attest(Intent {
        token: Some(CardToken::new("00000000000000007:0").unwrap()),
        ..intent(1500).get().clone()
    });
    let (bodies, outcome) = paid(&token, ENTERED, &executed());
    assert!(
        bodies[1].contains("SiteID=tsite00000001&SitePass=sitepass01&MemberID=00000000000000007&SeqMode=1&CardSeq=0&")
    );
    assert!(!bodies[1].contains("CardNo"));
    assert!(matches!(outcome, Outcome::Approved(_)));
    // A token that is not of this form, or without a site of ours, is not sent.
    let refused = |gmo: &dyn Connector, token: &str| {
        let op = Durable::attest(Intent {
            token: Some(CardToken::new(token).unwrap()),
            ..intent(1500).get().clone()
        });
        gmo.step(&asked(&op, None), &Progress::default(), None).err()
    };
    let member = Some(BuildError::Field { field: "MemberID" });
    for token in ["00000000000000007", ":0", "00000000000000007:"] {
        assert_eq!(refused(gmo().as_ref(), token), member, "{token}");
    }
    let mut without = settings();
    without.parameters.remove("site_id");
    without.secrets.remove("site_pass");
    let without = configured("gmo".parse().unwrap(), &without).unwrap();
    assert_eq!(refused(without.as_ref(), "00000000000000007:0"), member);
    // A number of instalments that there is not is told before anything goes out.
    let four = Plan::Instalments(Count::new(4).unwrap());
    let op = Durable::attest(Intent {
        plan: four,
        ..intent(1500).get().clone()
    });
    let card = card("4111111111111111", None);
    let step = gmo().step(&asked(&op, Some(&card)), &Progress::default(), None);
    assert_eq!(step.err(), Some(BuildError::Plan { plan: four }));
}

/// Cards are stored in a site: without one there are none, and half a one is a mistake.
#[test]
fn a_shop_without_a_site_stores_no_cards() {
    let kind = "gmo".parse().unwrap();
    let tokenises = |settings: &Settings| {
        let gmo = configured(kind, settings).map_err(|e| e.to_string())?;
        Ok::<_, String>(gmo.about().capabilities.tokenise)
    };
    assert_eq!(tokenises(&settings()), Ok(true));
    let mut half = settings();
    half.secrets.remove("site_pass");
    let error = tokenises(&half).unwrap_err();
    assert!(error.starts_with("`site_pass` is missing"), "{error}");
    let mut other = settings();
    other.parameters.remove("site_id");
    let error = tokenises(&other).unwrap_err();
    assert!(error.starts_with("`site_id` is missing"), "{error}");
    half.parameters.remove("site_id");
    assert_eq!(tokenises(&half), Ok(false));
}

/// Until the execution nothing has moved, whatever is answered; from there on only a listed refusal says that nothing has.
#[test]
fn what_each_answer_means() {
    let declined = |reason, code: &str| {
        Outcome::Declined(Decline {
            reason,
            code: code.into(),
            hard: false,
            action: None,
        })
    };
    let not = |why| Outcome::NotCharged(why);
    let unknown = |doubt| Outcome::Unknown(doubt);
    for (entered, expected) in [
        ("ErrCode=E01&ErrInfo=E01030002", not(Why::Rejected)),
        ("ErrCode=E92&ErrInfo=E92000001", not(Why::Busy)),
        ("ErrCode=E91&ErrInfo=E91099997", not(Why::Rejected)),
        ("AccessID=1", not(Why::Rejected)),
        ("<html>", not(Why::Busy)),
    ] {
        assert_eq!(paid(&intent(1500), entered, "").1, expected, "{entered}");
    }
    let good = executed();
    for (executed, expected) in [
        (
            "ErrCode=42G&ErrInfo=42G440000",
            declined(Reason::CvvMismatch, "42G440000"),
        ),
        (
            "ErrCode=E01|42G&ErrInfo=E01050002|42G120000",
            declined(Reason::CardUnusable, "42G120000"),
        ),
        (
            "ErrCode=42G|42C&ErrInfo=42G120000|42C500000",
            unknown(Doubt::UnlistedCode),
        ),
        ("ErrCode=E91&ErrInfo=E91099997", unknown(Doubt::UnlistedCode)),
        ("ErrCode=E99&ErrInfo=E99999999", unknown(Doubt::UnlistedCode)),
        ("ErrCode=E01", unknown(Doubt::UnlistedCode)),
        ("ErrCode=E61&ErrInfo=E61040001", declined(Reason::MerchantConfig, "E61040001")),
        ("ErrCode=E92&ErrInfo=E92000001", not(Why::Busy)),
        ("ACS=2&RedirectUrl=https://x/?a=1&b=2", declined(Reason::AuthenticationRequired, "ACS")),
        ("", unknown(Doubt::Malformed)),
        ("<html>a=b</html>", unknown(Doubt::Malformed)),
        (&good.replace("=6416276", "=6416277"), unknown(Doubt::Mismatch)),
        (&good.replace("00042", "00043"), unknown(Doubt::Mismatch)),
    ] {
        assert_eq!(paid(&intent(1500), ENTERED, executed).1, expected, "{executed}");
    }
    let server_error = gmo().step(
        &asked(&intent(1500), None),
        &Progress {
            stage: 2,
            ..Progress::default()
        },
        Some(&Reply::new(503, Vec::new())),
    );
    assert_eq!(ended(server_error), unknown(Doubt::Status { status: 503 }));
}

fn search(status: &str, amount: u64) -> String {
    format!(
        "OrderID=00000000000000042&Status={status}&ProcessDate=20260401120210&JobCd=AUTH&{ENTERED}&ItemCode=0000990&Amount={amount}&Tax=0&SiteID=&MemberID=&CardNo=&Expire=&Method=&PayTimes=&Forward=&TranID=2604011202111111111111198895&Approve=6416276"
    )
}

/// A later operation: its requests as path and body, and its end.
fn later(op: &Durable<Intent>, answers: &[&str]) -> (Vec<String>, Outcome) {
    let gmo = gmo();
    let asked = asked(op, None);
    let (mut progress, mut last, mut sent) = (Progress::default(), None, Vec::new());
    for answer in answers {
        let (request, next) = sends(gmo.as_ref(), &asked, &progress, last.as_ref());
        sent.push(format!("{} {}", request.path, body(&request)));
        (progress, last) = (next, Some(reply(answer)));
    }
    (sent, ended(gmo.step(&asked, &progress, last.as_ref())))
}

#[test]
fn later_operations_find_the_order_first() {
    let done = format!("{ENTERED}&Forward=2a99662&Approve=6416277&TranID=99&TranDate=20260402090001");
    let too_late = "ErrCode=E11&ErrInfo=E11010003";
    let jobs = |op: &Durable<Intent>, answers: &[&str]| {
        let (sent, outcome) = later(op, answers);
        assert!(sent[0].starts_with("SearchTrade.idPass ") && sent[0].ends_with("&OrderID=00000000000000042"));
        let jobs: Vec<_> = sent[1..]
            .iter()
            .map(|text| {
                let tail = text.split("&JobCd=").nth(1).unwrap_or_default();
                format!("{} {tail}", text.split('.').next().unwrap_or_default())
            })
            .collect();
        (jobs, outcome)
    };
    let yes = Outcome::Approved(Approval {
        acquirer_ref: AcquirerRef::new("99").unwrap(),
        code: Some("6416277".into()),
        card: None,
    });
    let reserved = search("AUTH", 1500);
    let taken = search("CAPTURE", 1500);
    for (kind, amount, answers, wanted) in [
        (OperationKind::Capture, 1500, vec![&*reserved, &*done], vec!["AlterTran SALES&Amount=1500"]),
        (OperationKind::Void, 1500, vec![&*reserved, &*done], vec!["AlterTran VOID"]),
        (
            OperationKind::Refund,
            1500,
            vec![&*taken, too_late, too_late, &*done],
            vec!["AlterTran VOID", "AlterTran RETURN", "AlterTran RETURNX"],
        ),
        (OperationKind::Refund, 400, vec![&*taken, &*done], vec!["ChangeTran CAPTURE&Amount=1100"]),
        (OperationKind::Change, 1100, vec![&*reserved, &*done], vec!["ChangeTran AUTH&Amount=1100"]),
        (OperationKind::Change, 1800, vec![&*reserved, &*done], vec!["ChangeTran AUTH&Amount=1800"]),
    ] {
        let op = after(kind, amount, Some("1"));
        let (sent, outcome) = jobs(&op, &answers);
        assert_eq!((sent, outcome), (wanted.into_iter().map(String::from).collect(), yes.clone()));
    }
    let given_back = search("RETURN", 1500);
    let opened = search("UNPROCESSED", 1500);
    for (kind, amount, answers, expected) in [
        (OperationKind::Capture, 1400, vec![&*reserved], Why::Rejected),
        // What is asked for does not go with how the order stands.
        (OperationKind::Refund, 1500, vec![&*reserved], Why::Rejected),
        (OperationKind::Refund, 400, vec![&*reserved], Why::Rejected),
        (OperationKind::Refund, 1500, vec![&*given_back], Why::Rejected),
        (OperationKind::Void, 1500, vec![&*opened], Why::Rejected),
        (OperationKind::Refund, 1501, vec![&*taken], Why::Rejected),
        (OperationKind::Change, 1800, vec![&*taken], Why::Rejected),
        (OperationKind::Change, 1500, vec![&*taken], Why::Rejected),
        (OperationKind::Change, 1800, vec![&*given_back], Why::Rejected),
        (OperationKind::Void, 1500, vec!["ErrCode=E01&ErrInfo=E01110002"], Why::Rejected),
        (OperationKind::Void, 1500, vec!["ErrCode=E92&ErrInfo=E92000002"], Why::Busy),
        (OperationKind::Void, 1500, vec![&*reserved, too_late, too_late, too_late], Why::Rejected),
    ] {
        let (_, outcome) = later(&after(kind, amount, Some("1")), &answers);
        assert_eq!(outcome, Outcome::NotCharged(expected), "{kind:?} {answers:?}");
    }
    // Somebody has done it in GMO's screens: nothing more is sent.
    for (kind, stands) in [
        (OperationKind::Capture, &taken),
        (OperationKind::Change, &reserved),
        (OperationKind::Void, &given_back),
    ] {
        let (sent, outcome) = later(&after(kind, 1500, Some("1")), &[stands]);
        assert!(sent.len() == 1 && matches!(outcome, Outcome::Approved(_)), "{kind:?}: {outcome:?}");
    }
    // An authorisation that somebody has sold since is not given back by its release; a charge is.
    let void = after(OperationKind::Void, 1500, Some("1"));
    assert_eq!(later(&void, &[&taken, &done]).1, yes);
    let mut parent = void.get().parent.clone().unwrap();
    parent.kind = OperationKind::Authorise;
    let void = Durable::attest(Intent { parent: Some(parent), ..void.get().clone() });
    let (sent, outcome) = later(&void, &[&taken]);
    assert_eq!((sent.len(), outcome), (1, Outcome::NotCharged(Why::Rejected)));
    assert_eq!(later(&void, &[&reserved, &done]).1, yes);
    // What is about another order is no answer to this one.
    let other = done.replace("AccessID=3618be80", "AccessID=0018be80");
    for kind in [OperationKind::Capture, OperationKind::Void] {
        let (_, outcome) = later(&after(kind, 1500, Some("1")), &[&*reserved, &*other]);
        assert_eq!(outcome, Outcome::Unknown(Doubt::Mismatch), "{kind:?}");
    }
}

/// "Not there" is a verdict only when no request of ours can be on its way any more.
#[test]
fn a_query_says_what_became_of_the_operation() {
    let old = NOW + SETTLED_AFTER_S;
    let never = Outcome::NotCharged(Why::NotArrived);
    let unknown = |doubt| Outcome::Unknown(doubt);
    let none = "ErrCode=E01&ErrInfo=E01110002".to_owned();
    for (kind, answer, at, expected) in [
        (OperationKind::Charge, search("CAPTURE", 1500), NOW, None),
        (OperationKind::Authorise, search("AUTH", 1500), NOW, None),
        (OperationKind::Authorise, search("SALES", 1500), NOW, None),
        (OperationKind::Charge, search("CAPTURE", 1501), NOW, Some(unknown(Doubt::Mismatch))),
        // Reserved is not taken, however it came to that.
        (OperationKind::Charge, search("AUTH", 1500), old, Some(unknown(Doubt::Mismatch))),
        (OperationKind::Charge, search("SAUTH", 1500), old, Some(unknown(Doubt::Mismatch))),
        (OperationKind::Capture, search("SALES", 1400), old, Some(unknown(Doubt::Mismatch))),
        (OperationKind::Refund, search("RETURN", 1400), old, Some(unknown(Doubt::Mismatch))),
        (OperationKind::Refund, search("AUTH", 1500), old, Some(unknown(Doubt::Mismatch))),
        (OperationKind::Charge, search("VOID", 1500), NOW, Some(Outcome::NotCharged(Why::Reversed))),
        (OperationKind::Charge, search("UNPROCESSED", 1500), NOW, Some(unknown(Doubt::Pending))),
        (OperationKind::Charge, search("UNPROCESSED", 1500), old, Some(never.clone())),
        (OperationKind::Charge, none.clone(), NOW, Some(unknown(Doubt::Pending))),
        (OperationKind::Charge, none, old, Some(never.clone())),
        (OperationKind::Charge, search("SOMETHING", 1500), old, Some(unknown(Doubt::Malformed))),
        (OperationKind::Charge, "ErrCode=E01&ErrInfo=E01030002".into(), old, Some(unknown(Doubt::UnlistedCode))),
        (OperationKind::Capture, search("SALES", 1500), NOW, None),
        (OperationKind::Capture, search("AUTH", 1500), old, Some(never.clone())),
        (OperationKind::Void, search("VOID", 1500), NOW, None),
        (OperationKind::Void, search("AUTH", 1500), old, Some(never)),
        (OperationKind::Refund, search("RETURN", 1500), NOW, None),
        // It had not been sent when its process ended.
        (OperationKind::Change, search("AUTH", 1500), old, Some(Outcome::NotCharged(Why::NotArrived))),
        (OperationKind::Refund, search("CAPTURE", 1100), old, Some(unknown(Doubt::Mismatch))),
    ] {
        let mut about = *after(OperationKind::Query, 1500, None).get().parent.clone().unwrap();
        about.kind = kind;
        let op = after(OperationKind::Query, 1500, None);
        let outcome = found(op.get(), &about, at, &reply(&answer));
        match expected {
            Some(expected) => assert_eq!(outcome, expected, "{kind:?} {answer}"),
            None => assert!(matches!(outcome, Outcome::Approved(_)), "{kind:?} {answer}"),
        }
    }
    let (sent, _) = later(&after(OperationKind::Query, 1500, None), &[&search("AUTH", 1500)]);
    assert_eq!(sent.len(), 1);
}

/// What a refund is to leave, or a change to make, stands in its record before it is sent: the amount tells afterwards whether it was done.
#[test]
fn a_refund_or_a_change_is_known_by_what_it_was_to_leave() {
    use OperationKind::{Change, Refund};
    let old = NOW + SETTLED_AFTER_S;
    let never = Outcome::NotCharged(Why::NotArrived);
    let unknown = |doubt| Outcome::Unknown(doubt);
    for (kind, amount, answer, at, expected) in [
        (Refund, 400, search("CAPTURE", 1100), NOW, None),
        (Refund, 400, search("SALES", 1500), old, Some(never.clone())),
        (Refund, 400, search("SALES", 1500), NOW, Some(unknown(Doubt::Pending))),
        // Another part, or all of it: by hand.
        (Refund, 400, search("CAPTURE", 700), old, Some(unknown(Doubt::Mismatch))),
        (Refund, 400, search("RETURN", 1500), old, Some(unknown(Doubt::Mismatch))),
        // Half of it: what is left is as much as was given back.
        (Refund, 750, search("CAPTURE", 750), NOW, None),
        (Refund, 1500, search("RETURN", 1500), NOW, None),
        (Refund, 1500, search("CAPTURE", 1500), old, Some(never.clone())),
        (Refund, 1500, search("CAPTURE", 1500), NOW, Some(unknown(Doubt::Pending))),
        (Refund, 1500, search("RETURN", 1400), old, Some(unknown(Doubt::Mismatch))),
        (Change, 1800, search("AUTH", 1800), NOW, None),
        (Change, 1100, search("SAUTH", 1100), NOW, None),
        (Change, 1800, search("AUTH", 1500), old, Some(never)),
        (Change, 1800, search("AUTH", 1500), NOW, Some(unknown(Doubt::Pending))),
        (Change, 1800, search("AUTH", 1600), old, Some(unknown(Doubt::Mismatch))),
        (Change, 1800, search("SALES", 1800), old, Some(unknown(Doubt::Mismatch))),
        (Change, 1800, search("VOID", 1800), old, Some(unknown(Doubt::Mismatch))),
    ] {
        let refund = after(kind, amount, Some("1"));
        let gmo = gmo();
        let (_, progress) = sends(gmo.as_ref(), &asked(&refund, None), &Progress::default(), None);
        let stood = if kind == Change { "AUTH" } else { "CAPTURE" };
        let found = reply(&search(stood, 1500));
        let (_, progress) = sends(gmo.as_ref(), &asked(&refund, None), &progress, Some(&found));
        let reference = progress.reference.unwrap();
        let mut parent = refund.get().as_parent(Some(reference), NOW);
        parent.amount = refund.get().amount;
        let query = Durable::attest(Intent {
            kind: OperationKind::Query,
            parent: Some(Box::new(parent)),
            ..refund.get().clone()
        });
        let asked = crate::Asked {
            now_unix_s: at,
            ..asked(&query, None)
        };
        let (_, progress) = sends(gmo.as_ref(), &asked, &Progress::default(), None);
        let outcome = ended(gmo.step(&asked, &progress, Some(&reply(&answer))));
        match expected {
            None => assert!(matches!(outcome, Outcome::Approved(_)), "{kind:?} {amount} {answer}"),
            Some(expected) => assert_eq!(outcome, expected, "{kind:?} {amount} {answer}"),
        }
    }
}

#[test]
fn a_card_is_stored_under_the_orders_number() {
    let gmo = gmo();
    let op = of(OperationKind::Tokenise, 1);
    let card = card(CARD, None);
    let asked = asked(&op, Some(&card));
    let (member, progress) = sends(gmo.as_ref(), &asked, &Progress::default(), None);
    assert_eq!(
        (member.path.as_str(), body(&member).as_str()),
        (
            "SaveMember.idPass",
            "SiteID=tsite00000001&SitePass=sitepass01&MemberID=00000000000000042"
        )
    );
    let (save, progress) = sends(
        gmo.as_ref(),
        &asked,
        &progress,
        Some(&reply("MemberID=00000000000000042")),
    );
    assert_eq!(
        body(&save).replace(CARD, "<number>"),
        "SiteID=tsite00000001&SitePass=sitepass01&MemberID=00000000000000042&CardNo=<number>&Expire=3012"
    );
    let stored = reply("CardSeq=0&CardNo=*************111&Forward=2a99662");
    let outcome = ended(gmo.step(&asked, &progress, Some(&stored)));
    assert!(
        matches!(&outcome, Outcome::Approved(a) if a.acquirer_ref.as_str() == "00000000000000042:0"),
        "{outcome:?}"
    );
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let gmo = gmo();
    let card = card(CARD, None);
    let refused = gmo.step(
        &asked(&intent(10_000_000), Some(&card)),
        &Progress::default(),
        None,
    );
    assert_eq!(refused.err(), Some(BuildError::Field { field: "Amount" }));
}

proptest! {
    /// Any bytes give an outcome, and an approval only with the order's number and their signature.
    #[test]
    fn any_answer_is_read(status in prop_oneof![Just(200_u16), 100..600_u16], bytes in prop::collection::vec(any::<u8>(), 0..200), stage in 1..=5_u8) {
        let gmo = gmo();
        for (op, stages) in [(intent(1500), 2..=2), (after(OperationKind::Void, 1500, None), 1..=5), (after(OperationKind::Query, 1500, None), 1..=1)] {
            if !stages.contains(&stage) { continue; }
            let progress = Progress { stage, ..Progress::default() };
            let step = gmo.step(&asked(&op, None), &progress, Some(&Reply::new(status, bytes.clone())));
            prop_assert!(!matches!(step, Ok(Step::Done(Outcome::Approved(_)))));
        }
    }

    #[test]
    fn a_changed_byte_never_makes_another_approval(cut in 0..200_usize, byte in any::<u8>()) {
        let good = executed();
        let mut bytes = good.clone().into_bytes();
        let at = cut % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let progress = Progress { stage: 2, ..Progress::default() };
        let step = gmo().step(&asked(&intent(1500), None), &progress, Some(&Reply::new(200, bytes)));
        // The name of a value that is empty may be spelled wrongly; what is approved is then the same.
        if let Ok(Step::Done(outcome @ Outcome::Approved(_))) = step {
            prop_assert_eq!(outcome, paid(&intent(1500), ENTERED, &good).1);
        }
    }
}
