//! ZEUS (ゼウス), Secure API in XML.
//!
//! A payment is one request, and what the contract makes of it (即時売上) is not said in it. There is no idempotency key, and no question by a
//! number of ours: the answer to a payment holds ZEUS's order number, and without it nobody but a person at the portal can tell what
//! became of it. Later operations ask how the order stands first. Nothing is ever sent twice.

mod codes;
mod fields;

use ivrpay_payment::{
    AcquirerRef, Approval, Doubt, Intent, OperationKind, Outcome, Parent, Plan, Why,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::{ExposeSecret, SecretString};

use crate::connector::{SETTLED_AFTER_S, is_early, never};
use crate::codes::Class;
use crate::form::Form;
use crate::xml::{Element, Writer};
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hosts, Mode, Plans, Progress, Reply,
    Request, Setting, Settings, Step, japan, text, Sandbox};

/// Room for a request, bytes: the longest has under 1000. ZEUS takes 8192.
const REQUEST_MAX: usize = 2_048;
/// One host for both: which cards are tests is set in the portal.
const HOST: &str = "https://linkpt.cardservice.co.jp/cgi-bin";

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "zeus",
    title: "ゼウス Secure API",
    capabilities: Capabilities {
        charge: true,
        void: true,
        refund: true,
        partial_refund: true,
        query: true,
        plans: Plans {
            instalments: true,
            bonus_lump_sum: true,
            bonus_instalments: false,
            revolving: true,
            counts: &[2, 3, 5, 6, 10, 12, 15, 18, 20, 24],
        },
        yen_only: true,
        amount_max: fields::AMOUNT_MAX,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: HOST,
        live: Some(HOST),
        others: &[],
    }),
    basic: false,
    raw_pan: true,
    settings: &[
        Setting::text("clientip", 10, "the IP code (IPコード), 5 or 10 digits")
            .checked(|text| digits(text) && matches!(text.len(), 5 | 10)),
        Setting::text(
            "telno",
            11,
            "the telephone number that is sent for every payer, 10 or 11 digits; agree on it with ZEUS",
        )
        .checked(|text| digits(text) && matches!(text.len(), 10 | 11)),
        Setting::text(
            "email",
            50,
            "the mail address that is sent for every payer; agree on it with ZEUS",
        )
        .checked(|text| text.is_ascii() && text.contains('@') && !text.contains(' ')),
        Setting::secret("key", 40, "the authentication key (認証キー)"),
        Setting::secret("zkey", 40, "the key of order inquiries (zkey)"),
    ],
    // Cards are set in the portal; a payment that comes twice is taken twice.
    sandbox: Sandbox {
        knows_doubles: false,
        ..Sandbox::NO_CARDS
    },
    make: |settings| Ok(Box::new(Zeus::new(settings))),
};

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// The connector.
pub struct Zeus {
    live: bool,
    clientip: String,
    telno: String,
    email: String,
    key: SecretString,
    zkey: SecretString,
}

impl Zeus {
    fn new(settings: &Settings) -> Self {
        Self {
            live: settings.mode == Mode::Live,
            clientip: settings.text("clientip"),
            telno: settings.text("telno"),
            email: settings.text("email"),
            key: settings.secret("key"),
            zkey: settings.secret("zkey"),
        }
    }

    /// A document: who asks, and what `elements` writes.
    fn document(
        &self,
        path: &str,
        attributes: &[(&str, &str)],
        elements: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut xml = Writer::begin(&mut body, fields::PROLOG)?;
        xml.element(fields::REQUEST, attributes, |xml| {
            xml.element(fields::AUTHENTICATION, &[], |xml| {
                xml.text(fields::CLIENT, self.clientip.as_bytes())?;
                xml.text(fields::KEY, self.key.expose_secret().as_bytes())
            })?;
            elements(xml)
        })?;
        Ok(Request::post(path, fields::CONTENT_TYPE, body))
    }

    /// A payment by a card that is keyed, or by the one that came with `sendid` before.
    fn payment(
        &self,
        asked: &Asked<'_>,
        (sendid, sendpoint): (&str, &str),
    ) -> Result<Request, BuildError> {
        let op = asked.op.get();
        let card = match &op.token {
            Some(_) => None,
            None => Some(asked.card()?),
        };
        let count = count(op.plan)?;
        let attributes = [
            (fields::SERVICE, fields::SECURE_LINK),
            (fields::ACTION, fields::PAYMENT),
        ];
        self.document(fields::API, &attributes, |xml| {
            xml.element(fields::CARD, &[], |xml| {
                let Some(card) = card else {
                    let action = [(fields::ACTION, fields::SEND_EMAIL)];
                    return xml.element(fields::HISTORY, &action, |xml| {
                        xml.text(fields::KEY, fields::SENDID.as_bytes())
                    });
                };
                card.pan.expose(|digits| xml.text(fields::NUMBER, digits))?;
                xml.element(fields::EXPIRES, &[], |xml| {
                    card.expiry.expose(|month, year| {
                        xml.parts(fields::YEAR, &[b"20", year])?;
                        xml.text(fields::MONTH, month)
                    })
                })?;
                if let Some(code) = &card.code {
                    code.expose(|digits| xml.text(fields::SECURITY_CODE, digits))?;
                }
                xml.text(fields::NAME, fields::NO_NAME.as_bytes())
            })?;
            xml.element(fields::PAYMENT, &[], |xml| {
                xml.text(fields::AMOUNT, op.amount.minor().to_string().as_bytes())?;
                xml.text(fields::COUNT, count.as_bytes())
            })?;
            xml.element(fields::USER, &[], |xml| {
                xml.element(fields::TELNO, &[("validation", "strict")], |xml| {
                    xml.escaped(self.telno.as_bytes())
                })?;
                xml.element(fields::EMAIL, &[("language", "japanese")], |xml| {
                    xml.escaped(self.email.as_bytes())
                })
            })?;
            xml.element(fields::UNIQUE, &[], |xml| {
                xml.text(fields::SENDID, sendid.as_bytes())?;
                xml.text(fields::SENDPOINT, sendpoint.as_bytes())
            })
        })
    }

    fn give_back(&self, number: &str) -> Result<Request, BuildError> {
        let attributes = [
            (fields::SERVICE, fields::SECURE_LINK),
            (fields::ACTION, fields::PAYMENT_RETURN),
        ];
        self.document(fields::API, &attributes, |xml| {
            xml.element(fields::RETURN, &[], |xml| {
                xml.text(fields::ORDER_NUMBER, number.as_bytes())
            })
        })
    }

    /// Another amount: ZEUS cancels the order, and sells anew under another number.
    fn change(&self, number: &str, left: u64) -> Result<Request, BuildError> {
        self.document(fields::CHANGE_API, &[], |xml| {
            xml.element(fields::TRANSACTION, &[], |xml| {
                xml.text(fields::MONEY, left.to_string().as_bytes())?;
                xml.text(fields::ORDER_NUMBER, number.as_bytes())?;
                xml.text(fields::PUBSEC, b"yes")
            })
        })
    }

    fn inquire(&self, number: &str) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut form = Form::begin(&mut body);
        form.text(fields::CLIENT, &self.clientip)?;
        form.text(fields::ZKEY, self.zkey.expose_secret())?;
        form.text(fields::ORDER_NO, number)?;
        Ok(Request::post(
            fields::INQUIRY,
            "application/x-www-form-urlencoded",
            body,
        ))
    }

    fn pay(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        match (progress.stage, last) {
            (0, None) => {
                japan::fits(op, fields::AMOUNT, fields::AMOUNT_MAX)?;
                let order = op.acquirer_order.to_string();
                let sendid = op.token.as_ref().map_or(order.as_str(), |t| t.as_str());
                let good = sendid.bytes().all(|b| b.is_ascii_alphanumeric());
                if !good || sendid.len() > fields::SENDID_MAX {
                    return Err(BuildError::Field {
                        field: fields::SENDID,
                    });
                }
                Ok(Step::send(self.payment(asked, (sendid, &order))?, 1, None))
            }
            (1, Some(reply)) => Ok(Step::Done(self.paid(op, asked.now_unix_s, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// What the answer to a payment says. Total.
    fn paid(&self, op: &Intent, now_unix_s: i64, reply: &Reply) -> Outcome {
        let root = match document(reply, fields::RESPONSE) {
            Ok(root) => root,
            Err(doubt) => return Outcome::Unknown(doubt),
        };
        let status = root.text_at(fields::STATUS).unwrap_or_default();
        let code = root.text_at(fields::CODE).unwrap_or_default();
        match (status, code) {
            ("success", "" | "000") => {}
            (status, "") => return codes::class(status, "").outcome(status),
            (status, code) => return codes::class(status, code).outcome(code),
        }
        let last4 = op.card.last4().map(|digit| char::from(b'0' + digit));
        let other_card = root
            .text_at(fields::SUFFIX)
            .is_some_and(|suffix| !suffix.chars().eq(last4));
        let order = op.acquirer_order.to_string();
        let other_order = root
            .text_at(fields::RETURNED_SENDPOINT)
            .is_some_and(|sendpoint| sendpoint != order);
        if !is_about(&root, fields::PAYMENT) || other_card || other_order {
            return Outcome::Unknown(Doubt::Mismatch);
        }
        let Some(number) = root.text_at(fields::ORDER_NUMBER) else {
            return Outcome::Unknown(Doubt::Malformed);
        };
        // No money moves by a test order: for a merchant who sells, that is no payment.
        if self.live && number.starts_with(fields::TEST_ORDER) {
            return Outcome::Unknown(Doubt::Mismatch);
        }
        let Some(number) = order_number(number).filter(|n| !echoes(n, op, now_unix_s)) else {
            return Outcome::Unknown(Doubt::Malformed);
        };
        let approval = root.text_at(fields::APPROVAL).filter(|code| {
            let letters = code.bytes().all(|b| b.is_ascii_alphanumeric());
            (1..=6).contains(&code.len()) && letters
        });
        approved(&number, approval)
    }

    /// Asks how it stands; then gives it back, or changes its amount to what is left.
    fn alter(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let parent = asked.parent()?;
        let part = op.kind == OperationKind::Refund && op.amount.minor() < parent.amount.minor();
        match (progress.stage, last) {
            (0, None) => {
                japan::fits_within(op, parent, fields::AMOUNT, fields::AMOUNT_MAX)?;
                let Some(number) = known(parent.acquirer_ref.as_ref()) else {
                    return Err(BuildError::Field {
                        field: fields::ORDER_NUMBER,
                    });
                };
                let request = self.inquire(number)?;
                Ok(Step::ask(request, 1, reference(number, None)))
            }
            (1, Some(reply)) => {
                let refused = |why| Ok(Step::Done(Outcome::NotCharged(why)));
                let Ok((result, held)) = stands(reply) else {
                    return refused(Why::Busy);
                };
                let possible = match result {
                    Standing::Sold => true,
                    Standing::Reserved => op.kind == OperationKind::Void,
                    Standing::Cancelled => false,
                };
                // Another amount is another order than the one that we know: a person looks at it.
                if !possible || held != parent.amount.minor() {
                    return refused(Why::Rejected);
                }
                let Some(number) = known(progress.reference.as_ref()) else {
                    return Err(BuildError::Stage { stage: 1 });
                };
                if part {
                    let left = held.saturating_sub(op.amount.minor());
                    let request = self.change(number, left)?;
                    Ok(Step::send(request, 2, reference(number, Some(PART))))
                } else {
                    let request = self.give_back(number)?;
                    Ok(Step::send(request, 2, reference(number, Some(WHOLE))))
                }
            }
            (2, Some(reply)) => {
                let Some(number) = known(progress.reference.as_ref()) else {
                    return Err(BuildError::Stage { stage: 2 });
                };
                Ok(Step::Done(altered(
                    op,
                    asked.now_unix_s,
                    number,
                    part,
                    reply,
                )))
            }
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
        match (progress.stage, last, known(parent.acquirer_ref.as_ref())) {
            (0 | 1, _, None) => Ok(Step::Done(Outcome::Unknown(Doubt::NoReply))),
            (0, None, Some(number)) => Ok(Step::ask(self.inquire(number)?, 1, None)),
            (1, Some(reply), Some(number)) => {
                Ok(Step::Done(found(parent, number, asked.now_unix_s, reply)))
            }
            (stage, ..) => Err(BuildError::Stage { stage }),
        }
    }
}

impl Connector for Zeus {
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
            OperationKind::Charge => self.pay(asked, progress, last),
            OperationKind::Void | OperationKind::Refund => self.alter(asked, progress, last),
            OperationKind::Query => self.query(asked, progress, last),
            kind => Err(BuildError::Unsupported { kind }),
        }
    }

    fn can_ask(&self, about: &Parent) -> bool {
        // ZEUS's number was in the answer that was lost, and nothing else is a key.
        let known = known(about.acquirer_ref.as_ref()).is_some();
        // What is sold anew has another number.
        known && (about.kind != OperationKind::Refund || is_whole(about))
    }
}

/// 支払方法: lump sum 01, instalments by their number, bonus lump sum B1, revolving 99.
const fn count(plan: Plan) -> Result<&'static str, BuildError> {
    let count = match plan {
        Plan::LumpSum => "01",
        Plan::BonusLumpSum => "B1",
        Plan::Revolving => "99",
        Plan::Instalments(count) => match count.get() {
            2 => "02",
            3 => "03",
            5 => "05",
            6 => "06",
            10 => "10",
            12 => "12",
            15 => "15",
            18 => "18",
            20 => "20",
            24 => "24",
            _ => return Err(BuildError::Plan { plan }),
        },
        Plan::BonusInstalments(_) => return Err(BuildError::Plan { plan }),
    };
    Ok(count)
}

/// What is given back, noted behind the order's number while it is being done.
const WHOLE: &str = "whole";
const PART: &str = "part";

fn reference(number: &str, note: Option<&str>) -> Option<AcquirerRef> {
    AcquirerRef::new(match note {
        Some(note) => format!("{number}:{note}"),
        None => number.to_owned(),
    })
    .ok()
}

/// ZEUS's number of a [`reference`].
fn known(reference: Option<&AcquirerRef>) -> Option<&str> {
    reference?.as_str().split(':').next()
}

/// A number as it may be kept: letters, digits, points and hyphens, at most 50.
fn order_number(text: &str) -> Option<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let fits = (1..=fields::ORDER_NUMBER_MAX).contains(&text.len()) && text.bytes().all(good);
    fits.then(|| text.to_owned())
}

/// Whether the card's number is in it. A number that begins with today's or yesterday's date has that much less room for one.
fn echoes(number: &str, op: &Intent, now_unix_s: i64) -> bool {
    let bare = number.strip_prefix(fields::TEST_ORDER).unwrap_or(number);
    let day = |at: i64| japan::stamp(at).get(..8).map(str::to_owned);
    let dated = [now_unix_s, now_unix_s.saturating_sub(86_400)]
        .into_iter()
        .filter_map(day)
        .find_map(|day| bare.strip_prefix(day.as_str()).filter(|r| r.len() <= 14));
    text::echoes(dated.unwrap_or(bare), op.card)
}

fn approved(number: &str, code: Option<&str>) -> Outcome {
    match AcquirerRef::new(number) {
        Ok(acquirer_ref) => Outcome::Approved(Approval {
            acquirer_ref,
            code: code.map(str::to_owned),
            card: None,
        }),
        Err(_) => Outcome::Unknown(Doubt::Malformed),
    }
}

/// A document of ZEUS: of the API in UTF-8, of the inquiry in Shift_JIS.
fn document(reply: &Reply, root: &str) -> Result<Element, Doubt> {
    let body = reply.ok()?;
    let text = match root {
        fields::MESSAGE => japan::decode(body),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let found = Element::read(&text).filter(|element| element.name == root);
    found.ok_or(Doubt::Malformed)
}

fn is_about(root: &Element, action: &str) -> bool {
    root.attribute(fields::SERVICE) == Some(fields::SECURE_LINK)
        && root.attribute(fields::ACTION) == Some(action)
}

/// What the answer to a return, or to a change of the amount, says. Total.
fn altered(op: &Intent, now_unix_s: i64, number: &str, part: bool, reply: &Reply) -> Outcome {
    let root = match document(reply, fields::RESPONSE) {
        Ok(root) => root,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    let status = root.text_at(fields::STATUS).unwrap_or_default();
    let code = root.text_at(fields::CODE).unwrap_or_default();
    match (status, code) {
        ("success", "" | "000") => {}
        (status, code) => {
            return match codes::class(status, code) {
                // No card is to blame when something is not given back.
                Class::Declined { .. } => Outcome::NotCharged(Why::Rejected),
                class => class.outcome(code),
            };
        }
    }
    if !part {
        return if is_about(&root, fields::PAYMENT_RETURN) {
            approved(number, None)
        } else {
            Outcome::Unknown(Doubt::Mismatch)
        };
    }
    // What is left is an order of another number.
    let new = root.text_at(fields::NEW_ORDER_NUMBER).map(order_number);
    match new {
        Some(Some(new)) if !echoes(&new, op, now_unix_s) => approved(&new, None),
        Some(_) => Outcome::Unknown(Doubt::Malformed),
        None => approved(number, None),
    }
}

/// How an order stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Reserved,
    Sold,
    Cancelled,
}

/// What an inquiry says of an order, and its amount.
fn stands(reply: &Reply) -> Result<(Standing, u64), Doubt> {
    let root = document(reply, fields::MESSAGE)?;
    let standing = match root.text_at(fields::RESULT) {
        Some("決済完了") => Standing::Sold,
        Some("仮売完了" | "与信完了") => Standing::Reserved,
        Some("取り消し") => Standing::Cancelled,
        Some(_) => return Err(Doubt::UnlistedCode),
        None => return Err(Doubt::Malformed),
    };
    let amount = root.text_at(fields::KING).and_then(|king| king.parse().ok());
    Ok((standing, amount.ok_or(Doubt::Malformed)?))
}

/// Whether all of it was asked to be given back.
fn is_whole(about: &Parent) -> bool {
    let note = about.acquirer_ref.as_ref().map(AcquirerRef::as_str);
    note.is_some_and(|note| note.ends_with(WHOLE))
}

/// What an inquiry says of the operation that was asked about. Total.
fn found(about: &Parent, number: &str, now_unix_s: i64, reply: &Reply) -> Outcome {
    let (standing, amount) = match stands(reply) {
        Ok(found) => found,
        Err(doubt) => return Outcome::Unknown(doubt),
    };
    let never = never(is_early(about, SETTLED_AFTER_S, now_unix_s));
    let same = amount == about.amount.minor();
    // Of a refund, only one of the whole amount leaves an order that says so.
    let whole = is_whole(about);
    match (about.kind, standing) {
        (OperationKind::Charge, Standing::Sold) if same => approved(number, None),
        (OperationKind::Charge, Standing::Cancelled) => Outcome::NotCharged(Why::Reversed),
        (OperationKind::Void | OperationKind::Refund, Standing::Cancelled) if whole => {
            approved(number, None)
        }
        (OperationKind::Void | OperationKind::Refund, Standing::Sold | Standing::Reserved)
            if whole && same =>
        {
            never
        }
        _ => Outcome::Unknown(Doubt::Mismatch),
    }
}

#[cfg(test)]
mod tests;
