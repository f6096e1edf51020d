//! `/v1/people`: who may sign in. Nobody makes, or gets hold of, somebody who may more than he does.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ivrpay_api as api;
use ivrpay_journal::{
    By, NewPerson, Person, PersonChange, PersonError, Proofs, Role, looks_like_card,
};
use ivrpay_payment::{OperatorId, PersonId, TenantId};
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{id, number, own_tenant, rfc3339};
use crate::secrets;
use crate::sessions::new_password;
use crate::tasks::by;

const NO_SEAL: &str =
    "second factors can't be kept: name a file with a key in [access] seal_key_file";

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) tenant: Option<String>,
}

type Id = Result<Path<String>, PathRejection>;
type Asks = Result<Json<api::WhoAsks>, JsonRejection>;

/// Makes a person, who can sign in when he has a password and a second factor that is confirmed.
#[utoipa::path(post, path = "/v1/people", request_body = api::CreatePerson, responses((status = 201, body = api::Person)))]
pub(crate) async fn create(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::CreatePerson>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::People)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let role = Role::from_name(&body.role)
        .ok_or_else(|| ApiError::invalid("role: operator, supervisor or admin"))?;
    let tenant = tenant(&web, &who, body.tenant)?;
    if tenant.is_none() && role != Role::Admin {
        return Err(ApiError::invalid(
            "tenant: an operator or a supervisor belongs to one; only an admin may see all",
        ));
    }
    if !Scope::of(role).iter().all(|scope| who.may(*scope)) {
        return Err(ApiError::forbidden(
            "role: nobody gives a role that may more than he does",
        ));
    }
    let name = id("name", OperatorId::new(body.name))?;
    let language = body.language;
    if language.as_ref().is_some_and(|l| l != "ja" && l != "en") {
        return Err(ApiError::invalid("language: ja or en"));
    }
    let new = NewPerson {
        shown: text("shown", body.shown.unwrap_or_else(|| name.to_string()), 100)?,
        name,
        tenant,
        role,
        extension: body.extension.map(|e| number("extension", e)).transpose()?,
        language,
        email: body.email.map(|e| text("email", e, 200)).transpose()?,
        subject: body.subject.map(|s| text("subject", s, 255)).transpose()?,
    };
    let person = web.journal.create_person(new, by.person.as_str()).await;
    let person = person.map_err(refused)?;
    let location = format!("/v1/people/{}", person.id);
    let shown = view(&web, person).await?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(shown),
    )
        .into_response())
}

/// Everybody who may sign in, or might.
#[utoipa::path(get, path = "/v1/people", params(ListQuery), responses((status = 200, body = api::People)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::People>, ApiError> {
    who.need(Scope::People)?;
    let Query(query) = query.map_err(|r| ApiError::parameters(&r, "tenant, for an admin"))?;
    let tenant = own_tenant(&who, query.tenant)?;
    let mut people = Vec::new();
    for person in web.journal.people(tenant.as_ref()).await? {
        people.push(view(&web, person).await?);
    }
    Ok(Json(api::People { people }))
}

/// One person.
#[utoipa::path(get, path = "/v1/people/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Person)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    path: Id,
) -> Result<Json<api::Person>, ApiError> {
    who.need(Scope::People)?;
    let found = seen(&web, &who, path).await?;
    Ok(Json(view(&web, found.person).await?))
}

macro_rules! change {
    ($($name:ident $path:literal $change:ident $text:literal)*) => {$(
        #[doc = $text]
        #[utoipa::path(
            post, path = $path, params(("id" = String, Path, format = "uuid")), request_body = api::WhoAsks,
            responses((status = 200, body = api::Person))
        )]
        pub(crate) async fn $name(
            State(web): State<Web>,
            who: Who,
            path: Id,
            body: Asks,
        ) -> Result<Json<api::Person>, ApiError> {
            who.need(Scope::People)?;
            let Json(body) = body?;
            let by = by(&who, body.by)?;
            let found = held(&web, &who, path).await?;
            changed(&web, found.person.id, PersonChange::$change, &by).await
        }
    )*};
}

change! {
    disable "/v1/people/{id}/disable" Disabled "He may not sign in any more; his sessions end."
    enable "/v1/people/{id}/enable" Enabled "He may sign in again."
}

/// He may try again at once.
#[utoipa::path(post, path = "/v1/people/{id}/unlock", params(("id" = String, Path, format = "uuid")), request_body = api::WhoAsks, responses((status = 200, body = api::Person)))]
pub(crate) async fn unlock(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Asks,
) -> Result<Json<api::Person>, ApiError> {
    who.need(Scope::People)?;
    let Json(body) = body?;
    by(&who, body.by)?;
    let found = held(&web, &who, path).await?;
    web.journal.unlock(&found.person.name).await?;
    Ok(Json(view(&web, found.person).await?))
}

/// Gives him another password; his sessions end.
#[utoipa::path(post, path = "/v1/people/{id}/password", params(("id" = String, Path, format = "uuid")), request_body = api::SetPassword, responses((status = 200, body = api::Person)))]
pub(crate) async fn password(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Result<Json<api::SetPassword>, JsonRejection>,
) -> Result<Json<api::Person>, ApiError> {
    who.need(Scope::People)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let found = held(&web, &who, path).await?;
    let name = found.person.name.as_str();
    let hash = new_password(&web, body.password, name, "password").await?;
    changed(&web, found.person.id, PersonChange::Password(hash), &by).await
}

/// Begins a new second factor, by RFC 6238. It counts when it is confirmed; until then he can't sign in, and his sessions end.
#[utoipa::path(post, path = "/v1/people/{id}/second-factor", params(("id" = String, Path, format = "uuid")), request_body = api::WhoAsks, responses((status = 200, body = api::SecondFactor)))]
pub(crate) async fn second_factor(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Asks,
) -> Result<Json<api::SecondFactor>, ApiError> {
    who.need(Scope::People)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let found = held(&web, &who, path).await?;
    let seal = web.access.options().seal.as_ref();
    let seal = seal.ok_or_else(|| ApiError::not_possible(NO_SEAL))?;
    let secret = secrets::random::<{ secrets::FACTOR }>()?;
    let sealed = seal.seal(&found.person.id.to_string(), &secret)?;
    let change = PersonChange::Factor(sealed);
    drop(changed(&web, found.person.id, change, &by).await?);
    Ok(Json(api::SecondFactor {
        uri: api::Secret(secrets::otpauth(found.person.name.as_str(), &secret)),
        secret: api::Secret(secrets::base32(&secret)),
    }))
}

/// The second factor works: a code of it says so. Gives ten codes for the day that it is lost.
#[utoipa::path(post, path = "/v1/people/{id}/second-factor/confirm", params(("id" = String, Path, format = "uuid")), request_body = api::ConfirmFactor, responses((status = 200, body = api::RecoveryCodes)))]
pub(crate) async fn confirm(
    State(web): State<Web>,
    who: Who,
    path: Id,
    body: Result<Json<api::ConfirmFactor>, JsonRejection>,
) -> Result<Json<api::RecoveryCodes>, ApiError> {
    who.need(Scope::People)?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let found = held(&web, &who, path).await?;
    let code = body.code.0;
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ApiError::invalid(
            "code: the six digits that the authenticator shows",
        ));
    }
    if found.person.has_factor {
        return Err(ApiError::not_possible(
            "the second factor is confirmed already",
        ));
    }
    let secret = opened(&web, &found)?;
    let step = secrets::step(&secret, &code, web.now_ms(), found.step).ok_or_else(|| {
        ApiError::not_possible(
            "code: that is not what it shows now; look whether its clock and this machine's are right",
        )
    })?;
    let codes = secrets::recovery_codes()?;
    let recovery = codes
        .iter()
        .filter_map(|code| secrets::recovery_hash(&code.0));
    let change = PersonChange::Confirmed {
        factor: found.factor.unwrap_or_default(),
        step,
        recovery: recovery.collect(),
    };
    drop(changed(&web, found.person.id, change, &by).await?);
    Ok(Json(api::RecoveryCodes { codes }))
}

/// The secret of somebody's second factor.
pub(crate) fn opened(web: &Web, known: &Proofs) -> Result<Vec<u8>, ApiError> {
    let seal = web.access.options().seal.as_ref();
    let seal = seal.ok_or_else(|| ApiError::unavailable(NO_SEAL))?;
    let sealed = known.factor.as_deref().ok_or_else(|| {
        ApiError::not_possible("there is no second factor; begin one with …/second-factor")
    })?;
    seal.open(&known.person.id.to_string(), sealed)
        .ok_or_else(|| {
            ApiError::unavailable(
                "the second factor was sealed with another [access] seal_key_file: put that back, or begin a new one",
            )
        })
}

async fn changed(
    web: &Web,
    person: PersonId,
    change: PersonChange,
    by: &By,
) -> Result<Json<api::Person>, ApiError> {
    let by = by.person.as_str();
    let changed = web.journal.change_person(person, change, by).await;
    web.access.forget_sessions();
    Ok(Json(view(web, changed.map_err(refused)?).await?))
}

/// Whose person it is to be: the tenant of who asks, else the one that is named; `None`: all.
fn tenant(web: &Web, who: &Who, asked: Option<String>) -> Result<Option<TenantId>, ApiError> {
    let tenant = own_tenant(who, asked)?;
    match &tenant {
        Some(tenant) if !web.tenants.iter().any(|t| t.id == *tenant) => Err(ApiError::invalid(
            "tenant: the configuration has no tenant of this name",
        )),
        _ => Ok(tenant),
    }
}

/// A person whom who asks may see. Another tenant's is not told from one that does not exist.
async fn seen(web: &Web, who: &Who, path: Id) -> Result<Proofs, ApiError> {
    let Path(text) = path.map_err(|_| ApiError::invalid("the person's id is no text"))?;
    let id: PersonId = text
        .parse()
        .map_err(|e| ApiError::invalid(format!("{e}")))?;
    let found = web.journal.person(id).await?;
    found
        .filter(|found| match (&found.person.tenant, who.tenant()) {
            (_, None) => true,
            (Some(tenant), Some(own)) => tenant == own,
            (None, Some(_)) => false,
        })
        .ok_or_else(|| refused(PersonError::NotFound))
}

/// The same of one whom he may change: who gives a password can be that person.
async fn held(web: &Web, who: &Who, path: Id) -> Result<Proofs, ApiError> {
    let found = seen(web, who, path).await?;
    if who.person().is_some_and(|own| own.id == found.person.id) {
        return Err(ApiError::forbidden(
            "nobody does this to himself: another admin, or the command line on the machine; your own password is POST /v1/session/password",
        ));
    }
    let mut may = Scope::of(found.person.role).iter();
    if !may.all(|scope| who.may(*scope)) {
        return Err(ApiError::forbidden("this person may more than you do"));
    }
    Ok(found)
}

pub(crate) fn text(field: &str, text: String, most: usize) -> Result<String, ApiError> {
    let text = text.trim().to_owned();
    let length = text.chars().count();
    if length == 0 || length > most || text.chars().any(char::is_control) || looks_like_card(&text)
    {
        return Err(ApiError::invalid(format!(
            "{field}: 1 to {most} characters, and no card number"
        )));
    }
    Ok(text)
}

pub(crate) fn refused(error: PersonError) -> ApiError {
    match error {
        PersonError::NotFound => ApiError::not_found("there is no such person"),
        PersonError::Journal(error) => error.into(),
        error @ PersonError::Field { .. } => ApiError::invalid(error.to_string()),
        error => ApiError::not_possible(error.to_string()),
    }
}

async fn view(web: &Web, person: Person) -> Result<api::Person, ApiError> {
    let locked_until = web.journal.locked_until(&person.name).await?;
    Ok(api::Person {
        id: person.id,
        name: person.name.into(),
        shown: person.shown,
        tenant: person.tenant.map(Into::into),
        role: person.role.name().to_owned(),
        extension: person.extension,
        language: person.language,
        email: person.email,
        single_sign_on: person.subject.is_some(),
        password: person.has_password,
        second_factor: person.has_factor,
        disabled_at: person.disabled_ms.map(rfc3339),
        locked_until: locked_until.map(rfc3339),
        created_at: rfc3339(person.created_ms),
        created_by: person.created_by,
    })
}
