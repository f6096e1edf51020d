//! DGFT VeriTrans4G: JSON, signed over the very bytes that are sent.
//!
//! One request a payment. There is no idempotency key; the order number is unique in a shop. Whatever becomes of an answer, a search finds the
//! order by its number with all that was done to it, and later operations name it by its number alone. Nothing is ever sent twice.

mod codes;
mod fields;

use ivrpay_card::Card;
use ivrpay_payment::{
    Doubt, Intent, OperationKind, Outcome, Parent, Plan, Why,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::connector::{SETTLED_AFTER_S, is_early, never};
use crate::json::Object;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hosts, Mode, Plans, Progress, Reply,
    Request, Setting, Settings, Step, digest, japan, text, Sandbox, TestCard};

/// Room for a request, bytes: the longest has under 500.
const REQUEST_MAX: usize = 1_024;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "veritrans",
    title: "DGFT VeriTrans4G",
    capabilities: Capabilities {
        charge: true,
        authorise_without_capture: true,
        capture: true,
        partial_capture: true,
        void: true,
        refund: true,
        partial_refund: true,
        query: true,
        tokenise: true,
        plans: Plans {
            instalments: true,
            bonus_lump_sum: true,
            revolving: true,
            ..Plans::LUMP_SUM
        },
        yen_only: true,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://api3.veritrans.co.jp",
        live: Some("https://api3.veritrans.co.jp"),
        others: &[],
    }),
    basic: false,
    raw_pan: true,
    settings: &[
        Setting::text(
            "merchant_ccid",
            24,
            "the merchant's id (マーチャントCCID), 24 letters and digits of which the last are cc",
        )
        .checked(|ccid| {
            let good = ccid.len() == 24 && ccid.bytes().all(|b| b.is_ascii_alphanumeric());
            good && ccid.ends_with("cc")
        }),
        Setting::secret(
            "merchant_secret_key",
            128,
            "the merchant's secret key (マーチャント認証鍵)",
        ),
    ],
    // Of its dummy mode.
    sandbox: Sandbox {
        approved: Some(TestCard::new("4111111111111111", "123")),
        ..Sandbox::NO_CARDS
    },
    make: |settings| Ok(Box::new(Veritrans::new(settings))),
};

/// The connector.
pub struct Veritrans {
    ccid: String,
    secret_key: SecretString,
    dummy: bool,
}

impl Veritrans {
    fn new(settings: &Settings) -> Self {
        Self {
            ccid: settings.text("merchant_ccid"),
            secret_key: settings.secret("merchant_secret_key"),
            dummy: settings.mode == Mode::Test,
        }
    }

    /// A signed request: `{"params":{…},"authHash":"…"}`, the digest over the merchant's id, the text of `params` and his key.
    fn request(
        &self,
        path: &str,
        members: impl FnOnce(&mut Object<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        body.push(b"{\"")?;
        body.push(fields::PARAMS.as_bytes())?;
        body.push(b"\":")?;
        let from = body.len();
        let mut params = Object::begin(&mut body)?;
        members(&mut params)?;
        params.text(fields::VERSION.0, fields::VERSION.1)?;
        params.text(fields::DUMMY, if self.dummy { "1" } else { "0" })?;
        params.text(fields::CCID, &self.ccid)?;
        params.end()?;
        let hash = body.expose(|text| self.signature(text.get(from..).unwrap_or_default()));
        body.push(b",\"")?;
        body.push(fields::AUTH_HASH.as_bytes())?;
        body.push(b"\":\"")?;
        body.push(hash.as_bytes())?;
        body.push(b"\"}")?;
        let prefix = if self.dummy { "/test-paynow" } else { "/paynow" };
        Ok(Request::post(format!("{prefix}{path}"), "application/json; charset=UTF-8", body))
    }

    fn signature(&self, params: &[u8]) -> String {
        let key = self.secret_key.expose_secret().as_bytes();
        digest::sha256(&[self.ccid.as_bytes(), params, key])
    }

    /// Charges or reserves.
    fn pay(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        match (progress.stage, last) {
            (0, None) => {
                japan::fits(op, fields::AMOUNT, u64::MAX)?;
                let jpo = jpo(op.plan)?;
                let card = match &op.token {
                    Some(_) => None,
                    None => Some(asked.card()?),
                };
                let capture = op.kind == OperationKind::Charge;
                let request = self.request(fields::AUTHORISE, |params| {
                    params.text(fields::ORDER_ID, &op.acquirer_order.to_string())?;
                    params.text(fields::AMOUNT, &op.amount.minor().to_string())?;
                    params.text(fields::JPO, &jpo)?;
                    params.text(fields::WITH_CAPTURE, if capture { "true" } else { "false" })?;
                    if let Some(token) = &op.token {
                        account(params, token.as_str(), None)?;
                    }
                    let Some(card) = card else { return Ok(()) };
                    number(params, card)?;
                    match &card.code {
                        Some(code) => {
                            code.expose(|digits| params.bytes(fields::SECURITY_CODE, digits))
                        }
                        None => Ok(()),
                    }
                })?;
                Ok(Step::send(request, 1, None))
            }
            (1, Some(reply)) => Ok(Step::Done(answered(op, Some(op.amount.minor()), reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Captures, releases or gives back. The order's number is all that it needs.
    fn alter(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let parent = asked.parent()?;
        // Without an amount all of it is released, however much that is.
        let amount = (op.kind != OperationKind::Void).then_some(op.amount.minor());
        match (progress.stage, last) {
            (0, None) => {
                japan::fits_within(op, parent, fields::AMOUNT, u64::MAX)?;
                let path = match op.kind {
                    OperationKind::Capture => fields::CAPTURE,
                    _ => fields::CANCEL,
                };
                let request = self.request(path, |params| {
                    params.text(fields::ORDER_ID, &parent.acquirer_order.to_string())?;
                    match amount {
                        Some(amount) => params.text(fields::AMOUNT, &amount.to_string()),
                        None => Ok(()),
                    }
                })?;
                Ok(Step::send(request, 1, None))
            }
            (1, Some(reply)) => Ok(Step::Done(answered(op, amount, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    fn query(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let parent = asked.parent()?;
        if !self.can_ask(parent) {
            return Err(BuildError::Unsupported { kind: op.kind });
        }
        match (progress.stage, last) {
            (0, None) => {
                let request = self.request(fields::SEARCH, |params| {
                    params.text(fields::NEWEST, "false")?;
                    params.text(fields::WITH_DUMMIES, if self.dummy { "1" } else { "0" })?;
                    params.list(fields::SERVICES, &["card"])?;
                    params.object(fields::SEARCHED, |searched| {
                        searched.object(fields::COMMON, |common| {
                            common.text(fields::ORDER_ID, &parent.acquirer_order.to_string())
                        })
                    })
                })?;
                Ok(Step::ask(request, 1, None))
            }
            (1, Some(reply)) => Ok(Step::Done(found(op, parent, asked.now_unix_s, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Stores a card: an account made of the order's number, then its only card.
    fn tokenise(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let id = japan::member(op.acquirer_order);
        match (progress.stage, last) {
            (0, None) => {
                let request =
                    self.request(fields::ADD_ACCOUNT, |params| account(params, &id, None))?;
                Ok(Step::open(request, 1))
            }
            (1, Some(reply)) => {
                let made = Answer::of(reply).map(|answer| answer.is_stored(&id));
                match made {
                    Err(_) => return Ok(Step::Done(Outcome::NotCharged(Why::Busy))),
                    Ok(false) => return Ok(Step::Done(Outcome::NotCharged(Why::Rejected))),
                    Ok(true) => {}
                }
                let card = asked.card()?;
                let request = self.request(fields::ADD_CARD, |params| {
                    account(params, &id, Some(card))
                })?;
                Ok(Step::ask(request, 2, None))
            }
            (2, Some(reply)) => Ok(Step::Done(stored(op, &id, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }
}

impl Connector for Veritrans {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        match asked.op.get().kind {
            OperationKind::Charge | OperationKind::Authorise => self.pay(asked, progress, last),
            OperationKind::Capture | OperationKind::Void | OperationKind::Refund => {
                self.alter(asked, progress, last)
            }
            OperationKind::Query => self.query(asked, progress, last),
            OperationKind::Tokenise => self.tokenise(asked, progress, last),
            kind => Err(BuildError::Unsupported { kind }),
        }
    }

    fn can_ask(&self, about: &Parent) -> bool {
        // Stored cards are another list; no money hangs on it.
        about.kind != OperationKind::Tokenise
    }
}

/// 支払区分 of JPO: lump sum 10, bonus 21, instalments `61Cnn`, revolving 80. Its bonus instalments need months and amounts that nobody
/// keyed.
fn jpo(plan: Plan) -> Result<String, BuildError> {
    match plan {
        Plan::LumpSum => Ok("10".to_owned()),
        Plan::BonusLumpSum => Ok("21".to_owned()),
        Plan::Instalments(count) => Ok(format!("61C{:02}", count.get())),
        Plan::Revolving => Ok("80".to_owned()),
        Plan::BonusInstalments(_) => Err(BuildError::Plan { plan }),
    }
}

/// Number and expiry (`MM/YY`).
fn number(params: &mut Object<'_>, card: &Card) -> Result<(), Full> {
    card.pan
        .expose(|digits| params.bytes(fields::CARD_NUMBER, digits))?;
    card.expiry
        .expose(|month, year| params.parts(fields::EXPIRY, &[month, b"/", year]))
}

/// An account, and the card that it is to have.
fn account(params: &mut Object<'_>, id: &str, card: Option<&Card>) -> Result<(), Full> {
    params.object(fields::PAY_NOW_ID, |param| {
        param.object(fields::ACCOUNT, |account| {
            account.text(fields::ACCOUNT_ID, id)?;
            let Some(card) = card else { return Ok(()) };
            account.object(fields::CARD, |stored| {
                number(stored, card)?;
                stored.text(fields::DEFAULT_CARD, "1")
            })
        })
    })
}

/// An answer: a JSON object, with `result` in it.
struct Answer(Value);

impl Answer {
    fn of(reply: &Reply) -> Result<Self, Doubt> {
        let value: Value = serde_json::from_slice(reply.ok()?).map_err(|_| Doubt::Malformed)?;
        if !value[fields::RESULT].is_object() {
            return Err(Doubt::Malformed);
        }
        Ok(Self(value))
    }

    fn result(&self) -> Entry<'_> {
        Entry(&self.0[fields::RESULT])
    }

    /// Whether it says of this account that it is as was asked.
    fn is_stored(&self, account: &str) -> bool {
        let stored = &self.0["payNowIdResponse"];
        stored["status"] == "success" && stored["account"][fields::ACCOUNT_ID] == account
    }
}

/// `result`, or a transaction in a search.
#[derive(Clone, Copy)]
struct Entry<'a>(&'a Value);

impl<'a> Entry<'a> {
    /// A text; empty where there is none.
    fn get(self, name: &str) -> &'a str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// An amount of yen; `None` where there is none, an error where it is none.
    fn amount(self, name: &str) -> Result<Option<u64>, Doubt> {
        match &self.0[name] {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => text.parse().map(Some).map_err(|_| Doubt::Malformed),
            other => other.as_u64().map(Some).ok_or(Doubt::Malformed),
        }
    }

    /// Whether it was done (`true`) or refused; a doubt where it is neither, or where its two words for it differ.
    fn done(self, code: &str) -> Result<bool, Doubt> {
        let said = self.get(fields::CODE);
        let good = said.len() == 16 && said.starts_with(code);
        match self.get(fields::STATUS) {
            "success" if good => Ok(true),
            "success" => Err(Doubt::UnlistedCode),
            "failure" if good => Err(Doubt::UnlistedCode),
            "failure" => Ok(false),
            "pending" => Err(Doubt::Pending),
            _ => Err(Doubt::Malformed),
        }
    }

    /// What is special to a card, in a search.
    fn proper(self) -> Self {
        Self(&self.0[fields::PROPER])
    }

    fn refusal(self) -> Outcome {
        let center = [self, self.proper()].map(|entry| entry.get(fields::CENTER_CODE));
        codes::outcome(self.get(fields::CODE), &center.concat())
    }
}

/// First code of what was done to a card, and of a search.
const DONE: &str = "A001";
const SEARCHED: &str = "N001";

/// An approval by `reference`; a doubt where that can't be kept.
fn approved(op: &Intent, reference: &str, code: &str) -> Outcome {
    text::approved(reference, Some(code), op.card)
}

/// What the answer to an `Authorize`, `Capture` or `Cancel` says; of `amount`, where one was asked for. Total.
fn answered(op: &Intent, amount: Option<u64>, reply: &Reply) -> Outcome {
    let read = |reply: &Reply| {
        let answer = Answer::of(reply)?;
        let result = answer.result();
        let done = result.done(DONE)?;
        let order = op.acquirer_order.to_string();
        // A refusal may leave the order out; none speaks of another one.
        let named = result.get(fields::ORDER_ID);
        if named != order && (done || !named.is_empty()) {
            return Err(Doubt::Mismatch);
        }
        if !done {
            return Ok(result.refusal());
        }
        let said = result.amount(fields::REQUESTED_AMOUNT)?;
        if said.is_some_and(|said| amount.is_some_and(|amount| amount != said)) {
            return Err(Doubt::Mismatch);
        }
        let code = result.get(fields::APPROVAL);
        Ok(approved(op, result.get(fields::TRANSACTION), code))
    };
    read(reply).unwrap_or_else(Outcome::Unknown)
}

/// What the answer to an `Add/cardinfo` says. Total.
fn stored(op: &Intent, account: &str, reply: &Reply) -> Outcome {
    let answer = match Answer::of(reply) {
        Ok(answer) => answer,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    if answer.is_stored(account) {
        return approved(op, account, "");
    }
    // Nothing was charged, whatever it was.
    match answer.result().refusal() {
        Outcome::Unknown(_) => Outcome::NotCharged(Why::Rejected),
        refusal => refusal,
    }
}

/// What a search says of the operation that was asked about. Total.
fn found(op: &Intent, about: &Parent, now_unix_s: i64, reply: &Reply) -> Outcome {
    let never = never(is_early(about, SETTLED_AFTER_S, now_unix_s));
    let read = |reply: &Reply| {
        let answer = Answer::of(reply)?;
        let result = answer.result();
        if !result.done(SEARCHED)? {
            // What is wrong with this question says nothing about the order.
            return Err(Doubt::UnlistedCode);
        }
        let Some(list) = order(result, about)? else {
            return Ok(never);
        };
        let list = Transactions::of(list)?;
        Ok(list.verdict(op, about, never))
    };
    read(reply).unwrap_or_else(Outcome::Unknown)
}

/// The transactions of the order that is asked about; `None` where there is no such order.
fn order<'a>(result: Entry<'a>, about: &Parent) -> Result<Option<&'a [Value]>, Doubt> {
    let infos = result.0["orderInfos"].as_object().ok_or(Doubt::Malformed)?;
    let orders = match infos.get("orderInfo") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(orders)) => orders.as_slice(),
        Some(_) => return Err(Doubt::Malformed),
    };
    match (orders, result.0["searchCount"].as_u64()) {
        ([], None | Some(0)) => Ok(None),
        ([order], _) => {
            let number = about.acquirer_order.to_string();
            if order[fields::ORDER_ID] != number.as_str() {
                return Err(Doubt::Mismatch);
            }
            let list = order["transactionInfos"]["transactionInfo"].as_array();
            list.map(|list| Some(list.as_slice())).ok_or(Doubt::Malformed)
        }
        _ => Err(Doubt::Malformed),
    }
}

/// What was done to an order.
#[derive(Default)]
struct Transactions<'a> {
    /// Authorised, yen, and the entry.
    authorised: Option<(u64, Entry<'a>)>,
    /// The last authorisation that was refused.
    refused: Option<Entry<'a>>,
    captured: Option<(u64, Entry<'a>)>,
    /// Released or given back: yen together, those of the last entry, and that.
    cancelled: Option<(u64, u64, Entry<'a>)>,
}

impl<'a> Transactions<'a> {
    fn of(list: &'a [Value]) -> Result<Self, Doubt> {
        let mut all = Self::default();
        for entry in list.iter().map(Entry) {
            let done = entry.done(DONE)?;
            let amount = entry.amount(fields::AMOUNT)?;
            let known = || amount.ok_or(Doubt::Malformed);
            match (entry.get(fields::COMMAND), done) {
                ("Authorize", true) if all.authorised.is_none() => {
                    all.authorised = Some((known()?, entry));
                }
                ("Authorize", false) => all.refused = Some(entry),
                ("Capture", true) if all.captured.is_none() => {
                    all.captured = Some((known()?, entry));
                }
                ("Cancel", true) => {
                    // Without an amount it was all.
                    let back = amount.unwrap_or(u64::MAX);
                    let before = all.cancelled.map_or(0, |c| c.0);
                    all.cancelled = Some((before.saturating_add(back), back, entry));
                }
                ("Capture" | "Cancel", false) => {}
                _ => return Err(Doubt::Mismatch),
            }
        }
        Ok(all)
    }

    fn verdict(&self, op: &Intent, about: &Parent, never: Outcome) -> Outcome {
        let yes = |entry: Entry<'_>| {
            let code = entry.proper().get(fields::APPROVAL);
            approved(op, entry.get(fields::TRANSACTION_ID), code)
        };
        let wanted = about.amount.minor();
        match (about.kind, self.authorised) {
            (OperationKind::Charge | OperationKind::Authorise, Some((amount, entry))) => {
                let given_back = self.cancelled.is_some_and(|c| c.0 >= amount);
                let only_reserved = about.kind == OperationKind::Charge
                    && self.captured.is_none()
                    && entry.proper().get(fields::ASKED_WITH_CAPTURE) == "false";
                match (amount == wanted && !only_reserved, given_back) {
                    (false, _) => Outcome::Unknown(Doubt::Mismatch),
                    (true, true) => Outcome::NotCharged(Why::Reversed),
                    (true, false) => yes(entry),
                }
            }
            (OperationKind::Charge | OperationKind::Authorise, None) => match self.refused {
                Some(entry) if self.captured.is_none() && self.cancelled.is_none() => {
                    entry.refusal()
                }
                _ => Outcome::Unknown(Doubt::Mismatch),
            },
            (OperationKind::Capture, _) => match self.captured {
                Some((amount, entry)) if amount == wanted => yes(entry),
                Some(_) => Outcome::Unknown(Doubt::Mismatch),
                None => never,
            },
            (OperationKind::Void | OperationKind::Refund, Some((amount, _))) => {
                let held = self.captured.map_or(amount, |c| c.0);
                match self.cancelled {
                    // All of it is back, and as much as was asked for, at once or together.
                    Some((back, last, entry))
                        if back >= held
                            && (about.kind == OperationKind::Void
                                || last == wanted
                                || wanted >= held) =>
                    {
                        yes(entry)
                    }
                    // A part: by this refund, or by another one; or all where a part was asked for. A person compares.
                    Some(_) => Outcome::Unknown(Doubt::Mismatch),
                    None => never,
                }
            }
            _ => Outcome::Unknown(Doubt::Mismatch),
        }
    }
}

#[cfg(test)]
mod tests;
