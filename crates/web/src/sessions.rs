//! `/v1/sessions`: people sign in with password and second factor, and out.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::{Extension, response::IntoResponse as _, response::Response};
use ivrpay_api as api;
use ivrpay_journal::{
    Deed, Known, MayTry, NewSession, Person, PersonChange, Proofs, SecondProof, Session,
};

use crate::Web;
use crate::access::{Address, Refusals, Security};
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::rfc3339;
use crate::people::{opened, refused};
use crate::request;
use crate::secrets::{self, Busy, NoChance};

/// Longest name, password and code that are looked at, bytes.
const TEXT_MAX: usize = 512;

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::unavailable("too many people sign in at once: try again in a moment")
    }
}

impl From<NoChance> for ApiError {
    fn from(error: NoChance) -> Self {
        Self::unavailable(error.to_string())
    }
}

/// Signs in. Ten tries that are not good lock the name for half an hour, whether there is such a person or not.
#[utoipa::path(post, path = "/v1/sessions", request_body = api::SignIn, responses((status = 201, body = api::Session)))]
pub(crate) async fn create(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
    body: Result<Json<api::SignIn>, JsonRejection>,
) -> Result<Response, ApiError> {
    web.access.may_sign_in(&web, &address.0)?;
    let Json(body) = body?;
    let code = body.code.as_ref().map_or("", |code| &code.0);
    for (field, text) in [
        ("person", body.person.as_str()),
        ("password", &body.password.0),
        ("code", code),
    ] {
        let is_card = ivrpay_journal::looks_like_card(text) && field != "code";
        if text.len() > TEXT_MAX || text.contains('\0') || is_card {
            return Err(ApiError::invalid(format!(
                "{field}: at most {TEXT_MAX} bytes, and no card number"
            )));
        }
    }
    // Whoever hangs up has tried all the same.
    let done = request::to_its_end(async move {
        let signed_in = sign_in(&web, &address, &body).await;
        answered(&web, &address, &body.person, signed_in).await
    });
    done.await.unwrap_or_else(|_| Err(ApiError::internal()))
}

/// Keeps who has signed in, or could not, and answers.
pub(crate) async fn answered(
    web: &Web,
    address: &Address,
    name: &str,
    signed_in: Result<(api::Secret, Session), ApiError>,
) -> Result<Response, ApiError> {
    let mut deed = Deed {
        address: Some(address.0.to_string()).filter(|address| !address.is_empty()),
        request: request::id(),
        via: "sign-in".to_owned(),
        what: "sign in".to_owned(),
        ..Deed::default()
    };
    match signed_in {
        Ok((token, session)) => {
            deed.who = session.person.name.to_string();
            deed.tenant.clone_from(&session.person.tenant);
            deed.result = "201".to_owned();
            if let Err(error) = web.journal.note_deed(&deed).await {
                web.access.tell(Security::NotKept);
                web.journal.end_session(&session.hash).await.ok();
                return Err(error.into());
            }
            web.access.tell(Security::SignedIn);
            let answer = shown(web, &session, Some(token));
            Ok((StatusCode::CREATED, Json(answer)).into_response())
        }
        Err(error) => {
            // Of a name that is nobody's only that it was one: it may be a password in the wrong field.
            let person = web.journal.person_named(name).await.ok().flatten();
            if let Some(Proofs { person, .. }) = person {
                deed.who = person.name.to_string();
                deed.tenant = person.tenant;
            }
            deed.result = error.code().name().to_owned();
            web.access.tell(Security::SignInFailed);
            web.access.note_refused(web, &deed, Refusals::SIGN_IN).await;
            Err(error)
        }
    }
}

async fn sign_in(
    web: &Web,
    address: &Address,
    body: &api::SignIn,
) -> Result<(api::Secret, Session), ApiError> {
    let is_last = may_try(web, &body.person).await?;
    let signed_in = tried(web, address, body).await;
    if is_last && signed_in.is_err() {
        web.access.tell(Security::Locked);
    }
    signed_in
}

async fn tried(
    web: &Web,
    address: &Address,
    body: &api::SignIn,
) -> Result<(api::Secret, Session), ApiError> {
    let known = web.journal.person_named(&body.person).await?;
    let hash = known.as_ref().and_then(|known| known.password.clone());
    let is = web
        .access
        .passwords()
        .is(body.password.clone(), hash)
        .await?;
    let known = known.filter(|known| is && known.person.disabled_ms.is_none());
    let known = known.ok_or_else(ApiError::sign_in_failed)?;
    if !known.person.has_factor {
        return Err(ApiError::second_factor_missing(
            "name and password are right, and nobody comes in over the network without a second factor",
        ));
    }
    let code = body.code.as_ref().ok_or_else(ApiError::code_required)?;
    let proof = proof(web, &known, &code.0)?;
    let looked_at = Known {
        password: known.password,
        factor: known.factor,
    };
    open(web, address, known.person, proof, Some(looked_at))
        .await?
        .ok_or_else(ApiError::sign_in_failed)
}

/// Uses one of the tries of that name; says whether it was the last.
async fn may_try(web: &Web, name: &str) -> Result<bool, ApiError> {
    match web.journal.try_sign_in(name).await? {
        MayTry::Yes => Ok(false),
        MayTry::Last => Ok(true),
        MayTry::Locked { until_ms } => {
            let wait = until_ms.saturating_sub(web.now_ms()).max(0);
            Err(ApiError::locked(
                "too many tries of this name were not good",
                std::time::Duration::from_millis(wait.unsigned_abs()),
            ))
        }
    }
}

/// How a code shows that it is he.
fn proof(web: &Web, known: &Proofs, code: &str) -> Result<SecondProof, ApiError> {
    let code = code.trim();
    if let Some(hash) = secrets::recovery_hash(code) {
        return Ok(SecondProof::Recovery(hash));
    }
    let secret = opened(web, known)?;
    secrets::step(&secret, code, web.now_ms(), known.step)
        .map(SecondProof::Step)
        .ok_or_else(ApiError::sign_in_failed)
}

/// Opens a session with a token that was nobody's before.
pub(crate) async fn open(
    web: &Web,
    address: &Address,
    person: Person,
    proof: SecondProof,
    known: Option<Known>,
) -> Result<Option<(api::Secret, Session)>, ApiError> {
    let token = secrets::token()?;
    let longest = web.access.options().longest.as_millis();
    let longest = i64::try_from(longest).unwrap_or(i64::MAX);
    let new = NewSession {
        hash: secrets::hash(&token.0),
        person: person.id,
        address: address.0.to_string(),
        expires_ms: web.now_ms().saturating_add(longest),
        proof,
        known,
    };
    let opened = web.journal.open_session(new).await?;
    Ok(opened.map(|session| (token, session)))
}

/// Who has signed in.
#[utoipa::path(get, path = "/v1/session", responses((status = 200, body = api::Session)))]
pub(crate) async fn show(State(web): State<Web>, who: Who) -> Result<Json<api::Session>, ApiError> {
    Ok(Json(shown(&web, who.session()?, None)))
}

/// Signs out.
#[utoipa::path(post, path = "/v1/session/end", responses((status = 204)))]
pub(crate) async fn end(State(web): State<Web>, who: Who) -> Result<StatusCode, ApiError> {
    web.journal.end_session(&who.session()?.hash).await?;
    web.access.forget_sessions();
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password; all of one's sessions end, this one too.
#[utoipa::path(post, path = "/v1/session/password", request_body = api::ChangePassword, responses((status = 204)))]
pub(crate) async fn password(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::ChangePassword>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let Json(body) = body?;
    for (field, text) in [("old", &body.old.0), ("new", &body.new.0)] {
        if text.len() > TEXT_MAX || text.contains('\0') || ivrpay_journal::looks_like_card(text) {
            return Err(ApiError::invalid(format!(
                "{field}: at most {TEXT_MAX} bytes, and no card number"
            )));
        }
    }
    let person = &who.session()?.person;
    let is_last = may_try(&web, person.name.as_str()).await?;
    let changed = own_password(&web, person, body).await;
    if is_last && changed.is_err() {
        web.access.tell(Security::Locked);
    }
    changed?;
    web.journal.unlock(&person.name).await?;
    web.access.forget_sessions();
    Ok(StatusCode::NO_CONTENT)
}

async fn own_password(
    web: &Web,
    person: &Person,
    body: api::ChangePassword,
) -> Result<(), ApiError> {
    let known = web.journal.person(person.id).await?;
    let old = known.and_then(|known| known.password);
    let is = web.access.passwords().is(body.old.clone(), old.clone());
    if !is.await? {
        return Err(ApiError::forbidden("old: that is not your password"));
    }
    if body.old == body.new {
        return Err(ApiError::invalid("new: another one than the old"));
    }
    let name = person.name.as_str();
    let new = new_password(web, body.new, name, "new").await?;
    let change = PersonChange::OwnPassword {
        new,
        old: old.unwrap_or_default(),
    };
    let changed = web.journal.change_person(person.id, change, name).await;
    changed.map_err(refused)?;
    Ok(())
}

/// The hash of a password that is fit for this person.
pub(crate) async fn new_password(
    web: &Web,
    password: api::Secret,
    name: &str,
    field: &str,
) -> Result<String, ApiError> {
    if let Some(wants) = secrets::unfit(&password.0, name) {
        return Err(ApiError::invalid(format!("{field}: {wants}")));
    }
    let hash = web.access.passwords().hash(password).await?;
    hash.ok_or_else(|| NoChance.into())
}

fn shown(web: &Web, session: &Session, token: Option<api::Secret>) -> api::Session {
    let person = &session.person;
    let scopes = Scope::of(person.role).iter();
    api::Session {
        token,
        person: person.name.to_string(),
        name: person.shown.clone(),
        tenant: person.tenant.as_ref().map(ToString::to_string),
        role: person.role.name().to_owned(),
        scopes: scopes.map(|scope| scope.name().to_owned()).collect(),
        extension: person.extension.clone(),
        language: person.language.clone(),
        expires_at: rfc3339(session.expires_ms),
        idle_seconds: web.access.options().idle.as_secs(),
    }
}
