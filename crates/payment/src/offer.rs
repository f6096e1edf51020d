//! Which payment plans a merchant offers beside one payment: by brand, amount and time of the year.
//!
//! A table of his contract. One payment is always allowed and stands in no row. Does not know which acquirer carries what.

use std::fmt;
use std::str::FromStr;

use crate::{Brand, Currency, Money, Plan};

/// A day of any year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    month: u8,
    day: u8,
}

impl Day {
    /// `None` where no year has such a day.
    #[must_use]
    pub const fn new(month: u8, day: u8) -> Option<Self> {
        let last = match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        if day >= 1 && day <= last {
            Some(Self { month, day })
        } else {
            None
        }
    }
}

/// Days of every year, both ends included; over the new year where the last comes before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: Day,
    to: Day,
}

impl Period {
    /// Whether the day is one of them.
    #[must_use]
    pub fn contains(self, day: Day) -> bool {
        if self.from <= self.to {
            self.from <= day && day <= self.to
        } else {
            self.from <= day || day <= self.to
        }
    }
}

/// A text that is no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no period: MM-DD..MM-DD, both days included, \"12-16..06-15\" over the new year")]
pub struct PeriodError;

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        let day = |text: &str| {
            let (month, day) = text.split_once('-')?;
            Day::new(two(month)?, two(day)?)
        };
        let (from, to) = text.split_once("..").ok_or(PeriodError)?;
        let days = day(from.trim_end()).zip(day(to.trim_start()));
        days.map(|(from, to)| Self { from, to }).ok_or(PeriodError)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(
            f,
            "{:02}-{:02}..{:02}-{:02}",
            from.month, from.day, to.month, to.day
        )
    }
}

/// One plan that a merchant offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Another one than all at once.
    pub plan: Plan,
    /// For cards of these brands.
    pub brands: Vec<Brand>,
    /// Smallest and largest amount, minor units.
    pub amount: (u64, u64),
    /// In these times of the year; always when there is none.
    pub periods: Vec<Period>,
}

/// What a merchant offers beside one payment. Amounts are of his own currency: a payment in another one has no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    currency: Currency,
    rows: Vec<Offer>,
    /// Brands with which nobody can carry one payment, but perhaps another plan.
    never_at_once: Vec<Brand>,
    /// Whether it is what is left for a brand of those.
    no_lump_sum: bool,
}

impl Offers {
    /// One payment, and nothing else.
    pub const NONE: Self = Self {
        currency: Currency::Jpy,
        rows: Vec::new(),
        never_at_once: Vec::new(),
        no_lump_sum: false,
    };

    /// These; a row of [`Plan::LumpSum`] says nothing.
    #[must_use]
    pub const fn new(currency: Currency, rows: Vec<Offer>) -> Self {
        Self {
            currency,
            rows,
            never_at_once: Vec::new(),
            no_lump_sum: false,
        }
    }

    /// Every row.
    #[must_use]
    pub fn rows(&self) -> &[Offer] {
        &self.rows
    }

    /// Whether there is nothing but one payment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What of it is for this amount.
    #[must_use]
    pub fn of(&self, amount: Money) -> Self {
        self.only(|row| {
            let (min, max) = row.amount;
            amount.currency() == self.currency && (min..=max).contains(&amount.minor())
        })
    }

    /// What of it is on this day.
    #[must_use]
    pub fn on(&self, day: Day) -> Self {
        self.only(|row| row.periods.is_empty() || row.periods.iter().any(|p| p.contains(day)))
    }

    /// What of it somebody can carry, for those of `brands` with which he can; of one payment too.
    #[must_use]
    pub fn carried(&self, brands: &[Brand], by: impl Fn(Plan, Brand) -> bool) -> Self {
        let mut offers = self.clone();
        let never = |brand: &Brand| !by(Plan::LumpSum, *brand);
        offers.never_at_once = brands.iter().copied().filter(never).collect();
        for row in &mut offers.rows {
            let plan = row.plan;
            row.brands
                .retain(|brand| brands.contains(brand) && by(plan, *brand));
        }
        offers.only(|row| !row.brands.is_empty())
    }

    /// What of it is for this brand.
    #[must_use]
    pub fn with(&self, brand: Brand) -> Self {
        Self {
            no_lump_sum: self.never_at_once.contains(&brand),
            ..self.only(|row| row.brands.contains(&brand))
        }
    }

    /// Whether the plan may be taken, with one brand at least.
    #[must_use]
    pub fn allows(&self, plan: Plan) -> bool {
        if plan.is_lump_sum() {
            return !self.no_lump_sum;
        }
        self.rows.iter().any(|row| row.plan == plan)
    }

    /// Whether the plan may be taken with one of these brands.
    #[must_use]
    pub fn carries(&self, plan: Plan, brands: &[Brand]) -> bool {
        brands.iter().any(|brand| self.with(*brand).allows(plan))
    }

    /// The plans, each once, one payment first.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        let at_once = (!self.no_lump_sum).then_some(Plan::LumpSum);
        let others = self.rows.iter().map(|row| row.plan);
        let mut plans: Vec<Plan> = at_once.into_iter().chain(others).collect();
        plans.sort();
        plans.dedup();
        plans
    }

    fn only(&self, keep: impl Fn(&Offer) -> bool) -> Self {
        Self {
            currency: self.currency,
            rows: self.rows.iter().filter(|row| keep(row)).cloned().collect(),
            never_at_once: self.never_at_once.clone(),
            no_lump_sum: self.no_lump_sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Count;

    fn day(month: u8, day: u8) -> Day {
        Day::new(month, day).unwrap()
    }

    #[test]
    fn periods_contain_their_ends_and_go_over_the_new_year() {
        for (text, within, without) in [
            (
                "07-16..11-15",
                vec![day(7, 16), day(9, 1), day(11, 15)],
                vec![day(7, 15), day(11, 16), day(1, 1)],
            ),
            (
                "12-16..06-15",
                vec![day(12, 16), day(12, 31), day(1, 1), day(2, 29), day(6, 15)],
                vec![day(12, 15), day(6, 16), day(8, 1)],
            ),
            (
                "02-29..02-29",
                vec![day(2, 29)],
                vec![day(2, 28), day(3, 1)],
            ),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.to_string(), text);
            assert!(within.iter().all(|day| period.contains(*day)), "{text}");
            assert!(!without.iter().any(|day| period.contains(*day)), "{text}");
        }
        for wrong in [
            "",
            "12-16",
            "12-16..",
            "13-01..01-01",
            "00-10..01-01",
            "02-30..03-01",
            "06-31..07-01",
            "6-1..7-1",
            "+6-01..07-01",
        ] {
            assert_eq!(wrong.parse::<Period>(), Err(PeriodError), "{wrong}");
        }
    }

    #[test]
    fn an_offer_is_for_its_brand_amount_and_time() {
        let three = Plan::Instalments(Count::new(3).unwrap());
        let yen = |minor| Money::new(minor, Currency::Jpy).unwrap();
        let offers = Offers::new(
            Currency::Jpy,
            vec![
                Offer {
                    plan: three,
                    brands: vec![Brand::Visa, Brand::Jcb],
                    amount: (10_000, 300_000),
                    periods: vec![],
                },
                Offer {
                    plan: Plan::BonusLumpSum,
                    brands: vec![Brand::Jcb],
                    amount: (1, Money::MAX),
                    periods: vec!["12-16..06-15".parse().unwrap()],
                },
            ],
        );
        let (winter, autumn) = (day(1, 10), day(10, 10));
        for (brand, amount, on, wanted) in [
            (Brand::Visa, yen(10_000), winter, vec![Plan::LumpSum, three]),
            (Brand::Visa, yen(9_999), winter, vec![Plan::LumpSum]),
            (Brand::Visa, yen(300_001), winter, vec![Plan::LumpSum]),
            (
                Brand::Jcb,
                yen(300_000),
                winter,
                vec![Plan::LumpSum, three, Plan::BonusLumpSum],
            ),
            (Brand::Jcb, yen(1), autumn, vec![Plan::LumpSum]),
            (Brand::Amex, yen(50_000), winter, vec![Plan::LumpSum]),
            // The limits are yen, not cents.
            (
                Brand::Jcb,
                Money::new(50_000, Currency::Usd).unwrap(),
                winter,
                vec![Plan::LumpSum],
            ),
        ] {
            let left = offers.of(amount).on(on).with(brand);
            assert_eq!(left.plans(), wanted, "{brand} {amount}");
            for plan in [Plan::LumpSum, three, Plan::BonusLumpSum, Plan::Revolving] {
                assert_eq!(
                    left.allows(plan),
                    wanted.contains(&plan),
                    "{brand} {amount} {plan}"
                );
            }
        }
        assert!(Offers::NONE.allows(Plan::LumpSum) && !Offers::NONE.allows(three));
    }

    /// Where one payment has no room, it is none of what is allowed; with the other brands it is.
    #[test]
    fn what_nobody_carries_is_not_allowed() {
        let three = Plan::Instalments(Count::new(3).unwrap());
        let brands = [Brand::Visa, Brand::Jcb, Brand::Amex];
        let row = Offer {
            plan: three,
            brands: brands.to_vec(),
            amount: (1, Money::MAX),
            periods: vec![],
        };
        let offers = Offers::new(Currency::Jpy, vec![row]);
        let left = offers.carried(&brands, |plan, brand| {
            plan.is_lump_sum() == (brand == Brand::Jcb) && brand != Brand::Amex
        });
        for (brand, wanted) in [
            (Brand::Visa, vec![three]),
            (Brand::Jcb, vec![Plan::LumpSum]),
            (Brand::Amex, vec![]),
        ] {
            let with = left.with(brand);
            assert_eq!(with.plans(), wanted, "{brand}");
            assert_eq!(with.allows(Plan::LumpSum), brand == Brand::Jcb, "{brand}");
        }
    }
}
