//! Model acquirers: what each of three protocols does with a request, and the books behind it. Written from what is known of their
//! documents, as the servers of `ivrpay-sim`, and not from our connectors; what those read is bytes.
//!
//! Beside a request the simulation hands over whose operation it is, which no acquirer sees: by that the auditor knows what was done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::rng::Rng;

pub(crate) const SHOP_PASS: &str = "shop-pass";
pub(crate) const MERCHANT: &str = "SeedsECOM";
/// Of the webhook's signature, in hexadecimal digits; and as bytes.
pub(crate) const HMAC_KEY: &str =
    "0101010101010101010101010101010101010101010101010101010101010101";
const HMAC_BYTES: [u8; 32] = [1; 32];

/// Which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Adyen,
    Generic,
    Gmo,
    Stripe,
}

/// A request, as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) post: bool,
    pub(crate) path: String,
    /// The value of its idempotency key's header.
    pub(crate) key: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What the simulation knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    /// The operation.
    pub(crate) op: u64,
    /// Order and part.
    pub(crate) slot: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It takes a card's money, or reserves it.
    Take,
    Capture,
    Void,
    Refund,
    Query,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// Opened; nothing was taken.
    Opened,
    Reserved,
    Taken,
    GivenBack,
    Refused,
}

/// One order at the acquirer.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    number: String,
    pub(crate) op: u64,
    pub(crate) slot: usize,
    operation: String,
    manual: bool,
    /// What was asked.
    pub(crate) asked: u64,
    /// What is reserved or taken, less what was given back.
    pub(crate) held: u64,
    pub(crate) currency: String,
    pub(crate) stands: Stands,
    pub(crate) reference: String,
    access: String,
    approve: String,
    /// Refunds: id, operation's id, amount.
    refunds: Vec<(String, String, u64)>,
    seen_from: i64,
}

/// What was done, by whose operation.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) op: u64,
    pub(crate) kind: Kind,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) reference: String,
}

pub(crate) struct Bank {
    pub(crate) protocol: Protocol,
    pub(crate) entries: Vec<Entry>,
    pub(crate) effects: Vec<Effect>,
    /// What it is about to say of itself.
    pub(crate) says: Vec<String>,
    /// The first answer under each key.
    answers: BTreeMap<String, (u16, String)>,
    /// Whether the same key makes one.
    pub(crate) knows_doubles: bool,
    serial: u64,
}

/// What a request meets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mood {
    /// The issuer says no.
    pub(crate) declines: bool,
    /// What was just done is not shown before that time.
    pub(crate) lag_ms: i64,
    /// It is too late for what undoes a payment of today.
    pub(crate) late: bool,
    /// It takes another amount, or another currency, than was asked.
    pub(crate) other: Option<Other>,
}

/// What is not as it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Amount,
    Currency,
}

type Fields = Vec<(String, String)>;
type Answer = (u16, String);

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).unwrap_or(0);
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

fn form(text: &str) -> Fields {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn get<'f>(fields: &'f Fields, name: &str) -> &'f str {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value.as_str())
}

impl Bank {
    pub(crate) const fn new(protocol: Protocol, knows_doubles: bool) -> Self {
        Self {
            protocol,
            entries: Vec::new(),
            effects: Vec::new(),
            says: Vec::new(),
            answers: BTreeMap::new(),
            knows_doubles,
            serial: 0,
        }
    }

    /// Does what is asked, and says so.
    pub(crate) fn serve(&mut self, packet: &Packet, tag: Tag, now: i64, mood: Mood) -> Answer {
        let body = String::from_utf8_lossy(&packet.body).into_owned();
        match self.protocol {
            Protocol::Adyen => self.adyen(packet, &body, tag, now, mood),
            Protocol::Generic => self.generic(&body, tag, now, mood),
            Protocol::Gmo => self.gmo(&packet.path, &form(&body), tag, now, mood),
            Protocol::Stripe => self.stripe(packet, &form(&body), tag, now, mood),
        }
    }

    /// What was taken or reserved by that operation and not given back as a whole.
    pub(crate) fn effective(&self, op: u64) -> Option<&Entry> {
        let mut of = self.entries.iter().filter(|e| e.op == op);
        of.find(|e| matches!(e.stands, Stands::Reserved | Stands::Taken))
    }

    /// Whether that operation has done something.
    pub(crate) fn did(&self, op: u64) -> Option<&Effect> {
        self.effects.iter().find(|effect| effect.op == op)
    }

    /// A person gives back at the acquirer's own console what was taken wrongly.
    pub(crate) fn gives_back(&mut self, op: u64) {
        for entry in self.entries.iter_mut().filter(|e| e.op == op) {
            entry.stands = Stands::GivenBack;
        }
    }

    fn id(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn done(&mut self, tag: Tag, kind: Kind, at: usize, amount: u64) {
        let entry = self.entries.get(at);
        self.effects.push(Effect {
            op: tag.op,
            kind,
            amount,
            currency: entry.map_or_else(String::new, |e| e.currency.clone()),
            reference: entry.map_or_else(String::new, |e| e.reference.clone()),
        });
    }

    /// Does it, or says what was said under the same key before.
    fn once(&mut self, packet: &Packet, does: impl FnOnce(&mut Self) -> Answer) -> Answer {
        if let Some(before) = packet.key.as_ref().and_then(|key| self.answers.get(key)) {
            return before.clone();
        }
        let answer = does(self);
        if let Some(key) = &packet.key {
            self.answers.insert(key.clone(), answer.clone());
        }
        answer
    }

    /// Checkout: what is changed behind a payment is received, and done; that it was is told by webhook.
    fn adyen(&mut self, packet: &Packet, body: &str, tag: Tag, now: i64, mood: Mood) -> Answer {
        self.once(packet, |bank| bank.adyen_does(packet, body, tag, now, mood))
    }

    fn adyen_does(
        &mut self,
        packet: &Packet,
        body: &str,
        tag: Tag,
        now: i64,
        mood: Mood,
    ) -> Answer {
        let asked: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |at: &str| {
            asked
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut value = asked
            .pointer("/amount/value")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let mut currency = text("/amount/currency");
        let serial = self.id();
        let psp = format!("PSP{serial:013}");
        if packet.path == "/payments" {
            let number = text("/reference");
            match mood.other {
                Some(Other::Amount) => value *= 10,
                Some(Other::Currency) => "EUR".clone_into(&mut currency),
                None => {}
            }
            let manual = asked.pointer("/captureDelayHours").is_none();
            let stands = match (mood.declines, manual) {
                (true, _) => Stands::Refused,
                (_, true) => Stands::Reserved,
                _ => Stands::Taken,
            };
            self.says.push(webhook(
                "AUTHORISATION",
                !mood.declines,
                (&psp, ""),
                &number,
                (value, &currency),
            ));
            self.entries.push(Entry {
                number: number.clone(),
                op: tag.op,
                slot: tag.slot,
                operation: String::new(),
                manual,
                asked: value,
                held: value,
                currency: currency.clone(),
                stands,
                reference: psp.clone(),
                access: String::new(),
                approve: String::new(),
                refunds: Vec::new(),
                seen_from: now,
            });
            let mut answer = json!({"pspReference": psp, "merchantReference": number});
            if mood.declines {
                answer["resultCode"] = json!("Refused");
                answer["refusalReasonCode"] = json!("12");
            } else {
                answer["resultCode"] = json!("Authorised");
                answer["amount"] = json!({"value": value, "currency": currency});
                self.done(tag, Kind::Take, self.entries.len() - 1, value);
            }
            return (200, answer.to_string());
        }
        let mut parts = packet.path.split('/').skip(1);
        let (of, what) = match (parts.next(), parts.next(), parts.next()) {
            (Some("cancels"), None, None) => (None, "cancels"),
            (Some("payments"), Some(of), Some(what)) => (Some(of.to_owned()), what),
            _ => return (404, "{}".to_owned()),
        };
        let (reference, number) = (text("/reference"), text("/paymentReference"));
        let place = self.entries.iter().position(|e| match &of {
            Some(of) => e.reference == *of,
            None => e.number == number && e.stands != Stands::Refused,
        });
        let mut answer = json!({"pspReference": psp, "status": "received", "reference": reference});
        let mut done = None;
        let mut name = "TECHNICAL_CANCEL";
        // A technical cancel speaks of the payment, every other change of itself.
        let mut about = number.clone();
        if let Some(of) = &of {
            answer["paymentPspReference"] = json!(of);
            about = reference;
        } else {
            answer["paymentReference"] = json!(number);
        }
        let mut sum = (value, currency);
        if let Some(entry) = place.and_then(|at| self.entries.get_mut(at)) {
            let original = entry.reference.clone();
            let moved = match (what, entry.stands) {
                ("captures", Stands::Reserved) if value > 0 && value <= entry.held => {
                    (entry.held, entry.stands) = (value, Stands::Taken);
                    Some((Kind::Capture, value))
                }
                ("refunds", Stands::Taken) if value > 0 && value <= entry.held => {
                    entry.held -= value;
                    if entry.held == 0 {
                        entry.stands = Stands::GivenBack;
                    }
                    Some((Kind::Refund, value))
                }
                ("cancels", Stands::Reserved) if !mood.late => {
                    entry.stands = Stands::GivenBack;
                    Some((Kind::Void, entry.held))
                }
                // Of a void, or of a refund of all that there is.
                ("reversals", Stands::Reserved | Stands::Taken) if !mood.late => {
                    entry.stands = Stands::GivenBack;
                    Some((tag.kind, entry.held))
                }
                ("cancels", Stands::Taken) if of.is_none() && !mood.late => {
                    entry.stands = Stands::GivenBack;
                    Some((Kind::Void, entry.held))
                }
                _ => None,
            };
            name = match (what, of.is_none()) {
                ("captures", _) => "CAPTURE",
                ("refunds", _) => "REFUND",
                ("reversals", _) => "CANCEL_OR_REFUND",
                (_, false) => "CANCELLATION",
                _ => "TECHNICAL_CANCEL",
            };
            if matches!(what, "cancels" | "reversals") {
                sum = (0, entry.currency.clone());
            }
            let said = webhook(
                name,
                moved.is_some(),
                (&psp, &original),
                &about,
                (sum.0, &sum.1),
            );
            self.says.push(said);
            done = moved.and_then(|moved| Some((place?, moved)));
        } else {
            self.says
                .push(webhook(name, false, (&psp, ""), &about, (0, "JPY")));
        }
        if let Some((at, (kind, amount))) = done {
            self.done(tag, kind, at, amount);
        }
        (201, answer.to_string())
    }

    fn generic(&mut self, body: &str, tag: Tag, now: i64, mood: Mood) -> Answer {
        let Ok(asked) = serde_json::from_str::<Value>(body) else {
            return (400, "{}".to_owned());
        };
        let text = |at: &str| {
            asked
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let key = text("/transaction_id").to_owned();
        if self.knows_doubles
            && let Some(before) = self.answers.get(&key)
        {
            return before.clone();
        }
        let mut amount = text("/amount").to_owned();
        let currency = if mood.other == Some(Other::Currency) {
            "EUR"
        } else {
            text("/currency_code")
        };
        let currency = currency.to_owned();
        if mood.other == Some(Other::Amount) {
            amount.insert(0, '9');
        }
        let minor: u64 = amount.replace('.', "").parse().unwrap_or_default();
        let number = text("/parameters/acquirer_order").to_owned();
        let serial = self.id();
        let answer = if mood.declines {
            json!({"charge_id": null, "error_code": "INSUFFICIENT_FUNDS", "parameters": {}})
        } else {
            let reference = format!("ch_{serial}");
            self.entries.push(Entry {
                number: number.clone(),
                op: tag.op,
                slot: tag.slot,
                operation: String::new(),
                manual: false,
                asked: minor,
                held: minor,
                currency: currency.clone(),
                stands: Stands::Taken,
                reference: reference.clone(),
                access: String::new(),
                approve: String::new(),
                refunds: Vec::new(),
                seen_from: now + mood.lag_ms,
            });
            self.done(tag, Kind::Take, self.entries.len() - 1, minor);
            json!({"charge_id": reference, "error_code": null, "amount": amount, "currency_code": currency, "transaction_id": key,
                "parameters": {"acquirer_order": number, "approval_code": format!("A{serial}")}})
        };
        let answer = (200, answer.to_string());
        self.answers.insert(key, answer.clone());
        answer
    }

    fn gmo(&mut self, path: &str, fields: &Fields, tag: Tag, now: i64, mood: Mood) -> Answer {
        let refused = |code: &str| {
            (
                200,
                format!("ErrCode={}&ErrInfo={code}", &code.get(..3).unwrap_or("E01")),
            )
        };
        let serial = self.id();
        let order = get(fields, "OrderID").to_owned();
        let by_order = self.entries.iter().position(|e| e.number == order);
        let access = get(fields, "AccessID").to_owned();
        let by_access = self
            .entries
            .iter()
            .position(|e| !access.is_empty() && e.access == access);
        let stamp = "20261123120000";
        match path {
            "EntryTran.idPass" => {
                if by_order.is_some() {
                    return refused("E01040010");
                }
                let access = format!("{serial:032x}");
                let amount = get(fields, "Amount").parse().unwrap_or_default();
                let answer = format!("AccessID={access}&AccessPass={access}");
                self.entries.push(Entry {
                    number: order,
                    op: tag.op,
                    slot: tag.slot,
                    operation: String::new(),
                    manual: get(fields, "JobCd") == "AUTH",
                    asked: amount,
                    held: amount,
                    currency: "JPY".to_owned(),
                    stands: Stands::Opened,
                    reference: String::new(),
                    access,
                    approve: String::new(),
                    refunds: Vec::new(),
                    seen_from: now + mood.lag_ms,
                });
                (200, answer)
            }
            "ExecTran.idPass" => {
                let Some(at) = by_access.filter(|at| Some(*at) == by_order) else {
                    return refused("E01110002");
                };
                let Some(entry) = self.entries.get_mut(at) else {
                    return refused("E01110002");
                };
                if entry.stands != Stands::Opened {
                    return refused("E11010001");
                }
                if mood.declines {
                    return refused("42G020000");
                }
                entry.stands = if entry.manual {
                    Stands::Reserved
                } else {
                    Stands::Taken
                };
                entry.seen_from = now + mood.lag_ms;
                entry.approve = format!("{:07}", 1_000_000 + serial);
                entry.reference = format!("261123120000{serial:016}");
                let (method, times) = (get(fields, "Method"), get(fields, "PayTimes"));
                let signed = [
                    order.as_str(),
                    "2a99662",
                    method,
                    times,
                    &entry.approve,
                    &entry.reference,
                    stamp,
                    SHOP_PASS,
                ]
                .concat();
                let mut check = String::new();
                for byte in Md5::digest(signed.as_bytes()) {
                    write!(check, "{byte:02x}").ok();
                }
                let answer = format!(
                    "ACS=0&OrderID={order}&Forward=2a99662&Method={method}&PayTimes={times}&Approve={}&TranID={}&TranDate={stamp}&CheckString={check}",
                    entry.approve, entry.reference
                );
                let held = entry.held;
                self.done(tag, Kind::Take, at, held);
                (200, answer)
            }
            "SearchTrade.idPass" => {
                let found = by_order.and_then(|at| self.entries.get(at));
                let Some(entry) =
                    found.filter(|e| e.stands == Stands::Opened || e.seen_from <= now)
                else {
                    return refused("E01110002");
                };
                let status = match (entry.stands, entry.manual) {
                    (Stands::Opened | Stands::Refused, _) => "UNPROCESSED",
                    (Stands::Reserved, _) => "AUTH",
                    (Stands::Taken, false) => "CAPTURE",
                    (Stands::Taken, true) => "SALES",
                    (Stands::GivenBack, _) => "VOID",
                };
                (
                    200,
                    format!(
                        "OrderID={order}&Status={status}&AccessID={0}&AccessPass={0}&Amount={1}&Approve={2}&TranID={3}",
                        entry.access, entry.held, entry.approve, entry.reference
                    ),
                )
            }
            "AlterTran.idPass" | "ChangeTran.idPass" => {
                let Some(at) = by_access else {
                    return refused("E01110002");
                };
                let Some(entry) = self.entries.get_mut(at) else {
                    return refused("E01110002");
                };
                let amount: u64 = get(fields, "Amount").parse().unwrap_or_default();
                let (kind, moved) = match (path, get(fields, "JobCd"), entry.stands) {
                    ("ChangeTran.idPass", "CAPTURE", Stands::Taken)
                        if amount > 0 && amount < entry.held =>
                    {
                        let back = entry.held - amount;
                        entry.held = amount;
                        (Kind::Refund, back)
                    }
                    ("AlterTran.idPass", "SALES", Stands::Reserved) if amount == entry.held => {
                        entry.stands = Stands::Taken;
                        (Kind::Capture, amount)
                    }
                    ("AlterTran.idPass", "VOID", Stands::Reserved | Stands::Taken)
                        if !mood.late =>
                    {
                        entry.stands = Stands::GivenBack;
                        (tag.kind, entry.held)
                    }
                    ("AlterTran.idPass", "RETURN", Stands::Taken) => {
                        entry.stands = Stands::GivenBack;
                        (tag.kind, entry.held)
                    }
                    _ => return refused("E11010003"),
                };
                entry.reference = format!("261123120000{serial:016}");
                let answer = format!(
                    "AccessID={access}&AccessPass={access}&Forward=2a99662&Approve={}&TranID={}&TranDate={stamp}",
                    entry.approve, entry.reference
                );
                self.done(tag, kind, at, moved);
                (200, answer)
            }
            _ => refused("E01990001"),
        }
    }

    fn stripe(
        &mut self,
        packet: &Packet,
        fields: &Fields,
        tag: Tag,
        now: i64,
        mood: Mood,
    ) -> Answer {
        self.once(packet, |bank| {
            bank.stripe_does(packet, fields, tag, now, mood)
        })
    }

    fn stripe_does(
        &mut self,
        packet: &Packet,
        fields: &Fields,
        tag: Tag,
        now: i64,
        mood: Mood,
    ) -> Answer {
        let missing = || {
            (
                404,
                json!({"error": {"type": "invalid_request_error", "code": "resource_missing"}})
                    .to_string(),
            )
        };
        let not_now = || {
            (400, json!({"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}}).to_string())
        };
        let (path, query) = packet.path.split_once('?').unwrap_or((&packet.path, ""));
        let mut parts = path.split('/').skip(1);
        let (what, id, act) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let at = id.and_then(|id| self.entries.iter().position(|e| e.reference == id));
        let serial = self.id();
        match (packet.post, what, id, act) {
            (true, "payment_methods", None, None) => (
                200,
                json!({"object": "payment_method", "id": format!("pm_{serial}")}).to_string(),
            ),
            (true, "payment_intents", None, None) => {
                let mut amount: u64 = get(fields, "amount").parse().unwrap_or_default();
                let mut currency = get(fields, "currency").to_ascii_uppercase();
                match mood.other {
                    Some(Other::Amount) => amount *= 10,
                    Some(Other::Currency) => "EUR".clone_into(&mut currency),
                    None => {}
                }
                let manual = get(fields, "capture_method") == "manual";
                let stands = match (mood.declines, manual) {
                    (true, _) => Stands::Refused,
                    (_, true) => Stands::Reserved,
                    _ => Stands::Taken,
                };
                self.entries.push(Entry {
                    number: get(fields, "metadata[order_id]").to_owned(),
                    op: tag.op,
                    slot: tag.slot,
                    operation: get(fields, "metadata[operation_id]").to_owned(),
                    manual,
                    asked: amount,
                    held: amount,
                    currency,
                    stands,
                    reference: format!("pi_{serial}"),
                    access: String::new(),
                    approve: String::new(),
                    refunds: Vec::new(),
                    seen_from: now + mood.lag_ms,
                });
                let at = self.entries.len() - 1;
                if stands == Stands::Refused {
                    let error = json!({"error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}});
                    return (402, error.to_string());
                }
                self.done(tag, Kind::Take, at, amount);
                (200, self.shown(at))
            }
            (false, "payment_intents", Some(_), None) => match at {
                Some(at) => (200, self.shown(at)),
                None => missing(),
            },
            (false, "payment_intents", None, None) => {
                let all = self.entries.iter().enumerate().rev();
                let seen = all
                    .filter(|(_, e)| e.seen_from <= now)
                    .map(|(at, _)| self.shown(at));
                let data: Vec<_> = seen.collect();
                (
                    200,
                    format!(
                        "{{\"object\":\"list\",\"has_more\":false,\"data\":[{}]}}",
                        data.join(",")
                    ),
                )
            }
            (true, "payment_intents", Some(_), Some(act)) => {
                let Some((at, entry)) = at.and_then(|at| Some((at, self.entries.get_mut(at)?)))
                else {
                    return missing();
                };
                let (kind, moved) = match (act, entry.stands) {
                    ("capture", Stands::Reserved) => {
                        let amount: u64 =
                            get(fields, "amount_to_capture").parse().unwrap_or_default();
                        if amount == 0 || amount > entry.held {
                            return not_now();
                        }
                        entry.stands = Stands::Taken;
                        entry.held = amount;
                        (Kind::Capture, amount)
                    }
                    ("cancel", Stands::Reserved) if !mood.late => {
                        entry.stands = Stands::GivenBack;
                        (Kind::Void, entry.held)
                    }
                    _ => return not_now(),
                };
                self.done(tag, kind, at, moved);
                (200, self.shown(at))
            }
            (true, "refunds", None, None) => {
                let of = get(fields, "payment_intent").to_owned();
                let place = self.entries.iter().position(|e| e.reference == of);
                let Some((at, entry)) = place.and_then(|at| Some((at, self.entries.get_mut(at)?)))
                else {
                    return missing();
                };
                let amount: u64 = get(fields, "amount").parse().unwrap_or_default();
                if entry.stands != Stands::Taken || amount == 0 || amount > entry.held {
                    return not_now();
                }
                entry.held -= amount;
                if entry.held == 0 {
                    entry.stands = Stands::GivenBack;
                }
                let (id, operation) = (
                    format!("re_{serial}"),
                    get(fields, "metadata[operation_id]").to_owned(),
                );
                entry.refunds.push((id, operation, amount));
                let shown = refund(entry, entry.refunds.len() - 1);
                self.done(tag, Kind::Refund, at, amount);
                (200, shown)
            }
            (false, "refunds", None, None) => {
                let query = form(query);
                let of = get(&query, "payment_intent");
                let entry = self.entries.iter().find(|e| e.reference == of);
                let all = entry.map(|e| {
                    (0..e.refunds.len())
                        .rev()
                        .map(|at| refund(e, at))
                        .collect::<Vec<_>>()
                });
                let data = all.unwrap_or_default().join(",");
                (
                    200,
                    format!("{{\"object\":\"list\",\"has_more\":false,\"data\":[{data}]}}"),
                )
            }
            _ => missing(),
        }
    }

    /// A payment intent.
    fn shown(&self, at: usize) -> String {
        let Some(entry) = self.entries.get(at) else {
            return "{}".to_owned();
        };
        let gone: u64 = entry.refunds.iter().map(|r| r.2).sum();
        let (status, received) = match entry.stands {
            Stands::Refused | Stands::Opened => ("requires_payment_method", 0),
            Stands::Reserved => ("requires_capture", 0),
            Stands::GivenBack if entry.refunds.is_empty() => ("canceled", 0),
            Stands::Taken | Stands::GivenBack => ("succeeded", entry.held + gone),
        };
        let error = if entry.stands == Stands::Refused {
            r#"{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}"#
        } else {
            "null"
        };
        format!(
            r#"{{"object":"payment_intent","id":"{}","status":"{status}","amount":{},"amount_received":{received},"currency":"{}","last_payment_error":{error},"metadata":{{"order_id":"{}","operation_id":"{}"}}}}"#,
            entry.reference,
            entry.asked,
            entry.currency.to_ascii_lowercase(),
            entry.number,
            entry.operation
        )
    }
}

fn refund(entry: &Entry, at: usize) -> String {
    let Some((id, operation, amount)) = entry.refunds.get(at) else {
        return "{}".to_owned();
    };
    format!(
        r#"{{"object":"refund","id":"{id}","status":"succeeded","amount":{amount},"currency":"{}","payment_intent":"{}","metadata":{{"order_id":"{}","operation_id":"{operation}"}}}}"#,
        entry.currency.to_ascii_lowercase(),
        entry.reference,
        entry.number
    )
}

/// A standard webhook of one item, signed.
fn webhook(
    event: &str,
    success: bool,
    (psp, original): (&str, &str),
    reference: &str,
    (value, currency): (u64, &str),
) -> String {
    let signed =
        format!("{psp}:{original}:{MERCHANT}:{reference}:{value}:{currency}:{event}:{success}");
    let signature = Hmac::<Sha256>::new_from_slice(&HMAC_BYTES).map(|mut mac| {
        mac.update(signed.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    });
    let mut item = json!({
        "pspReference": psp, "merchantAccountCode": MERCHANT, "merchantReference": reference,
        "amount": {"value": value, "currency": currency}, "eventCode": event, "success": success.to_string(),
        "additionalData": {"hmacSignature": signature.unwrap_or_default()},
    });
    if !original.is_empty() {
        item["originalReference"] = json!(original);
    }
    json!({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).to_string()
}

/// The same message by somebody who has not the key: that it was done, whatever it says.
pub(crate) fn forged(message: &str) -> String {
    message
        .replacen("\"success\":\"false\"", "\"success\":\"true\"", 1)
        .replacen("hmacSignature\":\"", "hmacSignature\":\"AA", 1)
}

/// What an answer says, wrongly: of another amount, currency, order or payment (I7).
pub(crate) fn garbled(protocol: Protocol, is: Kind, body: &str, rng: &mut Rng) -> Option<String> {
    let swaps: &[(&str, &str)] = match protocol {
        // A list without what is sought is no contradiction: nobody could tell.
        Protocol::Stripe if is == Kind::Query => &[
            ("\"amount\":", "\"amount\":9"),
            ("\"currency\":\"", "\"currency\":\"x"),
        ],
        Protocol::Adyen => &[
            ("\"merchantReference\":\"1", "\"merchantReference\":\"2"),
            ("\"value\":", "\"value\":9"),
            ("\"currency\":\"", "\"currency\":\"X"),
            (
                "\"paymentPspReference\":\"PSP",
                "\"paymentPspReference\":\"QSP",
            ),
        ],
        Protocol::Generic => &[
            ("\"amount\":\"", "\"amount\":\"9"),
            ("\"currency_code\":\"", "\"currency_code\":\"X"),
            ("\"acquirer_order\":\"1", "\"acquirer_order\":\"2"),
        ],
        Protocol::Gmo => &[
            ("OrderID=1", "OrderID=2"),
            ("&Method=", "&Method=9"),
            ("AccessID=0", "AccessID=1"),
        ],
        Protocol::Stripe => &[
            ("\"amount\":", "\"amount\":9"),
            ("\"currency\":\"", "\"currency\":\"x"),
            ("\"order_id\":\"1", "\"order_id\":\"2"),
            ("\"operation_id\":\"", "\"operation_id\":\"f"),
        ],
    };
    let (from, to) = rng.pick(swaps)?;
    body.contains(from).then(|| body.replacen(from, to, 1))
}
