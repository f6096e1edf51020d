//! Mistakes of ours, in the style of the matrix: keys that are wrong, a clock that is, an amount that the acquirer does not take. Each of them
//! ends as what it is, never as a decline of the caller's card, and what it leaves open can be found out as ever.

use ivrpay_acquirer::{Asked, EndpointConfig, Progress, Settings, Step, configured};
use ivrpay_payment::{Intent, Money, OperationKind, Outcome};
use ivrpay_wire::{Sender, hint};
use secrecy::ExposeSecret as _;

use super::matrix::{Done, Shop, told, word};
use super::ours::card;
use super::*;

const VISA_OF_ALL: &str = "4111111111111111";

/// Names, and what is wrong for the one that has no key: its shop's code.
const ACQUIRERS: &[(&str, Option<&str>)] = &[
    ("adyen", None),
    ("gmo", None),
    ("hyperswitch", None),
    ("kuroneko", Some("trader_code")),
    ("sbps", None),
    ("stripe", None),
    ("veritrans", None),
    ("zeus", None),
];

/// The same with another last sign.
fn other(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn spoilt(
    mut settings: Settings,
    mut endpoint: EndpointConfig,
    name: &str,
    parameter: Option<&str>,
) -> (Settings, EndpointConfig) {
    let kind: ivrpay_acquirer::Kind = name.parse().unwrap();
    for setting in kind
        .about()
        .settings
        .iter()
        .filter(|s| s.secret && s.required)
    {
        let secret = settings.secrets.get_mut(setting.name).unwrap();
        *secret = other(secret.expose_secret()).into();
    }
    if let Some(password) = &mut endpoint.password {
        *password = other(password.expose_secret()).into();
    }
    if let Some(parameter) = parameter.and_then(|name| settings.parameters.get_mut(name)) {
        *parameter = other(parameter);
    }
    (settings, endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_are_our_mistake_and_no_verdict() {
    let lab = Lab::start().await;
    for (name, parameter) in ACQUIRERS.iter().copied() {
        let shop = Shop::open(&lab, name).await;
        let charge = shop.intent(OperationKind::Charge, 1500, None);
        let charged = shop.run(charge, Some(VISA_OF_ALL)).await;
        assert!(matches!(charged.outcome, Outcome::Approved(_)), "{name}");
        let (settings, endpoint) = told(&lab, name).await;
        let (settings, endpoint) = spoilt(settings, endpoint, name, parameter);
        let wrong = Shop {
            connector: configured(name.parse().unwrap(), &settings).unwrap(),
            sender: Sender::new(&endpoint).unwrap(),
            ..shop
        };
        let op = wrong.intent(OperationKind::Charge, 1500, None);
        let refused = wrong.run(op, Some(VISA_OF_ALL)).await;
        // HTTP's own "unauthorized" says nothing about the money.
        let expected = match name {
            "sbps" => "unknown: 401",
            // Its code for a wrong signature is not published (docs/acquirers/veritrans.md).
            "veritrans" => "unknown: UnlistedCode",
            _ => "not charged: Rejected",
        };
        assert_eq!(word(&refused.outcome), expected, "{name}");
        assert_ne!(wrong.order(&refused).await["booked"], true, "{name}");
        if let Outcome::NotCharged(_) = refused.outcome {
            let hint = hint(&refused.outcome, refused.trouble.as_ref()).unwrap_or_default();
            assert!(hint.contains("credentials"), "{name}: {hint}");
        }
        if wrong.connector.about().capabilities.query {
            let op = wrong.intent(OperationKind::Query, 1500, Some(&charged));
            let asked = wrong.run(op, None).await.outcome;
            assert!(matches!(asked, Outcome::Unknown(_)), "{name}: {asked:?}");
        }
        for (kind, can) in [
            (
                OperationKind::Void,
                wrong.connector.about().capabilities.void,
            ),
            (
                OperationKind::Refund,
                wrong.connector.about().capabilities.refund,
            ),
        ] {
            if !can {
                continue;
            }
            let op = wrong.intent(kind, 1500, Some(&charged));
            let undone = wrong.run(op, None).await.outcome;
            assert!(
                !matches!(undone, Outcome::Approved(_) | Outcome::Declined(_)),
                "{name}: {undone:?}"
            );
        }
        assert_eq!(wrong.order(&charged).await["booked"], true, "{name}");
    }
}

/// Runs an operation by a clock that is `ahead` seconds ahead.
async fn by_clock(shop: &Shop<'_>, op: Intent, number: Option<&str>, ahead: i64) -> Outcome {
    let op = ivrpay_payment::Durable::attest(op);
    let card = number.map(card);
    let (mut progress, mut last) = (Progress::default(), None);
    for _ in 0..8 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let asked = Asked {
            op: &op,
            card: card.as_ref(),
            now_unix_s: i64::try_from(now.unwrap().as_secs()).unwrap() + ahead,
        };
        match shop
            .connector
            .step(&asked, &progress, last.as_ref())
            .unwrap()
        {
            Step::Done(outcome) => return outcome,
            Step::Send(request, next) => {
                progress = next;
                match shop.sender.send(request, |_| {}).await {
                    Ok(reply) => last = Some(reply),
                    Err(_) => return Outcome::Unknown(ivrpay_payment::Doubt::NoReply),
                }
            }
        }
    }
    panic!("{}: no end", shop.name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_an_hour_off_is_no_decline_and_loses_nothing() {
    let lab = Lab::start().await;
    for (name, _) in ACQUIRERS {
        let shop = Shop::open(&lab, name).await;
        for ahead in [-3_600, 3_600] {
            let op = shop.intent(OperationKind::Charge, 1500, None);
            let outcome = by_clock(&shop, op.clone(), Some(VISA_OF_ALL), ahead).await;
            // It alone is told the time, and refuses what is too old, or not yet.
            let expected = if *name == "sbps" {
                "not charged: Busy"
            } else {
                "approved"
            };
            assert_eq!(word(&outcome), expected, "{name} {ahead}");
            if let Outcome::NotCharged(why) = outcome {
                assert!(
                    why.hint().is_some_and(|hint| hint.contains("clock")),
                    "{name}"
                );
                continue;
            }
            let capabilities = shop.connector.about().capabilities;
            // Asked as if its answer had been lost, and its intent written by the same clock.
            if !capabilities.query || *name == "zeus" {
                continue;
            }
            let lost = Done {
                op: ivrpay_payment::Durable::attest(op),
                outcome: Outcome::Unknown(ivrpay_payment::Doubt::NoReply),
                trouble: None,
                reference: None,
            };
            // Of an hour ago; now it is.
            let mut query = shop.intent(OperationKind::Query, 1500, Some(&lost));
            if let Some(about) = &mut query.parent {
                about.at_unix_s += 3_600 + ahead;
            }
            let found = by_clock(&shop, query, None, ahead).await;
            assert_eq!(word(&found), "approved", "{name} {ahead}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_over_the_acquirer_s_limit_is_not_sent() {
    let lab = Lab::start().await;
    for (name, limit) in [("gmo", 9_999_999), ("sbps", 9_999_999), ("zeus", 9_999_999)] {
        let shop = Shop::open(&lab, name).await;
        for (amount, expected) in [(limit + 1, "not charged: NotSent"), (limit, "approved")] {
            let op = Intent {
                amount: Money::new(amount, ivrpay_payment::Currency::Jpy).unwrap(),
                ..shop.intent(OperationKind::Charge, 1500, None)
            };
            let done = shop.run(op, Some(VISA_OF_ALL)).await;
            assert_eq!(word(&done.outcome), expected, "{name} {amount}");
            if amount > limit {
                let hint = hint(&done.outcome, done.trouble.as_ref()).unwrap_or_default();
                assert!(hint.contains("limits of this acquirer"), "{name}: {hint}");
                assert_eq!(shop.order(&done).await, Value::Null, "{name}");
            }
        }
    }
}
