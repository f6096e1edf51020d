//! Which connector a payment is asked of: that of the first row of `[[tenants.routes]]` that fits its brand, currency, amount and plan,
//! else the tenant's; and which stand in for it, one after the other, where it is not reached.

use std::collections::BTreeMap;
use std::fmt;

use ivrpay_acquirer::{Capabilities, Kind, Mode};
use ivrpay_journal::TRAINING;
use ivrpay_payment::{Brand, Currency, Money, Offers, Plan, Transaction};
use serde::Deserialize;

use crate::config::{ConfigError, Connector};

/// Most rows of a tenant.
const ROWS_MAX: usize = 50;
/// Most connectors that stand in for one: each that is not reached costs the caller its connect time-out.
const FALLBACKS_MAX: usize = 3;

/// The connectors that may be asked for an operation, in this order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways(Vec<String>);

impl Ways {
    /// This one and no other.
    #[must_use]
    pub fn only(connector: impl Into<String>) -> Self {
        Self(vec![connector.into()])
    }

    /// These, in this order.
    #[cfg(test)]
    pub(crate) const fn of(connectors: Vec<String>) -> Self {
        Self(connectors)
    }

    /// The one that is asked first.
    #[must_use]
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Without those that can't be asked now, unless none can: a call that is on is not kept from trying.
    #[must_use]
    pub(crate) fn open(mut self, can_be_asked: impl Fn(&str) -> bool) -> Self {
        if self.0.iter().any(|name| can_be_asked(name)) {
            self.0.retain(|name| can_be_asked(name));
        }
        self
    }
}

impl IntoIterator for Ways {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The routes of a tenant, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The last fits every payment.
    rows: Vec<Row>,
    /// What each connector can do that stands in one.
    can: BTreeMap<String, Capabilities>,
    /// What the tenant takes.
    brands: Vec<Brand>,
}

/// What is known of a payment before there is a card.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The connector that is named for it; else the routes say it.
    pub(crate) named: Option<&'a str>,
    pub(crate) amount: Money,
    /// Where that was settled before the call.
    pub(crate) plan: Option<Plan>,
    /// What may be chosen beside one payment.
    pub(crate) offers: &'a Offers,
}

/// A row, checked. What is empty fits everything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    ways: Ways,
    brands: Vec<Brand>,
    currencies: Vec<Currency>,
    /// Least and most, minor units.
    amount: (u64, u64),
    /// Names of plans, without their count.
    plans: Vec<&'static str>,
}

impl Row {
    fn fits_amount(&self, amount: Money) -> bool {
        (self.currencies.is_empty() || self.currencies.contains(&amount.currency()))
            && (self.amount.0..=self.amount.1).contains(&amount.minor())
    }

    fn fits(&self, brand: Brand, amount: Money, plan: Plan) -> bool {
        self.fits_amount(amount)
            && (self.brands.is_empty() || self.brands.contains(&brand))
            && (self.plans.is_empty() || self.plans.contains(&plan.name()))
    }

    fn fits_all(&self) -> bool {
        self.fits_cards() && self.currencies.is_empty()
    }

    fn fits_cards(&self) -> bool {
        self.brands.is_empty() && self.plans.is_empty()
    }
}

/// `amex, JPY of 1 to 9999: a, else b`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut conditions = Vec::new();
        if !self.brands.is_empty() {
            let names: Vec<_> = self.brands.iter().map(|brand| brand.name()).collect();
            conditions.push(names.join(" or "));
        }
        if !self.currencies.is_empty() {
            let codes: Vec<_> = self.currencies.iter().map(|c| c.code()).collect();
            conditions.push(codes.join(" or "));
        }
        match self.amount {
            (1, Money::MAX) => {}
            (min, Money::MAX) => conditions.push(format!("from {min}")),
            (1, max) => conditions.push(format!("up to {max}")),
            (min, max) => conditions.push(format!("{min} to {max}")),
        }
        if !self.plans.is_empty() {
            conditions.push(self.plans.join(" or "));
        }
        if conditions.is_empty() {
            conditions.push("every payment".to_owned());
        }
        let connectors = self.ways.0.join(", not reached: ");
        write!(f, "{}: {connectors}", conditions.join(", "))
    }
}

impl Routing {
    /// Whom to ask for a payment.
    #[must_use]
    pub fn ways(&self, brand: Brand, amount: Money, plan: Plan) -> Ways {
        let row = self.rows.iter().find(|row| row.fits(brand, amount, plan));
        // The last row fits.
        let row = row.or(self.rows.last());
        let ways = row.map_or_else(|| Ways(Vec::new()), |row| row.ways.clone());
        ways.open(|name| self.has_room(name, brand, amount, plan))
    }

    fn has_room(&self, connector: &str, brand: Brand, amount: Money, plan: Plan) -> bool {
        let can = self.can.get(connector);
        can.is_some_and(|can| can.takes(amount) && can.takes_brand(brand) && can.plans.has(plan))
    }

    /// Whether who is asked for such a payment has room for it: the connector that is `named`, else whom the routes name.
    fn takes(&self, named: Option<&str>, brand: Brand, amount: Money, plan: Plan) -> bool {
        let has_room = |name: &str| self.has_room(name, brand, amount, plan);
        match named {
            Some(named) => has_room(named),
            None => {
                let ways = self.ways(brand, amount, plan);
                ways.0.iter().any(|name| has_room(name))
            }
        }
    }

    /// What the caller may choose.
    #[must_use]
    pub(crate) fn offers(&self, wish: Wish<'_>) -> Offers {
        let offers = wish.offers.of(wish.amount);
        offers.carried(&self.brands, |plan, brand| {
            self.takes(wish.named, brand, wish.amount, plan)
        })
    }

    /// The brands by which it can be taken, in one plan or another: where what was settled before is none that a card has, its caller
    /// chooses.
    #[must_use]
    pub(crate) fn brands(&self, wish: Wish<'_>) -> Vec<Brand> {
        let offers = self.offers(wish);
        let takes = |brand: &Brand| {
            let with = offers.with(*brand);
            match wish.plan {
                Some(Plan::LumpSum) => with.allows(Plan::LumpSum),
                _ => !with.plans().is_empty(),
            }
        };
        self.brands.iter().copied().filter(takes).collect()
    }

    /// Why it can be taken by no card, in words for whoever asks for it; `None` where it can. The plan that was settled before is the one
    /// that counts, where it is offered at all.
    #[must_use]
    pub(crate) fn refuses(&self, wish: Wish<'_>) -> Option<String> {
        let offered = wish.offers.of(wish.amount);
        let plan = wish.plan.filter(|plan| offered.allows(*plan));
        let takes = match plan {
            Some(plan) => self.offers(wish).carries(plan, &self.brands),
            None => !self.brands(wish).is_empty(),
        };
        if takes {
            return None;
        }
        let plan = plan.unwrap_or_default();
        let with = |brand: &&Brand| offered.with(**brand).allows(plan);
        let ways = self.brands.iter().find(with).map(|brand| {
            let ways = self.ways(*brand, wish.amount, plan);
            ways.first().to_owned()
        });
        let name = wish.named.map(str::to_owned).or(ways).unwrap_or_default();
        Some(match self.can.get(&name) {
            Some(can) if !can.takes_currency(wish.amount.currency()) => {
                format!("currency: the connector {name} takes JPY alone")
            }
            Some(can) if !can.takes(wish.amount) => format!(
                "amount: the connector {name} takes at most {} minor units",
                can.amount_max
            ),
            Some(can) if !can.plans.has(plan) => {
                format!("payment_plan: the connector {name} has no {plan}")
            }
            _ => format!("connector: {name} takes none of the tenant's valid_card_types"),
        })
    }

    /// The largest amount of this currency that can be taken, minor units; 0 where none can.
    #[must_use]
    pub(crate) fn most(&self, currency: Currency, offers: &Offers) -> u64 {
        // Whether one can be taken changes there, and nowhere in between.
        let rows = self.rows.iter().map(|row| row.amount);
        let rows = rows.chain(offers.rows().iter().map(|row| row.amount));
        let ends = rows.flat_map(|(min, max)| [min.saturating_sub(1), max]);
        let most = self.can.values().map(|can| can.amount_max);
        let taken = ends.chain(most).filter(|minor| {
            let amount = Money::new(*minor, currency);
            amount.is_ok_and(|amount| {
                let (named, plan) = (None, None);
                let wish = Wish {
                    named,
                    amount,
                    plan,
                    offers,
                };
                self.refuses(wish).is_none()
            })
        });
        taken.max().unwrap_or(0)
    }

    /// Who is asked where no condition holds.
    #[must_use]
    pub fn usual(&self) -> &str {
        self.rows.last().map_or("", |row| row.ways.first())
    }

    /// Every connector that may be asked.
    #[must_use]
    pub fn connectors(&self) -> Vec<&str> {
        unique(self.rows.iter())
    }

    /// Those that may be asked for a payment of which at most the amount is known yet.
    #[must_use]
    pub(crate) fn candidates(&self, amount: Option<Money>) -> Vec<&str> {
        let may = |row: &&Row| amount.is_none_or(|amount| row.fits_amount(amount));
        let rows: Vec<&Row> = self.rows.iter().filter(may).collect();
        let surely = |row: &&Row| row.fits_cards() && (amount.is_some() || row.fits_all());
        let end = rows.iter().position(surely);
        let count = end.map_or(rows.len(), |at| at + 1);
        unique(rows.into_iter().take(count))
    }

    /// Those that may be asked for a payment in this plan by cards of these brands.
    pub(crate) fn carriers(&self, plan: Plan, brands: &[Brand], currency: Currency) -> Vec<&str> {
        let in_plan = |row: &Row| row.plans.is_empty() || row.plans.contains(&plan.name());
        let all = |row: &Row| {
            let every = row.brands.is_empty() || brands.iter().all(|b| row.brands.contains(b));
            let any = row.currencies.is_empty() || row.currencies.contains(&currency);
            every && any && in_plan(row) && row.amount == (1, Money::MAX)
        };
        let end = self
            .rows
            .iter()
            .position(all)
            .map_or(self.rows.len(), |at| at + 1);
        let may = |row: &&Row| {
            in_plan(row) && (row.brands.is_empty() || row.brands.iter().any(|b| brands.contains(b)))
        };
        unique(self.rows.iter().take(end).filter(may))
    }

    /// One line a row, for people.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(Row::to_string)
    }
}

impl Row {
    const fn every(ways: Ways) -> Self {
        Self {
            ways,
            brands: Vec::new(),
            currencies: Vec::new(),
            amount: (1, Money::MAX),
            plans: Vec::new(),
        }
    }
}

fn unique<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<&'r str> {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.flat_map(|row| &row.ways.0) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRoute {
    connector: String,
    #[serde(default)]
    fallback: Vec<String>,
    #[serde(default)]
    brands: Vec<Brand>,
    #[serde(default)]
    currencies: Vec<String>,
    amount_min: Option<u64>,
    amount_max: Option<u64>,
    #[serde(default)]
    plans: Vec<String>,
}

/// What the rows of a tenant are checked against.
pub(crate) struct Merchant<'c> {
    /// `tenants[0]`
    pub(crate) at: String,
    pub(crate) live: bool,
    pub(crate) currency: Currency,
    /// What its payments usually are.
    pub(crate) transaction: Transaction,
    pub(crate) brands: &'c [Brand],
    pub(crate) connectors: &'c BTreeMap<String, Connector>,
}

impl Merchant<'_> {
    fn error(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        ConfigError::value(format!("{}.{key}", self.at), message)
    }

    /// Rows and, behind them, the tenant's own connector.
    pub(crate) fn routing(
        &self,
        connector: Option<String>,
        fallback: Vec<String>,
        routes: Vec<RawRoute>,
    ) -> Result<Routing, ConfigError> {
        if routes.len() > ROWS_MAX {
            return Err(self.error("routes", format!("at most {ROWS_MAX} rows")));
        }
        let mut rows: Vec<Row> = Vec::new();
        for (index, raw) in routes.into_iter().enumerate() {
            let key = format!("routes[{index}]");
            if rows.last().is_some_and(Row::fits_all) {
                return Err(self.error(
                    &key,
                    "is never asked: the row before it has no conditions, and takes every payment",
                ));
            }
            rows.push(self.row(&key, raw)?);
        }
        match (connector, rows.last()) {
            (Some(_), Some(last)) if last.fits_all() => {
                return Err(self.error(
                    "connector",
                    "is never asked: the last of routes has no conditions, and takes every payment; take one of the two out",
                ));
            }
            (Some(connector), _) => {
                let ways = self.ways("", connector, fallback)?;
                self.take_currency("connector", &ways, self.currency)?;
                rows.push(Row::every(ways));
            }
            (None, _) if !fallback.is_empty() => {
                return Err(self.error(
                    "fallback",
                    "stands in for connector, which is not set; a row of routes has its own",
                ));
            }
            (None, None) => {
                return Err(self.error(
                    "connector",
                    "is missing: name one of [connectors], or write [[tenants.routes]]",
                ));
            }
            (None, Some(last)) if last.fits_all() => {}
            (None, Some(_)) => {
                let lost = self.lost(&rows);
                return Err(self.error(
                    "routes",
                    format!(
                        "{lost} would go nowhere: set connector, or add a last row without conditions"
                    ),
                ));
            }
        }
        self.practice(&rows)?;
        self.take_brands(&rows)?;
        // Those in no row too: a payment that waits may name one that was in a row before.
        let every = self.connectors.iter();
        let can = every.map(|(name, connector)| (name.clone(), connector.can));
        Ok(Routing {
            can: can.collect(),
            brands: self.brands.to_vec(),
            rows,
        })
    }

    fn row(&self, key: &str, raw: RawRoute) -> Result<Row, ConfigError> {
        let at = |name: &str| format!("{key}.{name}");
        let ways = self.ways(&format!("{key}."), raw.connector, raw.fallback)?;
        if let Some(brand) = raw.brands.iter().find(|b| !self.brands.contains(b)) {
            let message = format!("{} is not one of valid_card_types", brand.name());
            return Err(self.error(&at("brands"), message));
        }
        let currencies = raw.currencies.iter().map(|code| code.parse::<Currency>());
        let mut currencies = currencies
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| self.error(&at("currencies"), e))?;
        let (min, max) = (
            raw.amount_min.unwrap_or(1),
            raw.amount_max.unwrap_or(Money::MAX),
        );
        if raw.amount_min.is_some() || raw.amount_max.is_some() {
            if min == 0 || max > Money::MAX || min > max {
                let message = format!(
                    "amount_min and amount_max are minor units from 1 to {}, the first not above the second",
                    Money::MAX
                );
                return Err(self.error(&at("amount_min"), message));
            }
            // So many minor units of which?
            match currencies.len() {
                0 => currencies.push(self.currency),
                1 => {}
                _ => {
                    return Err(self.error(
                        &at("currencies"),
                        "amounts are compared in one currency: write a row for each",
                    ));
                }
            }
        }
        let mut plans = Vec::new();
        for name in &raw.plans {
            let plan = plan(name).ok_or_else(|| {
                let message = format!(
                    "{name:?} is no plan: lump_sum, installments, bonus, bonus_installments, revolving"
                );
                self.error(&at("plans"), message)
            })?;
            for (name, can) in self.abilities(&ways) {
                if !can.plans.has(plan) {
                    let message = format!("[connectors.{name}] has no {}", plan.name());
                    return Err(self.error(&at("plans"), message));
                }
            }
            plans.push(plan.name());
        }
        for currency in &currencies {
            self.take_currency(&at("currencies"), &ways, *currency)?;
        }
        if currencies.is_empty() {
            self.take_currency(&at("connector"), &ways, self.currency)?;
        }
        let small = self.abilities(&ways).find(|(_, can)| can.amount_max < min);
        if let Some((name, can)) = small {
            let message = format!(
                "[connectors.{name}] takes at most {} minor units",
                can.amount_max
            );
            return Err(self.error(&at("amount_min"), message));
        }
        Ok(Row {
            ways,
            brands: raw.brands,
            currencies,
            amount: (min, max),
            plans,
        })
    }

    /// A connector and those that stand in for it, each good for this tenant.
    fn ways(
        &self,
        prefix: &str,
        connector: String,
        fallback: Vec<String>,
    ) -> Result<Ways, ConfigError> {
        let fallback_key = format!("{prefix}fallback");
        if fallback.len() > FALLBACKS_MAX {
            return Err(self.error(
                &fallback_key,
                format!("at most {FALLBACKS_MAX}: the caller waits for each that is not reached"),
            ));
        }
        self.usable(&format!("{prefix}connector"), &connector)?;
        let mut ways = vec![connector];
        for name in fallback {
            self.usable(&fallback_key, &name)?;
            if ways.contains(&name) {
                return Err(self.error(&fallback_key, format!("{name} stands there twice")));
            }
            ways.push(name);
        }
        Ok(Ways(ways))
    }

    /// What a connector can't do is told now, not to a caller.
    fn usable(&self, key: &str, name: &str) -> Result<(), ConfigError> {
        let connector = self.connectors.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.connectors.keys().map(String::as_str).collect();
            self.error(
                key,
                format!("there is no [connectors.{name}]; known: {known:?}"),
            )
        })?;
        connector
            .can
            .require(self.transaction.kind())
            .map_err(|e| self.error(key, e))?;
        let other = match connector.mode {
            Some(Mode::Test) if self.live => {
                "a live tenant can't use a test connector: nobody would be charged"
            }
            Some(Mode::Live) if !self.live => {
                "a test tenant can't use a live connector: every practice call would charge somebody"
            }
            _ if self.live && connector.kind == Kind::NULL => {
                "a live tenant can't use a null connector: nobody would be charged"
            }
            _ => return Ok(()),
        };
        Err(self.error("mode", format!("{other} ([connectors.{name}])")))
    }

    fn abilities<'w>(
        &'w self,
        ways: &'w Ways,
    ) -> impl Iterator<Item = (&'w str, &'w Capabilities)> {
        ways.0.iter().filter_map(|name| {
            let connector = self.connectors.get(name)?;
            Some((name.as_str(), &connector.can))
        })
    }

    fn take_currency(&self, key: &str, ways: &Ways, currency: Currency) -> Result<(), ConfigError> {
        let other = self
            .abilities(ways)
            .find(|(_, can)| !can.takes_currency(currency));
        match other {
            Some((name, _)) => Err(self.error(
                key,
                format!("[connectors.{name}] takes JPY alone, and would be asked for {currency}"),
            )),
            None => Ok(()),
        }
    }

    /// A card that the tenant takes finds an acquirer that does, too. One that stands in may lack a brand: it is not asked then.
    fn take_brands(&self, rows: &[Row]) -> Result<(), ConfigError> {
        for brand in self.brands {
            let may = |row: &&Row| row.brands.is_empty() || row.brands.contains(brand);
            let every = |row: &Row| {
                row.amount == (1, Money::MAX) && row.currencies.is_empty() && row.plans.is_empty()
            };
            let rows: Vec<&Row> = rows.iter().filter(may).collect();
            let end = rows.iter().position(|row| every(row));
            let count = end.map_or(rows.len(), |at| at + 1);
            for row in rows.into_iter().take(count) {
                let mut abilities = self.abilities(&row.ways);
                if abilities.all(|(_, can)| !can.takes_brand(*brand)) {
                    let message = format!(
                        "[connectors.{}] takes no {}; take that out, or add a row of routes for it",
                        row.ways.first(),
                        brand.name()
                    );
                    return Err(self.error("valid_card_types", message));
                }
            }
        }
        Ok(())
    }

    /// Practice charges nobody: what falls back to it, or is routed to it, would be taken for paid.
    fn practice(&self, rows: &[Row]) -> Result<(), ConfigError> {
        let names = unique(rows.iter());
        let is_null = |name: &&str| {
            let connector = self.connectors.get(*name);
            **name == *TRAINING || connector.is_some_and(|c| c.kind == Kind::NULL)
        };
        match names.iter().find(|name| is_null(name)) {
            Some(null) if names.len() > 1 => Err(self.error(
                "routes",
                format!("[connectors.{null}] is for practice, and can't stand beside others"),
            )),
            _ => Ok(()),
        }
    }

    /// A payment that no row takes.
    fn lost(&self, rows: &[Row]) -> String {
        let limits = rows.iter().flat_map(|row| {
            let (min, max) = row.amount;
            [min.saturating_sub(1), max.saturating_add(1)]
        });
        let amounts: Vec<Money> = limits
            .chain([1, Money::MAX])
            .filter_map(|minor| Money::new(minor, self.currency).ok())
            .collect();
        let plan = Plan::LumpSum;
        for amount in amounts {
            let takes = |brand: Brand| rows.iter().any(|row| row.fits(brand, amount, plan));
            if let Some(brand) = self.brands.iter().find(|brand| !takes(**brand)) {
                return format!("a payment of {amount} by {}", brand.name());
            }
        }
        format!(
            "a payment in another currency than {}, or by a plan that no row names",
            self.currency
        )
    }
}

/// A plan of this name; of those with a count, with the least.
fn plan(name: &str) -> Option<Plan> {
    let found = name.parse().or_else(|_| format!("{name}:2").parse());
    found.ok().filter(|plan: &Plan| plan.name() == name)
}

#[cfg(test)]
mod tests {
    use ivrpay_payment::Offer;

    use super::*;
    use crate::config::tests::{Folder, SAMPLE};

    /// The sample with connectors of three kinds, the tenant's own line instead of `connector = "generic"`, and rows.
    fn load(own: &str, rows: &str) -> Result<Routing, String> {
        let table = SAMPLE.split("\n[connectors.generic]").nth(1).unwrap();
        let generic = table.split("\n\n").next().unwrap();
        let text = SAMPLE.replacen("connector = \"generic\"", own, 1).replacen(
            "\n[connectors.generic]",
            &format!("\n{rows}\n[connectors.generic]"),
            1,
        );
        let more = ["b", "c", "d", "e"].map(|name| format!("\n[connectors.{name}]{generic}"));
        let yen = "\n[connectors.yen]\nkind = \"gmo\"\nmode = \"test\"\nraw_pan = \"contracted\"\nparameters = { shop_id = \"tshop00012345\", site_id = \"tsite00012345\" }\nsecrets = { shop_pass = \"acquirer-password\", site_pass = \"acquirer-password\" }\n";
        let live = "\n[connectors.live]\nkind = \"adyen\"\nmode = \"live\"\nurl = \"https://a.example.com/v72\"\nraw_pan = \"contracted\"\nparameters = { merchant_account = \"M\" }\nsecrets = { api_key = \"acquirer-password\" }\n";
        let many = "\n[connectors.many]\nkind = \"adyen\"\nmode = \"test\"\nraw_pan = \"contracted\"\nparameters = { merchant_account = \"M\" }\nsecrets = { api_key = \"acquirer-password\" }\n";
        let yamato = "\n[connectors.yamato]\nkind = \"kuroneko\"\nmode = \"test\"\nraw_pan = \"contracted\"\nparameters = { trader_code = \"888885555\", goods_name = \"g\", buyer_name = \"b\", buyer_tel = \"0312345678\", buyer_email = \"a@example.jp\" }\n";
        let practice = "\n[connectors.training]\nkind = \"null\"\n";
        let text = format!("{text}{}{yen}{many}{yamato}{live}{practice}", more.concat());
        let loaded = Folder::new().load(&text);
        loaded
            .map(|config| config.tenants.first().unwrap().routing.clone())
            .map_err(|error| error.to_string())
    }

    const ROWS: &str = "
[[tenants.routes]]
connector = \"b\"
brands = [\"amex\"]
fallback = [\"c\", \"d\"]
[[tenants.routes]]
connector = \"c\"
currencies = [\"USD\", \"EUR\"]
[[tenants.routes]]
connector = \"yen\"
amount_min = 10000
plans = [\"installments\", \"bonus\"]
[[tenants.routes]]
connector = \"d\"
amount_max = 999
";

    #[test]
    fn the_first_row_that_fits_says_who_is_asked() {
        let routing = load("connector = \"generic\"\nfallback = [\"e\"]", ROWS).unwrap();
        let three: Plan = "installments:3".parse().unwrap();
        for (brand, minor, currency, plan, expected) in [
            (
                Brand::Amex,
                500,
                Currency::Jpy,
                Plan::LumpSum,
                &["b", "c", "d"][..],
            ),
            (
                Brand::Amex,
                500,
                Currency::Usd,
                Plan::LumpSum,
                &["b", "c", "d"],
            ),
            (Brand::Visa, 500, Currency::Usd, Plan::LumpSum, &["c"]),
            (Brand::Visa, 50_000, Currency::Eur, three, &["c"]),
            (Brand::Jcb, 10_000, Currency::Jpy, three, &["yen"]),
            (Brand::Jcb, 9_999, Currency::Jpy, three, &["generic", "e"]),
            (
                Brand::Jcb,
                10_000,
                Currency::Jpy,
                Plan::Revolving,
                &["generic", "e"],
            ),
            (Brand::Visa, 999, Currency::Jpy, Plan::LumpSum, &["d"]),
            (
                Brand::Visa,
                1000,
                Currency::Jpy,
                Plan::LumpSum,
                &["generic", "e"],
            ),
            // So many yen are not so many pounds.
            (
                Brand::Visa,
                999,
                Currency::Gbp,
                Plan::LumpSum,
                &["generic", "e"],
            ),
        ] {
            let amount = Money::new(minor, currency).unwrap();
            let ways = routing.ways(brand, amount, plan);
            assert_eq!(ways.0, expected, "{} {amount} {plan}", brand.name());
        }
        assert_eq!(routing.usual(), "generic");
        assert_eq!(routing.connectors(), ["b", "c", "d", "yen", "generic", "e"]);
        // Of which the pay key asks whether one can be asked, before there is a card.
        let yen = |minor| Money::new(minor, Currency::Jpy).ok();
        let dollars = Money::new(1, Currency::Usd).ok();
        assert_eq!(routing.candidates(yen(500)), ["b", "c", "d"]);
        assert_eq!(
            routing.candidates(yen(5000)),
            ["b", "c", "d", "generic", "e"]
        );
        assert_eq!(routing.candidates(dollars), ["b", "c", "d"]);
        assert_eq!(routing.candidates(None), routing.connectors());
        assert_eq!(
            routing.lines().collect::<Vec<_>>(),
            [
                "amex: b, not reached: c, not reached: d",
                "USD or EUR: c",
                "JPY, from 10000, installments or bonus: yen",
                "JPY, up to 999: d",
                "every payment: generic, not reached: e",
            ]
        );
    }

    /// GMO has room for 9,999,999 yen; the endpoint of the contract for all.
    #[test]
    fn what_nobody_has_room_for_is_known_before_there_is_a_card() {
        let yen = |minor| Money::new(minor, Currency::Jpy).unwrap();
        let (most, more) = (yen(9_999_999), yen(10_000_000));
        let dollar = Money::new(1, Currency::Usd).unwrap();
        let alone = load("connector = \"yen\"", "").unwrap();
        const NONE: &Offers = &Offers::NONE;
        let of = |named, amount| wish(named, amount, None, NONE);
        for (amount, says) in [
            (most, None),
            (
                more,
                Some("amount: the connector yen takes at most 9999999 minor units"),
            ),
            (dollar, Some("currency: the connector yen takes JPY alone")),
        ] {
            for named in [None, Some("yen")] {
                assert_eq!(
                    alone.refuses(of(named, amount)).as_deref(),
                    says,
                    "{amount}"
                );
            }
        }
        // Who stands in may have room; then he is the one who is asked.
        let helped = load("connector = \"yen\"\nfallback = [\"b\"]", "").unwrap();
        assert_eq!(helped.refuses(of(None, more)), None);
        assert!(helped.refuses(of(Some("yen"), more)).is_some());
        let asked = |amount| helped.ways(Brand::Visa, amount, Plan::LumpSum).0;
        assert_eq!(
            (asked(most), asked(more)),
            (vec!["yen".into(), "b".into()], vec!["b".into()])
        );
        // By some cards alone, then the others are none that are taken.
        let amex = load(
            "connector = \"yen\"",
            "[[tenants.routes]]\nconnector = \"b\"\nbrands = [\"amex\"]\n",
        )
        .unwrap();
        assert_eq!(amex.refuses(of(None, more)), None);
        assert_eq!(amex.brands(of(None, more)), [Brand::Amex]);
        assert_eq!(amex.brands(of(None, most)).len(), 5);
        let largest = |routing: &Routing| routing.most(Currency::Jpy, &Offers::NONE);
        assert_eq!(
            (largest(&alone), largest(&helped), largest(&amex)),
            (9_999_999, Money::MAX, Money::MAX)
        );
        assert_eq!(alone.most(Currency::Usd, &Offers::NONE), 0);
        assert!(!amex.takes(None, Brand::Visa, more, Plan::Revolving));
    }

    const fn wish<'a>(
        named: Option<&'a str>,
        amount: Money,
        plan: Option<Plan>,
        offers: &'a Offers,
    ) -> Wish<'a> {
        Wish {
            named,
            amount,
            plan,
            offers,
        }
    }

    /// Instalments go another way than one payment does: each is judged by its own.
    #[test]
    fn a_plan_is_judged_by_the_way_that_it_takes() {
        let yen = |minor| Money::new(minor, Currency::Jpy).unwrap();
        let (most, more) = (yen(9_999_999), yen(10_000_000));
        let three: Plan = "installments:3".parse().unwrap();
        let offers = Offers::new(
            Currency::Jpy,
            vec![Offer {
                plan: three,
                brands: vec![Brand::Visa, Brand::Jcb],
                amount: (1, 20_000_000),
                periods: vec![],
            }],
        );
        let rows = |to: &str| {
            format!("[[tenants.routes]]\nconnector = \"{to}\"\nplans = [\"installments\"]\n")
        };
        // Adyen carries instalments, of what GMO has no room for; and the other way round.
        let by_plan = load("connector = \"yen\"", &rows("many")).unwrap();
        let at_once = load("connector = \"b\"", &rows("yen")).unwrap();
        let (lump, all) = (Plan::LumpSum, at_once.brands.len());
        for (routing, amount, plan, brands, refuses) in [
            (&by_plan, most, None, all, None),
            (&by_plan, more, None, 2, None),
            (&by_plan, more, Some(three), 2, None),
            (
                &by_plan,
                more,
                Some(lump),
                0,
                Some("amount: the connector yen takes at most 9999999 minor units"),
            ),
            (
                &by_plan,
                yen(20_000_001),
                None,
                0,
                Some("amount: the connector yen takes at most 9999999 minor units"),
            ),
            (&at_once, most, Some(three), all, None),
            (&at_once, more, None, all, None),
            (&at_once, more, Some(lump), all, None),
            (
                &at_once,
                more,
                Some(three),
                all,
                Some("amount: the connector yen takes at most 9999999 minor units"),
            ),
        ] {
            let wish = wish(None, amount, plan, &offers);
            let way = (amount, plan);
            assert_eq!(routing.brands(wish).len(), brands, "{way:?}");
            assert_eq!(routing.refuses(wish).as_deref(), refuses, "{way:?}");
        }
        // What may be chosen is what somebody has room for.
        let plans = |routing: &Routing, amount, brand| {
            let offers = routing.offers(wish(None, amount, None, &offers));
            offers.with(brand).plans()
        };
        assert_eq!(plans(&by_plan, more, Brand::Visa), [three]);
        assert_eq!(plans(&by_plan, most, Brand::Visa), [lump, three]);
        assert_eq!(plans(&at_once, more, Brand::Visa), [lump]);
        // One that is named is asked whatever the routes say.
        let named = |plan| by_plan.refuses(wish(Some("yen"), more, Some(plan), &offers));
        assert!(named(lump).is_some() && named(three).is_some());
        // What the keypad takes.
        let keyed = |routing: &Routing| routing.most(Currency::Jpy, &offers);
        assert_eq!((keyed(&by_plan), keyed(&at_once)), (20_000_000, Money::MAX));
    }

    #[test]
    fn routes_that_lose_a_payment_or_do_nothing_are_refused() {
        let row = |more: &str| format!("[[tenants.routes]]\n{more}\n");
        let every = "connector = \"b\"";
        let amex = "connector = \"b\"\nbrands = [\"amex\"]";
        let own = "connector = \"generic\"";
        for (own, rows, says) in [
            (
                "",
                row(amex),
                "a payment of 1 JPY by visa would go nowhere: set connector",
            ),
            (
                "",
                row("connector = \"b\"\namount_min = 100")
                    + &row("connector = \"c\"\namount_max = 50"),
                "a payment of 99 JPY by visa would go nowhere",
            ),
            (
                "",
                row("connector = \"b\"\namount_min = 1"),
                "a payment in another currency than JPY",
            ),
            ("", String::new(), "tenants[0].connector: is missing"),
            (
                "fallback = [\"b\"]",
                row(every),
                "tenants[0].fallback: stands in for connector",
            ),
            (own, row(every), "tenants[0].connector: is never asked"),
            (
                "",
                row(every) + &row(amex),
                "tenants[0].routes[1]: is never asked",
            ),
            (
                own,
                row("connector = \"x\""),
                "routes[0].connector: there is no [connectors.x]",
            ),
            (
                own,
                row(&format!("{amex}\nfallback = [\"x\"]")),
                "routes[0].fallback: there is no",
            ),
            (
                own,
                row(&format!("{amex}\nfallback = [\"b\"]")),
                "b stands there twice",
            ),
            (
                "connector = \"generic\"\nfallback = [\"b\", \"c\", \"d\", \"e\"]",
                String::new(),
                "tenants[0].fallback: at most 3",
            ),
            (
                own,
                row("connector = \"b\"\nbrands = [\"unionpay\"]"),
                "unionpay is not one of valid_card_types",
            ),
            (own, row("connector = \"b\"\nbrands = [\"viza\"]"), "viza"),
            (
                own,
                row("connector = \"b\"\nplans = [\"loan\"]"),
                "\"loan\" is no plan",
            ),
            (
                own,
                row("connector = \"b\"\nplans = [\"installments:3\"]"),
                "is no plan",
            ),
            (
                own,
                row("connector = \"yen\"\ncurrencies = [\"USD\"]"),
                "takes JPY alone",
            ),
            (
                own,
                row("connector = \"b\"\ncurrencies = [\"YEN\"]"),
                "routes[0].currencies",
            ),
            (
                own,
                row("connector = \"b\"\namount_min = 0"),
                "routes[0].amount_min",
            ),
            (
                own,
                row("connector = \"b\"\namount_min = 2\namount_max = 1"),
                "routes[0].amount_min",
            ),
            (
                own,
                row("connector = \"b\"\namount_min = 2\ncurrencies = [\"USD\", \"JPY\"]"),
                "write a row for each",
            ),
            (
                own,
                row("connector = \"live\"\nbrands = [\"amex\"]"),
                "every practice call would charge somebody ([connectors.live])",
            ),
            (
                own,
                row("connector = \"training\"\nbrands = [\"amex\"]"),
                "is for practice",
            ),
            (
                own,
                row("connector = \"b\"\nbrand = \"amex\""),
                "unknown field",
            ),
            (
                own,
                row("connector = \"yen\"\namount_min = 10000000"),
                "routes[0].amount_min: [connectors.yen] takes at most 9999999",
            ),
            (
                "connector = \"yamato\"\nvalid_card_types = [\"visa\", \"discover\"]",
                String::new(),
                "tenants[0].valid_card_types: [connectors.yamato] takes no discover",
            ),
            (
                "connector = \"generic\"\nvalid_card_types = [\"visa\", \"discover\"]",
                row("connector = \"yamato\"\namount_max = 50000"),
                "[connectors.yamato] takes no discover",
            ),
            (
                "currency = \"USD\"\nconnector = \"yen\"",
                String::new(),
                "takes JPY alone",
            ),
        ] {
            let error = load(own, &rows).expect_err(&rows);
            assert!(error.contains(says), "{error:?} does not say {says:?}");
        }
        for (own, rows) in [
            ("", row(every)),
            ("", row(amex) + &row("connector = \"c\"")),
            ("connector = \"training\"", String::new()),
            ("connector = \"yen\"\nfallback = [\"b\"]", row(amex)),
        ] {
            assert_eq!(load(own, &rows).map(drop), Ok(()), "{own} {rows}");
        }
    }

    #[test]
    fn who_cannot_be_asked_is_passed_over_unless_nobody_can() {
        let ways = || Ways(vec!["a".into(), "b".into(), "c".into()]);
        assert_eq!(ways().open(|name| name != "a").0, ["b", "c"]);
        assert_eq!(ways().open(|_| false), ways());
    }
}
