//! Stripe: payment intents for orders by telephone (MOTO).
//!
//! The card becomes a payment method, which moves nothing, and that is confirmed in an intent. Both requests have an idempotency key. An
//! intent whose answer was lost is found by its id where it is known, else in the list of the intents since then by our numbers in its
//! metadata: Stripe's search lags. The same request goes out again only where the card is kept until its answer ([`Resend`]).

mod codes;
mod fields;
mod webhook;

use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Doubt, Intent, Money, OperationId, OperationKind, Outcome, Parent,
    Reason, Truncated, Why, plant,
};
use ivrpay_secret::{Buffer, Full};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::codes::{Class, soft};
use crate::connector::{SETTLED_AFTER_S, is_early, never};
use crate::form::Form;
use crate::{
    About, Asked, BuildError, Capabilities, Connector, Hook, Hosts, Method, Mode, Progress, Reply,
    Request, Resend, Setting, SettingError, Settings, Step, json, text, Sandbox, TestCard};
use fields::at;
use webhook::Webhook;

/// Room for a request, bytes: the longest has under 600.
const REQUEST_MAX: usize = 1_024;

/// How long before its operation was written an intent may have been created, by Stripe's clock, seconds: ours may be an hour ahead, and
/// an intent that is not in the list would be charged again.
const CREATED_BEFORE_S: i64 = 4_000;
/// Intents on a page: each has 2 to 3 KiB, one that was refused twice that, and a page has to fit into [`Reply::BODY_MAX`].
const PAGE: u8 = 15;
/// Pages that are read, from the newest on; what is on none of them is unknown. One request less than an operation may have is left for
/// what is done then.
const PAGES_MAX: u8 = 6;
/// Stage at which a later operation has found its intent and alters it.
const ALTERED: u8 = PAGES_MAX + 1;

/// What there is to say of it.
pub const ABOUT: About = About {
    name: "stripe",
    title: "Stripe",
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
        verify: true,
        // Of cards that are present; in Japan and by telephone it can differ.
        authorisation_days: Some(7),
        // docs.stripe.com/api/idempotent_requests.
        resend: Resend::ByKey,
        ..Capabilities::NONE
    },
    hosts: Some(Hosts {
        test: "https://api.stripe.com/v1",
        live: Some("https://api.stripe.com/v1"),
        others: &[],
    }),
    basic: false,
    raw_pan: true,
    settings: &[
        Setting::secret(
            "secret_key",
            255,
            "the account's secret key: sk_test_… or rk_test_… for tests, sk_live_… or rk_live_… where money moves",
        ),
        Setting::secret(
            "webhook_secret",
            255,
            "the signing secret of the webhook's endpoint, whsec_…; without it none is taken",
        )
        .optional()
        .checked(webhook::is_secret),
    ],
    sandbox: Sandbox {
        approved: Some(TestCard::new("4242424242424242", "123")),
        declined: Some(TestCard::new("4000000000000002", "123")),
        knows_doubles: true,
    },
    make: |settings| Ok(Box::new(Stripe::new(settings)?)),
};

/// The connector.
pub struct Stripe {
    /// `Bearer …`.
    authorization: SecretString,
    webhook: Option<Webhook>,
}

impl Stripe {
    /// One host serves tests and money; which of the two is said by the key alone.
    fn new(settings: &Settings) -> Result<Self, SettingError> {
        let key = settings.secret("secret_key");
        let (kinds, what) = match settings.mode {
            Mode::Test => (["sk_test_", "rk_test_"], "sk_test_… or rk_test_… in mode test"),
            Mode::Live => (["sk_live_", "rk_live_"], "sk_live_… or rk_live_… in mode live"),
        };
        let text = key.expose_secret();
        let good = kinds.iter().any(|kind| text.starts_with(kind));
        if !good || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(SettingError::Value {
                name: "secret_key".to_owned(),
                what,
                secret: true,
            });
        }
        Ok(Self {
            authorization: format!("Bearer {text}").into(),
            webhook: Webhook::new(settings),
        })
    }

    fn request(&self, method: Method, path: String, body: Buffer) -> Request {
        Request {
            method,
            path,
            headers: Vec::new(),
            credentials: vec![("authorization", self.authorization.clone())],
            content_type: "application/x-www-form-urlencoded",
            body,
        }
    }

    fn get(&self, path: String) -> Result<Request, BuildError> {
        Ok(self.request(Method::Get, path, Buffer::take(0)?))
    }

    fn post(
        &self,
        path: String,
        key: String,
        fields: impl FnOnce(&mut Form<'_>) -> Result<(), Full>,
    ) -> Result<Request, BuildError> {
        let mut body = Buffer::take(REQUEST_MAX)?;
        fields(&mut Form::begin(&mut body))?;
        let mut request = self.request(Method::Post, path, body);
        request.headers.push((fields::IDEMPOTENCY_KEY, key));
        Ok(request)
    }

    /// Hands the card over; moves nothing.
    fn hand_over(&self, asked: &Asked<'_>) -> Result<Step, BuildError> {
        let (op, card) = (asked.op.get(), asked.card()?);
        let key = format!("{}-card", op.idempotency_key);
        let request = self.post(fields::PAYMENT_METHODS.to_owned(), key, |form| {
            form.text(fields::TYPE, "card")?;
            card.pan
                .expose(|digits| form.bytes(fields::CARD_NUMBER, digits))?;
            card.expiry.expose(|month, year| {
                form.bytes(fields::EXPIRY_MONTH, month)?;
                form.parts(fields::EXPIRY_YEAR, &[b"20", year])
            })?;
            match &card.code {
                Some(code) => code.expose(|digits| form.bytes(fields::SECURITY_CODE, digits)),
                None => Ok(()),
            }
        })?;
        Ok(harmless(request, 1, None))
    }

    /// A charge, an authorisation, or a check of the card, with a payment method.
    fn confirm(&self, op: &Intent, method: &str, customer: Option<&str>) -> Result<Step, BuildError> {
        let verify = op.kind == OperationKind::Verify;
        let path = if verify {
            fields::SETUP_INTENTS
        } else {
            fields::PAYMENT_INTENTS
        };
        let request = self.post(path.to_owned(), op.idempotency_key.to_string(), |form| {
            if !verify {
                form.text(fields::AMOUNT, &op.amount.minor().to_string())?;
                form.text(fields::CURRENCY, &currency(op.amount))?;
            }
            form.text(fields::CONFIRM, "true")?;
            if verify {
                form.text(fields::USAGE, "off_session")?;
            } else {
                let manual = op.kind == OperationKind::Authorise;
                let capture = if manual { "manual" } else { "automatic" };
                form.text(fields::CAPTURE_METHOD, capture)?;
            }
            if let Some(customer) = customer {
                form.text(fields::CUSTOMER, customer)?;
            }
            form.text(fields::PAYMENT_METHOD, method)?;
            form.text(fields::METHOD_TYPES, "card")?;
            form.text(fields::MOTO, "true")?;
            if !verify {
                form.text(fields::NO_ACTION, "true")?;
            }
            ours(form, op)
        })?;
        Ok(if verify {
            harmless(request, 2, None)
        } else {
            Step::send(request, 2, None)
        })
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
                if !op.plan.is_lump_sum() {
                    return Err(BuildError::Plan { plan: op.plan });
                }
                match &op.token {
                    None => self.hand_over(asked),
                    Some(token) => {
                        let (customer, method) = token
                            .as_str()
                            .split_once(':')
                            .filter(|(customer, method)| is_id(customer, "cus_") && is_id(method, "pm_"))
                            .ok_or(BuildError::Field {
                                field: fields::PAYMENT_METHOD,
                            })?;
                        self.confirm(op, method, Some(customer))
                    }
                }
            }
            (1, Some(reply)) => match prepared(reply, "payment_method", "pm_") {
                Ok(method) => self.confirm(op, &method, None),
                Err(outcome) => Ok(Step::Done(outcome)),
            },
            (2, Some(reply)) if op.kind == OperationKind::Verify => {
                Ok(Step::Done(verified(op, reply)))
            }
            (2, Some(reply)) => Ok(Step::Done(paid(op, reply))),
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Stores a card: hands it over, makes a customer, and gives it to him. The token is `customer:payment method`.
    fn tokenise(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let op = asked.op.get();
        let reference = progress.reference.as_ref().map(AcquirerRef::as_str);
        match (progress.stage, last) {
            (0, None) => self.hand_over(asked),
            (1, Some(reply)) => match prepared(reply, "payment_method", "pm_") {
                Ok(method) => {
                    let key = format!("{}-customer", op.idempotency_key);
                    let request =
                        self.post(fields::CUSTOMERS.to_owned(), key, |form| ours(form, op))?;
                    Ok(harmless(request, 2, Some(method)))
                }
                Err(outcome) => Ok(Step::Done(outcome)),
            },
            (2, Some(reply)) => match (prepared(reply, "customer", "cus_"), reference) {
                (Ok(customer), Some(method)) => {
                    let path = format!("{}/{method}/attach", fields::PAYMENT_METHODS);
                    let key = op.idempotency_key.to_string();
                    let request =
                        self.post(path, key, |form| form.text(fields::CUSTOMER, &customer))?;
                    Ok(harmless(request, 3, Some(format!("{customer}:{method}"))))
                }
                (Err(outcome), Some(_)) => Ok(Step::Done(outcome)),
                (_, None) => Err(BuildError::Stage { stage: 2 }),
            },
            (3, Some(reply)) => match (prepared(reply, "payment_method", "pm_"), reference) {
                (Ok(method), Some(token)) if token.split(':').nth(1) == Some(&method) => {
                    Ok(Step::Done(text::approved(token, None, op.card)))
                }
                (Ok(_), _) => Ok(Step::Done(Outcome::Unknown(Doubt::Mismatch))),
                (Err(outcome), _) => Ok(Step::Done(outcome)),
            },
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// Finds the intent; then alters it.
    fn alter(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let (op, parent) = (asked.op.get(), asked.parent()?);
        let not = |why| Ok(Step::Done(Outcome::NotCharged(why)));
        match (progress.stage, last) {
            (0, None) => self.look(parent, 1, None),
            (stage @ 1..ALTERED, Some(reply)) => match seen(parent, reply) {
                Seen::One(intent) => self.act(op, &intent),
                Seen::More(last) if stage < PAGES_MAX => self.look(parent, stage + 1, Some(&last)),
                Seen::More(_) | Seen::None => not(Why::Rejected),
                Seen::Doubt(_) => not(Why::Busy),
            },
            (ALTERED, Some(reply)) => {
                let reference = progress.reference.as_ref();
                let reference = reference.map_or("", AcquirerRef::as_str);
                Ok(Step::Done(altered(op, reference, reply)))
            }
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// The request that changes an intent as asked, where its state allows it.
    fn act(&self, op: &Intent, intent: &Value) -> Result<Step, BuildError> {
        let refused = Ok(Step::Done(Outcome::NotCharged(Why::Rejected)));
        let (Some(id), Some(status)) = (id(intent, "pi_"), json::text(intent, at::STATUS)) else {
            return refused;
        };
        if json::text(intent, at::CURRENCY) != Some(&currency(op.amount)) {
            return refused;
        }
        let wanted = op.amount.minor();
        let up_to = |place| json::number(intent, place).is_some_and(|most| wanted <= most);
        let key = op.idempotency_key.to_string();
        let request = match (op.kind, status) {
            (OperationKind::Capture, "requires_capture") if up_to(at::AMOUNT) => {
                let path = format!("{}/{id}/capture", fields::PAYMENT_INTENTS);
                self.post(path, key, |form| {
                    form.text(fields::AMOUNT_TO_CAPTURE, &wanted.to_string())
                })?
            }
            // It is released already.
            (OperationKind::Void, "canceled") => {
                return Ok(Step::Done(text::approved(id, None, op.card)));
            }
            (OperationKind::Void, status) if status != "succeeded" => {
                let path = format!("{}/{id}/cancel", fields::PAYMENT_INTENTS);
                self.post(path, key, |form| {
                    form.text(fields::CANCELLATION_REASON, "requested_by_customer")
                })?
            }
            (OperationKind::Refund, "succeeded") if up_to(at::RECEIVED) => {
                self.post(fields::REFUNDS.to_owned(), key, |form| {
                    form.text(fields::PAYMENT_INTENT, id)?;
                    form.text(fields::AMOUNT, &wanted.to_string())?;
                    form.text(fields::REASON, "requested_by_customer")?;
                    ours(form, op)
                })?
            }
            _ => return refused,
        };
        Ok(Step::send(request, ALTERED, AcquirerRef::new(id).ok()))
    }

    /// Asks for the intent of an operation: by its id where that is known, else for a page of the intents since.
    fn look(&self, of: &Parent, stage: u8, behind: Option<&str>) -> Result<Step, BuildError> {
        let path = match known(of, "pi_") {
            Some(id) => format!("{}/{id}", fields::PAYMENT_INTENTS),
            None => {
                let from = of.at_unix_s.saturating_sub(CREATED_BEFORE_S);
                let page = page(behind);
                format!("{}?created%5Bgte%5D={from}&{page}", fields::PAYMENT_INTENTS)
            }
        };
        Ok(harmless(self.get(path)?, stage, None))
    }

    fn query(
        &self,
        asked: &Asked<'_>,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let (op, about) = (asked.op.get(), asked.parent()?);
        let early = is_early(about, SETTLED_AFTER_S, asked.now_unix_s);
        match about.kind {
            OperationKind::Refund => return self.query_refund(op, about, early, progress, last),
            // No money hangs on them.
            OperationKind::Tokenise | OperationKind::Verify | OperationKind::Query => {
                return Err(BuildError::Unsupported { kind: op.kind });
            }
            _ => {}
        }
        let done = |outcome| Ok(Step::Done(outcome));
        match (progress.stage, last) {
            (0, None) => self.look(about, 1, None),
            (stage @ 1..=PAGES_MAX, Some(reply)) => match seen(about, reply) {
                Seen::One(intent) => done(found(about, &intent, early, op.card)),
                Seen::More(last) if stage < PAGES_MAX => self.look(about, stage + 1, Some(&last)),
                Seen::More(_) => done(Outcome::Unknown(Doubt::Malformed)),
                // Of a later operation only the time since was looked through, and its intent is older.
                Seen::None if is_first(about.kind) => done(never(early)),
                Seen::None => done(Outcome::Unknown(Doubt::Pending)),
                Seen::Doubt(doubt) => done(Outcome::Unknown(doubt)),
            },
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }

    /// A refund is found among those of its intent, which was noted before it was asked for.
    fn query_refund(
        &self,
        op: &Intent,
        about: &Parent,
        early: bool,
        progress: &Progress,
        last: Option<&Reply>,
    ) -> Result<Step, BuildError> {
        let done = |outcome| Ok(Step::Done(outcome));
        let ask = |stage, behind: Option<&str>| {
            // Whether it was asked for is not known without its intent, nor of which one.
            let Some(intent) = known(about, "pi_") else {
                return done(Outcome::Unknown(Doubt::Pending));
            };
            let path = format!("{}?payment_intent={intent}&{}", fields::REFUNDS, page(behind));
            Ok(harmless(self.get(path)?, stage, None))
        };
        match (progress.stage, last) {
            (0, None) => ask(1, None),
            (stage @ 1..=PAGES_MAX, Some(reply)) => {
                let sought = about.operation_id.to_string();
                let is_it = |refund: &Value| json::text(refund, at::OPERATION) == Some(&sought);
                match pick(reply, "refund", "re_", is_it) {
                    Seen::One(refund) => done(refunded(about.amount, None, &refund, op.card)),
                    Seen::More(last) if stage < PAGES_MAX => ask(stage + 1, Some(&last)),
                    Seen::More(_) => done(Outcome::Unknown(Doubt::Malformed)),
                    Seen::None => done(never(early)),
                    Seen::Doubt(doubt) => done(Outcome::Unknown(doubt)),
                }
            }
            (stage, _) => Err(BuildError::Stage { stage }),
        }
    }
}

impl Connector for Stripe {
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
            OperationKind::Charge | OperationKind::Authorise | OperationKind::Verify => {
                self.pay(asked, progress, last)
            }
            OperationKind::Capture | OperationKind::Void | OperationKind::Refund => {
                self.alter(asked, progress, last)
            }
            OperationKind::Query => self.query(asked, progress, last),
            OperationKind::Tokenise => self.tokenise(asked, progress, last),
            kind => Err(BuildError::Unsupported { kind }),
        }
    }

    fn hook(&self) -> Option<&dyn Hook> {
        self.webhook.as_ref().map(|webhook| webhook as &dyn Hook)
    }

    /// One of before is still being worked on, or nothing was done for this one. An answer of 500 is kept with the key, and would come
    /// again.
    fn asks_again(&self, reply: &Reply) -> bool {
        let answer = json::read(reply);
        let error = answer.as_ref().and_then(|a| a.pointer(at::ERROR));
        let code = error.and_then(|error| json::text(error, at::CODE));
        matches!(
            (reply.status(), code),
            (409, Some("idempotency_key_in_use")) | (429, Some("lock_timeout" | "rate_limit"))
        )
    }

    fn can_ask(&self, about: &Parent) -> bool {
        match about.kind {
            // No money hangs on them.
            OperationKind::Tokenise | OperationKind::Verify => false,
            // Whether it was asked for is not known without its intent.
            OperationKind::Refund => known(about, "pi_").is_some(),
            _ => true,
        }
    }
}

fn harmless(request: Request, stage: u8, reference: Option<String>) -> Step {
    let reference = reference.and_then(|text| AcquirerRef::new(text).ok());
    Step::ask(request, stage, reference)
}

/// Our numbers, by which what was made is found again.
fn ours(form: &mut Form<'_>, op: &Intent) -> Result<(), Full> {
    form.text(fields::ORDER, &op.acquirer_order.to_string())?;
    form.text(fields::OPERATION, &op.operation_id.to_string())
}

fn page(behind: Option<&str>) -> String {
    match behind {
        Some(last) => format!("limit={PAGE}&starting_after={last}"),
        None => format!("limit={PAGE}"),
    }
}

fn currency(amount: Money) -> String {
    amount.currency().code().to_ascii_lowercase()
}

/// Whether a text is an id of Stripe's with this prefix, fit for a path.
fn is_id(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    (1..=60).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn id<'a>(answer: &'a Value, prefix: &str) -> Option<&'a str> {
    json::text(answer, at::ID).filter(|text| is_id(text, prefix))
}

/// The reference of an operation, where it is an id with this prefix.
fn known<'a>(of: &'a Parent, prefix: &str) -> Option<&'a str> {
    let reference = of.acquirer_ref.as_ref()?.as_str();
    is_id(reference, prefix).then_some(reference)
}

const fn is_first(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Charge | OperationKind::Authorise)
}

/// An answer's object, or what the lack of one means for the money. Total.
fn object(reply: &Reply, kind: &str) -> Result<Value, Outcome> {
    let status = reply.status();
    let answer = json::read(reply);
    if status == 200 {
        let answer = answer.filter(|answer| json::text(answer, at::OBJECT) == Some(kind));
        return answer.ok_or(Outcome::Unknown(Doubt::Malformed));
    }
    // A conflict, a failed dependency or a fault of theirs says nothing about the money.
    let may_speak = matches!(status, 400..=404 | 429);
    let error = answer.as_ref().and_then(|answer| answer.pointer(at::ERROR));
    if status >= 500 && plant::is("500-is-declined") {
        return Err(soft(Reason::Other).outcome("500"));
    }
    let Some(error) = error.filter(|_| may_speak) else {
        return Err(Outcome::Unknown(Doubt::Status { status }));
    };
    let (class, code) = codes::class(error);
    // An error that names an intent which has taken or may take money contradicts itself.
    let moved = matches!(
        json::text(error, at::ERROR_STATUS),
        Some("succeeded" | "requires_capture" | "processing")
    );
    Err(match class {
        _ if moved => Outcome::Unknown(Doubt::Mismatch),
        // Only 429 is refused before anything is done.
        Class::Busy if status != 429 => Outcome::Unknown(Doubt::Status { status }),
        class => class.outcome(code),
    })
}

/// The id of what was prepared; else what came of the operation, of which nothing has moved yet. Total.
fn prepared(reply: &Reply, kind: &str, prefix: &str) -> Result<String, Outcome> {
    match object(reply, kind) {
        Ok(answer) => match id(&answer, prefix) {
            Some(id) => Ok(id.to_owned()),
            None => Err(Outcome::NotCharged(Why::Rejected)),
        },
        Err(Outcome::Unknown(_)) => Err(Outcome::NotCharged(Why::Busy)),
        Err(outcome) => Err(outcome),
    }
}

/// What the answer to a new intent says. Total.
fn paid(op: &Intent, reply: &Reply) -> Outcome {
    let intent = match object(reply, "payment_intent") {
        Ok(intent) => intent,
        Err(outcome) => return outcome,
    };
    if !is_ours(&intent, op.acquirer_order, Some(op.operation_id)) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match (op.kind, json::text(&intent, at::STATUS)) {
        // More was taken than asked, or less done.
        (OperationKind::Authorise, Some("succeeded"))
        | (OperationKind::Charge, Some("requires_capture")) => Outcome::Unknown(Doubt::Mismatch),
        _ => state(&intent, op.amount, true, op.card),
    }
}

fn is_ours(object: &Value, order: AcquirerOrder, operation: Option<OperationId>) -> bool {
    plant::is("another-order-taken-for-ours")
        || json::text(object, at::ORDER) == Some(&order.to_string())
            && operation
                .is_none_or(|id| json::text(object, at::OPERATION) == Some(&id.to_string()))
}

/// What an intent says about the operation that made it.
fn state(intent: &Value, amount: Money, early: bool, card: Truncated) -> Outcome {
    let Some(id) = id(intent, "pi_") else {
        return Outcome::Unknown(Doubt::Malformed);
    };
    let other_amount = json::number(intent, at::AMOUNT) != Some(amount.minor());
    let other_currency = json::text(intent, at::CURRENCY) != Some(&currency(amount));
    if other_amount && !plant::is("amount-not-compared")
        || other_currency && !plant::is("currency-not-compared")
    {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match json::text(intent, at::STATUS) {
        Some("succeeded" | "requires_capture") => text::approved(id, None, card),
        Some("canceled") => Outcome::NotCharged(Why::Reversed),
        // 3-D Secure: nobody can do that on the telephone, and nothing is taken before.
        Some(status @ "requires_action") => soft(Reason::AuthenticationRequired).outcome(status),
        Some("requires_payment_method") => match intent.pointer(at::LAST_ERROR) {
            Some(error) if !error.is_null() => codes::refusal(error),
            _ => never(early),
        },
        Some("requires_confirmation") => never(early),
        Some("processing") => Outcome::Unknown(Doubt::Pending),
        _ => Outcome::Unknown(Doubt::Malformed),
    }
}

/// What the answer to a set-up intent says: the card is good, or not. Total.
fn verified(op: &Intent, reply: &Reply) -> Outcome {
    let setup = match object(reply, "setup_intent") {
        Ok(setup) => setup,
        Err(outcome) => return outcome,
    };
    if !is_ours(&setup, op.acquirer_order, Some(op.operation_id)) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match (json::text(&setup, at::STATUS), id(&setup, "seti_")) {
        (Some("succeeded"), Some(id)) => text::approved(id, None, op.card),
        (Some(status @ "requires_action"), _) => {
            soft(Reason::AuthenticationRequired).outcome(status)
        }
        _ => Outcome::Unknown(Doubt::Malformed),
    }
}

/// What the answer to a capture, cancellation or refund of the intent `of` says. Total.
fn altered(op: &Intent, of: &str, reply: &Reply) -> Outcome {
    let kind = match op.kind {
        OperationKind::Refund => "refund",
        _ => "payment_intent",
    };
    let answer = match object(reply, kind) {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    if op.kind == OperationKind::Refund {
        if !is_ours(&answer, op.acquirer_order, Some(op.operation_id)) {
            return Outcome::Unknown(Doubt::Mismatch);
        }
        return refunded(op.amount, Some(of), &answer, op.card);
    }
    if id(&answer, "pi_") != Some(of) || !is_ours(&answer, op.acquirer_order, None) {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    let done = match op.kind {
        OperationKind::Capture => is_taken(&answer, op.amount),
        _ => json::text(&answer, at::STATUS) == Some("canceled"),
    };
    if done {
        text::approved(of, None, op.card)
    } else {
        Outcome::Unknown(Doubt::Mismatch)
    }
}

/// Whether exactly this was taken.
fn is_taken(intent: &Value, amount: Money) -> bool {
    json::text(intent, at::STATUS) == Some("succeeded")
        && json::number(intent, at::RECEIVED) == Some(amount.minor())
        && json::text(intent, at::CURRENCY) == Some(&currency(amount))
}

/// What a refund says of itself; `of`: the intent that it has to be of.
fn refunded(amount: Money, of: Option<&str>, refund: &Value, card: Truncated) -> Outcome {
    let other = of.is_some_and(|of| json::text(refund, at::INTENT) != Some(of));
    if other
        || json::number(refund, at::AMOUNT) != Some(amount.minor())
        || json::text(refund, at::CURRENCY) != Some(&currency(amount))
    {
        return Outcome::Unknown(Doubt::Mismatch);
    }
    match (json::text(refund, at::STATUS), id(refund, "re_")) {
        (Some("succeeded"), Some(id)) => text::approved(id, None, card),
        (Some("failed" | "canceled"), Some(_)) => Outcome::NotCharged(Why::Rejected),
        (Some("pending" | "requires_action"), Some(_)) => Outcome::Unknown(Doubt::Pending),
        _ => Outcome::Unknown(Doubt::Malformed),
    }
}

/// What a look-up has brought.
enum Seen {
    One(Value),
    /// It is not on this page, whose last one has this id.
    More(String),
    None,
    Doubt(Doubt),
}

/// The intent of an operation, in the answer to [`Stripe::look`]. Total.
fn seen(of: &Parent, reply: &Reply) -> Seen {
    let operation = is_first(of.kind).then_some(of.operation_id);
    pick(reply, "payment_intent", "pi_", |intent| {
        is_ours(intent, of.acquirer_order, operation)
    })
}

/// The one of this kind that is sought: alone, or on a page. Total.
fn pick(reply: &Reply, kind: &str, prefix: &str, is_it: impl Fn(&Value) -> bool) -> Seen {
    let status = reply.status();
    let answer = match (status, json::read(reply)) {
        (200, Some(answer)) => answer,
        (200, None) => return Seen::Doubt(Doubt::Malformed),
        _ => return Seen::Doubt(Doubt::Status { status }),
    };
    let is_kind = |one: &Value| json::text(one, at::OBJECT) == Some(kind) && id(one, prefix).is_some();
    if is_kind(&answer) {
        return if is_it(&answer) {
            Seen::One(answer)
        } else {
            Seen::Doubt(Doubt::Mismatch)
        };
    }
    let page = answer.pointer(at::DATA).and_then(Value::as_array);
    let more = answer.pointer(at::MORE).and_then(Value::as_bool);
    let (Some(page), Some(more), Some("list")) = (page, more, json::text(&answer, at::OBJECT)) else {
        return Seen::Doubt(Doubt::Malformed);
    };
    if !page.iter().all(is_kind) {
        return Seen::Doubt(Doubt::Malformed);
    }
    let mut sought = page.iter().filter(|one| is_it(one));
    match (sought.next(), sought.next(), page.last()) {
        (Some(one), None, _) => Seen::One(one.clone()),
        (Some(_), Some(_), _) => Seen::Doubt(Doubt::Mismatch),
        (None, _, Some(last)) if more => {
            id(last, prefix).map_or(Seen::Doubt(Doubt::Malformed), |id| Seen::More(id.to_owned()))
        }
        (None, _, None) if more => Seen::Doubt(Doubt::Malformed),
        (None, ..) => Seen::None,
    }
}

/// What the intent says of the operation that was asked about.
fn found(about: &Parent, intent: &Value, early: bool, card: Truncated) -> Outcome {
    let status = json::text(intent, at::STATUS);
    let yes = || match id(intent, "pi_") {
        Some(id) => text::approved(id, None, card),
        None => Outcome::Unknown(Doubt::Malformed),
    };
    match (about.kind, status) {
        (OperationKind::Capture, Some("succeeded")) if is_taken(intent, about.amount) => yes(),
        (OperationKind::Capture, Some("requires_capture")) => never(early),
        (OperationKind::Capture, Some("canceled")) => Outcome::NotCharged(Why::Reversed),
        (OperationKind::Void, Some("canceled")) => yes(),
        (OperationKind::Void, Some(_)) => never(early),
        // Taken, or another sum of it: by another capture.
        (OperationKind::Capture, _) => Outcome::Unknown(Doubt::Mismatch),
        (OperationKind::Charge, Some("requires_capture")) => Outcome::Unknown(Doubt::Mismatch),
        _ => state(intent, about.amount, early, card),
    }
}

#[cfg(test)]
mod tests;
