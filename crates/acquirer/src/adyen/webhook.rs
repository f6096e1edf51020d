//! Adyen's standard webhooks: who signed them, and what they say of an operation of ours.
//!
//! Each item is signed on its own, over eight fields with colons between them. Some of Adyen's documents escape a colon or a backslash within
//! a field, and what it signs is not escaped (adyen-python-api-library, test/mocks/util): either is taken, and such an item is never one
//! of ours, whose fields have neither. What isn't signed (`live`, `reason`, `additionalData`) makes no approval.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ivrpay_payment::OperationKind::{Authorise, Capture, Charge, Refund, Void};
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Approval, Currency, Decline, Money, Notice, Noticed, OperationKind,
    Outcome, Reason, Sum, plant,
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::fields::told;
use super::is_reference;
use crate::digest::unhex32;
use crate::codes::{Class, adyen, listed, soft};
use crate::{Heard, Hook, HookError, Mode, Posted, SettingError, Settings, json, text};

/// Most items of one message: Adyen sends one, and up to six in its older forms.
const ITEMS_MAX: usize = 64;

/// What an event is to us.
struct Event {
    name: &'static str,
    /// What operation of ours it settles.
    kinds: &'static [OperationKind],
    /// What it may be about besides; and what it is about where it names our order alone, as what is done by hand at Adyen does.
    warns: &'static [OperationKind],
    tells: Tells,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// Whether it was authorised.
    Authorised,
    /// Whether it was done.
    Done,
    /// The same, of a release: the amount may be left at nought.
    Released,
    /// That what was said to be done has failed; it comes with `success` true.
    Failed,
    /// Nothing that an operation of ours waits for.
    Nothing,
}

const fn event(
    name: &'static str,
    kinds: &'static [OperationKind],
    warns: &'static [OperationKind],
    tells: Tells,
) -> Event {
    Event {
        name,
        kinds,
        warns,
        tells,
    }
}

/// Adyen/adyen-openapi, json/Webhooks-v1.json. Those that tell nothing are here for the log.
#[rustfmt::skip]
const EVENTS: &[Event] = &[
    event("AUTHORISATION",              &[Charge, Authorise], &[],                Tells::Authorised),
    event("CAPTURE",                    &[Capture],           &[Capture],         Tells::Done),
    event("CAPTURE_FAILED",             &[Capture],           &[Capture, Charge], Tells::Failed),
    event("CANCELLATION",               &[Void],              &[Void],            Tells::Released),
    event("TECHNICAL_CANCEL",           &[Void],              &[],                Tells::Released),
    // A charge is voided, or refunded as a whole, by whichever applies.
    event("CANCEL_OR_REFUND",           &[Refund, Void],      &[Refund, Void],    Tells::Released),
    event("REFUND",                     &[Refund, Void],      &[Refund],          Tells::Done),
    event("REFUND_FAILED",              &[Refund, Void],      &[Refund, Void],    Tells::Failed),
    event("REFUNDED_REVERSED",          &[Refund, Void],      &[Refund, Void],    Tells::Failed),
    event("AUTHORISATION_ADJUSTMENT",   &[],                  &[],       Tells::Nothing),
    event("CHARGEBACK",                 &[],                  &[],       Tells::Nothing),
    event("CHARGEBACK_REVERSED",        &[],                  &[],       Tells::Nothing),
    event("EXPIRE",                     &[],                  &[],       Tells::Nothing),
    event("NOTIFICATION_OF_CHARGEBACK", &[],                  &[],       Tells::Nothing),
    event("NOTIFICATION_OF_FRAUD",      &[],                  &[],       Tells::Nothing),
    // It will be done when the payment is captured: what came of it is told then.
    event("POSTPONED_REFUND",           &[],                  &[],       Tells::Nothing),
    event("RECURRING_CONTRACT",         &[],                  &[],       Tells::Nothing),
    event("REPORT_AVAILABLE",           &[],                  &[],       Tells::Nothing),
    event("REQUEST_FOR_INFORMATION",    &[],                  &[],       Tells::Nothing),
];

/// What proves a webhook, and whose it has to be.
pub(super) struct Webhook {
    merchant_account: String,
    live: bool,
    /// One, or while they are exchanged the old one and the new one.
    keys: Vec<SecretSlice<u8>>,
    /// The whole value of `Authorization`.
    basic: Option<SecretString>,
}

/// One or two keys, with a space between: 32 bytes each, in hexadecimal digits.
pub(super) fn is_key(text: &str) -> bool {
    !keys(text).is_empty()
}

fn keys(text: &str) -> Vec<SecretSlice<u8>> {
    let keys: Option<Vec<_>> = text.split_whitespace().map(unhex32).collect();
    let mut keys = keys.unwrap_or_default();
    if keys.len() > 2 {
        keys.clear();
    }
    keys.into_iter().map(SecretSlice::from).collect()
}

impl Webhook {
    /// `None` without a key.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, SettingError> {
        let keys = keys(settings.secret("webhook_hmac_key").expose_secret());
        let basic = settings
            .pair(
                ("webhook_user", "the user that belongs to webhook_password"),
                (
                    "webhook_password",
                    "the password that belongs to webhook_user",
                ),
            )?
            .map(|(user, password)| {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                SecretString::from(format!("Basic {pair}"))
            });
        if keys.is_empty() {
            // User and password alone are no proof: what is told would not be tied to them.
            return match basic {
                Some(_) => Err(SettingError::Missing {
                    name: "webhook_hmac_key",
                    what: "without the HMAC key no webhook is read, whatever its user and password",
                    secret: true,
                }),
                None => Ok(None),
            };
        }
        Ok(Some(Self {
            merchant_account: settings.text("merchant_account"),
            live: settings.mode == Mode::Live,
            keys,
            basic,
        }))
    }

    /// Whether somebody who has the key signed these fields so.
    fn signed(&self, fields: &Fields, signature: &[u8]) -> bool {
        [fields.joined(false), fields.joined(true)]
            .iter()
            .any(|payload| {
                self.keys.iter().any(|key| {
                    let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret());
                    mac.is_ok_and(|mut mac| {
                        mac.update(payload.as_bytes());
                        mac.verify_slice(signature).is_ok()
                    })
                })
            })
    }

    fn heard(&self, item: &Value, fields: &Fields) -> Heard {
        let [psp, _, account, reference, value, currency, name, success] = &fields.0;
        let Some(event) = EVENTS.iter().find(|event| event.name == name) else {
            return Heard::Nothing("other");
        };
        let nothing = Heard::Nothing(event.name);
        let about = if let Ok(id) = reference.parse() {
            Noticed::Operation(id)
        } else if reference.len() == 17
            && let Some(order) = digits(reference).and_then(AcquirerOrder::new)
        {
            Noticed::Order(order)
        } else {
            return nothing;
        };
        let psp = Some(psp).filter(|psp| is_reference(psp));
        let Some(psp) = psp.and_then(|psp| AcquirerRef::new(psp.as_str()).ok()) else {
            return nothing;
        };
        let said = match &**success {
            "true" => true,
            "false" => false,
            _ => return nothing,
        };
        if fields.are_odd() || *account != self.merchant_account {
            return nothing;
        }
        let reason = json::text(item, told::REASON).unwrap_or_default();
        let outcome = match (event.tells, said) {
            (Tells::Nothing, _) | (Tells::Failed, false) => return nothing,
            (Tells::Authorised, true) => Outcome::Approved(Approval {
                acquirer_ref: psp.clone(),
                code: approval(item, reason),
                card: None,
            }),
            (Tells::Authorised, false) => refused(reason),
            (Tells::Done | Tells::Released, true) => Outcome::Approved(Approval {
                acquirer_ref: psp.clone(),
                code: None,
                card: None,
            }),
            (Tells::Done | Tells::Released, false) | (Tells::Failed, true) => {
                Outcome::Declined(Decline {
                    reason: Reason::RequestRefused,
                    code: text::code(if reason.is_empty() { event.name } else { reason }),
                    hard: false,
                    action: None,
                })
            }
        };
        if matches!(outcome, Outcome::Unknown(_)) {
            return nothing;
        }
        let sum = match (digits(value), currency.parse::<Currency>()) {
            (Some(0), _) if event.tells == Tells::Released => Sum::Untold,
            (Some(value), Ok(currency)) => Money::new(value, currency).map_or(Sum::Foreign, Sum::Is),
            _ => Sum::Foreign,
        };
        // By hand at Adyen the same may be done to the same order, which settles none of ours.
        let by_hand = matches!(about, Noticed::Order(_)) && !event.warns.is_empty();
        Heard::Notice(Notice {
            event: event.name,
            about,
            kinds: if by_hand { &[] } else { event.kinds },
            warns: event.warns,
            sum,
            outcome,
            reference: psp,
        })
    }
}

impl Hook for Webhook {
    fn read(&self, posted: &Posted<'_>) -> Result<Vec<Heard>, HookError> {
        if let Some(basic) = &self.basic {
            let given = posted.authorization.unwrap_or_default();
            if !bool::from(given.ct_eq(basic.expose_secret().as_bytes())) {
                return Err(HookError::Unproven);
            }
        }
        let message: Value =
            serde_json::from_slice(posted.body).map_err(|_| HookError::Malformed)?;
        let items = message.pointer(told::ITEMS).and_then(Value::as_array);
        let items = items.ok_or(HookError::Malformed)?;
        // Without an item nothing is signed.
        if items.is_empty() || items.len() > ITEMS_MAX {
            return Err(HookError::Malformed);
        }
        let read = |item: &Value| {
            let item = item.pointer(told::ITEM).ok_or(HookError::Malformed)?;
            let fields = Fields::of(item);
            let signature = json::text(item, told::SIGNATURE).unwrap_or_default();
            let signature = STANDARD.decode(signature).unwrap_or_default();
            if self.signed(&fields, &signature) || plant::is("webhook-not-proven") {
                Ok(self.heard(item, &fields))
            } else {
                Err(HookError::Unproven)
            }
        };
        let heard: Vec<Heard> = items.iter().map(read).collect::<Result<_, _>>()?;
        let live = message.pointer(told::LIVE).map(plain);
        // The other one's, sent here by mistake.
        if live.is_some_and(|live| live != self.live.to_string()) {
            let nothing = |heard: Heard| Heard::Nothing(heard.event());
            return Ok(heard.into_iter().map(nothing).collect());
        }
        Ok(heard)
    }
}

/// What is signed, in its order.
struct Fields([String; 8]);

impl Fields {
    fn of(item: &Value) -> Self {
        let at = [
            told::PSP_REFERENCE,
            told::ORIGINAL,
            told::MERCHANT_ACCOUNT,
            told::REFERENCE,
            told::VALUE,
            told::CURRENCY,
            told::EVENT,
            told::SUCCESS,
        ];
        Self(at.map(|place| item.pointer(place).map(plain).unwrap_or_default()))
    }

    fn joined(&self, escaped: bool) -> String {
        let fields = self.0.iter().map(|field| {
            if escaped {
                field.replace('\\', "\\\\").replace(':', "\\:")
            } else {
                field.clone()
            }
        });
        fields.collect::<Vec<_>>().join(":")
    }

    /// Whether where one ends and the next begins could be read in two ways.
    fn are_odd(&self) -> bool {
        self.0.iter().any(|field| field.contains([':', '\\']))
    }
}

/// A text, number or truth value as it is signed.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => String::new(),
    }
}

fn digits(text: &str) -> Option<u64> {
    let all = (1..=17).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok())?
}

/// The issuer's code: by itself, or in front of the card's last four and expiry, which are not kept.
fn approval(item: &Value, reason: &str) -> Option<String> {
    let in_front = || reason.split_once(':').map(|(code, _)| code);
    let code = json::text(item, told::APPROVAL).or_else(in_front)?;
    let good = (1..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then(|| code.to_owned())
}

/// A refusal, which webhooks give in words. One of another wording is a refusal all the same.
fn refused(reason: &str) -> Outcome {
    let named = |row: &&crate::codes::Row<_>| row.1.eq_ignore_ascii_case(reason);
    match adyen::TABLE.iter().find(named) {
        Some((code, ..)) => listed(adyen::TABLE, code)
            .unwrap_or(Class::Unknown)
            .outcome(code),
        None => soft(Reason::Other).outcome(reason),
    }
}

#[cfg(test)]
mod tests;
