//! Captures that a program leads, and the status callbacks by which it follows them, in Twilio's words (`docs/twilio.md`).
//!
//! A call reports here where its capture is; a task for each tells the program, one callback after the other. They are for people's screens:
//! one that does not arrive is tried once more, and then is left. What became of the money is told by webhooks, which are not lost.

mod config;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ivrpay_ari::Channel;
use ivrpay_dialogue::{Ask, CallResult, End, ErrorType, Fields, Leading, Settings, Taken};
use ivrpay_journal::{By, Journal};
use ivrpay_payment::{Brand, CallId, Outcome, PaymentId, State, Truncated};
use ivrpay_web::{CallbackRefused, Field, Lead, LiveCall, ToStart, Twilio, TwilioAccount};
use ivrpay_wire::CallbackError;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use tokio::sync::mpsc;

pub(crate) use self::config::{Account, RawAccount, accounts_of};
use crate::events;

/// Reports of one call that wait to be told; a program that leads makes fewer.
const REPORTS_MAX: usize = 128;
/// Times that a callback is sent where nobody was reached, and the pause between.
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_secs(2);

/// Longest that a call which is over may take to give its payment up.
const RELEASED_MAX: Duration = Duration::from_secs(3);

/// What a call reports.
pub(crate) enum Report {
    Taken(Taken),
    Ended(Box<End>),
}

/// A capture that a program leads, on the side of its call.
pub(crate) struct Led {
    lead: Lead,
    prompts: bool,
    reports: mpsc::Sender<Report>,
}

/// Both sides of it.
pub(crate) fn led(lead: Lead, accounts: &[Account]) -> (Led, mpsc::Receiver<Report>) {
    let (reports, receiver) = mpsc::channel(REPORTS_MAX);
    let account = accounts.iter().find(|account| account.sid == lead.account);
    let prompts = account.is_some_and(|account| account.prompts);
    let led = Led {
        lead,
        prompts,
        reports,
    };
    (led, receiver)
}

impl Led {
    pub(crate) fn leading(&self) -> Leading {
        let has = |field| self.lead.twice.contains(&field);
        Leading {
            prompts: self.prompts,
            twice: Fields {
                card_number: has(Field::PaymentCardNumber),
                expiration_date: has(Field::ExpirationDate),
                security_code: has(Field::SecurityCode),
            },
            confirmation: self.lead.confirmation,
        }
    }

    pub(crate) const fn wants_code(&self) -> bool {
        !self.lead.without_code
    }

    /// Of the brands that may be taken those that are wanted.
    pub(crate) fn brands(&self, mut may: Vec<Brand>) -> Vec<Brand> {
        if !self.lead.brands.is_empty() {
            may.retain(|brand| self.lead.brands.contains(brand));
        }
        may
    }

    pub(crate) fn settings(&self, of: &Settings) -> Settings {
        let mut settings = of.clone();
        if let Some(timeout) = self.lead.timeout {
            settings.inter_digit_timeout = timeout;
        }
        settings
    }

    /// What is left out where they wait in a row is what the next one says again.
    pub(crate) fn taken(&self, taken: Taken) {
        self.reports.try_send(Report::Taken(taken)).ok();
    }

    pub(crate) fn ended(&self, end: &End) {
        let (reports, end) = (self.reports.clone(), Box::new(end.clone()));
        tokio::spawn(async move {
            // Where nobody is told any more, there is nobody.
            reports.send(Report::Ended(end)).await.ok();
        });
    }
}

/// `CA` and the MD5 of a channel's unique id: what `CA${MD5(${UNIQUEID})}` is in the dialplan.
pub(crate) fn call_sid(unique_id: &str) -> String {
    let hash = Md5::digest(unique_id.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("CA{hex}")
}

pub(crate) fn live_call(channel: &Channel, other: &Channel) -> LiveCall {
    let began: Result<Timestamp, _> = channel.creationtime.parse();
    LiveCall {
        sid: call_sid(channel.id.as_str()),
        with: Some(call_sid(other.id.as_str())),
        from: channel.caller.number.clone(),
        to: channel.connected.number.clone(),
        channel: channel.name.clone(),
        began_ms: began.map_or(0, Timestamp::as_millisecond),
    }
}

/// As the API wants to know them.
pub(crate) fn accounts(accounts: &[Account]) -> Twilio {
    let known = accounts.iter().map(|account| TwilioAccount {
        sid: account.sid.clone(),
        key: account.key.clone(),
        token: account.token.clone(),
        api_keys: account.api_keys.clone(),
    });
    Twilio::new(known.collect())
}

/// Whether callbacks of that account may go there.
pub(crate) fn may_call_back(
    accounts: &[Account],
    account: &str,
    url: &str,
) -> Result<(), CallbackRefused> {
    let account = accounts.iter().find(|known| known.sid == account);
    let account = account.ok_or_else(|| CallbackRefused("there is no such account".into()))?;
    let judged = account.callback.judge(url);
    judged.map_err(|why| CallbackRefused(why.to_string()))
}

/// What is told of each step of one capture.
pub(crate) struct Session {
    lead: Lead,
    call: CallId,
    payment: PaymentId,
    by: By,
    journal: Journal,
    began: Timestamp,
}

impl Session {
    pub(crate) fn new(start: ToStart, lead: Lead, call: CallId, journal: Journal) -> Self {
        Self {
            lead,
            call,
            payment: start.payment,
            by: start.by,
            began: now(&journal),
            journal,
        }
    }

    /// A payment of which nothing came ends with its capture: in Twilio's form it was made for that alone, and the next one may be of the
    /// same order. What may have been charged stays.
    async fn withdraw(&self) {
        let until = tokio::time::Instant::now() + RELEASED_MAX;
        while tokio::time::Instant::now() < until {
            match self.journal.payment(self.payment).await {
                Ok(Some(payment)) if payment.state == State::Waiting => {
                    let cancelled = self.journal.cancel(self.payment, &self.by).await;
                    if cancelled.unwrap_or(false) {
                        return;
                    }
                }
                Ok(_) => return,
                Err(error) => events::journal_failed(Some(self.payment), "cancel", &error),
            }
            // Its call has it still.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What stands in every callback.
    fn fields(&self) -> Vec<(String, String)> {
        let lead = &self.lead;
        let sid = format!("PK{}", self.call.to_string().replace('-', ""));
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
        add("AccountSid", &lead.account);
        add("CallSid", &lead.call_sid);
        add("Sid", &sid);
        add("DateCreated", &written(self.began));
        add("DateUpdated", &written(now(&self.journal)));
        add("ChargeAmount", &lead.charge_amount);
        add("Currency", &lead.currency);
        add("PaymentConnector", &lead.connector);
        add("PaymentMethod", "credit-card");
        add("TokenType", &lead.token_type);
        fields
    }

    fn taken(&self, taken: &Taken) -> Vec<(String, String)> {
        let mut fields = self.fields();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        let required: Vec<_> = taken.required.iter().map(|ask| name(*ask)).collect();
        add("Capture", name(taken.asked));
        add("Attempt", taken.attempt.to_string());
        add("PartialResult", "true".into());
        add("Required", required.join(","));
        if let Some(error) = taken.error {
            add("ErrorType", error_name(error).into());
        }
        masks(
            &mut add,
            taken.card,
            taken.expiration_date,
            taken.security_code,
        );
        fields
    }

    async fn ended(&self, end: &End, last: Option<&Taken>) -> Vec<(String, String)> {
        let mut fields = self.fields();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        add("Result", result(end).into());
        let card = end.card.or_else(|| last.and_then(|taken| taken.card));
        let had = |of: fn(&Taken) -> bool| last.is_some_and(of);
        masks(
            &mut add,
            card,
            had(|taken| taken.expiration_date),
            had(|taken| taken.security_code),
        );
        match &end.outcome {
            Some(Outcome::Approved(approval)) => {
                // The token is the journal's: the outcome is written before it is told.
                let payment = self.journal.payment(self.payment).await.ok().flatten();
                let token = payment.and_then(|payment| payment.stored);
                match token {
                    Some(stored) => add("PaymentToken", stored.token.as_str().to_owned()),
                    None => add(
                        "PaymentConfirmationCode",
                        approval.acquirer_ref.as_str().to_owned(),
                    ),
                }
            }
            Some(Outcome::Declined(decline)) => {
                add("Declined", "true".into());
                add("PaymentError", decline.reason.name().to_owned());
                add("ConnectorError", decline.code.clone());
            }
            Some(Outcome::NotCharged(_)) => add("PaymentError", "not-charged".into()),
            Some(Outcome::Unknown(_)) => add("PaymentError", "outcome-unknown".into()),
            None => {}
        }
        fields
    }
}

/// The number by its last four, the rest by what does not tell its length.
fn masks(add: &mut impl FnMut(&str, String), card: Option<Truncated>, expiry: bool, code: bool) {
    if let Some(card) = card {
        let last4 = card.last4_text();
        add("PaymentCardNumber", format!("xxxxxxxxxxxx{last4}"));
        add("PaymentCardType", card.brand.name().to_owned());
    }
    if expiry {
        add("ExpirationDate", "xx/xx".into());
    }
    if code {
        add("SecurityCode", "xxx".into());
    }
}

fn name(ask: Ask) -> String {
    let field = ask.field.step().name();
    if ask.again {
        format!("{field}-matcher")
    } else {
        field.to_owned()
    }
}

/// Twilio has one word for what is not keyed in time, however that came.
const fn error_name(error: ErrorType) -> &'static str {
    match error {
        ErrorType::KeysNotHeard => ErrorType::InputTimeout.name(),
        other => other.name(),
    }
}

/// Twilio's words, and ours where it has none.
const fn result(end: &End) -> &'static str {
    match end.result {
        CallResult::CapacityExceeded => CallResult::InternalError.name(),
        other => other.name(),
    }
}

fn now(journal: &Journal) -> Timestamp {
    Timestamp::from_millisecond(journal.now_ms()).unwrap_or_default()
}

fn written(at: Timestamp) -> String {
    let utc = at.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::rfc2822::to_string(&utc).unwrap_or_default()
}

/// Tells the program of one capture, in order, until that is over.
pub(crate) async fn tell(
    session: Session,
    accounts: Vec<Account>,
    mut reports: mpsc::Receiver<Report>,
) {
    let mut accounts = accounts.into_iter();
    let account = accounts.find(|account| account.sid == session.lead.account);
    let Some(account) = account else {
        // Led by the API of our own, which has its own events. What is reported is dropped.
        while reports.recv().await.is_some() {}
        return;
    };
    let mut last = None;
    while let Some(report) = reports.recv().await {
        let (fields, over) = match report {
            Report::Taken(taken) => {
                let fields = session.taken(&taken);
                last = Some(taken);
                (fields, false)
            }
            Report::Ended(end) => {
                session.withdraw().await;
                (session.ended(&end, last.as_ref()).await, true)
            }
        };
        let callback = Arc::clone(&session.lead.callback);
        let url = callback
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match sent(&account, &url, &fields).await {
            Ok(()) => events::status_callback_sent(session.call),
            Err(error) => events::status_callback_failed(session.call, &error),
        }
        if over {
            return;
        }
    }
}

async fn sent(
    account: &Account,
    url: &str,
    fields: &[(String, String)],
) -> Result<(), CallbackError> {
    let mut tried = 1;
    loop {
        match account.callback.send(url, fields).await {
            // Nobody has it yet.
            Err(CallbackError::Unreached(_)) if tried < TRIES => {
                tried += 1;
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use ivrpay_dialogue::CardField;

    use super::*;

    #[test]
    fn a_call_sid_is_what_the_dialplan_reckons() {
        // printf 1795661748.2 | md5sum
        let sid = call_sid("1795661748.2");
        assert!(sid.len() == 34 && sid.starts_with("CA"), "{sid}");
        assert_eq!(sid, call_sid("1795661748.2"));
        assert_ne!(sid, call_sid("1795661748.3"));
    }

    #[test]
    fn a_leg_is_shown_with_its_number_and_the_other_ones() {
        let channel = |id: &str, number: &str, connected: &str| -> Channel {
            let json = serde_json::json!({"id": id, "name": format!("PJSIP/x-{id}"), "state": "Up",
                "creationtime": "2026-11-27T18:00:00.000+0900", "caller": {"number": number}, "connected": {"number": connected}});
            serde_json::from_value(json).unwrap()
        };
        let (customer, operator) = (channel("1", "0312345678", "201"), channel("2", "201", ""));
        let shown = live_call(&customer, &operator);
        assert_eq!(
            (shown.from.as_str(), shown.to.as_str()),
            ("0312345678", "201")
        );
        assert_eq!(shown.with, Some(call_sid("2")));
        assert_eq!(
            written(Timestamp::from_millisecond(shown.began_ms).unwrap()),
            "Fri, 27 Nov 2026 09:00:00 +0000"
        );
    }

    #[test]
    fn masks_tell_no_length() {
        let mut told = Vec::new();
        let card = Truncated::new(Brand::Amex, [0, 0, 0, 5]).unwrap();
        let mut add = |name: &str, value: String| told.push(format!("{name}={value}"));
        masks(&mut add, Some(card), true, true);
        assert_eq!(
            told,
            [
                "PaymentCardNumber=xxxxxxxxxxxx0005",
                "PaymentCardType=amex",
                "ExpirationDate=xx/xx",
                "SecurityCode=xxx",
            ]
        );
    }

    #[test]
    fn fields_are_named_as_twilio_names_them() {
        let ask = |field, again| name(Ask { field, again });
        assert_eq!(
            ask(CardField::PaymentCardNumber, false),
            "payment-card-number"
        );
        assert_eq!(ask(CardField::SecurityCode, true), "security-code-matcher");
        assert_eq!(error_name(ErrorType::KeysNotHeard), "input-timeout");
    }
}
