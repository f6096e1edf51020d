//! `[[tenants.plans]]`: which payment plans a merchant offers, from the file to the call.
//!
//! What can't be said, or what the acquirer has no place for, is told at the start. Amount, brand and day are looked at for the dialogue,
//! and once more before an intent is written: money does not rest on what a dialogue remembers.

use ivrpay_payment::{
    Brand, Count, Currency, Day, Money, Offer, Offers, Period, Plan, Transaction,
};
use serde::Deserialize;

use crate::config::{Config, ConfigError, Tenant};

/// Bonuses are Japan's, and so are their days.
const HOURS: i8 = 9;

/// One table of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlan {
    plan: String,
    counts: Option<Vec<u8>>,
    brands: Option<Vec<Brand>>,
    amount_min: Option<u64>,
    amount_max: Option<u64>,
    periods: Option<Vec<String>>,
}

/// Whose plans they are.
pub(crate) struct Whose<'a> {
    /// Brands that the merchant takes.
    pub(crate) brands: &'a [Brand],
    pub(crate) currency: Currency,
    /// A connector that may be asked for such a plan with a card of these brands, and that has no place for it.
    pub(crate) lacking: &'a dyn Fn(Plan, &[Brand]) -> Option<String>,
}

/// The tables of a merchant, checked.
pub(crate) fn checked(
    at: &str,
    raw: Vec<RawPlan>,
    whose: &Whose<'_>,
) -> Result<Offers, ConfigError> {
    let mut rows: Vec<Offer> = Vec::new();
    for (n, raw) in raw.into_iter().enumerate() {
        let at = format!("{at}[{n}]");
        for offer in offers(&at, raw, whose)? {
            let twice = rows.iter().find_map(|row| {
                let brand = row.brands.iter().find(|brand| offer.brands.contains(brand));
                brand.filter(|_| row.plan == offer.plan)
            });
            if let Some(brand) = twice {
                return Err(ConfigError::value(
                    at,
                    format!(
                        "{} with {brand} stands in two tables; leave it in one",
                        offer.plan
                    ),
                ));
            }
            rows.push(offer);
        }
    }
    Ok(Offers::new(whose.currency, rows))
}

impl Config {
    /// The plans that merchants can ask of a connector, each once, and an amount from and to, in yen, for which one offers it; `None`
    /// where no merchant uses it.
    #[must_use]
    pub fn plans_of(&self, connector: &str) -> Option<Vec<(Plan, (u64, u64))>> {
        let users = self.tenants.iter().filter(|tenant| tenant.uses(connector));
        let users: Vec<&Tenant> = users.collect();
        let mut plans: Vec<(Plan, (u64, u64))> = Vec::new();
        for tenant in &users {
            for row in tenant.plans.rows() {
                let carriers = tenant
                    .routing
                    .carriers(row.plan, &row.brands, tenant.currency);
                if !carriers.contains(&connector) || plans.iter().any(|(plan, _)| *plan == row.plan)
                {
                    continue;
                }
                let amount = match tenant.currency {
                    Currency::Jpy => row.amount,
                    _ => (1, Money::MAX),
                };
                plans.push((row.plan, amount));
            }
        }
        plans.sort_unstable();
        (!users.is_empty()).then_some(plans)
    }
}

fn offers(at: &str, raw: RawPlan, whose: &Whose<'_>) -> Result<Vec<Offer>, ConfigError> {
    let wrong = |key: &str, message: &str| ConfigError::value(format!("{at}.{key}"), message);
    let plans = plans(at, &raw.plan, raw.counts)?;
    for plan in &plans {
        if !ivrpay_prompts::can_say(*plan) {
            return Err(wrong(
                "counts",
                "there are words for 2, 3, 5, 6, 10, 12, 15, 18, 20, 24, 30 and 36 instalments alone",
            ));
        }
    }
    let brands = raw.brands.unwrap_or_else(|| whose.brands.to_vec());
    if brands.is_empty() {
        return Err(wrong("brands", "names at least one brand, or is left out"));
    }
    if let Some(other) = brands.iter().find(|brand| !whose.brands.contains(brand)) {
        return Err(wrong(
            "brands",
            &format!("{other} is not one of the tenant's valid_card_types"),
        ));
    }
    for plan in &plans {
        if let Some(name) = (whose.lacking)(*plan, &brands) {
            return Err(ConfigError::value(
                format!("{at}.plan"),
                format!(
                    "[connectors.{name}] has no {plan}; offer what it has (docs/acquirers), or add a row of routes for it"
                ),
            ));
        }
    }
    let amount = (
        raw.amount_min.unwrap_or(1),
        raw.amount_max.unwrap_or(Money::MAX),
    );
    if amount.0 < 1 || amount.0 > amount.1 || amount.1 > Money::MAX {
        return Err(wrong(
            "amount_min",
            &format!(
                "amount_min to amount_max is within 1 to {}, in minor units",
                Money::MAX
            ),
        ));
    }
    let periods = raw.periods.unwrap_or_default();
    let is_bonus = plans.contains(&Plan::BonusLumpSum);
    if is_bonus == periods.is_empty() {
        return Err(wrong(
            "periods",
            "belongs to bonus, which needs it: the days on which it may be offered, as [\"12-16..06-15\", \"07-16..11-15\"]",
        ));
    }
    let periods: Vec<Period> = periods
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(|e| ConfigError::value(format!("{at}.periods"), e))?;
    let offer = |plan| Offer {
        plan,
        brands: brands.clone(),
        amount,
        periods: periods.clone(),
    };
    Ok(plans.into_iter().map(offer).collect())
}

fn plans(at: &str, name: &str, counts: Option<Vec<u8>>) -> Result<Vec<Plan>, ConfigError> {
    let wrong = |key: &str, message: &str| ConfigError::value(format!("{at}.{key}"), message);
    match (name, counts) {
        ("installments", Some(counts)) if !counts.is_empty() => counts
            .into_iter()
            .map(|count| Some(Plan::Instalments(Count::new(count)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                wrong(
                    "counts",
                    "2 or more; 1 is one payment, which is always allowed",
                )
            }),
        ("installments", _) => Err(wrong("counts", "is missing: as [3, 5, 6, 10, 12]")),
        ("revolving", None) => Ok(vec![Plan::Revolving]),
        ("bonus", None) => Ok(vec![Plan::BonusLumpSum]),
        ("revolving" | "bonus", Some(_)) => Err(wrong("counts", "belongs to installments")),
        _ => Err(wrong(
            "plan",
            "installments, revolving or bonus; one payment is always allowed and has no table",
        )),
    }
}

/// Today.
pub(crate) fn today() -> Day {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(HOURS));
    let now = jiff::Timestamp::now().to_zoned(zone);
    let part = |number: i8| u8::try_from(number).unwrap_or(1);
    Day::new(part(now.month()), part(now.day())).unwrap_or(NEW_YEAR)
}

const NEW_YEAR: Day = match Day::new(1, 1) {
    Some(day) => day,
    None => unreachable!(),
};

/// What the merchant offers today, for one amount or another.
pub(crate) fn today_of(tenant: &Tenant) -> Offers {
    tenant.plans.on(today())
}

/// The same of what is for: where no money moves, nothing is paid back.
pub(crate) fn today_for(tenant: &Tenant, transaction: Transaction) -> Offers {
    if transaction.moves_money() {
        today_of(tenant)
    } else {
        Offers::NONE
    }
}

/// For people: each table in a few words.
pub(crate) fn described(offers: &Offers) -> String {
    let mut tables: Vec<(String, &Offer)> = Vec::new();
    for row in offers.rows() {
        match tables.last_mut() {
            Some((plans, of))
                if matches!(
                    (of.plan, row.plan),
                    (Plan::Instalments(_), Plan::Instalments(_))
                ) && (&of.brands, of.amount) == (&row.brands, row.amount) =>
            {
                plans.push_str(&row.plan.count().map_or(String::new(), |n| format!(", {n}")));
            }
            _ => {
                let count = row.plan.count().map_or(String::new(), |n| format!(" {n}"));
                tables.push((format!("{}{count}", row.plan.name()), row));
            }
        }
    }
    let table = |(plans, row): &(String, &Offer)| {
        let brands: Vec<&str> = row.brands.iter().map(|brand| brand.name()).collect();
        let amount = match row.amount {
            (1, Money::MAX) => String::new(),
            (min, Money::MAX) => format!(" from {min}"),
            (min, max) => format!(" from {min} to {max}"),
        };
        let periods: Vec<String> = row.periods.iter().map(ToString::to_string).collect();
        let periods = if periods.is_empty() {
            String::new()
        } else {
            format!(" on {}", periods.join(", "))
        };
        format!("{plans} ({}{amount}{periods})", brands.join(", "))
    };
    tables.iter().map(table).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use ivrpay_acquirer::Kind;

    use super::*;

    fn read(kind: &str, text: &str) -> Result<Offers, String> {
        #[derive(Deserialize)]
        struct File {
            plans: Vec<RawPlan>,
        }
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        let kind: Kind = kind.parse().unwrap();
        let whose = Whose {
            brands: &[Brand::Visa, Brand::Jcb, Brand::Amex],
            currency: Currency::Jpy,
            lacking: &|plan, _| {
                let has = kind.about().capabilities.plans.has(plan);
                (!has).then(|| kind.about().name.to_owned())
            },
        };
        checked("tenants[0].plans", file.plans, &whose).map_err(|e| e.to_string())
    }

    #[test]
    fn a_table_is_read_and_described() {
        let text = "[[plans]]\nplan = \"installments\"\ncounts = [3, 5, 24]\nbrands = [\"visa\", \"jcb\"]\namount_min = 10000\n\
             [[plans]]\nplan = \"installments\"\ncounts = [36]\nbrands = [\"jcb\"]\namount_min = 50000\namount_max = 300000\n\
             [[plans]]\nplan = \"revolving\"\n\
             [[plans]]\nplan = \"bonus\"\nbrands = [\"jcb\"]\nperiods = [\"12-16..06-15\", \"07-16..11-15\"]\n";
        let offers = read("veritrans", text).unwrap();
        assert_eq!(
            described(&offers),
            "installments 3, 5, 24 (visa, jcb from 10000); installments 36 (jcb from 50000 to 300000); revolving (visa, jcb, amex); \
             bonus (jcb on 12-16..06-15, 07-16..11-15)"
        );
        let yen = |minor| Money::new(minor, Currency::Jpy).unwrap();
        let of = |amount, brand| offers.of(yen(amount)).with(brand).plans().len();
        assert_eq!((of(9_999, Brand::Visa), of(10_000, Brand::Visa)), (2, 5));
        assert_eq!((of(300_000, Brand::Jcb), of(300_001, Brand::Jcb)), (7, 6));
        assert_eq!(of(300_000, Brand::Amex), 2);
        assert_eq!(
            read("stripe", "plans = []"),
            Ok(Offers::new(Currency::Jpy, vec![]))
        );
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place() {
        let three = "[[plans]]\nplan = \"installments\"\ncounts = [3]\n";
        let bonus = "[[plans]]\nplan = \"bonus\"\n";
        for (kind, text, says) in [
            (
                "gmo",
                "[[plans]]\nplan = \"lump_sum\"\n".to_owned(),
                "plans[0].plan: installments, revolving or bonus",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"bonus_installments\"\n".into(),
                "plans[0].plan: installments",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"installments\"\n".into(),
                "plans[0].counts: is missing",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"installments\"\ncounts = []\n".into(),
                "plans[0].counts: is missing",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"installments\"\ncounts = [1, 3]\n".into(),
                "plans[0].counts: 2 or more",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"installments\"\ncounts = [4]\n".into(),
                "there are words for",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"revolving\"\ncounts = [3]\n".into(),
                "belongs to installments",
            ),
            ("gmo", format!("{three}brands = [\"visas\"]\n"), "visas"),
            (
                "gmo",
                format!("{three}brands = []\n"),
                "plans[0].brands: names at least one",
            ),
            (
                "gmo",
                format!("{three}brands = [\"mastercard\"]\n"),
                "mastercard is not one of the tenant's",
            ),
            (
                "gmo",
                format!("{three}amount_min = 0\n"),
                "plans[0].amount_min",
            ),
            (
                "gmo",
                format!("{three}amount_min = 2\namount_max = 1\n"),
                "plans[0].amount_min",
            ),
            (
                "gmo",
                format!("{three}amount_max = 100000000\n"),
                "plans[0].amount_min",
            ),
            (
                "gmo",
                format!("{three}periods = [\"01-01..12-31\"]\n"),
                "plans[0].periods: belongs to bonus",
            ),
            (
                "gmo",
                bonus.into(),
                "plans[0].periods: belongs to bonus, which needs it",
            ),
            (
                "gmo",
                format!("{bonus}periods = [\"12-16..06-31\"]\n"),
                "plans[0].periods: is no period",
            ),
            ("gmo", format!("{three}day = 1\n"), "day"),
            (
                "gmo",
                format!(
                    "{three}[[plans]]\nplan = \"installments\"\ncounts = [5, 3]\nbrands = [\"jcb\"]\n"
                ),
                "plans[1]: installments:3 with jcb stands in two tables",
            ),
            (
                "gmo",
                "[[plans]]\nplan = \"installments\"\ncounts = [3, 3]\n".into(),
                "plans[0]: installments:3 with visa stands in two tables",
            ),
            // What the acquirer has no place for, down to the number of instalments.
            (
                "stripe",
                three.into(),
                "[connectors.stripe] has no installments:3",
            ),
            (
                "kuroneko",
                format!("{bonus}periods = [\"12-16..06-15\"]\n"),
                "[connectors.kuroneko] has no bonus",
            ),
            (
                "zeus",
                "[[plans]]\nplan = \"installments\"\ncounts = [30]\n".into(),
                "[connectors.zeus] has no installments:30",
            ),
        ] {
            let error = read(kind, &text).expect_err(&text);
            assert!(
                error.contains(says),
                "{text}{error:?} does not say {says:?}"
            );
        }
    }
}
