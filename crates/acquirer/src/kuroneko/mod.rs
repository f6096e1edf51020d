//! Yamato クロネコwebコレクト, API type: forms of UTF-8, answers in XML.
//!
//! Yamato takes the money when a shipment is entered: a charge is an authorisation (A01) and the entry of a shipment by somebody else (E01),
//! a capture is that entry alone. There is no idempotency key; the order number is unique in a shop. Whatever becomes of an answer, the trade
//! information (E04) finds the order by its number, and later operations name it by that. Nothing is ever sent twice.

mod codes;
mod fields;

use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerRef, Approval, Brand, CardToken, Currency, Doubt, IdempotencyKey, Intent, OperationKind,
    Outcome, Parent, Plan, Reason, Why,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::{ExposeSecret, SecretString};

use crate::connector::{SETTLED_AFTER_S, half_done, is_early, never};
use crate::codes::soft;
use crate::form::Form;
use crate::xml::Element;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hosts, Mode, Plans, Progress, Reply,
    Request, Setting, Settings, Step, digest, japan, Sandbox};
use fields::Function;

/// Room for a request, bytes: each of the merchant's texts may be three times as long when it is encoded.
const REQUEST_MAX: usize = 2_048;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "kuroneko",
    title: "Yamato クロネコwebコレクト",
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
        plans: Plans {
            instalments: true,
            revolving: true,
            ..Plans::LUMP_SUM
        },
        yen_only: true,
        brands: BRANDS,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://ptwebcollect.jp/test_gateway",
        live: Some("https://api.kuronekoyamato.co.jp/api"),
        others: &[],
    }),
    basic: false,
    raw_pan: true,
    settings: &[
        Setting::text("trader_code", 20, "the shop's code (加盟店コード)"),
        Setting::text(
            "goods_name",
            300,
            "what is sold, as Yamato's screens show it (商品名), at most 300 bytes",
        ),
        Setting::text(
            "buyer_name",
            60,
            "the name that is told as the buyer's (購入者名), at most 60 bytes",
        ),
        Setting::text(
            "buyer_tel",
            13,
            "the telephone number that is told as the buyer's, 8 to 13 digits and -",
        )
        .checked(|tel| tel.len() >= 8 && tel.bytes().all(|b| b.is_ascii_digit() || b == b'-')),
        Setting::text(
            "buyer_email",
            64,
            "the mail address that is told as the buyer's; Yamato may write to it",
        )
        .checked(|mail| {
            let parts = mail.split_once('@');
            parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        }),
        Setting::secret(
            "access_key",
            64,
            "the shop's access key (アクセスキー), for stored cards",
        )
        .optional(),
    ],
    sandbox: Sandbox::NO_CARDS,
    make: |settings| Ok(Box::new(Kuroneko::new(settings))),
};

/// The same without an access key, by which alone cards are stored.
static WITHOUT_KEY: About = About {
    capabilities: Capabilities {
        tokenise: false,
        ..ABOUT.capabilities
    },
    ..ABOUT
};

// What has been asked: 1 the authorisation, 2 the shipment behind it, 3 a release because that was refused; 4 the stored cards; 5 and 6 the
// authorisation of one yen by which a card is stored, and its release; 7 the trade information, 8 what follows from it.
const AUTHORISED: u8 = 1;
const SHIPPED: u8 = 2;
const RELEASED: u8 = 3;
const LOOKED_UP: u8 = 4;
const LEFT: u8 = 5;
const LEFT_RELEASED: u8 = 6;
const ASKED: u8 = 7;
const ALTERED: u8 = 8;

/// The connector.
pub struct Kuroneko {
    trader: String,
    goods: String,
    buyer: [String; 3],
    access_key: SecretString,
    suffix: &'static str,
}

/// What an authorisation is made with.
enum With<'a> {
    /// The caller's card, and the code of its company.
    Card(&'static str, &'a Card),
    /// The same, to be kept for this member.
    Kept(&'static str, &'a Card, &'a Member<'a>),
    /// A member's card.
    Stored(&'a Member<'a>, Stored),
}

impl Kuroneko {
    fn new(settings: &Settings) -> Self {
        let buyer = ["buyer_name", "buyer_tel", "buyer_email"].map(|name| settings.text(name));
        Self {
            trader: settings.text("trader_code"),
            goods: settings.text("goods_name"),
            buyer,
            access_key: settings.secret("access_key"),
            suffix: match settings.mode {
                Mode::Test => ".api",
                Mode::Live => "",
            },
        }
    }

    fn request(
        &self,
        function: Function,
        fields: impl FnOnce(&mut Form<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut form = Form::begin(&mut body);
        form.text(fields::FUNCTION, function.1)?;
        form.text(fields::TRADER, &self.trader)?;
        fields(&mut form)?;
        Ok(Request::post(format!("{}{}", function.0, self.suffix), "application/x-www-form-urlencoded;charset=UTF-8", body))
    }

    /// A request that names an order and nothing else.
    fn about(&self, function: Function, order: &str) -> Result<Request, BuildError> {
        self.request(function, |form| form.text(fields::ORDER_NO, order))
    }

    /// Enters a shipment by somebody else than Yamato, which takes the money.
    fn ship(&self, order: &str) -> Result<Request, BuildError> {
        self.request(fields::SHIP, |form| {
            form.text(fields::ORDER_NO, order)?;
            form.text(fields::SLIP_NO, order)?;
            form.text(fields::DELIVERY, "99")
        })
    }

    fn credit(&self, op: &Intent, yen: u64, with: &With<'_>) -> Result<Request, BuildError> {
        let pay_way = pay_way(op.plan)?;
        let (card, member, company) = match with {
            With::Card(company, card) => (Some(*card), None, *company),
            With::Kept(company, card, member) => (Some(*card), Some(*member), *company),
            With::Stored(member, stored) => (None, Some(*member), stored.company.as_str()),
        };
        let code = card.and_then(|card| card.code.as_ref());
        self.request(fields::CREDIT, |form| {
            form.text(fields::DEVICE, "3")?;
            form.text(fields::ORDER_NO, &op.acquirer_order.to_string())?;
            form.text(fields::PRICE, &yen.to_string())?;
            form.text(fields::GOODS, &self.goods)?;
            let names = [fields::BUYER_NAME, fields::BUYER_TEL, fields::BUYER_EMAIL];
            for (name, value) in names.into_iter().zip(&self.buyer) {
                form.text(name, value)?;
            }
            form.text(fields::AUTH, if code.is_some() { "2" } else { "0" })?;
            form.text(fields::PAY_WAY, &pay_way)?;
            form.text(fields::OPTION, if member.is_some() { "01" } else { "00" })?;
            form.text(fields::COMPANY, company)?;
            if let Some(card) = card {
                card.pan
                    .expose(|digits| form.bytes(fields::CARD_NUMBER, digits))?;
                form.text(fields::OWNER, "TEL")?;
                card.expiry
                    .expose(|month, year| form.parts(fields::EXPIRY, &[month, year]))?;
            }
            if let Some(code) = code {
                code.expose(|digits| form.bytes(fields::SECURITY_CODE, digits))?;
            }
            if let Some(member) = member {
                member.write(form, &self.access_key)?;
            }
            match with {
                With::Stored(_, stored) => {
                    form.text(fields::CARD_KEY, &stored.key)?;
                    form.text(fields::LAST_USED, &stored.last_used)
                }
                _ => Ok(()),
            }
        })
    }

    fn changed(&self, order: &str, price: u64) -> Result<Request, BuildError> {
        self.request(fields::CHANGE, |form| {
            form.text(fields::ORDER_NO, order)?;
            form.text(fields::NEW_PRICE, &price.to_string())
        })
    }

    /// Reserves; of a charge, enters the shipment behind it.
    fn pay(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let yen = op.amount.minor();
        let order = op.acquirer_order.to_string();
        match (progress.stage, last) {
            (0, None) => {
                japan::fits(op, fields::PRICE, u64::MAX)?;
                let Some(token) = &op.token else {
                    let Some(company) = company(op.card.brand) else {
                        return Ok(not_taken());
                    };
                    let request = self.credit(op, yen, &With::Card(company, asked.card()?))?;
                    return Ok(Step::send(request, AUTHORISED, None));
                };
                let member = self.member(token)?;
                let request = self.request(fields::STORED, |form| {
                    member.write(form, &self.access_key)
                })?;
                Ok(Step::ask(request, LOOKED_UP, None))
            }
            (LOOKED_UP, Some(reply)) => {
                let token = op.token.as_ref();
                let token = token.ok_or(BuildError::Stage { stage: LOOKED_UP })?;
                let member = self.member(token)?;
                // Nothing has moved yet: whatever was answered, nothing was charged.
                let stored = match Answer::of(reply) {
                    Ok(answer) => answer.stored(),
                    Err(_) => return Ok(Step::Done(Outcome::NotCharged(Why::Busy))),
                };
                let Some(stored) = stored else {
                    return Ok(Step::Done(Outcome::NotCharged(Why::Rejected)));
                };
                let request = self.credit(op, yen, &With::Stored(&member, stored))?;
                Ok(Step::send(request, AUTHORISED, None))
            }
            (AUTHORISED, Some(reply)) => match (authorised(op, reply), op.kind) {
                (Outcome::Approved(approval), OperationKind::Charge) => {
                    let code = approval.code.and_then(|code| AcquirerRef::new(code).ok());
                    Ok(Step::send(self.ship(&order)?, SHIPPED, code))
                }
                (outcome, _) => Ok(Step::Done(outcome)),
            },
            (SHIPPED, Some(reply)) => match answered(reply) {
                Ok(()) => {
                    let code = progress.reference.as_ref().map(AcquirerRef::as_str);
                    Ok(Step::Done(approved(&order, code)))
                }
                // Clearly refused: what is reserved is of no use any more.
                Err(Outcome::Declined(_) | Outcome::NotCharged(_)) => {
                    let request = self.about(fields::CANCEL, &order)?;
                    Ok(Step::send(request, RELEASED, progress.reference.clone()))
                }
                Err(outcome) => Ok(Step::Done(outcome)),
            },
            (RELEASED, Some(reply)) => Ok(Step::Done(match answered(reply) {
                Ok(()) => Outcome::NotCharged(Why::Reversed),
                // It is reserved, and neither taken nor released.
                Err(Outcome::Unknown(doubt)) => Outcome::Unknown(doubt),
                Err(_) => Outcome::Unknown(Doubt::UnlistedCode),
            })),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Finds the order; then captures it, or gives back. What was there before stands in the progress, by which a query can tell whether it
    /// was done.
    fn alter(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let parent = asked.parent()?;
        let order = parent.acquirer_order.to_string();
        match (progress.stage, last) {
            (0, None) => {
                let request = self.about(fields::INFO, &order)?;
                Ok(Step::ask(request, ASKED, None))
            }
            (ASKED, Some(reply)) => {
                let refused = |why| Ok(Step::Done(Outcome::NotCharged(why)));
                let trade = match Answer::of(reply).and_then(|answer| answer.trade(&order)) {
                    Ok(Some(trade)) => trade,
                    Ok(None) => return refused(Why::Rejected),
                    Err(_) => return refused(Why::Busy),
                };
                let wanted = op.amount.minor();
                let yen = op.amount.currency() == Currency::Jpy;
                let left = trade.price.checked_sub(wanted).filter(|_| yen);
                let (request, left) = match (op.kind, trade.status, left) {
                    (OperationKind::Void, Status::Authorised | Status::Shipped, _) => {
                        (self.about(fields::CANCEL, &order)?, 0)
                    }
                    (OperationKind::Capture, Status::Authorised, Some(0)) => {
                        (self.ship(&order)?, trade.price)
                    }
                    (OperationKind::Refund, Status::Authorised | Status::Shipped, Some(0)) => {
                        (self.about(fields::CANCEL, &order)?, 0)
                    }
                    // Yamato cancels and authorises anew, which it calls a change of the amount.
                    (OperationKind::Refund, Status::Authorised | Status::Shipped, Some(left)) => {
                        (self.changed(&order, left)?, left)
                    }
                    // Somebody has done it in Yamato's screens.
                    (OperationKind::Change, Status::Authorised, Some(0)) => {
                        return Ok(Step::Done(approved(&order, trade.approval.as_deref())));
                    }
                    (OperationKind::Change, Status::Authorised, _) if yen => {
                        (self.changed(&order, wanted)?, wanted)
                    }
                    _ => return refused(Why::Rejected),
                };
                let price = trade.price;
                let reference = Change { price, left }.reference();
                Ok(Step::send(request, ALTERED, reference))
            }
            (ALTERED, Some(reply)) => Ok(Step::Done(match answered(reply) {
                Ok(()) => approved(&order, None),
                Err(outcome) => outcome,
            })),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    fn query(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let parent = asked.parent()?;
        match (progress.stage, last) {
            (0, None) => {
                let order = parent.acquirer_order.to_string();
                let request = self.about(fields::INFO, &order)?;
                Ok(Step::ask(request, ASKED, None))
            }
            (ASKED, Some(reply)) => Ok(Step::Done(found(parent, asked.now_unix_s, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Stores a card, for which Yamato has no function of its own: its plug-ins authorise one yen with the member's name and release it.
    fn tokenise(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let order = op.acquirer_order.to_string();
        let (id, key) = (japan::member(op.acquirer_order), key_of(op.idempotency_key));
        let member = Member { id: &id, key: &key };
        self.can_store()?;
        match (progress.stage, last) {
            (0, None) => {
                let Some(company) = company(op.card.brand) else {
                    return Ok(not_taken());
                };
                let card = asked.card()?;
                let op = &Intent {
                    plan: Plan::LumpSum,
                    ..op.clone()
                };
                let request = self.credit(op, 1, &With::Kept(company, card, &member))?;
                Ok(Step::send(request, LEFT, None))
            }
            (LEFT, Some(reply)) => match authorised(op, reply) {
                Outcome::Approved(_) => {
                    let request = self.about(fields::CANCEL, &order)?;
                    Ok(Step::send(request, LEFT_RELEASED, None))
                }
                outcome => Ok(Step::Done(outcome)),
            },
            (LEFT_RELEASED, Some(reply)) => Ok(Step::Done(match answered(reply) {
                Ok(()) => approved(&format!("{id}:{key}"), None),
                // One yen is reserved.
                Err(Outcome::Unknown(doubt)) => Outcome::Unknown(doubt),
                Err(_) => Outcome::Unknown(Doubt::UnlistedCode),
            })),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    fn can_store(&self) -> Result<(), BuildError> {
        let can = &Connector::about(self).capabilities;
        can.require(OperationKind::Tokenise)
    }

    fn member<'a>(&self, token: &'a CardToken) -> Result<Member<'a>, BuildError> {
        self.can_store()?;
        let (id, key) = token.as_str().split_once(':').ok_or(BuildError::Field {
            field: fields::MEMBER_ID,
        })?;
        Ok(Member { id, key })
    }
}

impl Connector for Kuroneko {
    fn about(&self) -> &'static About {
        if self.access_key.expose_secret().is_empty() {
            &WITHOUT_KEY
        } else {
            &ABOUT
        }
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        match asked.op.get().kind {
            OperationKind::Charge | OperationKind::Authorise => self.pay(asked, progress, last),
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

    fn releases(&self, _about: &Parent) -> bool {
        // The order is looked for by our number first.
        true
    }
}

/// 支払回数: 1 lump sum, 2 and more instalments, 0 revolving. There are no bonuses.
fn pay_way(plan: Plan) -> Result<String, BuildError> {
    match plan {
        Plan::LumpSum => Ok("1".to_owned()),
        Plan::Instalments(count) => Ok(count.get().to_string()),
        Plan::Revolving => Ok("0".to_owned()),
        Plan::BonusLumpSum | Plan::BonusInstalments(_) => Err(BuildError::Plan { plan }),
    }
}

/// カード会社コード (API用). Which of the companies behind Visa and Mastercard it is Yamato finds itself. `None`: it takes no such card.
const fn company(brand: Brand) -> Option<&'static str> {
    match brand {
        Brand::DinersClub => Some("2"),
        Brand::Jcb => Some("3"),
        Brand::Visa => Some("9"),
        Brand::Mastercard => Some("10"),
        Brand::Amex => Some("12"),
        _ => None,
    }
}

/// Those that have a code.
const BRANDS: &[Brand] = &[
    Brand::Amex,
    Brand::DinersClub,
    Brand::Jcb,
    Brand::Mastercard,
    Brand::Visa,
];

/// Nothing is sent for a card that Yamato has no code for.
fn not_taken() -> Step {
    Step::Done(soft(Reason::CardNotSupported).outcome(fields::COMPANY))
}

/// Whose card is stored: id and authentication key, which open nothing without the shop's access key.
struct Member<'a> {
    id: &'a str,
    key: &'a str,
}

impl Member<'_> {
    fn write(&self, form: &mut Form<'_>, access_key: &SecretString) -> Result<(), Full> {
        form.text(fields::MEMBER_ID, self.id)?;
        form.text(fields::MEMBER_KEY, self.key)?;
        form.text(fields::CHECK_SUM, &self.check_sum(access_key))
    }

    fn check_sum(&self, access_key: &SecretString) -> String {
        digest::sha256(&[self.id, self.key, access_key.expose_secret()].map(str::as_bytes))
    }
}

/// The authentication key of a new member: eight letters and digits of the operation's random part.
fn key_of(operation: IdempotencyKey) -> String {
    let key = operation.to_string();
    key.chars().skip(key.len().saturating_sub(8)).collect()
}

/// A stored card, as Yamato names it.
struct Stored {
    key: String,
    company: String,
    last_used: String,
}

/// An order's price, and what a change makes of it.
#[derive(Clone, Copy)]
struct Change {
    price: u64,
    left: u64,
}

impl Change {
    /// For the journal.
    fn reference(self) -> Option<AcquirerRef> {
        AcquirerRef::new(format!("{}-{}", self.price, self.left)).ok()
    }

    /// Reads [`Self::reference`].
    fn of(reference: &AcquirerRef) -> Option<Self> {
        let (price, left) = reference.as_str().split_once('-')?;
        let (price, left) = (price.parse().ok()?, left.parse().ok()?);
        Some(Self { price, left })
    }
}

/// `statusInfo` of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    /// 0, 1, 20, 21: it may still come to something.
    Open,
    /// 4.
    Authorised,
    /// 11: by the buyer's card.
    Refused,
    /// 12: by the shop's contract.
    Misused,
    /// 30, 31: the shipment is entered, the money is or will be the shop's.
    Shipped,
    /// 40.
    Cancelled,
    /// All else: other ways to pay, changes that were refused, troubles of Yamato's.
    Other,
}

/// What the trade information says of an order.
struct Trade {
    price: u64,
    status: Status,
    approval: Option<String>,
}

/// An answer: `<return>`, of UTF-8.
struct Answer(Element);

impl Answer {
    fn of(reply: &Reply) -> Result<Self, Doubt> {
        let text = std::str::from_utf8(reply.ok()?).map_err(|_| Doubt::Malformed)?;
        let root = Element::read(text);
        let root = root.filter(|root| root.name == fields::ROOT);
        Ok(Self(root.ok_or(Doubt::Malformed)?))
    }

    /// `Ok`: done. `Err`: what the refusal means, or that it is neither.
    fn done(&self) -> Result<(), Outcome> {
        let get = |name| self.0.text_at(name).unwrap_or_default();
        match (get(fields::RETURN_CODE), get(fields::ERROR)) {
            ("0", "") => Ok(()),
            ("1", error) => Err(codes::outcome(error, get(fields::CREDIT_ERROR))),
            _ => Err(Outcome::Unknown(Doubt::Malformed)),
        }
    }

    /// The member's only card. Of several, nobody can tell which one is meant.
    fn stored(&self) -> Option<Stored> {
        self.done().ok()?;
        let mut cards = self.0.children.iter().filter(|c| c.name == fields::CARD);
        let (Some(card), None) = (cards.next(), cards.next()) else {
            return None;
        };
        let get = |name| card.text_at(name).map(str::to_owned);
        Some(Stored {
            key: get("cardKey")?,
            company: get("cardCodeApi")?,
            last_used: get("lastCreditDate")?,
        })
    }

    /// The order of that number; `None` where there is none.
    fn trade(&self, order: &str) -> Result<Option<Trade>, Doubt> {
        if self.done().is_err() {
            // What is wrong with this question says nothing about the order.
            return Err(Doubt::UnlistedCode);
        }
        let data: Vec<_> = self.0.children.iter().filter(|c| c.name == fields::DATA).collect();
        let data = match (self.0.text_at(fields::COUNT), data.as_slice()) {
            (Some("0"), []) => return Ok(None),
            (Some("1"), [data]) => data,
            _ => return Err(Doubt::Malformed),
        };
        if data.text_at("orderNo") != Some(order) {
            return Err(Doubt::Mismatch);
        }
        let price = data.text_at("settlePrice").and_then(|p| p.parse().ok());
        let status = match data.text_at("statusInfo").ok_or(Doubt::Malformed)? {
            "0" | "1" | "20" | "21" => Status::Open,
            "4" => Status::Authorised,
            "11" => Status::Refused,
            "12" => Status::Misused,
            "30" | "31" => Status::Shipped,
            "40" => Status::Cancelled,
            _ => Status::Other,
        };
        Ok(Some(Trade {
            price: price.ok_or(Doubt::Malformed)?,
            status,
            approval: data.text_at(fields::APPROVAL).map(str::to_owned),
        }))
    }
}

/// Whether the answer to a request says that it was done, else what it means. Total.
fn answered(reply: &Reply) -> Result<(), Outcome> {
    Answer::of(reply).map_err(Outcome::Unknown)?.done()
}

/// What the answer to an authorisation says: an approval has a number. Total.
fn authorised(op: &Intent, reply: &Reply) -> Outcome {
    let answer = match Answer::of(reply) {
        Ok(answer) => answer,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    match (answer.done(), answer.0.text_at(fields::APPROVAL)) {
        (Err(outcome), _) => outcome,
        (Ok(()), Some(code)) => approved(&op.acquirer_order.to_string(), Some(code)),
        (Ok(()), None) => Outcome::Unknown(Doubt::Malformed),
    }
}

/// An approval. Yamato names an order by our number, so this is the reference.
fn approved(reference: &str, code: Option<&str>) -> Outcome {
    let Ok(acquirer_ref) = AcquirerRef::new(reference) else {
        return Outcome::Unknown(Doubt::Malformed);
    };
    // Six or seven signs; what is longer may be anything.
    let fits = |code: &&str| {
        (1..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    Outcome::Approved(Approval {
        acquirer_ref,
        code: code.filter(fits).map(str::to_owned),
        card: None,
    })
}

/// What the trade information says of the operation that was asked about. Total.
fn found(about: &Parent, now_unix_s: i64, reply: &Reply) -> Outcome {
    let early = is_early(about, SETTLED_AFTER_S, now_unix_s);
    let never = never(early);
    let order = about.acquirer_order.to_string();
    let trade = match Answer::of(reply).and_then(|answer| answer.trade(&order)) {
        Ok(Some(trade)) => trade,
        Ok(None) => return never,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    let yes = || approved(&order, trade.approval.as_deref());
    let mismatch = Outcome::Unknown(Doubt::Mismatch);
    let same = trade.price == about.amount.minor();
    let change = about.acquirer_ref.as_ref().and_then(Change::of);
    match (about.kind, trade.status) {
        (_, Status::Open) => Outcome::Unknown(Doubt::Pending),
        (OperationKind::Charge | OperationKind::Authorise, status) => match status {
            Status::Cancelled => Outcome::NotCharged(Why::Reversed),
            Status::Refused => soft(Reason::RequestRefused).outcome("statusInfo 11"),
            Status::Misused => Outcome::NotCharged(Why::Rejected),
            Status::Shipped if same => yes(),
            Status::Authorised if same && about.kind == OperationKind::Authorise => yes(),
            // A charge that is reserved and not taken: its shipment may still be on its way.
            Status::Authorised if same => half_done(early),
            _ => mismatch,
        },
        (OperationKind::Tokenise, Status::Refused) => {
            soft(Reason::RequestRefused).outcome("statusInfo 11")
        }
        // The one yen was released: the card had been left.
        (OperationKind::Tokenise, Status::Cancelled) => {
            let (id, key) = (japan::member(about.acquirer_order), key_of(about.idempotency_key));
            approved(&format!("{id}:{key}"), None)
        }
        (OperationKind::Capture, Status::Shipped) if same => yes(),
        (OperationKind::Capture, Status::Authorised) => never,
        (OperationKind::Change, Status::Authorised) => match change {
            // It had not been sent.
            None => never,
            Some(change) if trade.price == change.left => yes(),
            Some(change) if trade.price == change.price => never,
            Some(_) => mismatch,
        },
        (OperationKind::Void, Status::Cancelled) => yes(),
        // A refund of a part leaves an order that stands: one that is gone altogether was cancelled by something else.
        (OperationKind::Refund, Status::Cancelled) if change.is_some_and(|c| c.left == 0) => yes(),
        (OperationKind::Void, Status::Authorised | Status::Shipped) => never,
        (OperationKind::Refund, Status::Authorised | Status::Shipped) => match change {
            Some(change) if trade.price == change.left => yes(),
            Some(change) if trade.price == change.price => never,
            // By this refund, or by another one: a person compares.
            _ => mismatch,
        },
        _ => mismatch,
    }
}

#[cfg(test)]
mod tests;
