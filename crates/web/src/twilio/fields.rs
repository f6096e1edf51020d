//! What Twilio's forms say, read whole: a field that is not there, or that this service does not have, is an error and never passed over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ivrpay_api as api;
use ivrpay_api::CaptureField;
use ivrpay_payment::{Brand, Currency, Transaction};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Tenant;
use crate::captures::Want;
use crate::twilio::fault::Fault;

/// Longest `StatusCallback`, bytes.
const CALLBACK_MAX: usize = 2_000;
/// Longest `IdempotencyKey`, characters.
const KEY_MAX: usize = 255;
/// Longest `Timeout`, seconds, as Twilio has it.
const TIMEOUT_MAX: u64 = 600;
/// The status of every call that is listed, and those that Twilio's calls have.
const ON: &str = "in-progress";
const STATUSES: [&str; 8] = [
    ON,
    "queued",
    "ringing",
    "canceled",
    "completed",
    "busy",
    "no-answer",
    "failed",
];
/// Calls on a page, as Twilio has it.
const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1_000;
const PAGES_MAX: usize = 100_000;
/// What this service has no keypad for.
const NO_POSTAL_CODE: &str = "postal codes are not captured here";
const NO_BANK: &str =
    "bank accounts are not captured here; cards alone are (PaymentMethod=credit-card)";

/// Why no status callback goes to an address, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackRefused(pub String);

/// A capture that a program leads, field by field.
#[derive(Debug, Clone, Default)]
pub struct Lead {
    /// Where the program is told how far it is; nowhere when empty.
    pub callback: Arc<Mutex<String>>,
    /// Its account, as [`crate::TwilioAccount`] has it; none where it was asked for otherwise.
    pub account: String,
    /// The call, in Twilio's words.
    pub call_sid: String,
    /// `ChargeAmount`, as it was sent.
    pub charge_amount: String,
    /// `Currency`, in small letters.
    pub currency: String,
    /// `PaymentConnector`, as it was sent.
    pub connector: String,
    /// `TokenType`.
    pub token_type: String,
    /// What is keyed twice.
    pub twice: Vec<CaptureField>,
    /// The customer presses 1 to his last four.
    pub confirmation: bool,
    /// No code is asked for.
    pub without_code: bool,
    /// Brands that are taken; the tenant's when empty.
    pub brands: Vec<Brand>,
    /// Wait between two keys.
    pub timeout: Option<Duration>,
}

/// A talk that is on, as Twilio's calls are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCall {
    /// `CA` and the MD5 of the channel's unique id, in hexadecimal.
    pub sid: String,
    /// The other one's, with whom it talks.
    pub with: Option<String>,
    /// The caller's number.
    pub from: String,
    /// The number, or extension, that was called.
    pub to: String,
    /// The channel's name.
    pub channel: String,
    /// When it began, milliseconds since 1970 (UTC).
    pub began_ms: i64,
}

impl LiveCall {
    pub(super) fn shown(&self, account: &str) -> Value {
        let sid = &self.sid;
        let at = jiff::Timestamp::from_millisecond(self.began_ms).unwrap_or_default();
        let began = super::written(at);
        let uri = format!("/2010-04-01/Accounts/{account}/Calls/{sid}");
        json!({
            "sid": sid, "account_sid": account, "parent_call_sid": self.with, "status": ON,
            "from": self.from, "from_formatted": self.from, "to": self.to, "to_formatted": self.to,
            "phone_number_sid": "", "direction": "inbound", "api_version": "2010-04-01",
            "annotation": null, "answered_by": null, "caller_name": self.channel, "forwarded_from": null, "group_sid": null,
            "queue_time": "0", "trunk_sid": "", "duration": null, "price": null, "price_unit": "USD",
            "date_created": began, "date_updated": began, "start_time": began, "end_time": null,
            "uri": format!("{uri}.json"),
            "subresource_uris": { "payments": format!("{uri}/Payments.json") },
        })
    }
}

/// Which of the calls are wanted, and which page of them.
#[derive(Debug)]
pub(super) struct CallsQuery {
    status: Option<String>,
    to: Option<String>,
    from: Option<String>,
    pub(super) page: usize,
    pub(super) page_size: usize,
}

impl CallsQuery {
    /// What is not known is refused: a filter that was passed over would show calls that nobody wanted.
    pub(super) fn read(query: &str) -> Result<Self, Fault> {
        let mut form = Form::read(query.as_bytes())?;
        let status = form.take("Status");
        if let Some(status) = &status
            && !STATUSES.contains(&status.as_str())
        {
            return Err(Fault::invalid(format!("Status: {}", STATUSES.join(", "))));
        }
        let (to, from) = (form.take("To"), form.take("From"));
        let page = form.number("Page", 0, 0..=PAGES_MAX)?;
        let page_size = form.number("PageSize", PAGE_SIZE, 1..=PAGE_SIZE_MAX)?;
        form.nothing_else()?;
        Ok(Self {
            status,
            to,
            from,
            page,
            page_size,
        })
    }

    /// A call that is listed is on.
    pub(super) fn wants(&self, call: &LiveCall) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        is(&self.status, ON) && is(&self.to, &call.to) && is(&self.from, &call.from)
    }

    /// As the query of another page of the same.
    pub(super) fn written(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let filters = [
            ("Status", &self.status),
            ("To", &self.to),
            ("From", &self.from),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("PageSize", &self.page_size.to_string());
        query.append_pair("Page", &page.to_string());
        query.finish()
    }
}

/// The body has to be one.
pub(super) fn is_form(headers: &HeaderMap) -> Result<(), Fault> {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
    match kind {
        Some(Ok(kind)) if kind.starts_with("application/x-www-form-urlencoded") => Ok(()),
        _ => Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Fault::INVALID,
            "send the header `Content-Type: application/x-www-form-urlencoded`",
        )),
    }
}

/// Names and values; each name once.
#[derive(Debug)]
pub(super) struct Form(BTreeMap<String, String>);

/// A payment that is to begin.
pub(super) struct Create {
    pub(super) key: String,
    pub(super) callback: String,
    pub(super) payment: api::CreatePayment,
    pub(super) person: Option<String>,
    pub(super) lead: Lead,
}

/// What is wanted of one that is on.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) key: String,
    pub(super) callback: String,
    pub(super) want: Want,
}

impl Form {
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        let mut fields = BTreeMap::new();
        if std::str::from_utf8(body).is_err() {
            return Err(Fault::invalid("the body, or query, is to be UTF-8"));
        }
        for (name, value) in form_urlencoded::parse(body) {
            // The decoder puts this in the place of what is no UTF-8.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(Fault::invalid("the body is to be UTF-8"));
            }
            if fields
                .insert(name.into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Fault::invalid("a field stands twice in it"));
            }
        }
        Ok(Self(fields))
    }

    /// Of all that was sent, in the order of the names.
    pub(super) fn hash(&self) -> [u8; 32] {
        crate::payments::hash(&self.0)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    fn needs(&mut self, name: &'static str) -> Result<String, Fault> {
        self.take(name)
            .ok_or_else(|| Fault::invalid(format!("{name} is missing")))
    }

    fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        known: &[(&str, T)],
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let found = known.iter().find(|(word, _)| *word == value);
        found.map(|(_, meant)| Some(*meant)).ok_or_else(|| {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            Fault::invalid(format!("{name}: {}", words.join(", ")))
        })
    }

    fn number(
        &mut self,
        name: &'static str,
        usual: usize,
        may: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, Fault> {
        let Some(text) = self.take(name) else {
            return Ok(usual);
        };
        let number = text.parse().ok().filter(|number| may.contains(number));
        number.ok_or_else(|| {
            Fault::invalid(format!(
                "{name}: a whole number, {} to {}",
                may.start(),
                may.end()
            ))
        })
    }

    fn key(&mut self) -> Result<String, Fault> {
        let key = self.needs("IdempotencyKey")?;
        let visible = key.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        let is_card = uuid::Uuid::parse_str(&key).is_err() && ivrpay_journal::looks_like_card(&key);
        if key.len() > KEY_MAX || !visible || is_card {
            return Err(Fault::invalid(format!(
                "IdempotencyKey: 1 to {KEY_MAX} visible ASCII characters, and nothing that could be a card number"
            )));
        }
        Ok(key)
    }

    fn callback(&mut self) -> Result<String, Fault> {
        let url = self.needs("StatusCallback")?;
        if url.len() > CALLBACK_MAX {
            return Err(Fault::invalid(format!(
                "StatusCallback: at most {CALLBACK_MAX} bytes"
            )));
        }
        Ok(url)
    }

    /// Nothing is left that nobody has read.
    fn nothing_else(&self) -> Result<(), Fault> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let shown: String = name
                    .chars()
                    .take(40)
                    .filter(|c| !c.is_ascii_digit())
                    .collect();
                Err(Fault::invalid(format!(
                    "{shown}: there is no such field here"
                )))
            }
        }
    }

    pub(super) fn create(mut self, tenant: &Tenant) -> Result<Create, Fault> {
        let (key, callback) = (self.key()?, self.callback()?);
        self.only_dtmf_and_cards()?;
        let currency = self.take("Currency").map(|code| code.to_ascii_uppercase());
        let charge_amount = self.take("ChargeAmount").unwrap_or_else(|| "0".to_owned());
        let of_charge: Currency = match &currency {
            None => tenant.currency,
            Some(code) => code
                .parse()
                .map_err(|error| Fault::invalid(format!("Currency: {error}")))?,
        };
        let amount = minor(&charge_amount, of_charge).ok_or_else(|| {
            Fault::invalid("ChargeAmount: a decimal number in the main unit of the currency, as 1200 (JPY) or 12.50 (USD)")
        })?;
        let kinds = [
            ("reusable", "reusable"),
            ("one-time", "one-time"),
            ("payment-method", "payment-method"),
        ];
        let token_type = self.one_of("TokenType", &kinds)?.unwrap_or("reusable");
        if amount == 0 && token_type != "reusable" {
            return Err(Fault::invalid(
                "TokenType: cards are stored here for good (reusable), or charged at once (ChargeAmount)",
            ));
        }
        let connector = self.take("PaymentConnector");
        let named = connector.clone().filter(|name| name != "Default");
        let lead = Lead {
            charge_amount,
            currency: of_charge.code().to_ascii_lowercase(),
            connector: connector.unwrap_or_else(|| "Default".to_owned()),
            token_type: token_type.to_owned(),
            twice: self.twice()?,
            confirmation: self
                .one_of("Confirmation", &[("true", true), ("false", false)])?
                .unwrap_or(false),
            without_code: self.one_of("SecurityCode", &[("true", false), ("false", true)])?
                == Some(true),
            brands: self.brands()?,
            timeout: self.timeout()?,
            ..Lead::default()
        };
        let description = self.take("Description");
        let mut parameters = self.parameters()?;
        self.nothing_else()?;
        let order_id = parameters.remove("order_id");
        let order_id = order_id.unwrap_or_else(|| order_of(&key));
        let person = parameters.remove("operator");
        let payment = api::CreatePayment {
            transaction_type: (amount == 0).then_some(Transaction::Tokenise),
            amount,
            payment_token: None,
            brand: None,
            last4: None,
            currency,
            order_id,
            part: 0,
            language: parameters.remove("language"),
            operator_extension: None,
            operator: person.clone(),
            caller_number: None,
            site: parameters.remove("site"),
            connector: named,
            payment_plan: None,
            payment_plan_count: None,
            description,
            parameters,
            expires_at: None,
        };
        Ok(Create {
            key,
            callback,
            payment,
            person,
            lead,
        })
    }

    fn only_dtmf_and_cards(&mut self) -> Result<(), Fault> {
        self.one_of("Input", &[("dtmf", ())])?;
        if self.take("BankAccountType").is_some() {
            return Err(Fault::invalid(format!("BankAccountType: {NO_BANK}")));
        }
        if self
            .take("PaymentMethod")
            .is_some_and(|method| method != "credit-card")
        {
            return Err(Fault::invalid(format!("PaymentMethod: {NO_BANK}")));
        }
        if self.take("PostalCode").is_some_and(|code| code != "false")
            || self
                .take("MinPostalCodeLength")
                .is_some_and(|least| least != "0")
        {
            return Err(Fault::invalid(format!(
                "PostalCode: {NO_POSTAL_CODE}; send PostalCode=false, or leave it out"
            )));
        }
        Ok(())
    }

    fn twice(&mut self) -> Result<Vec<CaptureField>, Fault> {
        let named = self.take("RequireMatchingInputs").unwrap_or_default();
        let words = named.split([',', ' ']).filter(|word| !word.is_empty());
        words
            .map(|word| match field(word, "RequireMatchingInputs")? {
                (field, false) => Ok(field),
                (_, true) => Err(Fault::invalid(
                    "RequireMatchingInputs: fields by their own names, without -matcher",
                )),
            })
            .collect()
    }

    fn brands(&mut self) -> Result<Vec<Brand>, Fault> {
        let Some(named) = self.take("ValidCardTypes") else {
            return Ok(Vec::new());
        };
        let mut brands = Vec::new();
        for word in named.split([',', ' ']).filter(|word| !word.is_empty()) {
            match Brand::ALL.into_iter().find(|brand| brand.name() == word) {
                Some(brand) => brands.push(brand),
                // Brands of Twilio's list that no card has any more.
                None if matches!(word, "optima" | "enroute") => {}
                None => {
                    let known: Vec<_> = Brand::ALL.into_iter().map(Brand::name).collect();
                    return Err(Fault::invalid(format!(
                        "ValidCardTypes: of {}, with a space between",
                        known.join(" ")
                    )));
                }
            }
        }
        if brands.is_empty() {
            return Err(Fault::invalid(
                "ValidCardTypes: none is left that is taken here",
            ));
        }
        Ok(brands)
    }

    fn timeout(&mut self) -> Result<Option<Duration>, Fault> {
        let Some(seconds) = self.take("Timeout") else {
            return Ok(None);
        };
        let seconds: Option<u64> = seconds.parse().ok();
        let seconds = seconds.filter(|seconds| (1..=TIMEOUT_MAX).contains(seconds));
        let seconds = seconds
            .ok_or_else(|| Fault::invalid(format!("Timeout: 1 to {TIMEOUT_MAX} whole seconds")))?;
        Ok(Some(Duration::from_secs(seconds)))
    }

    fn parameters(&mut self) -> Result<BTreeMap<String, String>, Fault> {
        let Some(text) = self.take("Parameter") else {
            return Ok(BTreeMap::new());
        };
        let bad = || {
            Fault::invalid(
                "Parameter: a JSON object of texts, numbers and truths, as {\"order_id\": \"A-1\"}",
            )
        };
        let object: BTreeMap<String, Value> = serde_json::from_str(&text).map_err(|_| bad())?;
        let texts = object.into_iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
            _ => Err(bad()),
        });
        texts.collect()
    }

    /// What an update wants, in words of ours alone: what was sent may be anything.
    pub(super) fn wish(&self) -> String {
        let text = |name: &str| self.0.get(name).map_or("", String::as_str);
        match (field(text("Capture"), "Capture"), text("Status")) {
            (Ok((field, true)), _) => format!("{}-matcher", field.name()),
            (Ok((field, false)), _) => field.name().to_owned(),
            (_, status @ ("complete" | "cancel")) => status.to_owned(),
            _ => String::new(),
        }
    }

    pub(super) fn update(mut self) -> Result<Update, Fault> {
        let (key, callback) = (self.key()?, self.callback()?);
        let (capture, status) = (self.take("Capture"), self.take("Status"));
        self.nothing_else()?;
        let want = match (capture, status.as_deref()) {
            (Some(name), None) => {
                let (field, again) = field(&name, "Capture")?;
                Want::Capture(field, again)
            }
            (None, Some("complete")) => Want::Complete,
            (None, Some("cancel")) => Want::Cancel,
            (None, Some(_)) => return Err(Fault::invalid("Status: complete or cancel")),
            _ => return Err(Fault::invalid("Capture, or Status: one of the two")),
        };
        Ok(Update {
            key,
            callback,
            want,
        })
    }
}

/// A field by Twilio's name, and whether it is its matcher.
fn field(name: &str, at: &str) -> Result<(CaptureField, bool), Fault> {
    let (plain, again) = match name.strip_suffix("-matcher") {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let field = match plain {
        "payment-card-number" => CaptureField::PaymentCardNumber,
        "expiration-date" => CaptureField::ExpirationDate,
        "security-code" => CaptureField::SecurityCode,
        "postal-code" => return Err(Fault::invalid(format!("{at}: {NO_POSTAL_CODE}"))),
        "bank-routing-number" | "bank-account-number" => {
            return Err(Fault::invalid(format!("{at}: {NO_BANK}")));
        }
        _ => {
            return Err(Fault::invalid(format!(
                "{at}: payment-card-number, expiration-date or security-code, with -matcher behind it for its repetition"
            )));
        }
    };
    Ok((field, again))
}

/// An order number where the program has none: its own, by the request's key.
fn order_of(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let hex: String = hash
        .iter()
        .take(9)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // No row of digits that could be a card's.
    let parts: Vec<_> = hex
        .as_bytes()
        .chunks(6)
        .map(String::from_utf8_lossy)
        .collect();
    format!("twilio-{}", parts.join("-"))
}

/// Minor units of a decimal number; `None` for what is none, or has more places than the currency.
fn minor(text: &str, currency: Currency) -> Option<u64> {
    let places = usize::try_from(currency.exponent()).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let (kept, rest) = part.split_at_checked(places).unwrap_or((part, ""));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    format!("{whole}{kept:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn amounts_are_read_without_a_rounding() {
        for (text, currency, expected) in [
            ("1200", Currency::Jpy, Some(1_200)),
            ("1200.00", Currency::Jpy, Some(1_200)),
            ("1200.50", Currency::Jpy, None),
            ("12.5", Currency::Usd, Some(1_250)),
            ("12.50", Currency::Usd, Some(1_250)),
            ("12.500", Currency::Usd, Some(1_250)),
            ("12.505", Currency::Usd, None),
            ("0", Currency::Usd, Some(0)),
            ("0.01", Currency::Usd, Some(1)),
            ("", Currency::Usd, None),
            (".5", Currency::Usd, None),
            ("-1", Currency::Usd, None),
            ("1e3", Currency::Usd, None),
            ("1,200", Currency::Jpy, None),
            ("9999999999999", Currency::Jpy, None),
        ] {
            assert_eq!(minor(text, currency), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let ends = "&IdempotencyKey=k&StatusCallback=https%3A%2F%2Fx.example%2F";
        for (form, says) in [
            (
                "Capture=payment-card-number",
                Ok(Want::Capture(CaptureField::PaymentCardNumber, false)),
            ),
            (
                "Capture=expiration-date-matcher",
                Ok(Want::Capture(CaptureField::ExpirationDate, true)),
            ),
            ("Status=complete", Ok(Want::Complete)),
            ("Status=cancel", Ok(Want::Cancel)),
            ("Status=pause", Err("Status: complete or cancel")),
            (
                "Capture=postal-code",
                Err("postal codes are not captured here"),
            ),
            (
                "Capture=bank-account-number",
                Err("bank accounts are not captured"),
            ),
            (
                "Capture=pin",
                Err("Capture: payment-card-number, expiration-date"),
            ),
            (
                "Capture=security-code&Status=complete",
                Err("one of the two"),
            ),
            ("", Err("one of the two")),
            (
                "Status=complete&Colour=red",
                Err("Colour: there is no such field"),
            ),
            ("Status=complete&Status=cancel", Err("stands twice")),
            ("Status=%ff", Err("UTF-8")),
        ] {
            let read = Form::read(format!("{form}{ends}").as_bytes());
            let read = read.and_then(Form::update).map(|update| update.want);
            match (read, says) {
                (Ok(want), Ok(expected)) => assert_eq!(want, expected, "{form}"),
                (Err(fault), Err(says)) => {
                    let told = format!("{fault:?}");
                    assert!(told.contains(says), "{form}: {told}");
                }
                (read, _) => panic!("{form}: {read:?}"),
            }
        }
        for missing in [
            "Status=complete&IdempotencyKey=k",
            "Status=complete&StatusCallback=x",
        ] {
            assert!(Form::read(missing.as_bytes()).unwrap().update().is_err());
        }
    }

    #[test]
    fn an_order_number_follows_from_the_key() {
        assert_eq!(order_of("a"), order_of("a"));
        assert_ne!(order_of("a"), order_of("b"));
        assert!(ivrpay_payment::OrderId::new(order_of("a")).is_ok());
    }
}
