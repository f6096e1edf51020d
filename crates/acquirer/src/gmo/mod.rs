//! GMO-PG PGマルチペイメントサービス (protocol type), and SMBC GMO PAYMENT, which is the same on other hosts.
//!
//! Two requests a payment: `EntryTran` opens an order and moves nothing, `ExecTran` takes the card. There is no idempotency key; the
//! order number is unique in a shop for ever. Whatever becomes of an answer, `SearchTrade` finds the order by its number, and with it
//! what later operations need. Nothing is ever sent twice.

mod codes;
mod fields;

use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerRef, CardToken, Doubt, Intent, OperationKind, Outcome, Parent, Plan, Reason,
    Why, plant,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::{ExposeSecret, SecretString};

use crate::connector::{SETTLED_AFTER_S, is_early, never};
use crate::codes::{Class, soft};
use crate::form::Form;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hosts, Mode, Plans, Progress, Reply,
    Request, Setting, SettingError, Settings, Step, digest, japan, text, Sandbox, TestCard};

/// Room for a request, bytes: the longest has under 600.
const REQUEST_MAX: usize = 1_024;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "gmo",
    title: "GMO-PG PGマルチペイメントサービス",
    capabilities: Capabilities {
        charge: true,
        authorise_without_capture: true,
        capture: true,
        change: true,
        void: true,
        refund: true,
        partial_refund: true,
        query: true,
        tokenise: true,
        verify: true,
        plans: Plans {
            instalments: true,
            bonus_lump_sum: true,
            bonus_instalments: true,
            revolving: true,
            counts: fields::PAY_TIMES_OF,
        },
        yen_only: true,
        amount_max: fields::AMOUNT_MAX,
        authorisation_days: Some(60),
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://pt01.mul-pay.jp/payment",
        live: Some("https://p01.mul-pay.jp/payment"),
        others: &[
            // SMBC GMO PAYMENT.
            ("pt01.smbc-gp.co.jp", Mode::Test),
            ("p01.smbc-gp.co.jp", Mode::Live),
        ],
    }),
    basic: false,
    raw_pan: true,
    settings: &[
        Setting::text("shop_id", 13, "the shop's id (ショップID), 13 characters"),
        Setting::secret("shop_pass", 10, "the shop's password (ショップパスワード)"),
        Setting::text("site_id", 13, "the site's id (サイトID), for stored cards").optional(),
        Setting::secret(
            "site_pass",
            20,
            "the site's password (サイトパスワード), for stored cards",
        )
        .optional(),
    ],
    sandbox: Sandbox {
        approved: Some(TestCard::new("4111111111111111", "123")),
        declined: Some(TestCard::new("4999000000000002", "123")),
        knows_doubles: true,
    },
    make: |settings| Ok(Box::new(Gmo::new(settings)?)),
};

/// The same without a site, in which alone cards are stored.
static WITHOUT_SITE: About = About {
    capabilities: Capabilities {
        tokenise: false,
        ..ABOUT.capabilities
    },
    ..ABOUT
};

/// The connector.
pub struct Gmo {
    shop_id: String,
    shop_pass: SecretString,
    site: Option<(String, SecretString)>,
}

impl Gmo {
    fn new(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            shop_id: settings.text("shop_id"),
            shop_pass: settings.secret("shop_pass"),
            site: settings.pair(
                ("site_id", "the site that belongs to site_pass"),
                ("site_pass", "the password that belongs to site_id"),
            )?,
        })
    }

    fn request(
        &self,
        path: &str,
        fields: impl FnOnce(&mut Form<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        fields(&mut Form::begin(&mut body))?;
        Ok(Request::post(path, "application/x-www-form-urlencoded;charset=Windows-31J", body))
    }

    fn shop(&self, form: &mut Form<'_>) -> Result<(), Full> {
        form.text(fields::SHOP_ID, &self.shop_id)?;
        form.text(fields::SHOP_PASS, self.shop_pass.expose_secret())
    }

    /// A member of the site; there is one where this is asked.
    fn member(&self, form: &mut Form<'_>, member: &str) -> Result<(), Full> {
        if let Some((id, pass)) = &self.site {
            form.text(fields::SITE_ID, id)?;
            form.text(fields::SITE_PASS, pass.expose_secret())?;
        }
        form.text(fields::MEMBER_ID, member)
    }

    /// Member and sequence of a stored card. Looked at before anything is sent.
    fn stored<'a>(&self, token: &'a CardToken) -> Result<(&'a str, &'a str), BuildError> {
        let parts = token.as_str().split_once(':');
        let whole = parts.filter(|(member, sequence)| !member.is_empty() && !sequence.is_empty());
        whole.filter(|_| self.site.is_some()).ok_or(BuildError::Field {
            field: fields::MEMBER_ID,
        })
    }

    fn entry(&self, op: &Intent, job: &str) -> Result<Request, BuildError> {
        self.request(fields::ENTRY, |form| {
            self.shop(form)?;
            form.text(fields::ORDER_ID, &op.acquirer_order.to_string())?;
            form.text(fields::JOB, job)?;
            if job == "CHECK" {
                return Ok(());
            }
            form.text(fields::AMOUNT, &op.amount.minor().to_string())
        })
    }

    fn execute(&self, asked: &Asked<'_>, access: &Access) -> Result<Request, BuildError> {
        let op = asked.op.get();
        let (card, stored) = match &op.token {
            Some(token) => (None, Some(self.stored(token)?)),
            None => (Some(asked.card()?), None),
        };
        self.request(fields::EXECUTE, |form| {
            access.write(form)?;
            form.text(fields::ORDER_ID, &op.acquirer_order.to_string())?;
            if op.kind != OperationKind::Verify {
                let (method, times) = method(op.plan);
                form.text(fields::METHOD, method)?;
                if let Some(times) = times {
                    form.text(fields::PAY_TIMES, &times.to_string())?;
                }
            }
            if let Some((member, sequence)) = stored {
                self.member(form, member)?;
                form.text(fields::SEQUENCE_MODE, "1")?;
                form.text(fields::CARD_SEQUENCE, sequence)?;
            }
            if let Some(card) = card {
                number(form, card)?;
                if let Some(code) = &card.code {
                    code.expose(|digits| form.bytes(fields::SECURITY_CODE, digits))?;
                }
            }
            form.text(fields::DEVICE, "0")
        })
    }

    fn search(&self, op: &Intent) -> Result<Request, BuildError> {
        self.request(fields::SEARCH, |form| {
            self.shop(form)?;
            form.text(fields::ORDER_ID, &op.acquirer_order.to_string())
        })
    }

    /// Opens an order; then takes the card.
    fn pay(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let job = match op.kind {
            OperationKind::Authorise => "AUTH",
            OperationKind::Verify => "CHECK",
            _ => "CAPTURE",
        };
        match (progress.stage, last) {
            (0, None) => {
                japan::fits(op, fields::AMOUNT, fields::AMOUNT_MAX)?;
                if !ABOUT.capabilities.plans.has(op.plan) {
                    return Err(BuildError::Plan { plan: op.plan });
                }
                op.token.as_ref().map(|t| self.stored(t)).transpose()?;
                Ok(Step::open(self.entry(op, job)?, 1))
            }
            (1, Some(reply)) => match Answer::of(reply).map_err(Outcome::Unknown) {
                // Nothing moves before the execution: whatever was answered, nothing was charged.
                Ok(answer) => match (answer.errors(), Access::of(&answer)) {
                    (None, Some(access)) => {
                        let request = self.execute(asked, &access)?;
                        let reference = access.reference();
                        Ok(match op.kind {
                            OperationKind::Verify => Step::ask(request, 2, reference),
                            _ => Step::send(request, 2, reference),
                        })
                    }
                    (errors, _) => Ok(Step::Done(Outcome::NotCharged(
                        match errors.map(|e| e.class()) {
                            Some(Class::Busy) => Why::Busy,
                            _ => Why::Rejected,
                        },
                    ))),
                },
                Err(_) => Ok(Step::Done(Outcome::NotCharged(Why::Busy))),
            },
            (2, Some(reply)) => Ok(Step::Done(self.executed(op, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// What the answer to an execution says. Total.
    fn executed(&self, op: &Intent, reply: &Reply) -> Outcome {
        let answer = match Answer::of(reply) {
            Ok(answer) => answer,
            Err(doubt) => return Outcome::Unknown(doubt),
        };
        if let Some(errors) = answer.errors() {
            return errors.outcome();
        }
        match answer.get(fields::ACS) {
            Some("0") => {}
            // A page of 3-D Secure: nobody can open it on the telephone, and nothing is taken before.
            Some("1" | "2") => return soft(Reason::AuthenticationRequired).outcome("ACS"),
            _ => return Outcome::Unknown(Doubt::Malformed),
        }
        let order = op.acquirer_order.to_string();
        let other = answer.get(fields::ORDER_ID) != Some(order.as_str());
        if other && !plant::is("another-order-taken-for-ours") || !self.is_signed(&answer) {
            return Outcome::Unknown(Doubt::Mismatch);
        }
        approved(op, answer.get(fields::TRANSACTION), &answer)
    }

    /// Whether `CheckString` is theirs over what the answer says.
    fn is_signed(&self, answer: &Answer) -> bool {
        let values = [
            fields::ORDER_ID,
            fields::FORWARD,
            fields::METHOD,
            fields::PAY_TIMES,
            fields::APPROVE,
            fields::TRANSACTION,
            fields::TRANSACTION_DATE,
        ]
        .map(|name| answer.get(name).unwrap_or_default().as_bytes());
        let mut parts = values.to_vec();
        parts.push(self.shop_pass.expose_secret().as_bytes());
        answer
            .get(fields::CHECK_STRING)
            .is_some_and(|given| given.eq_ignore_ascii_case(&digest::md5(&parts)))
    }

    /// Finds the order, and looks at how it stands; then alters it. A void that comes too late is tried as a return, and that as one of another month: each of them is
    /// refused by GMO where another is right.
    fn alter(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        const GIVE_BACK: [&str; 3] = ["VOID", "RETURN", "RETURNX"];
        let op = asked.op.get();
        let parent = asked.parent()?;
        match (progress.stage, last) {
            (0, None) => {
                if op.kind == OperationKind::Change {
                    japan::fits(op, fields::AMOUNT, fields::AMOUNT_MAX)?;
                }
                Ok(Step::ask(self.search(op)?, 1, None))
            }
            (1, Some(reply)) => {
                let answer = match Answer::of(reply) {
                    Ok(answer) => answer,
                    Err(_) => return Ok(Step::Done(Outcome::NotCharged(Why::Busy))),
                };
                if let Some(errors) = answer.errors() {
                    let busy = errors.class() == Class::Busy;
                    return Ok(Step::Done(Outcome::NotCharged(if busy {
                        Why::Busy
                    } else {
                        Why::Rejected
                    })));
                }
                let held: Option<u64> = answer.get(fields::AMOUNT).and_then(|a| a.parse().ok());
                let standing = Standing::of(&answer);
                let (Some(access), Some(held), Some(standing)) =
                    (Access::of(&answer), held, standing)
                else {
                    return Ok(Step::Done(Outcome::NotCharged(Why::Rejected)));
                };
                let wanted = op.amount.minor();
                let left = held.checked_sub(wanted);
                let note = match op.kind {
                    OperationKind::Refund => left,
                    OperationKind::Change => Some(wanted),
                    _ => None,
                };
                let access = Access {
                    note: note.map(|left| Change { held, left }),
                    ..access
                };
                let refused = Ok(Step::Done(Outcome::NotCharged(Why::Rejected)));
                match (op.kind, standing, left) {
                    _ if parent.amount.currency() != op.amount.currency() => refused,
                    (OperationKind::Capture, Standing::Reserved, Some(0)) => {
                        self.altered(&access, "SALES", Some(held), 2)
                    }
                    // What is left after a part is given back; GMO cancels and sells anew, which it calls a change of the amount. Of what is only
                    // reserved it would be the sale of the rest.
                    (OperationKind::Refund, Standing::Taken, Some(left)) if left > 0 => {
                        self.changed(&access, "CAPTURE", left)
                    }
                    (OperationKind::Change, Standing::Reserved, left) if left != Some(0) => {
                        self.changed(&access, "AUTH", wanted)
                    }
                    (OperationKind::Refund, Standing::Taken, Some(_)) => {
                        self.altered(&access, "VOID", None, 3)
                    }
                    // What was reserved alone, and has been sold since by somebody, is not given back by its release.
                    (OperationKind::Void, Standing::Reserved, _) => {
                        self.altered(&access, "VOID", None, 3)
                    }
                    (OperationKind::Void, Standing::Taken, _)
                        if parent.kind == OperationKind::Charge =>
                    {
                        self.altered(&access, "VOID", None, 3)
                    }
                    // Somebody has done it in GMO's screens.
                    (OperationKind::Capture, Standing::Taken, Some(0))
                    | (OperationKind::Change, Standing::Reserved, Some(0))
                    | (OperationKind::Void, Standing::GivenBack, _) => {
                        let reference = answer.get(fields::TRANSACTION);
                        Ok(Step::Done(approved(op, reference, &answer)))
                    }
                    _ => refused,
                }
            }
            (2, Some(reply)) => Ok(Step::Done(altered(op, progress.reference.as_ref(), reply))),
            // 3: a void, 4: a return, 5: a return of another month.
            (stage @ 3..=5, Some(reply)) => {
                let next = GIVE_BACK.get(usize::from(stage) - 2);
                let too_late = Answer::of(reply)
                    .is_ok_and(|answer| answer.errors().is_some_and(|e| e.is(codes::IMPOSSIBLE)));
                match (next, progress.reference.as_ref().and_then(Access::from)) {
                    (Some(job), Some(access)) if too_late => {
                        self.altered(&access, job, None, stage + 1)
                    }
                    _ => Ok(Step::Done(altered(op, progress.reference.as_ref(), reply))),
                }
            }
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Another amount: GMO cancels, and authorises or sells anew, in the same order.
    fn changed(&self, access: &Access, job: &str, amount: u64) -> Result<Step, BuildError> {
        let request = self.request(fields::CHANGE, |form| {
            self.shop(form)?;
            access.write(form)?;
            form.text(fields::JOB, job)?;
            form.text(fields::AMOUNT, &amount.to_string())
        })?;
        Ok(Step::send(request, 2, access.reference()))
    }

    fn altered(
        &self,
        access: &Access,
        job: &str,
        amount: Option<u64>,
        stage: u8,
    ) -> Result<Step, BuildError> {
        let request = self.request(fields::ALTER, |form| {
            self.shop(form)?;
            access.write(form)?;
            form.text(fields::JOB, job)?;
            match amount {
                Some(amount) => form.text(fields::AMOUNT, &amount.to_string()),
                None => Ok(()),
            }
        })?;
        Ok(Step::send(request, stage, access.reference()))
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
            (0, None) => Ok(Step::ask(self.search(op)?, 1, None)),
            (1, Some(reply)) => Ok(Step::Done(found(op, parent, asked.now_unix_s, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Stores a card: a member of the order's number, then his first card.
    fn tokenise(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        self.about().capabilities.require(op.kind)?;
        let member = op.acquirer_order.to_string();
        match (progress.stage, last) {
            (0, None) => {
                let request = self.request(fields::SAVE_MEMBER, |form| self.member(form, &member))?;
                Ok(Step::open(request, 1))
            }
            (1, Some(reply)) => {
                match Answer::of(reply) {
                    Err(_) => return Ok(Step::Done(Outcome::NotCharged(Why::Busy))),
                    Ok(answer) if answer.errors().is_some() => {
                        return Ok(Step::Done(Outcome::NotCharged(Why::Rejected)));
                    }
                    Ok(_) => {}
                }
                let card = asked.card()?;
                let request = self.request(fields::SAVE_CARD, |form| {
                    self.member(form, &member)?;
                    number(form, card)
                })?;
                Ok(Step::ask(request, 2, None))
            }
            (2, Some(reply)) => Ok(Step::Done(stored(op, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }
}

impl Connector for Gmo {
    fn about(&self) -> &'static About {
        match self.site {
            Some(_) => &ABOUT,
            None => &WITHOUT_SITE,
        }
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        match asked.op.get().kind {
            OperationKind::Charge | OperationKind::Authorise | OperationKind::Verify => {
                self.pay(asked, progress, last)
            }
            OperationKind::Capture
            | OperationKind::Change
            | OperationKind::Void
            | OperationKind::Refund => {
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

/// 支払方法: lump sum 1, instalments 2, bonus 3, revolving 4, bonus instalments 5; and the number of instalments.
const fn method(plan: Plan) -> (&'static str, Option<u8>) {
    let method = match plan {
        Plan::LumpSum => "1",
        Plan::Instalments(_) => "2",
        Plan::BonusLumpSum => "3",
        Plan::Revolving => "4",
        Plan::BonusInstalments(_) => "5",
    };
    (method, plan.count())
}

/// Number and expiry (`YYMM`).
fn number(form: &mut Form<'_>, card: &Card) -> Result<(), Full> {
    card.pan
        .expose(|digits| form.bytes(fields::CARD_NUMBER, digits))?;
    card.expiry
        .expose(|month, year| form.parts(fields::EXPIRY, &[year, month]))
}

/// What opens an order to later requests: 32 letters and digits each. Without the shop's password they open nothing.
struct Access {
    id: String,
    pass: String,
    /// Of a refund or a change, by which a query can tell whether it was done.
    note: Option<Change>,
}

/// What an order held, and what of it a refund is to leave, or what a change is to make of it.
#[derive(Clone, Copy)]
struct Change {
    held: u64,
    left: u64,
}

impl Access {
    fn of(answer: &Answer) -> Option<Self> {
        let field = |name| {
            let text: &str = answer.get(name)?;
            let good = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric());
            (good && !text.is_empty()).then(|| text.to_owned())
        };
        Some(Self {
            id: field(fields::ACCESS_ID)?,
            pass: field(fields::ACCESS_PASS)?,
            note: None,
        })
    }

    /// Reads [`Self::reference`].
    fn from(reference: &AcquirerRef) -> Option<Self> {
        let mut parts = reference.as_str().split(':');
        let (id, pass) = (parts.next()?, parts.next()?);
        let mut number = || parts.next()?.parse().ok();
        let note = number().zip(number());
        Some(Self {
            id: id.to_owned(),
            pass: pass.to_owned(),
            note: note.map(|(held, left)| Change { held, left }),
        })
    }

    /// For the journal, between two requests of one operation.
    fn reference(&self) -> Option<AcquirerRef> {
        let note = self.note.map_or_else(String::new, |change| {
            format!(":{}:{}", change.held, change.left)
        });
        AcquirerRef::new(format!("{}:{}{note}", self.id, self.pass)).ok()
    }

    fn write(&self, form: &mut Form<'_>) -> Result<(), Full> {
        form.text(fields::ACCESS_ID, &self.id)?;
        form.text(fields::ACCESS_PASS, &self.pass)
    }
}

/// One line `k=v&k=v` in Windows-31J, not percent-encoded.
struct Answer(String);

impl Answer {
    fn of(reply: &Reply) -> Result<Self, Doubt> {
        let text = japan::decode(reply.ok()?);
        let text = text.trim_end_matches(['\r', '\n']);
        // Every answer has `=`, and none is a page.
        if !text.contains('=') || text.starts_with('<') {
            return Err(Doubt::Malformed);
        }
        Ok(Self(text.to_owned()))
    }

    /// The first value of that name.
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Its errors; `None` when it names none.
    fn errors(&self) -> Option<Errors<'_>> {
        let class = self.get(fields::ERROR_CLASS);
        let errors = self.get(fields::ERROR);
        (class.is_some() || errors.is_some()).then(|| Errors(errors.unwrap_or_default()))
    }
}

/// `ErrInfo`: codes with `|` between them.
#[derive(Clone, Copy)]
struct Errors<'a>(&'a str);

impl<'a> Errors<'a> {
    /// The one that weighs most: a doubt more than a refusal of the card, that more than one of our request.
    fn worst(self) -> (Class, &'a str) {
        let rows = self.0.split('|').map(|code| (codes::class(code), code));
        rows.max_by_key(|(class, _)| match class {
            Class::Unknown => 3,
            Class::Declined { .. } => 2,
            Class::Rejected => 1,
            Class::Busy => 0,
        })
        .unwrap_or((Class::Unknown, ""))
    }

    fn class(self) -> Class {
        self.worst().0
    }

    fn outcome(self) -> Outcome {
        let (class, code) = self.worst();
        class.outcome(code)
    }

    fn is(self, code: &str) -> bool {
        self.0.split('|').any(|one| one == code)
    }
}

/// An approval by `reference`; a doubt where that can't be kept.
fn approved(op: &Intent, reference: Option<&str>, answer: &Answer) -> Outcome {
    let Some(reference) = reference else {
        return Outcome::Unknown(Doubt::Malformed);
    };
    let code = answer.get(fields::APPROVE);
    // A `TranID` is 28 digits from the time on: some would look like the card's by chance, one of a thousand.
    if reference.len() == 28 && reference.bytes().all(|b| b.is_ascii_digit()) {
        text::approved_by(reference, code, op.card)
    } else {
        text::approved(reference, code, op.card)
    }
}

/// What the answer to an `AlterTran` or `ChangeTran` of what this opens says. Total.
fn altered(op: &Intent, access: Option<&AcquirerRef>, reply: &Reply) -> Outcome {
    let answer = match Answer::of(reply) {
        Ok(answer) => answer,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    match answer.errors() {
        Some(errors) => errors.outcome(),
        // It names no order, but what opens it.
        None if is_other(access, answer.get(fields::ACCESS_ID)) => {
            Outcome::Unknown(Doubt::Mismatch)
        }
        None => approved(op, answer.get(fields::TRANSACTION), &answer),
    }
}

fn is_other(asked: Option<&AcquirerRef>, told: Option<&str>) -> bool {
    let asked = asked.and_then(Access::from);
    asked.is_some_and(|asked| told.is_some_and(|told| told != asked.id))
}

/// What the answer to a `SaveCard` says. Total.
fn stored(op: &Intent, reply: &Reply) -> Outcome {
    let answer = match Answer::of(reply) {
        Ok(answer) => answer,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    if let Some(errors) = answer.errors() {
        return errors.outcome();
    }
    let sequence = answer.get(fields::CARD_SEQUENCE);
    let token = sequence.map(|sequence| format!("{}:{sequence}", op.acquirer_order));
    approved(op, token.as_deref(), &answer)
}

/// What a search says of the operation that was asked about. Total.
fn found(op: &Intent, about: &Parent, now_unix_s: i64, reply: &Reply) -> Outcome {
    let answer = match Answer::of(reply) {
        Ok(answer) => answer,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    let never = never(is_early(about, SETTLED_AFTER_S, now_unix_s));
    if let Some(errors) = answer.errors() {
        let none = codes::NO_SUCH_ORDER.iter().any(|code| errors.is(code));
        // What is wrong with this question says nothing about the order.
        return if none {
            never
        } else {
            Outcome::Unknown(Doubt::UnlistedCode)
        };
    }
    let order = about.acquirer_order.to_string();
    if answer.get(fields::ORDER_ID) != Some(order.as_str()) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    let amount: Option<u64> = answer.get(fields::AMOUNT).and_then(|a| a.parse().ok());
    let same = amount == Some(about.amount.minor());
    let access = about.acquirer_ref.as_ref().and_then(Access::from);
    let change = access.and_then(|access| access.note);
    let yes = || approved(op, answer.get(fields::TRANSACTION), &answer);
    match answer.get(fields::STATUS) {
        Some("UNPROCESSED") => return never,
        Some("AUTHENTICATED") => return Outcome::Unknown(Doubt::Pending),
        Some("CHECK") if about.kind == OperationKind::Verify => return yes(),
        _ => {}
    }
    let Some(standing) = Standing::of(&answer) else {
        return Outcome::Unknown(Doubt::Malformed);
    };
    if about.kind == OperationKind::Change {
        return match (standing, change, amount) {
            // It had not been sent.
            (Standing::Reserved, None, Some(_)) => never,
            (Standing::Reserved, Some(change), Some(amount)) if amount == change.left => yes(),
            (Standing::Reserved, Some(change), Some(amount)) if amount == change.held => never,
            _ => Outcome::Unknown(Doubt::Mismatch),
        };
    }
    // What a refund was to leave was written down before it was sent.
    if let (OperationKind::Refund, Some(change)) = (about.kind, change) {
        return match (standing, amount) {
            (Standing::Taken, Some(amount)) if amount == change.left => yes(),
            (Standing::Taken, Some(amount)) if amount == change.held => never,
            (Standing::GivenBack, Some(amount)) if change.left == 0 && amount == change.held => {
                yes()
            }
            _ => Outcome::Unknown(Doubt::Mismatch),
        };
    }
    match (about.kind, standing) {
        (OperationKind::Charge | OperationKind::Authorise, Standing::GivenBack) => {
            Outcome::NotCharged(Why::Reversed)
        }
        (OperationKind::Authorise, Standing::Reserved | Standing::Taken)
        | (OperationKind::Charge | OperationKind::Capture, Standing::Taken)
        | (OperationKind::Refund, Standing::GivenBack)
            if same =>
        {
            yes()
        }
        (OperationKind::Void, Standing::GivenBack) => yes(),
        (OperationKind::Capture, Standing::Reserved)
        | (OperationKind::Void, Standing::Reserved | Standing::Taken) => never,
        // A charge that is only reserved, or another amount: by a refund of a part, this one or another. A person compares.
        _ => Outcome::Unknown(Doubt::Mismatch),
    }
}

/// How an order stands, whatever the requests were that brought it there.
#[derive(Clone, Copy)]
enum Standing {
    Reserved,
    Taken,
    GivenBack,
}

impl Standing {
    /// `None` of an order by which nothing was reserved or taken.
    fn of(answer: &Answer) -> Option<Self> {
        match answer.get(fields::STATUS)? {
            "AUTH" | "SAUTH" => Some(Self::Reserved),
            "CAPTURE" | "SALES" => Some(Self::Taken),
            "VOID" | "RETURN" | "RETURNX" => Some(Self::GivenBack),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
