//! SB Payment Service (SBペイメントサービス), API type: an XML document in Shift_JIS for every function, signed with `sps_hashcode`.
//!
//! A payment is authorised and then committed (確定); where sales are asked for (指定売上), a charge asks for the sale in a third request. There
//! is no idempotency key. Every question, and every later operation, needs the tracking id that the authorisation answered: an
//! authorisation whose answer is lost can't be asked about, and stays with a person. Nothing is ever sent twice.

mod cipher;
mod codes;
mod fields;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ivrpay_card::Card;
use ivrpay_payment::{
    AcquirerRef, Approval, Doubt, Intent, OperationKind, Outcome, Parent, Plan, Why,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::{ExposeSecret, SecretString};

use self::cipher::Cipher;
use crate::codes::Class;
use crate::connector::{half_done, is_early, never};
use crate::xml::{Element, Writer};
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hosts, Plans, Progress, Reply,
    Request, Setting, Settings, Step, digest, japan, text, Sandbox};

/// Room for a request, bytes: the longest has under 1500.
const REQUEST_MAX: usize = 2_048;
/// Room for what is signed, bytes.
const SIGNED_MAX: usize = 512;
/// How old a request may be when it arrives, seconds.
const LIMIT_S: &str = "600";
/// How long after its intent an operation may still be done there, seconds: longer than [`LIMIT_S`]. Until then "not done" is no verdict.
const SETTLED_AFTER_S: i64 = 900;

/// What there is to say of it, of a contract whose sales are asked for.
pub const ABOUT: About = About {
    name: "sbps",
    title: "SBペイメントサービス API型",
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
            bonus_instalments: false,
            revolving: true,
            counts: &[3, 5, 6, 10, 12, 15, 18, 20, 24],
        },
        yen_only: true,
        amount_max: fields::AMOUNT_MAX,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://stbfep.sps-system.com/api",
        live: Some("https://api.sps-system.com/api"),
        others: &[],
    }),
    basic: true,
    raw_pan: true,
    settings: &[
        Setting::text("merchant_id", 5, "the merchant's id (マーチャントID), 5 digits")
            .checked(|id| id.len() == 5 && id.bytes().all(|b| b.is_ascii_digit())),
        Setting::text("service_id", 3, "the service's id (サービスID), 3 digits")
            .checked(|id| id.len() == 3 && id.bytes().all(|b| b.is_ascii_digit())),
        Setting::text("item_id", 32, "what is sold, as the portal shows it (商品ID), at most 32 letters and digits")
            .checked(str::is_ascii),
        Setting::text(
            "item_name",
            80,
            "its name (商品名称), at most 40 bytes of Shift_JIS",
        )
        .optional()
        .checked(|name| {
            let name = japan::encode(name.trim());
            name.is_some_and(|name| name.len() <= fields::ITEM_NAME_MAX)
        }),
        Setting::text(
            "sales",
            9,
            "the contract's way of sales: \"requested\" (指定売上) or \"automatic\" (自動売上)",
        )
        .checked(|sales| matches!(sales, "requested" | "automatic")),
        Setting::secret("hash_key", 40, "the key of the hash code (ハッシュキー)"),
        Setting::secret("des_key", cipher::KEY, "the 3DES key (暗号化キー), at most 24 letters")
            .checked(str::is_ascii),
        Setting::secret("des_iv", cipher::BLOCK, "the 3DES initial key (初期化キー), 8 letters")
            .checked(|iv| iv.is_ascii() && iv.len() == cipher::BLOCK),
    ],
    sandbox: Sandbox::NO_CARDS,
    make: |settings| Ok(Box::new(Sbps::new(settings))),
};

/// The same of a contract with automatic sales: whatever is committed becomes a sale by itself.
static AUTOMATIC: About = About {
    capabilities: Capabilities {
        authorise_without_capture: false,
        capture: false,
        partial_capture: false,
        captured_later: true,
        ..ABOUT.capabilities
    },
    ..ABOUT
};

/// The connector.
pub struct Sbps {
    merchant_id: String,
    service_id: String,
    item_id: String,
    /// Windows-31J.
    item_name: Vec<u8>,
    automatic: bool,
    hash_key: SecretString,
    cipher: Cipher,
}

/// Writes the elements of a request, and what of them is signed: plain values, trimmed, in the document's order.
struct Document<'x, 'w> {
    xml: &'x mut Writer<'w>,
    signed: &'x mut Buffer,
    cipher: &'x Cipher,
}

impl Document<'_, '_> {
    fn text(&mut self, name: &str, value: &str) -> Result<(), Full> {
        self.signed.push(value.trim().as_bytes())?;
        self.xml.text(name, value.trim().as_bytes())
    }

    /// An element of type M, given in Windows-31J.
    fn multibyte(&mut self, name: &str, value: &[u8]) -> Result<(), Full> {
        self.signed.push(value)?;
        self.xml.text(name, STANDARD.encode(value).as_bytes())
    }

    /// An element that is encrypted, of several pieces.
    fn sealed(&mut self, name: &str, parts: &[&[u8]]) -> Result<(), Full> {
        parts.iter().try_for_each(|part| self.signed.push(part))?;
        let sealed = self.cipher.seal(parts)?;
        sealed.expose(|text| self.xml.text(name, text))
    }

    fn group(
        &mut self,
        name: &str,
        inside: impl FnOnce(&mut Document<'_, '_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let (signed, cipher) = (&mut *self.signed, self.cipher);
        self.xml.element(name, &[], |xml| {
            inside(&mut Document {
                xml,
                signed,
                cipher,
            })
        })
    }
}

impl Sbps {
    fn new(settings: &Settings) -> Self {
        let item_name = japan::encode(settings.text("item_name").trim());
        Self {
            merchant_id: settings.text("merchant_id"),
            service_id: settings.text("service_id"),
            item_id: settings.text("item_id"),
            item_name: item_name.unwrap_or_default(),
            automatic: settings.text("sales") == "automatic",
            hash_key: settings.secret("hash_key"),
            cipher: Cipher::new(settings.secret("des_key"), settings.secret("des_iv")),
        }
    }

    fn request(
        &self,
        function: &str,
        now_unix_s: i64,
        elements: impl FnOnce(&mut Document<'_, '_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        let mut signed = Buffer::take(SIGNED_MAX)?;
        let mut xml = Writer::begin(&mut body, fields::PROLOG)?;
        xml.element(fields::REQUEST, &[(fields::ID, function)], |xml| {
            let mut document = Document {
                xml,
                signed: &mut signed,
                cipher: &self.cipher,
            };
            document.text(fields::MERCHANT, &self.merchant_id)?;
            document.text(fields::SERVICE, &self.service_id)?;
            elements(&mut document)?;
            document.text(fields::REQUEST_DATE, &japan::stamp(now_unix_s))?;
            document.text(fields::LIMIT_SECOND, LIMIT_S)?;
            let key = self.hash_key.expose_secret().as_bytes();
            let hash = signed.expose(|signed| digest::sha1(&[signed, key]));
            xml.text(fields::HASH, hash.as_bytes())
        })?;
        Ok(Request::post(fields::PATH, fields::CONTENT_TYPE, body))
    }

    /// Number, expiry and code.
    fn card(document: &mut Document<'_, '_>, card: &Card) -> Result<(), Full> {
        card.pan
            .expose(|digits| document.sealed(fields::CARD_NUMBER, &[digits]))?;
        card.expiry
            .expose(|month, year| document.sealed(fields::EXPIRY, &[b"20", year, month]))?;
        match &card.code {
            Some(code) => code.expose(|digits| document.sealed(fields::SECURITY_CODE, &[digits])),
            None => Ok(()),
        }
    }

    /// An authorisation of a card that is keyed, or of one that is stored under `customer`.
    fn authorise(
        &self,
        now_unix_s: i64,
        (customer, order): (&str, &str),
        amount: u64,
        (kind, times): (&str, Option<u8>),
        card: Option<&Card>,
    ) -> Result<Request, BuildError> {
        let function = match card {
            Some(_) => fields::AUTHORISE,
            None => fields::AUTHORISE_STORED,
        };
        self.request(function, now_unix_s, |document| {
            document.text(fields::CUSTOMER, customer)?;
            document.text(fields::ORDER, order)?;
            document.text(fields::ITEM, &self.item_id)?;
            if !self.item_name.is_empty() {
                document.multibyte(fields::ITEM_NAME, &self.item_name)?;
            }
            document.text(fields::AMOUNT, &amount.to_string())?;
            document.text(fields::CUSTOMER_INFO_RETURN, "1")?;
            document.text(fields::DETAILS, "")?;
            document.group(fields::METHOD_INFO, |document| {
                if let Some(card) = card {
                    Self::card(document, card)?;
                }
                document.sealed(fields::DEALINGS, &[kind.as_bytes()])?;
                match times {
                    Some(times) => {
                        document.sealed(fields::TIMES, &[times.to_string().as_bytes()])
                    }
                    None => Ok(()),
                }
            })?;
            document.group(fields::OPTIONS, |document| {
                document.text(fields::CUSTOMER_MANAGE, "0")?;
                document.text(fields::BRAND_RETURN, "1")
            })?;
            document.text(fields::ENCRYPTED, "1")
        })
    }

    /// A request about what was authorised.
    fn later(
        &self,
        function: &str,
        now_unix_s: i64,
        pair: &Pair,
        amount: Option<u64>,
    ) -> Result<Request, BuildError> {
        self.request(function, now_unix_s, |document| {
            document.text(fields::TRANSACTION, &pair.transaction)?;
            document.text(fields::TRACKING, &pair.tracking)?;
            document.text(fields::PROCESSED_AT, &japan::stamp(now_unix_s))?;
            match amount {
                Some(amount) => document.group(fields::OPTIONS, |document| {
                    document.text(fields::AMOUNT, &amount.to_string())
                }),
                None => Ok(()),
            }
        })
    }

    fn inquire(&self, now_unix_s: i64, pair: &Pair) -> Result<Request, BuildError> {
        self.request(fields::INQUIRE, now_unix_s, |document| {
            document.text(fields::TRANSACTION, &pair.transaction)?;
            document.text(fields::TRACKING, &pair.tracking)?;
            document.text(fields::INFO_TYPE, "2")?;
            document.group(fields::OPTIONS, |document| {
                document.text(fields::BRAND_RETURN, "1")
            })?;
            document.text(fields::ENCRYPTED, "1")
        })
    }

    /// Authorises; commits; where sales are asked for and this is a charge, asks.
    fn pay(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let pair = || progress.reference.as_ref().and_then(Pair::from);
        match (progress.stage, last) {
            (0, None) => {
                japan::fits(op, fields::AMOUNT, fields::AMOUNT_MAX)?;
                let order = op.acquirer_order.to_string();
                let card = match &op.token {
                    Some(_) => None,
                    None => Some(asked.card()?),
                };
                let customer = op.token.as_ref().map_or(order.as_str(), |t| t.as_str());
                if customer.len() > fields::CUSTOMER_MAX {
                    return Err(BuildError::Field {
                        field: fields::CUSTOMER,
                    });
                }
                let request = self.authorise(
                    asked.now_unix_s,
                    (customer, &order),
                    op.amount.minor(),
                    dealings(op.plan)?,
                    card,
                )?;
                Ok(Step::send(request, 1, None))
            }
            (1, Some(reply)) => {
                let function = match op.token {
                    Some(_) => fields::AUTHORISE_STORED,
                    None => fields::AUTHORISE,
                };
                let answer = match Answer::of(reply, function) {
                    Ok(answer) => answer,
                    Err(outcome) => return Ok(Step::Done(outcome)),
                };
                let Some(pair) = self.authorised(op, &answer, function) else {
                    return Ok(Step::Done(Outcome::Unknown(Doubt::Malformed)));
                };
                let request = self.later(fields::COMMIT, asked.now_unix_s, &pair, None)?;
                Ok(Step::send(request, 2, pair.reference()))
            }
            (2, Some(reply)) => {
                let Some(pair) = pair() else {
                    return Err(BuildError::Stage { stage: 2 });
                };
                if Answer::of(reply, fields::COMMIT).is_err() {
                    return Ok(Step::Done(stopped(reply)));
                }
                if self.automatic || op.kind == OperationKind::Authorise {
                    return Ok(Step::Done(pair.approval()));
                }
                let amount = Some(op.amount.minor());
                let request = self.later(fields::SALES, asked.now_unix_s, &pair, amount)?;
                Ok(Step::send(request, 3, pair.reference()))
            }
            (3, Some(reply)) => {
                let Some(pair) = pair() else {
                    return Err(BuildError::Stage { stage: 3 });
                };
                Ok(Step::Done(match Answer::of(reply, fields::SALES) {
                    Ok(_) => pair.approval(),
                    Err(_) => stopped(reply),
                }))
            }
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// What later requests need of an authorisation's answer; `None` where it can't be kept.
    fn authorised(&self, op: &Intent, answer: &Answer, function: &str) -> Option<Pair> {
        let transaction = answer.0.text_at(fields::RES_TRANSACTION)?;
        let tracking = answer.0.text_at(fields::RES_TRACKING)?;
        let alphanumeric = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        // A letter, ids and function, and a serial number of 11 digits: no room for a card.
        let head = format!(
            "{}{}{}",
            self.merchant_id,
            self.service_id,
            function.replace('-', "")
        );
        let theirs = transaction.len() == 32 && transaction.get(1..21) == Some(head.as_str());
        // No card begins with a zero.
        let counted = tracking.len() == 14 && tracking.starts_with('0');
        let good = transaction.len() <= 32
            && alphanumeric(transaction)
            && (theirs || !text::echoes(transaction, op.card))
            && tracking.len() <= 14
            && alphanumeric(tracking)
            && (counted || !text::echoes(tracking, op.card));
        good.then(|| Pair {
            transaction: transaction.to_owned(),
            tracking: tracking.to_owned(),
            note: self.approval_code(answer),
        })
    }

    /// 承認番号, where it can be read.
    fn approval_code(&self, answer: &Answer) -> Option<String> {
        let code = self.opened(answer, fields::RECOGNIZED)?;
        let fits = (1..=12).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then_some(code)
    }

    /// An element that the acquirer has encrypted. Short ones that it has not are taken too: no block of eight bytes is coded in so few
    /// letters.
    fn opened(&self, answer: &Answer, path: &str) -> Option<String> {
        let value = answer.0.text_at(path)?;
        match self.cipher.open(value) {
            Some(open) => open.expose(|b| Some(std::str::from_utf8(b).ok()?.to_owned())),
            None => (value.len() <= 8).then(|| value.to_owned()),
        }
    }

    /// Asks how it stands; then alters it.
    fn alter(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let parent = asked.parent()?;
        let whole = op.amount.minor() == parent.amount.minor();
        let pair = || progress.reference.as_ref().and_then(Pair::from);
        let function = match op.kind {
            OperationKind::Capture => fields::SALES,
            // What was reserved alone can be cancelled so, and no sale.
            OperationKind::Void if parent.kind == OperationKind::Authorise => {
                fields::CANCEL_AUTHORISATION
            }
            OperationKind::Void if pair().is_some_and(|pair| pair.is(HALF)) => {
                fields::CANCEL_AUTHORISATION
            }
            OperationKind::Refund if !whole => fields::REFUND_PART,
            _ => fields::CANCEL,
        };
        match (progress.stage, last) {
            (0, None) => {
                japan::fits_within(op, parent, fields::AMOUNT, fields::AMOUNT_MAX)?;
                let Some(pair) = parent.acquirer_ref.as_ref().and_then(Pair::from) else {
                    return Err(BuildError::Field {
                        field: fields::TRACKING,
                    });
                };
                let request = self.inquire(asked.now_unix_s, &pair)?;
                Ok(Step::ask(request, 1, pair.reference()))
            }
            (1, Some(reply)) => {
                let refused = |why| Ok(Step::Done(Outcome::NotCharged(why)));
                let answer = match Answer::of(reply, fields::INQUIRE) {
                    Ok(answer) => answer,
                    Err(Outcome::NotCharged(Why::Rejected)) => return refused(Why::Rejected),
                    Err(_) => return refused(Why::Busy),
                };
                let state = self.state(&answer);
                // A charge that has stopped in the middle.
                let half = op.kind == OperationKind::Void
                    && match state {
                        Some((0, 1)) => true,
                        Some((1, 1)) => !self.automatic,
                        _ => false,
                    };
                let function = if half {
                    fields::CANCEL_AUTHORISATION
                } else {
                    function
                };
                let possible = match state {
                    Some((0, 1)) => half,
                    Some((1, 1)) => true,
                    Some((1, 2)) => op.kind == OperationKind::Refund || function == fields::CANCEL,
                    // A part has been given back, perhaps.
                    Some((1, 4)) => function == fields::REFUND_PART,
                    _ => false,
                };
                let Some(pair) = pair() else {
                    return Err(BuildError::Stage { stage: 1 });
                };
                if !possible {
                    return refused(Why::Rejected);
                }
                let with_amount = matches!(function, fields::SALES | fields::REFUND_PART);
                let amount = with_amount.then(|| op.amount.minor());
                let request = self.later(function, asked.now_unix_s, &pair, amount)?;
                let note = match function {
                    fields::REFUND_PART => PART,
                    _ if half => HALF,
                    _ => WHOLE,
                };
                let pair = Pair {
                    note: Some(note.to_owned()),
                    ..pair
                };
                Ok(Step::send(request, 2, pair.reference()))
            }
            (2, Some(reply)) => {
                let Some(pair) = pair() else {
                    return Err(BuildError::Stage { stage: 2 });
                };
                // Later operations go by the authorisation's ids.
                let done = Pair { note: None, ..pair }.approval();
                let answer = Answer::of(reply, function);
                Ok(Step::Done(answer.map_or_else(|outcome| outcome, |_| done)))
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
        let op = asked.op.get();
        let parent = asked.parent()?;
        if parent.kind == OperationKind::Tokenise {
            return Err(BuildError::Unsupported { kind: op.kind });
        }
        let pair = parent.acquirer_ref.as_ref().and_then(Pair::from);
        match (progress.stage, last, pair) {
            (0 | 1, _, None) => Ok(Step::Done(Outcome::Unknown(Doubt::NoReply))),
            (0, None, Some(pair)) => {
                Ok(Step::ask(self.inquire(asked.now_unix_s, &pair)?, 1, None))
            }
            (1, Some(reply), Some(pair)) => Ok(Step::Done(self.found(
                parent,
                &pair,
                asked.now_unix_s,
                reply,
            ))),
            (stage, ..) => Err(BuildError::Stage { stage }),
        }
    }

    /// `commit_status` and `payment_status`; `None` where they are missing, or the answer is about an error.
    fn state(&self, answer: &Answer) -> Option<(u8, u8)> {
        let digit = |path| match self.opened(answer, path)?.as_bytes() {
            [digit @ b'0'..=b'9'] => Some(digit - b'0'),
            _ => None,
        };
        let good = answer.0.text_at(fields::RES_STATUS) == Some("0");
        let state = (digit(fields::COMMIT_STATUS)?, digit(fields::PAYMENT_STATUS)?);
        good.then_some(state)
    }

    /// What an inquiry says of the operation that was asked about. Total.
    fn found(&self, about: &Parent, pair: &Pair, now_unix_s: i64, reply: &Reply) -> Outcome {
        let answer = match Answer::of(reply, fields::INQUIRE) {
            Ok(answer) => answer,
            Err(Outcome::Unknown(doubt)) => return Outcome::Unknown(doubt),
            // What is wrong with this question says nothing about the money.
            Err(_) => return Outcome::Unknown(Doubt::UnlistedCode),
        };
        let Some(state) = self.state(&answer) else {
            return Outcome::Unknown(Doubt::Malformed);
        };
        let early = is_early(about, SETTLED_AFTER_S, now_unix_s);
        let never = never(early);
        let code = self.approval_code(&answer);
        let yes = || Pair {
            note: code.or_else(|| pair.code()),
            ..pair.clone()
        }
        .approval();
        match (about.kind, state) {
            // Cancelled before or after the commit. Of what is refunded, perhaps only a part was.
            (OperationKind::Charge | OperationKind::Authorise, (2 | 3, _) | (1, 3)) => {
                Outcome::NotCharged(Why::Reversed)
            }
            (OperationKind::Charge | OperationKind::Authorise, (1, 2)) => yes(),
            (OperationKind::Authorise, (1, 1)) => yes(),
            (OperationKind::Charge, (1, 1)) if self.automatic => yes(),
            // Reserved, and not taken, or not even committed: whether that lapses by itself is not known.
            (OperationKind::Charge | OperationKind::Authorise, (0 | 1, 1)) => half_done(early),
            (OperationKind::Capture, (1, 2)) => yes(),
            (OperationKind::Capture, (1, 1)) => never,
            (OperationKind::Void, (2 | 3, _) | (1, 3)) => yes(),
            (OperationKind::Void, (0, 1) | (1, 1 | 2)) => never,
            // It stood at 1 or 2 when all of it was asked for.
            (OperationKind::Void, (1, 4)) | (OperationKind::Refund, (1, 3 | 4))
                if pair.is(WHOLE) =>
            {
                yes()
            }
            (OperationKind::Refund, (1, 1 | 2)) if pair.is(WHOLE) => never,
            // How much has been given back is not told.
            _ => Outcome::Unknown(Doubt::Mismatch),
        }
    }

    /// Stores a card under the order's number.
    fn tokenise(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let customer = op.acquirer_order.to_string();
        match (progress.stage, last) {
            (0, None) => {
                let card = asked.card()?;
                let request = self.request(fields::STORE, asked.now_unix_s, |document| {
                    document.text(fields::CUSTOMER, &customer)?;
                    document.text(fields::CUSTOMER_INFO_RETURN, "1")?;
                    document.group(fields::METHOD_INFO, |document| Self::card(document, card))?;
                    document.group(fields::OPTIONS, |document| {
                        document.text(fields::BRAND_RETURN, "1")
                    })?;
                    document.text(fields::ENCRYPTED, "1")
                })?;
                Ok(Step::ask(request, 1, None))
            }
            (1, Some(reply)) => Ok(Step::Done(match Answer::of(reply, fields::STORE) {
                Ok(_) => approval(&customer, None),
                Err(outcome) => outcome,
            })),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }
}

impl Connector for Sbps {
    fn about(&self) -> &'static About {
        if self.automatic { &AUTOMATIC } else { &ABOUT }
    }

    fn step(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let kind = asked.op.get().kind;
        self.about().capabilities.require(kind)?;
        match kind {
            OperationKind::Charge | OperationKind::Authorise => self.pay(asked, progress, last),
            OperationKind::Capture | OperationKind::Void | OperationKind::Refund => {
                self.alter(asked, progress, last)
            }
            OperationKind::Query => self.query(asked, progress, last),
            OperationKind::Tokenise => self.tokenise(asked, progress, last),
            kind => Err(BuildError::Unsupported { kind }),
        }
    }

    fn releases(&self, about: &Parent) -> bool {
        // How it stands is asked first, and what is reserved or sold is known by its ids.
        about.acquirer_ref.as_ref().and_then(Pair::from).is_some()
    }

    fn can_ask(&self, about: &Parent) -> bool {
        let pair = about.acquirer_ref.as_ref().and_then(Pair::from);
        match about.kind {
            // Stored cards are another list; no money hangs on it.
            OperationKind::Tokenise => false,
            // How much has been given back is not told.
            OperationKind::Refund => pair.is_some_and(|pair| pair.is(WHOLE)),
            // Where the answer with the tracking id was lost, nothing else is a key.
            _ => pair.is_some(),
        }
    }
}

/// 取引区分: lump sum 10, bonus lump sum 21, instalments 61 and their number, revolving 80.
const fn dealings(plan: Plan) -> Result<(&'static str, Option<u8>), BuildError> {
    match plan {
        Plan::LumpSum => Ok(("10", None)),
        Plan::BonusLumpSum => Ok(("21", None)),
        Plan::Instalments(count) => Ok(("61", Some(count.get()))),
        Plan::Revolving => Ok(("80", None)),
        Plan::BonusInstalments(_) => Err(BuildError::Plan { plan }),
    }
}

/// A refund of the whole amount, and of a part, and the release of what was only reserved, as [`Pair::note`].
const WHOLE: &str = "whole";
const PART: &str = "part";
const HALF: &str = "half";

/// What an authorisation answered and every later request names; and a note for ourselves: the approval code, or how much is given back.
#[derive(Clone)]
struct Pair {
    transaction: String,
    tracking: String,
    note: Option<String>,
}

impl Pair {
    /// Reads [`Self::reference`].
    fn from(reference: &AcquirerRef) -> Option<Self> {
        let mut parts = reference.as_str().split(':').map(str::to_owned);
        Some(Self {
            transaction: parts.next()?,
            tracking: parts.next()?,
            note: parts.next(),
        })
    }

    fn text(&self) -> String {
        format!("{}:{}", self.transaction, self.tracking)
    }

    fn reference(&self) -> Option<AcquirerRef> {
        let note = self.note.as_ref().map(|note| format!(":{note}"));
        AcquirerRef::new(self.text() + &note.unwrap_or_default()).ok()
    }

    fn is(&self, note: &str) -> bool {
        self.note.as_deref() == Some(note)
    }

    fn code(&self) -> Option<String> {
        let code = self.note.clone();
        code.filter(|note| ![WHOLE, PART, HALF].contains(&note.as_str()))
    }

    fn approval(&self) -> Outcome {
        approval(&self.text(), self.code())
    }
}

fn approval(reference: &str, code: Option<String>) -> Outcome {
    match AcquirerRef::new(reference) {
        Ok(acquirer_ref) => Outcome::Approved(Approval {
            acquirer_ref,
            code,
            card: None,
        }),
        Err(_) => Outcome::Unknown(Doubt::Malformed),
    }
}

/// A commit or a sale that was not done, or not clearly: what is authorised stays so, and an inquiry says how it stands.
fn stopped(reply: &Reply) -> Outcome {
    match reply.status() {
        200 => Outcome::Unknown(Doubt::Pending),
        status => Outcome::Unknown(Doubt::Status { status }),
    }
}

/// An answer that says OK to the function that was asked for.
struct Answer(Element);

impl Answer {
    /// What it means when it says anything else.
    fn of(reply: &Reply, function: &str) -> Result<Self, Outcome> {
        let doubt = |doubt| Err(Outcome::Unknown(doubt));
        let text = japan::decode(reply.ok().map_err(Outcome::Unknown)?);
        let Some(root) = Element::read(&text).filter(|root| root.name == fields::RESPONSE) else {
            return doubt(Doubt::Malformed);
        };
        let error = root.text_at(fields::ERROR);
        match (root.text_at(fields::RESULT), error) {
            // To what could not be read, SBPS answers without the function's id.
            (Some("OK"), None) if root.attribute(fields::ID) == Some(function) => Ok(Self(root)),
            (Some("OK"), None) => doubt(Doubt::Mismatch),
            (Some("NG"), Some(code)) if codes::kind(code) == codes::NOT_COMPLETE => {
                doubt(Doubt::Pending)
            }
            (Some("NG"), Some(code)) => Err(codes::class(code).outcome(code)),
            (Some("NG"), None) => Err(Class::Unknown.outcome("")),
            _ => doubt(Doubt::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
