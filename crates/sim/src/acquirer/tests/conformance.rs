//! The kit behind `ivrpay connector test` against every server here: all green, and not where something is wrong.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::AtomicBool;

use ivrpay_acquirer::{EndpointConfig, Kind, Mode, Settings};
use ivrpay_card::Month;
use ivrpay_payment::{AcquirerOrder, Count, Durable, Intent, Plan};
use ivrpay_wire::conformance::{
    CASES, Cards, Kit, Offered, Record, Refused, Report, Subject, Verdict,
};

use super::matrix::{Shop, told};
use super::*;

/// Keeps count, and no more.
struct Counted(u64);

impl Record for Counted {
    fn order(&mut self) -> AcquirerOrder {
        self.0 += 1;
        AcquirerOrder::new(17_800_000_000_000_000 + self.0).unwrap()
    }

    fn write(&mut self, intent: Intent) -> std::io::Result<Durable<Intent>> {
        Ok(Durable::attest(intent))
    }
}

/// Cards that every simulator knows, for those whose test systems publish none.
fn cards(kind: Kind) -> Cards {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file.path(), mode).unwrap();
    let sandbox = &kind.about().sandbox;
    for (word, published, number) in [
        ("approved", sandbox.approved, "4111111111111111"),
        ("declined", sandbox.declined, "4000000000000002"),
    ] {
        if published.is_none() {
            writeln!(file, "{word} {number} 1230 123").unwrap();
        }
    }
    let now = Month {
        year: 2026,
        month: 11,
    };
    Cards::of(sandbox, Some(file.path()), now).unwrap()
}

async fn tested(name: &str, settings: &Settings, endpoint: &EndpointConfig) -> Report {
    tested_with(name, settings, endpoint, None).await
}

async fn tested_with(
    name: &str,
    settings: &Settings,
    endpoint: &EndpointConfig,
    plans: Option<&[Offered]>,
) -> Report {
    let kind: Kind = name.parse().unwrap();
    let subject = Subject {
        name,
        kind,
        settings,
        endpoint: Some(endpoint),
        plans,
    };
    let mut record = Counted(0);
    let kit = Kit::new(subject, cards(kind), &mut record).unwrap();
    kit.run(&AtomicBool::new(false), |_| {}).await
}

/// What of a report is not as it should be.
fn wrong(report: &Report) -> Vec<String> {
    let rows = report
        .cases
        .iter()
        .filter(|row| row.result == Verdict::Failed);
    let mut wrong: Vec<_> = rows
        .map(|row| format!("{}: {}", row.case, row.came))
        .collect();
    let left = report.left.iter().filter(|left| !left.by_design);
    wrong.extend(left.map(|left| format!("left {}: {}", left.order, left.why)));
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_simulator_passes() {
    let lab = Lab::start().await;
    // What none of them can be tried with: the rest is ok.
    let lacks: &[(&str, &[&str])] = &[
        (
            "adyen",
            &[
                "change",
                "charge-void",
                "query",
                "query-never",
                "plan-bonus-installments",
            ],
        ),
        ("gmo", &["capture-part", "charge-void"]),
        (
            "hyperswitch",
            &[
                "verify",
                "change",
                "charge-void",
                "plan-installments",
                "plan-bonus",
                "plan-bonus-installments",
                "plan-revolving",
                "token",
            ],
        ),
        (
            "kuroneko",
            &[
                "verify",
                "capture-part",
                "charge-void",
                "plan-bonus",
                "plan-bonus-installments",
                "credentials",
            ],
        ),
        (
            "sbps",
            &[
                "verify",
                "change",
                "charge-void",
                "query-never",
                "plan-bonus-installments",
            ],
        ),
        (
            "stripe",
            &[
                "change",
                "charge-void",
                "plan-installments",
                "plan-bonus",
                "plan-bonus-installments",
                "plan-revolving",
            ],
        ),
        (
            "veritrans",
            &["verify", "change", "charge-void", "plan-bonus-installments"],
        ),
        (
            "zeus",
            &[
                "verify",
                "authorize-void",
                "authorize-capture",
                "capture-part",
                "change",
                "query-never",
                "double",
                "plan-bonus-installments",
                "token",
            ],
        ),
    ];
    let runs = lacks.iter().map(|(name, lacks)| {
        let lab = &lab;
        async move {
            let (settings, endpoint) = told(lab, name).await;
            let report = tested(name, &settings, &endpoint).await;
            assert_eq!(wrong(&report), Vec::<String>::new(), "{name}");
            assert!(report.is_good() && report.cases.len() == CASES.len());
            let not = report.cases.iter().filter(|row| row.result != Verdict::Ok);
            let not: Vec<_> = not.map(|row| row.case).collect();
            assert_eq!(not, **lacks, "{name}");
            assert!(report.left.is_empty(), "{name}: {:?}", report.left);
            // Nothing stands in the books, either.
            let log = lab.log().await;
            let orders = log["acquirers"][*name]["orders"].as_array().unwrap();
            let stands = |o: &&Value| {
                let of = |name: &str| o[name].as_u64();
                let held = of("taken").or(of("captured")).or(of("received"));
                let held = held.or(of("amount"));
                o["booked"] == true && held > Some(of("refunded").unwrap_or(0))
            };
            let stand: Vec<_> = orders.iter().filter(stands).collect();
            assert!(stand.is_empty(), "{name}: {stand:?}");
        }
    });
    futures_util::future::join_all(runs).await;
}

/// Nothing is sold yet of what this contract sells by itself: a part of it can't be given back, which is no fault.
#[tokio::test]
async fn a_contract_that_sells_by_itself_passes() {
    let lab = Lab::start().await;
    let (mut settings, endpoint) = told(&lab, "sbps").await;
    let sales = settings.parameters.get_mut("sales").unwrap();
    "automatic".clone_into(sales);
    let report = tested("sbps", &settings, &endpoint).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    assert!(report.left.is_empty(), "{:?}", report.left);
    let part = report.cases.iter().find(|row| row.case == "refund-part");
    let part = part.unwrap();
    assert_eq!(part.result, Verdict::NotSupported);
    assert!(
        part.came.contains("captured some time later"),
        "{}",
        part.came
    );
}

/// The merchant's own endpoint, which has nothing but charges: they stay, and are told by number.
#[tokio::test]
async fn what_can_t_be_undone_is_told() {
    let lab = Lab::start().await;
    let endpoint = EndpointConfig {
        ca_file: Some(lab._dir.path().join("ca.pem")),
        user: "shop".into(),
        password: Some("secret".into()),
        ..EndpointConfig::new(format!("https://{}/", lab.running.listen))
    };
    let report = tested("generic", &Settings::new(Mode::Test), &endpoint).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    assert!(report.is_good());
    // The double's first, and four plans.
    let amounts: Vec<_> = report.left.iter().map(|left| left.amount_minor).collect();
    assert_eq!(amounts, [1_000, 12_000, 12_000, 12_000, 12_000]);
    assert!(
        report
            .left
            .iter()
            .all(|left| left.by_design && left.order.len() == 17)
    );
}

/// The plans that merchants can ask for are tried, each with an amount for which it is offered; and where they offer none, none.
#[tokio::test]
async fn the_plans_that_merchants_offer_are_tried() {
    let lab = Lab::start().await;
    let (settings, endpoint) = told(&lab, "gmo").await;
    let of = |count| Plan::Instalments(Count::new(count).unwrap());
    let offered = |plan, from, to| Offered {
        plan,
        amount: (from, to),
    };
    let plans = [
        offered(of(6), 1, 99_999_999),
        offered(of(10), 30_000, 300_000),
        offered(Plan::Revolving, 1, 5_000),
    ];
    let report = tested_with("gmo", &settings, &endpoint, Some(&plans)).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    let rows = report.cases.iter().filter(|c| c.case.starts_with("plan-"));
    let rows: Vec<_> = rows.map(|c| (&*c.what, c.result)).collect();
    assert_eq!(
        rows,
        [
            ("takes 12,000 in 6 instalments (分割)", Verdict::Ok),
            ("takes 30,000 in 10 instalments (分割)", Verdict::Ok),
            (
                "takes 12,000 at the next bonus (ボーナス一括)",
                Verdict::NotTried
            ),
            (
                "takes 12,000 in 2 bonuses (ボーナス分割)",
                Verdict::NotTried
            ),
            ("takes 5,000 as revolving credit (リボ)", Verdict::Ok),
        ]
    );
    assert_eq!(
        (report.plans.of, report.plans.tried.len()),
        ("merchants", 3)
    );
    // The acquirer was asked for these.
    let log = lab.log().await;
    let orders = log["acquirers"]["gmo"]["orders"].as_array().unwrap();
    let plans = orders.iter().filter_map(|o| o["plan"].as_str());
    let plans: Vec<_> = plans.filter(|plan| !["/", "1/"].contains(plan)).collect();
    assert_eq!(plans, ["2/6", "2/10", "4/"]);
    // Order numbers of another run begin anew.
    let lab = Lab::start().await;
    let (settings, endpoint) = told(&lab, "gmo").await;
    let report = tested_with("gmo", &settings, &endpoint, Some(&[])).await;
    assert!(report.is_good() && report.plans.tried.is_empty());
}

/// A fault of the acquirer makes its case fail and no other, and is said in words that can be sent to it.
#[tokio::test]
async fn a_fault_fails_its_case() {
    let lab = Lab::start().await;
    let (settings, endpoint) = told(&lab, "gmo").await;
    let shop = Shop::open(&lab, "gmo").await;
    // The first one to be altered is the void behind an authorisation; it is tried again when what stands is undone.
    shop.fault("AlterTran", "error-unbooked").await;
    let report = tested("gmo", &settings, &endpoint).await;
    assert_eq!(
        wrong(&report),
        ["authorize-void: void: unknown: Status { status: 500 }"]
    );
    assert!(!report.is_good());
    assert!(report.left.is_empty(), "{:?}", report.left);
    let todo = |report: &Report| report.cases.iter().find_map(|row| row.hint);
    let look = "look the order up in the acquirer's screens, by its number";
    assert_eq!(todo(&report), Some(look));
    // By a check of the card no money moves, answered or not. The first ExecTran is that.
    let lab = Lab::start().await;
    let (settings, endpoint) = told(&lab, "gmo").await;
    let shop = Shop::open(&lab, "gmo").await;
    shop.fault("ExecTran", "closed-booked").await;
    let report = tested("gmo", &settings, &endpoint).await;
    assert_eq!(
        wrong(&report),
        ["verify: verify: no whole answer came; no money moves by it"]
    );
    // Wrong settings fail what asks with them.
    let mut settings = settings;
    settings.secrets.insert("shop_pass".into(), "wrong".into());
    let report = tested("gmo", &settings, &endpoint).await;
    assert!(
        wrong(&report).contains(&"query-never: query: unknown: UnlistedCode".to_owned()),
        "{:?}",
        wrong(&report)
    );
    assert!(
        report
            .cases
            .iter()
            .any(|row| row.hint.is_some_and(|hint| hint.contains("credentials")))
    );
    // A server that is not there fails all that needs it.
    let away = EndpointConfig {
        url: "https://127.0.0.1:9/gmo".into(),
        ..endpoint
    };
    let report = tested("gmo", &settings, &away).await;
    assert_eq!((report.count(Verdict::Ok), report.is_good()), (0, false));
}

#[test]
fn without_a_card_there_is_nothing_to_test() {
    let (settings, endpoint) = (
        Settings::new(Mode::Test),
        EndpointConfig::new("https://127.0.0.1:9/"),
    );
    let kind = Kind::GENERIC;
    let now = Month {
        year: 2026,
        month: 11,
    };
    let none = Cards::of(&kind.about().sandbox, None, now).unwrap();
    let subject = Subject {
        name: "own",
        kind,
        settings: &settings,
        endpoint: Some(&endpoint),
        plans: None,
    };
    let mut record = Counted(0);
    assert!(matches!(
        Kit::new(subject, none, &mut record).err(),
        Some(Refused::NoCard)
    ));
}

#[test]
fn money_never_moves() {
    let endpoint = EndpointConfig::new("https://127.0.0.1:9/");
    let live = Settings::new(Mode::Live);
    for (name, settings, endpoint, live) in [
        ("generic", &live, Some(&endpoint), true),
        ("null", &Settings::new(Mode::Test), None, false),
    ] {
        let subject = Subject {
            name,
            kind: name.parse().unwrap(),
            settings,
            endpoint,
            plans: None,
        };
        let mut record = Counted(0);
        let refused = Kit::new(subject, cards(subject.kind), &mut record).err();
        let right = match refused {
            Some(Refused::Live) => live,
            Some(Refused::Offline) => !live,
            _ => false,
        };
        assert!(right, "{name}");
    }
}

/// The list that is published is the one that is run.
#[test]
fn the_published_list_is_the_code_s() {
    let page = include_str!("../../../../../docs/connector-test.md");
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .collect();
    let listed: Vec<_> = CASES
        .iter()
        .map(|c| format!("{}` | {} | {} |", c.name, c.what, c.expected))
        .collect();
    assert_eq!(rows, listed);
}
