//! Cards that may not be sent again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ivrpay_tests::call::{Call, Report};
use ivrpay_tests::lab::Lab;
use ivrpay_tests::service::{Service, set};
use serde_json::Value;

use crate::scenarios::{Books, extension, keys, own_cards};
use crate::short;

/// Tries of a card and day.
const LIMIT: i64 = 2;
/// The simulated acquirer's answer to this amount: pick up the card.
const PICKUP: u64 = 9456;
/// Ask the issuer.
const REFERRAL: u64 = 9430;
/// Yes.
const GOOD: u64 = 1200;

/// A decline for good, then the same card in this call and in the next one; then a card that is declined too often. The caller is asked
/// the same each time, and the acquirer gets none of those that may not be sent.
pub(crate) async fn not_again(lab: &Lab, books: &Books) -> anyhow::Result<()> {
    let mut service = Service::start(lab, "tries", true, |config| {
        short(config);
        set(config, "limits.tries_per_card_per_day", LIMIT);
    })
    .await?;
    let cards = own_cards(3)?;
    let [hard, soft, good] = cards.as_slice() else {
        anyhow::bail!("no three cards");
    };
    let card = |pan: &str, amount, then: &str| {
        let keys = format!("{} {then}", keys(pan, "1230", "123"));
        Call::new(extension(1, amount), keys)
    };
    let declined = |pan: &str, amount| card(pan, amount, "wait:card-declined , 2");
    let twice = format!(
        "wait:card-declined , 1 wait:payment-card-number , {hard}# wait:expiration-date 1230 wait:security-code 123 wait:confirmation 1 \
         wait:card-declined , 2"
    );
    let first = card(hard, PICKUP, &twice).place(lab).await?;
    let payment = told(&service, &first, "hard_declined_before").await?;
    ensure!(
        payment["decline"]["code"].is_null() && payment["decline"]["hard"] == true,
        "{}",
        payment["decline"]
    );
    sent(books, &first, 1).await?;

    let next = declined(hard, GOOD).place(lab).await?;
    told(&service, &next, "hard_declined_before").await?;
    sent(books, &next, 0).await?;

    let mut ways = vec![steps(&next)];
    for _ in 0..LIMIT {
        let report = declined(soft, REFERRAL).place(lab).await?;
        let payment = told(&service, &report, "referral").await?;
        ensure!(
            payment["decline"]["action"] == "ask-issuer" && payment["decline"]["code"] == "G30",
            "{}",
            payment["decline"]
        );
        sent(books, &report, 1).await?;
        ways.push(steps(&report));
    }
    let over = declined(soft, GOOD).place(lab).await?;
    told(&service, &over, "tries_exceeded").await?;
    sent(books, &over, 0).await?;
    ways.push(steps(&over));
    ensure!(
        ways.windows(2).all(|two| two[0] == two[1]),
        "the caller hears a difference: {ways:?}"
    );

    // Another card is taken; and a restart forgets all of them.
    let other = card(good, GOOD, "").place(lab).await?;
    ensure!(other.result == "success", "{}", other.result);
    service.stop(Duration::from_secs(30)).await?;
    service.spawn()?;
    service.ready(true).await?;
    let again = card(hard, GOOD, "").place(lab).await?;
    ensure!(again.result == "success", "{}", again.result);
    Ok(())
}

/// The payment of a call, which was declined for this.
async fn told(service: &Service, report: &Report, reason: &str) -> anyhow::Result<Value> {
    ensure!(
        report.result == "payment-connector-error",
        "the call ended with {}, steps {}",
        report.result,
        report.way()
    );
    let id = report.payment_id.as_deref().context("no payment")?;
    let payment = service.payment(id).await?;
    ensure!(
        payment["state"] == "declined" && payment["decline_reason"] == reason,
        "it is {}, {}",
        payment["state"],
        payment["decline_reason"]
    );
    let decline = &payment["decline"];
    let advice = decline["advice"]["ja"].as_str().unwrap_or_default();
    ensure!(
        decline["reason"] == reason && advice.ends_with('。'),
        "{decline}"
    );
    Ok(payment)
}

/// How many requests the acquirer got for the payment of a call.
async fn sent(books: &Books, report: &Report, expected: usize) -> anyhow::Result<()> {
    let id = report.payment_id.as_deref().context("no payment")?;
    let got = books.of(id).await?.len();
    ensure!(
        got == expected,
        "the acquirer got {got} requests, not {expected}"
    );
    Ok(())
}

/// What the caller was asked, without the times.
fn steps(report: &Report) -> Vec<String> {
    let way = report.way();
    let steps = way.split(' ').filter_map(|step| step.split('@').next());
    steps.map(str::to_owned).collect()
}
