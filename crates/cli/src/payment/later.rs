//! `ivrpay payment capture|change|void|refund`: one payment, or the rows of a file ([`super::file`]).
//!
//! Every wish goes out under an `Idempotency-Key` made of what is wished, so that the same one twice is done once, also where the first
//! answer was lost. One that was not done, and certainly so, is asked anew under the next key of a row.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use ivrpay_api::{LaterDone, LaterPlanned};
use sha2::{Digest as _, Sha256};

use super::{Answer, From, Service, encode, json, money, refused};
use crate::{Exit, fail, runtime};

/// Times that a wish may have been asked for and not been done.
const TRIES_MAX: u32 = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) from: From,
    /// Its id; or name a file.
    #[arg(required_unless_present = "file")]
    id: Option<String>,
    /// Minor units (yen, cents); all that there is when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "file")]
    amount: Option<u64>,
    /// Who says so.
    #[arg(long)]
    pub(super) by: String,
    /// The same wish under the same key is done once; without one, the same amount of the same payment is the same wish.
    #[arg(long, conflicts_with = "file")]
    key: Option<String>,
    /// Many at once: CSV in UTF-8 with a first line of names: id, or order_id and tenant (and part); amount and key may be there.
    #[arg(long, conflicts_with = "id", value_name = "FILE.csv")]
    pub(super) file: Option<PathBuf>,
    /// Say what would be done, row by row, and do nothing; fails where something would be refused.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// With a file: do what can be done, though some rows are wrong or refused; else nothing is done then.
    #[arg(long, requires = "file", conflicts_with = "dry_run")]
    pub(super) keep_going: bool,
}

/// What is wished of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) payment: String,
    pub(super) amount: Option<u64>,
    /// What tells it from another one of the same amount.
    pub(super) key: String,
}

impl Wish {
    /// The `Idempotency-Key` of its n-th try. A UUID (version 8): no other text of digits and letters may never look like a card.
    fn key(&self, operation: &str, tried: u32) -> String {
        let mut sha = Sha256::new();
        let amount = self.amount.map(|a| a.to_string()).unwrap_or_default();
        for part in [operation, &self.payment, &amount, &self.key] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        sha.update(tried.to_be_bytes());
        let digest: [u8; 32] = sha.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(digest.split_at(16).0);
        uuid::Builder::from_custom_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    fn body(&self, by: &str, dry_run: bool) -> Vec<u8> {
        json(&ivrpay_api::Later {
            amount: self.amount,
            by: Some(by.to_owned()),
            reason: None,
            dry_run,
        })
    }
}

/// The running service, and what is asked of it.
pub(super) struct Asks<'a> {
    pub(super) service: Service,
    pub(super) operation: &'a str,
    pub(super) by: &'a str,
}

/// What would come of a wish.
pub(super) enum Plan {
    /// It is asked under this key; or was before.
    May(Box<LaterPlanned>, String),
    Refused(String),
}

impl Asks<'_> {
    fn path(&self, wish: &Wish) -> String {
        format!("/v1/payments/{}/{}", encode(&wish.payment), self.operation)
    }

    /// What would come of it, and the key under which it is to be asked. An error is the way to the service.
    pub(super) async fn plan(&self, wish: &Wish) -> anyhow::Result<Plan> {
        for tried in 0..TRIES_MAX {
            let key = wish.key(self.operation, tried);
            let body = wish.body(self.by, true);
            let path = self.path(wish);
            let answer = self.service.request(&path, Some(body), Some(&key));
            let planned: LaterPlanned = match answer.await? {
                Answer::Good(text) => serde_json::from_str(&text)?,
                Answer::Refused(why) => return Ok(Plan::Refused(why)),
            };
            let not_done = |before: &ivrpay_api::Operation| match before.state.as_str() {
                "not-charged" => true,
                // Another amount is reserved by now, or still: it is wished anew.
                "approved" | "declined" if self.operation == "change" => {
                    let payment = &planned.payment;
                    let reserved = payment.reserved.unwrap_or(payment.amount);
                    payment.captured.is_none_or(|taken| taken == 0)
                        && wish.amount.is_some_and(|amount| amount != reserved)
                }
                _ => false,
            };
            if !planned.before.as_ref().is_some_and(not_done) {
                return Ok(Plan::May(Box::new(planned), key));
            }
        }
        Ok(Plan::Refused(format!(
            "was asked for {TRIES_MAX} times, and never done"
        )))
    }

    /// Asks.
    pub(super) async fn go(&self, wish: &Wish, key: &str) -> anyhow::Result<Answer> {
        let body = wish.body(self.by, false);
        let path = self.path(wish);
        self.service.request(&path, Some(body), Some(key)).await
    }
}

pub(crate) fn run(operation: &str, args: &Args) -> ExitCode {
    if let Some(file) = &args.file {
        return super::file::run(operation, args, file);
    }
    let service = match args.from.service() {
        Ok(service) => service,
        Err(code) => return code,
    };
    // clap lets it not be absent where there is no file. One spelling: the key is made of it.
    let id = args.id.as_deref().unwrap_or_default();
    let Ok(id) = id.parse::<ivrpay_payment::PaymentId>() else {
        eprintln!("ivrpay: {id:?} is no payment id\nhint: `ivrpay payment list` has them");
        return Exit::Usage.into();
    };
    let wish = Wish {
        payment: id.to_string(),
        amount: args.amount,
        key: args.key.clone().unwrap_or_default(),
    };
    let asks = Asks {
        service,
        operation,
        by: &args.by,
    };
    let ran = runtime().and_then(|runtime| runtime.block_on(one(&asks, args, &wish)));
    match ran {
        Ok(()) => Exit::Done.into(),
        Err(error) => fail(&error),
    }
}

async fn one(asks: &Asks<'_>, args: &Args, wish: &Wish) -> anyhow::Result<()> {
    let (planned, key) = match asks.plan(wish).await? {
        Plan::May(planned, key) => (planned, key),
        Plan::Refused(why) => bail!("{why}"),
    };
    if args.dry_run {
        if args.from.json() {
            say!("{}", serde_json::to_string(&planned)?);
        } else {
            say!("{}", would(&planned));
        }
        return Ok(());
    }
    let text = match asks.go(wish, &key).await? {
        Answer::Good(text) => text,
        Answer::Refused(why) => bail!("{why}"),
    };
    let done: LaterDone = serde_json::from_str(&text)?;
    if args.from.json() {
        let mut answer: serde_json::Value = serde_json::from_str(&text)?;
        if let Some(answer) = answer.as_object_mut() {
            let before = planned.before.is_some();
            answer.insert("asked_before".to_owned(), before.into());
        }
        say!("{answer}");
        return told(&done).map(drop);
    }
    if planned.before.is_some() {
        say!(
            "this was asked before, at {}, under the key {key}; nothing was done now. Another one of the same amount needs a --key of its own",
            done.operation.at
        );
    }
    say!("{}", told(&done)?);
    Ok(())
}

/// `refund of 400 JPY`, `change to 1800 JPY`
pub(super) fn what(kind: &str, minor: u64, currency: &str) -> String {
    let of = if kind == "change" { "to" } else { "of" };
    format!("{kind} {of} {}", money(minor, currency))
}

pub(super) fn would(planned: &LaterPlanned) -> String {
    let what = what(&planned.kind, planned.amount, &planned.payment.currency);
    match &planned.before {
        None => format!("{what}: would be asked for"),
        Some(before) => format!(
            "{what}: was asked for before, {}: nothing would be done",
            before.state
        ),
    }
}

/// What a refused request may mean, besides credentials.
pub(super) const AT_THE_ACQUIRER: &str = "look the order up at the acquirer, where it may be released, given back or too old already; if it is not, look at credentials, contract and limits (docs/acquirers)";

/// Said with exit code 0 where it is done; what is refused or not known is an error, so that a script stops.
fn told(done: &LaterDone) -> anyhow::Result<String> {
    let LaterDone { operation, payment } = done;
    let what = what(&operation.kind, operation.amount, &payment.currency);
    let (id, state) = (&payment.id, payment.state.name());
    match operation.state.as_str() {
        "approved" => Ok(format!("{what}: done; payment {id} is {state}")),
        "unknown" => bail!(
            "{what}: the acquirer's answer is not known. It may have been done: do not repeat it, run `ivrpay payment inquire {id}`; where the acquirer can't be asked, its webhook or a person settles it (docs/acquirers)"
        ),
        "in-flight" => {
            bail!("{what}: is being asked for already; look at `ivrpay payment show {id}`")
        }
        _ => {
            // "Not charged" is said of nothing here: the customer of a refused refund was.
            let taken = payment.captured.map(|minor| {
                let left = minor.saturating_sub(payment.refunded);
                format!(", {} taken", money(left, &payment.currency))
            });
            let todo = match (operation.why.as_deref(), &operation.hint) {
                (Some("rejected"), _) => AT_THE_ACQUIRER,
                (_, Some(hint)) => hint,
                (Some("not-sent" | "not-arrived"), _) => "ask for it again",
                _ => "look the order up at the acquirer before it is asked for again",
            };
            bail!(
                "{what}: {}. Payment {id} stays as it was: {state}{}. What to do with order {}: {todo}",
                refused(operation),
                taken.unwrap_or_default(),
                operation.acquirer_order
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is the same wish has the same key over every version of this program: a file may be run again after an update.
    /// A script stops at what was not done, in either form; and who reads it is not told that a customer who paid was "not charged".
    #[test]
    fn what_was_not_done_is_an_error_that_says_what_stays() {
        let done = |state: &str, more: serde_json::Value| {
            let mut operation = serde_json::json!({"id": "o", "kind": "refund", "state": state, "amount": 400, "connector": "main",
                "acquirer_order": "20261126000000042", "at": "x"});
            for (name, value) in more.as_object().unwrap() {
                operation[name] = value.clone();
            }
            let answer = serde_json::json!({"operation": operation, "payment": {"id": "01890000-0000-7000-8000-000000000002",
                "tenant": "shop", "order_id": "A-1", "part": 0, "state": "approved", "amount": 1000, "currency": "JPY", "captured": 1000,
                "refunded": 100, "mode": "test", "created_at": "x", "updated_at": "x"}});
            let done: LaterDone = serde_json::from_value(answer).unwrap();
            told(&done).map_err(|error| error.to_string())
        };
        use serde_json::json;
        let said = done("approved", json!({})).unwrap();
        assert!(said.contains("is approved"), "{said}");
        for (state, more, says) in [
            ("unknown", json!({}), &["may have been done"][..]),
            ("in-flight", json!({}), &["is being asked for already"]),
            (
                "not-charged",
                json!({"why": "rejected", "hint": "connector test"}),
                &[
                    "refused the request as wrong",
                    "900 JPY taken",
                    "20261126000000042",
                    "look the order up",
                ],
            ),
            (
                "not-charged",
                json!({"why": "busy", "hint": "wait; if it goes on"}),
                &[
                    "busy or in maintenance",
                    "stays as it was: approved",
                    "wait; if",
                ],
            ),
            (
                "not-charged",
                json!({"why": "not-sent"}),
                &["was not reached", "ask for it again"],
            ),
            ("not-charged", json!({}), &["not done", "look the order up"]),
            (
                "declined",
                json!({"decline_reason": "request_refused", "acquirer_code": "G97"}),
                &["refused, request_refused (G97)", "900 JPY taken"],
            ),
        ] {
            let error = done(state, more).unwrap_err();
            for part in says {
                assert!(error.contains(part), "{state}: {error}");
            }
            assert!(!error.contains("charged"), "{error}");
        }
    }

    #[test]
    fn a_wish_is_known_again_by_its_key() {
        let wish = Wish {
            payment: "0193a1b2-0000-7000-8000-000000000001".into(),
            amount: Some(400),
            key: String::new(),
        };
        let first = wish.key("refund", 0);
        assert_eq!(first, "1205c31b-4bb9-8354-aa13-1c7f3ba81d97");
        let other = |change: fn(&mut Wish)| {
            let mut wish = wish.clone();
            change(&mut wish);
            wish.key("refund", 0)
        };
        let others = [
            other(|w| w.amount = None),
            other(|w| w.amount = Some(401)),
            other(|w| w.key = "2".into()),
            other(|w| w.payment.push('1')),
            wish.key("capture", 0),
            wish.key("refund", 1),
        ];
        assert!(!others.contains(&first));
        assert_eq!(first, wish.clone().key("refund", 0));
    }
}
