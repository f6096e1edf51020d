//! Days of a merchant, and what was approved in them.

use anyhow::{Context as _, bail};
use ivrpay_daemon::config::{Config, Tenant};
use ivrpay_journal::{Journal, Mode, Operation, Payment, Period};
use ivrpay_ledger::Entry;
use ivrpay_payment::{OperationKind, Outcome};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

/// Which payments.
#[derive(clap::Args)]
pub(crate) struct Whose {
    /// Of this merchant; of all when absent.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Live or test.
    #[arg(long, default_value = "live")]
    pub(crate) mode: ModeWord,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum ModeWord {
    Live,
    Test,
}

impl From<ModeWord> for Mode {
    fn from(mode: ModeWord) -> Self {
        match mode {
            ModeWord::Live => Self::Live,
            ModeWord::Test => Self::Test,
        }
    }
}

impl Whose {
    pub(crate) fn tenants<'c>(&self, config: &'c Config) -> anyhow::Result<Vec<&'c Tenant>> {
        let is_one = |tenant: &&Tenant| {
            self.tenant
                .as_deref()
                .is_none_or(|t| t == tenant.id.as_str())
        };
        let tenants: Vec<_> = config.tenants.iter().filter(is_one).collect();
        if tenants.is_empty() {
            let known: Vec<_> = config.tenants.iter().map(|t| t.id.as_str()).collect();
            bail!(
                "there is no tenant {}; there are {}",
                self.tenant.as_deref().unwrap_or_default(),
                known.join(", ")
            );
        }
        Ok(tenants)
    }
}

/// From the beginning of the first day to the end of the last one, at the merchant's place.
#[derive(Clone, Copy)]
pub(crate) struct Days {
    pub(crate) first: Date,
    pub(crate) last: Date,
}

impl Days {
    pub(crate) fn new(first: Date, last: Date) -> anyhow::Result<Self> {
        if last < first {
            bail!("the last day, {last}, is before the first one, {first}");
        }
        Ok(Self { first, last })
    }

    /// From when on, and until before when.
    pub(crate) fn times(self, tenant: &Tenant) -> anyhow::Result<(Timestamp, Timestamp)> {
        let begins = |day: Date| anyhow::Ok(day.to_zoned(tenant.time_zone.clone())?.timestamp());
        let behind = self.last.checked_add(1.day()).context("no such day")?;
        Ok((begins(self.first)?, begins(behind)?))
    }
}

/// The day before today at the merchant's place.
pub(crate) fn yesterday(tenant: &Tenant) -> anyhow::Result<Date> {
    let now = Timestamp::now().to_zoned(tenant.time_zone.clone());
    Ok(now.date().checked_sub(1.day())?)
}

/// What was approved.
pub(crate) async fn entries(
    journal: &Journal,
    tenant: &Tenant,
    connector: Option<&str>,
    mode: Mode,
    (from, to): (Timestamp, Timestamp),
) -> anyhow::Result<Vec<Entry>> {
    if let Some(removed) = journal.removed_before(Some(&tenant.id)).await?
        && from.as_millisecond() < removed
    {
        let before = Timestamp::from_millisecond(removed)?;
        eprintln!(
            "ivrpay: {}: payments of before {before:.0} have been taken out at the end of their time (keep_days): what follows is not the whole",
            tenant.id.as_str()
        );
    }
    let approved = journal
        .approved(&Period {
            tenant: Some(&tenant.id),
            connector,
            mode,
            from_ms: from.as_millisecond(),
            to_ms: to.as_millisecond(),
        })
        .await?;
    approved
        .into_iter()
        .map(|(payment, operation)| entry(payment, operation))
        .collect()
}

fn entry(payment: Payment, operation: Operation) -> anyhow::Result<Entry> {
    let own = match operation.outcome {
        Some(Outcome::Approved(approval)) => Some(approval.acquirer_ref.as_str().to_owned()),
        _ => None,
    };
    let undone_minor = match operation.kind {
        OperationKind::Void => payment.captured_minor.unwrap_or_default(),
        _ => 0,
    };
    // An acquirer speaks of the payment; where it gives each operation a name, that is the payment's own.
    let of_payment = payment.acquirer_ref.map(|r| r.as_str().to_owned());
    Ok(Entry {
        at: Timestamp::from_millisecond(operation.updated_ms)?,
        tenant: payment.tenant,
        site: payment.site,
        operator: payment.operator,
        order: payment.order,
        part: payment.part,
        payment: payment.id,
        operation: operation.id,
        kind: operation.kind,
        amount: operation.amount,
        undone_minor,
        card: operation.card,
        plan: payment.plan,
        approval_code: payment.approval_code,
        connector: operation.connector,
        acquirer_order: operation.acquirer_order.to_string(),
        acquirer_ref: of_payment.or(own),
    })
}
