//! Payments as Twilio's API has them (`docs/twilio.md`): whoever drives Twilio's `<Pay>` for an agent drives this service with its address
//! alone changed. A capture that a program leads, field by field.
//!
//! A call is a talk that is on now, and a payment's `Sid` is the id of its call: what is kept here beside the journal is only what was asked
//! for, for as long as somebody may ask again.

mod fault;
mod fields;
mod who;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ivrpay_api as api;
use ivrpay_journal::{ApiRequest, By, Created, Deed, Payment};
use ivrpay_payment::{CallId, PaymentId, State as PaymentState};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::access::Refusals;
use crate::auth::{Scope, Who, refused};
use crate::captures::{COMPLETING, Want, Wished, over};
use crate::error::ApiError;
use crate::limit::Left;
use crate::payments::{hash, merchant, new_payment};
use crate::starts::{TalkLeg, ToStart};
use crate::tasks::by;
use crate::twilio::fault::Fault;
pub use crate::twilio::fields::{CallbackRefused, Lead, LiveCall};
use crate::twilio::fields::{CallsQuery, Form, Update};
pub use crate::twilio::who::TwilioAccount;
use crate::twilio::who::account;
use crate::{BODY_BYTES_MAX, Security, Web, request, trail};

/// Payments that are remembered; of more the oldest is forgotten, whose call is over long ago.
const SESSIONS_MAX: usize = 2_000;
/// Updates of one payment that are remembered by their `IdempotencyKey`.
const UPDATES_MAX: usize = 64;

/// Who may ask in Twilio's form, and what was asked.
#[derive(Default)]
pub struct Twilio {
    /// The accounts.
    pub accounts: Vec<TwilioAccount>,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_call: HashMap<CallId, Session>,
    /// In the order in which they came.
    order: std::collections::VecDeque<CallId>,
}

#[derive(Clone)]
struct Session {
    account: String,
    call_sid: String,
    payment: PaymentId,
    /// Of its creation: the key, and what was asked under it.
    key: String,
    hash: [u8; 32],
    created: Timestamp,
    updated: Timestamp,
    /// Where the program is told; another one from the next update on.
    callback: Arc<Mutex<String>>,
    updates: HashMap<String, [u8; 32]>,
}

impl Twilio {
    /// With these accounts.
    #[must_use]
    pub fn new(accounts: Vec<TwilioAccount>) -> Self {
        Self {
            accounts,
            sessions: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, call: CallId, session: Session) {
        let mut all = self.lock();
        all.by_call.insert(call, session);
        all.order.push_back(call);
        if all.order.len() > SESSIONS_MAX
            && let Some(oldest) = all.order.pop_front()
        {
            all.by_call.remove(&oldest);
        }
    }

    fn session(&self, account: &str, call_sid: &str, call: CallId) -> Option<Session> {
        let all = self.lock();
        let found = all.by_call.get(&call);
        found
            .filter(|one| one.account == account && one.call_sid == call_sid)
            .cloned()
    }

    /// What was begun under that key.
    fn begun(&self, account: &str, key: &str) -> Option<(CallId, Session)> {
        let all = self.lock();
        let mut known = all.by_call.iter();
        known
            .find(|(_, one)| one.account == account && one.key == key)
            .map(|(call, one)| (*call, one.clone()))
    }

    fn change(&self, call: CallId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.lock().by_call.get_mut(&call) {
            change(session);
        }
    }
}

/// Twilio's paths. They are no part of our own document: Twilio's describes them, and `docs/twilio.md` what differs.
pub(crate) fn router(web: &Web) -> Router<Web> {
    const CALLS: &str = "/2010-04-01/Accounts/{account}/Calls";
    Router::new()
        .route(&format!("{CALLS}.json"), get(calls))
        .route(&format!("{CALLS}/{{call}}"), get(call))
        .route(&format!("{CALLS}/{{call}}/Payments.json"), post(create))
        .route(&format!("{CALLS}/{{call}}/Payments/{{sid}}"), post(update))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(web.clone(), refusals_kept))
}

/// `PK` and the id of the call.
fn payment_sid(call: CallId) -> String {
    format!("PK{}", call.to_string().replace('-', ""))
}

fn call_of(sid: &str) -> Option<CallId> {
    let hex = sid
        .strip_suffix(".json")
        .unwrap_or(sid)
        .strip_prefix("PK")?;
    (hex.len() == 32).then(|| hex.parse().ok())?
}

/// Without `.json`.
fn plain(sid: &str) -> &str {
    sid.strip_suffix(".json").unwrap_or(sid)
}

/// As Twilio writes times (RFC 2822).
fn written(at: Timestamp) -> String {
    let utc = at.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::rfc2822::to_string(&utc).unwrap_or_default()
}

fn shown(call: CallId, session: &Session) -> Json<Value> {
    let sid = payment_sid(call);
    let (account, call_sid) = (&session.account, &session.call_sid);
    Json(json!({
        "account_sid": account,
        "call_sid": call_sid,
        "sid": sid,
        "date_created": written(session.created),
        "date_updated": written(session.updated),
        "uri": format!("/2010-04-01/Accounts/{account}/Calls/{call_sid}/Payments/{sid}.json"),
    }))
}

/// The body as a form, in time.
async fn form(web: &Web, request: Request) -> Result<Form, Fault> {
    let headers = request.headers().clone();
    fields::is_form(&headers)?;
    let read = tokio::time::timeout(web.body_max, Bytes::from_request(request, &())).await;
    match read {
        Ok(Ok(body)) => Form::read(&body),
        Ok(Err(rejection)) => Err(Fault::new(
            rejection.status(),
            Fault::INVALID,
            "the body could not be read, or is too long",
        )),
        Err(_) => Err(Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            Fault::INVALID,
            "the body did not come in time",
        )),
    }
}

fn moment(web: &Web) -> Timestamp {
    Timestamp::from_millisecond(web.now_ms()).unwrap_or_default()
}

type Paths = Result<Path<BTreeMap<String, String>>, axum::extract::rejection::PathRejection>;

fn part<'p>(paths: &'p BTreeMap<String, String>, name: &str) -> &'p str {
    paths.get(name).map_or("", |part| plain(part))
}

/// Answers in Twilio's form, whichever way it went; counted by the key's limit.
async fn answered<F>(
    web: Web,
    paths: Paths,
    headers: HeaderMap,
    work: impl FnOnce(Web, Who, BTreeMap<String, String>) -> F,
) -> Response
where
    F: Future<Output = Result<Response, Fault>>,
{
    let Ok(Path(paths)) = paths else {
        return Fault::not_found("the path").into_response();
    };
    let key = match account(&web, &headers, part(&paths, "account")) {
        Ok(key) => key,
        Err(fault) => {
            if fault.is_about_who() {
                web.access.tell(Security::Refused);
            }
            return fault.into_response();
        }
    };
    let (name, per_minute) = (key.name.clone(), key.requests_per_minute);
    let whose = format!("{}/{}", key.tenant, key.name);
    let left = (per_minute > 0).then(|| web.limits.take(&whose, per_minute));
    let done = match left {
        Some(Err(wait)) => Err(Fault::too_many(per_minute, wait)),
        _ => work(web, Who::Key(key), paths).await,
    };
    let mut response = done.unwrap_or_else(IntoResponse::into_response);
    if let Some(left) = left {
        left.unwrap_or(Left::none(per_minute)).tell(&mut response);
    }
    response.extensions_mut().insert(request::AskedBy(name));
    response
}

/// Keeps who was refused, as on the paths of our own.
async fn refusals_kept(State(web): State<Web>, request: Request, next: Next) -> Response {
    // Who sends none guesses nothing.
    let guesses = request.headers().contains_key(header::AUTHORIZATION);
    let what = trail::path(&request);
    let deed = refused(&request, &what, &ApiError::unauthorized());
    let response = next.run(request).await;
    if guesses && response.status() == StatusCode::UNAUTHORIZED {
        web.access.note_refused(&web, &deed, Refusals::KEY).await;
    }
    response
}

/// Whether errors about that path are in Twilio's form.
pub(crate) fn is_ours(uri: &Uri) -> bool {
    uri.path().starts_with("/2010-04-01/")
}

pub(crate) fn no_such_path() -> Response {
    Fault::no_such_path().into_response()
}

pub(crate) fn no_such_method() -> Response {
    Fault::no_such_method().into_response()
}

async fn calls(
    State(web): State<Web>,
    paths: Paths,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    answered(web, paths, headers, async |web: Web, who: Who, paths| {
        who.need(Scope::Captures).map_err(Fault::of)?;
        let account = part(&paths, "account").to_owned();
        let wanted = CallsQuery::read(query.as_deref().unwrap_or_default())?;
        let mut on = live(&web, &who, None).await?;
        on.retain(|one| wanted.wants(one));
        // One page after the other, while calls come and go.
        on.sort_by(|a, b| (a.began_ms, &a.sid).cmp(&(b.began_ms, &b.sid)));
        let start = wanted.page.saturating_mul(wanted.page_size);
        let page = on.iter().skip(start).take(wanted.page_size);
        let page: Vec<_> = page.map(|one| one.shown(&account)).collect();
        let end = start.saturating_add(page.len());
        let uri = |page: usize| {
            let query = wanted.written(page);
            format!("/2010-04-01/Accounts/{account}/Calls.json?{query}")
        };
        let list = json!({
            "calls": page, "page": wanted.page, "page_size": wanted.page_size, "start": start, "end": end.saturating_sub(1).max(start),
            "uri": uri(wanted.page), "first_page_uri": uri(0), "next_page_uri": (end < on.len()).then(|| uri(wanted.page + 1)),
            "previous_page_uri": wanted.page.checked_sub(1).map(uri),
        });
        Ok(Json(list).into_response())
    })
    .await
}

async fn call(State(web): State<Web>, paths: Paths, headers: HeaderMap) -> Response {
    answered(web, paths, headers, async |web: Web, who: Who, paths| {
        who.need(Scope::Captures).map_err(Fault::of)?;
        let sid = part(&paths, "call");
        let on = live(&web, &who, Some(sid)).await?;
        let found = on.iter().find(|one| one.sid == sid);
        let found = found.ok_or_else(|| Fault::not_found("the call"))?;
        Ok(Json(found.shown(part(&paths, "account"))).into_response())
    })
    .await
}

async fn live(web: &Web, who: &Who, sid: Option<&str>) -> Result<Vec<LiveCall>, Fault> {
    let tenant = merchant(web, who, "calls are a tenant's").map_err(Fault::of)?;
    let on = web.talks.calls(tenant.id.clone(), sid.map(str::to_owned));
    let on = on.await;
    on.map_err(|why| Fault::not_started(&why))
}

async fn create(
    State(web): State<Web>,
    paths: Paths,
    headers: HeaderMap,
    request: Request,
) -> Response {
    answered(web, paths, headers, async |web: Web, who: Who, paths| {
        who.need(Scope::Captures).map_err(Fault::of)?;
        let deed = trail::asked(&who, &request);
        let form = form(&web, request).await?;
        kept(web.clone(), deed, async move {
            begin(&web, &who, &paths, form).await
        })
        .await
    })
    .await
}

/// Whoever hangs up hides nothing, and leaves nothing half done: two people are on their way.
async fn kept(
    web: Web,
    mut deed: Deed,
    work: impl Future<Output = Result<Response, Fault>> + Send + 'static,
) -> Result<Response, Fault> {
    let done = request::to_its_end(async move {
        trail::begun(&web, &deed).await.map_err(Fault::of)?;
        let done = Box::pin(work).await;
        let answer = done.unwrap_or_else(IntoResponse::into_response);
        if let Some(payment) = answer.extensions().get::<PaymentId>() {
            trail::about(&mut deed, *payment, "");
        }
        trail::ended(&web, deed, &answer).await;
        Ok(answer)
    });
    done.await
        .unwrap_or_else(|_| Err(Fault::of(ApiError::internal())))
}

async fn begin(
    web: &Web,
    who: &Who,
    paths: &BTreeMap<String, String>,
    form: Form,
) -> Result<Response, Fault> {
    let (account, call_sid) = (part(paths, "account"), part(paths, "call"));
    let tenant = merchant(web, who, "captures are begun with a tenant's key").map_err(Fault::of)?;
    let hash_of_all = form.hash();
    let asked = form.create(tenant)?;
    if let Some((call, session)) = web.twilio.begun(account, &asked.key) {
        if session.hash != hash_of_all || session.call_sid != call_sid {
            return Err(Fault::reused());
        }
        return Ok((StatusCode::CREATED, shown(call, &session)).into_response());
    }
    web.talks
        .may_call_back(account, &asked.callback)
        .map_err(Fault::callback)?;
    let by = by(
        who,
        asked
            .person
            .clone()
            .unwrap_or_else(|| who.name().to_owned()),
    )
    .map_err(Fault::of)?;
    // The order's number is the program's, or follows from its key: the same request never makes two.
    let request = Some(ApiRequest {
        key: asked.key.clone(),
        hash: hash(&asked.payment),
    });
    let new = new_payment(web, tenant, asked.payment, request).await;
    let created = web.journal.create(new.map_err(Fault::of)?).await;
    let (payment, is_new) = match created {
        Ok(Created::New(payment)) => (payment, true),
        Ok(Created::Existing(payment)) => (payment, false),
        Err(error) => return Err(Fault::of(crate::payments::not_created(error))),
    };
    if let Some(charged) = charged(&payment) {
        return Err(charged);
    }
    if payment.state != PaymentState::Waiting {
        return Err(Fault::conflict(format!(
            "the payment {} was begun under this IdempotencyKey before, and is {}: it is not charged; use a new key for another try",
            payment.id,
            payment.state.name()
        )));
    }
    let callback = Arc::new(Mutex::new(asked.callback));
    let lead = Lead {
        callback: Arc::clone(&callback),
        account: account.to_owned(),
        call_sid: call_sid.to_owned(),
        ..asked.lead
    };
    let start = ToStart {
        tenant: tenant.id.clone(),
        payment: payment.id,
        leg: TalkLeg::Customer(call_sid.to_owned()),
        mode: Some(api::CaptureMode::Led),
        lead: Some(lead),
        by: by.clone(),
    };
    match web.talks.start(start).await {
        Ok(call) => {
            let now = moment(web);
            let session = Session {
                account: account.to_owned(),
                call_sid: call_sid.to_owned(),
                payment: payment.id,
                key: asked.key,
                hash: hash_of_all,
                created: now,
                updated: now,
                callback,
                updates: HashMap::new(),
            };
            web.twilio.remember(call, session.clone());
            let mut answer = (StatusCode::CREATED, shown(call, &session)).into_response();
            answer.extensions_mut().insert(session.payment);
            Ok(answer)
        }
        Err(why) => {
            if is_new {
                let cancelled = web.journal.cancel(payment.id, &by).await;
                cancelled.map_err(|error| Fault::of(error.into()))?;
            }
            Err(Fault::not_started(&why))
        }
    }
}

async fn update(
    State(web): State<Web>,
    paths: Paths,
    headers: HeaderMap,
    request: Request,
) -> Response {
    answered(web, paths, headers, async |web: Web, who: Who, paths| {
        who.need(Scope::Captures).map_err(Fault::of)?;
        let mut deed = trail::asked(&who, &request);
        let form = form(&web, request).await?;
        let (account, call_sid) = (part(&paths, "account"), part(&paths, "call"));
        let call = call_of(part(&paths, "sid"));
        let session = call.and_then(|call| web.twilio.session(account, call_sid, call));
        if let Some(session) = session {
            trail::about(&mut deed, session.payment, &form.wish());
        }
        kept(web.clone(), deed, async move {
            led(&web, &who, &paths, form).await
        })
        .await
    })
    .await
}

async fn led(
    web: &Web,
    who: &Who,
    paths: &BTreeMap<String, String>,
    form: Form,
) -> Result<Response, Fault> {
    let (account, call_sid) = (part(paths, "account"), part(paths, "call"));
    let there = call_of(part(paths, "sid")).and_then(|call| {
        let session = web.twilio.session(account, call_sid, call)?;
        Some((call, session))
    });
    let (call, session) = there.ok_or_else(|| Fault::not_found("the payment"))?;
    let hash_of_all = form.hash();
    let asked = form.update()?;
    // Once more is no second time: a field that is being keyed is not wiped by a repetition.
    match session.updates.get(&asked.key) {
        Some(before) if *before == hash_of_all => return Ok(shown(call, &session).into_response()),
        Some(_) => return Err(Fault::reused()),
        None => {}
    }
    let by = by(who, who.name().to_owned()).map_err(Fault::of)?;
    web.talks
        .may_call_back(account, &asked.callback)
        .map_err(Fault::callback)?;
    // Before it is done, since what it does is told there.
    let before = {
        let mut callback = session
            .callback
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *callback, asked.callback.clone())
    };
    if let Err(refused) = done(web, session.payment, &asked, by).await {
        // It stays where it was, unless somebody else has set another one meanwhile.
        let mut callback = session
            .callback
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *callback == asked.callback {
            *callback = before;
        }
        return Err(refused);
    }
    let now = moment(web);
    web.twilio.change(call, |session| {
        session.updated = now;
        if session.updates.len() >= UPDATES_MAX {
            session.updates.clear();
        }
        session.updates.insert(asked.key.clone(), hash_of_all);
    });
    let session = Session {
        updated: now,
        ..session
    };
    Ok(shown(call, &session).into_response())
}

/// Of a payment that is charged, or may be: who hears of it another word than this charges again.
fn charged(payment: &Payment) -> Option<Fault> {
    let (id, state, has_call) = (payment.id, payment.state, payment.call.is_some());
    let is = match state {
        PaymentState::InFlight | PaymentState::Unknown | PaymentState::Approved => true,
        PaymentState::Waiting => has_call,
        _ => false,
    };
    is.then(|| {
        let (_, says) = over(id, state, has_call).told();
        let also = if state == PaymentState::Approved {
            "; do not charge again"
        } else {
            ""
        };
        Fault::conflict(format!("{says}; its state is {}{also}", state.name()))
    })
}

async fn done(web: &Web, payment: PaymentId, asked: &Update, by: By) -> Result<(), Fault> {
    match (web.wish)(payment, asked.want, by).await {
        Wished::Done(_) => Ok(()),
        Wished::ChargeSent => Err(Fault::conflict(
            "the charge has been sent; its status callback tells how it went",
        )),
        Wished::Completing => Err(Fault::conflict(COMPLETING)),
        Wished::NotInCall => {
            let found = web.journal.payment(payment).await;
            let found = found.map_err(|error| Fault::of(error.into()))?;
            Err(match found {
                Some(payment) => charged(&payment).unwrap_or_else(|| {
                    Fault::call_state(format!(
                        "the payment session is over; the payment {} is {}, and not charged",
                        payment.id,
                        payment.state.name()
                    ))
                }),
                None => Fault::not_found("the payment"),
            })
        }
        Wished::NoAnswer => Err(Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Fault::UNAVAILABLE,
            "the call is busy and goes on; try again",
        )),
        Wished::NotNow => Err(match asked.want {
            Want::Complete => Fault::invalid(
                "Status: not all of the card has been captured; Required of the last status callback says what is missing",
            ),
            Want::Capture(..) => Fault::invalid(
                "Capture: this can't be keyed now; a security code follows its card number, a matcher what it is compared with",
            ),
            _ => Fault::invalid("Status: not from where the payment session stands"),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_payments_sid_is_the_id_of_its_call() {
        let call = CallId::new(uuid::Uuid::now_v7());
        let sid = payment_sid(call);
        assert!(sid.len() == 34 && sid.starts_with("PK"), "{sid}");
        assert_eq!(call_of(&sid), Some(call));
        assert_eq!(call_of(&format!("{sid}.json")), Some(call));
        for bad in [
            "",
            "PK",
            "PK1",
            sid.trim_start_matches("PK"),
            &sid.replace("PK", "CA"),
        ] {
            assert_eq!(call_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_as_twilio_writes_them() {
        let at = "2026-11-27T09:00:01Z".parse().unwrap();
        assert_eq!(written(at), "Fri, 27 Nov 2026 09:00:01 +0000");
    }
}
