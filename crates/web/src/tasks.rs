//! `/v1/tasks`: what people must do.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_journal::{By, Found, Promise, Task, TaskError, TaskFilter, TaskState};
use ivrpay_payment::{AcquirerRef, OperatorId, OrderId, Owner, TaskId};
use serde::Deserialize;

use crate::Web;
use crate::auth::{Scope, Who};
use crate::error::ApiError;
use crate::payments::{NO_PAYMENT, cut, id, limit, merchant, number, own_tenant, rfc3339, time};

/// Keeps that a customer was promised a call.
#[utoipa::path(post, path = "/v1/tasks", request_body = api::PromiseCall, responses((status = 201, body = api::Task)))]
pub(crate) async fn promise(
    State(web): State<Web>,
    who: Who,
    body: Result<Json<api::PromiseCall>, JsonRejection>,
) -> Result<Response, ApiError> {
    who.need(Scope::Tasks)?;
    let tenant = merchant(&web, &who, "calls are promised with a tenant's key")?;
    let Json(body) = body?;
    let by = by(&who, body.by)?;
    let due_ms = time("due_at", &body.due_at)?;
    let new = Promise {
        tenant: tenant.id.clone(),
        payment: body
            .payment_id
            .map(|p| id("payment_id", p.parse()))
            .transpose()?,
        order: body
            .order_id
            .map(|o| id("order_id", OrderId::new(o)))
            .transpose()?,
        caller_number: body
            .caller_number
            .map(|n| number("caller_number", n))
            .transpose()?,
        owner: id("owner", Owner::new(body.owner))?,
        due_ms,
        reason: body.reason,
    };
    if new.payment.is_some() && new.order.is_some() {
        return Err(ApiError::invalid(
            "payment_id: name the payment or the order_id, not both",
        ));
    }
    let task = web.journal.promise(new, &by).await.map_err(refused)?;
    let location = format!("/v1/tasks/{}", task.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(view(&web, task)),
    )
        .into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    state: Option<String>,
    owner: Option<String>,
    tenant: Option<String>,
    after: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// What people must do, the most urgent first.
#[utoipa::path(get, path = "/v1/tasks", params(ListQuery), responses((status = 200, body = api::Tasks)))]
pub(crate) async fn list(
    State(web): State<Web>,
    who: Who,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<api::Tasks>, ApiError> {
    who.need(Scope::Tasks)?;
    let Query(query) = query.map_err(|rejection| {
        ApiError::parameters(
            &rejection,
            "state (open, taken or done), owner, after (the next of the page before), limit (1 to 200), and tenant for an admin",
        )
    })?;
    let limit = limit(query.limit)?;
    let state = query.state.map(|s| {
        TaskState::from_name(&s).ok_or_else(|| ApiError::invalid("state: open, taken or done"))
    });
    let after = query
        .after
        .map(|a| id("after", a.parse::<TaskId>()))
        .transpose()?;
    let filter = TaskFilter {
        tenant: own_tenant(&who, query.tenant)?,
        state: state.transpose()?,
        owner: query
            .owner
            .map(|o| id("owner", Owner::new(o)))
            .transpose()?,
        after,
        // One more than is shown says whether there is another page.
        limit: Some(limit + 1),
    };
    if let Some(after) = after {
        // Behind a task that is not there would be nothing, and would look like the end.
        seen(&web, &who, after).await?;
    }
    let mut tasks = web.journal.tasks(&filter).await?;
    let more = cut(&mut tasks, limit);
    Ok(Json(api::Tasks {
        next: tasks.last().filter(|_| more).map(|task| task.id),
        tasks: tasks.into_iter().map(|task| view(&web, task)).collect(),
    }))
}

/// One task.
#[utoipa::path(get, path = "/v1/tasks/{id}", params(("id" = String, Path, format = "uuid")), responses((status = 200, body = api::Task)))]
pub(crate) async fn show(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<api::Task>, ApiError> {
    who.need(Scope::Tasks)?;
    let task = seen(&web, &who, task_id(path)?).await?;
    Ok(Json(view(&web, task)))
}

/// Somebody is at it.
#[utoipa::path(post, path = "/v1/tasks/{id}/take", params(("id" = String, Path, format = "uuid")), request_body = api::TakeTask, responses((status = 200, body = api::Task)))]
pub(crate) async fn take(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<String>, PathRejection>,
    body: Result<Json<api::TakeTask>, JsonRejection>,
) -> Result<Json<api::Task>, ApiError> {
    who.need(Scope::Tasks)?;
    let task = task_id(path)?;
    let Json(body) = body?;
    seen(&web, &who, task).await?;
    let by = by(&who, body.by)?;
    let task = web.journal.take_task(task, &by).await.map_err(refused)?;
    Ok(Json(view(&web, task)))
}

/// Closes it with a note.
#[utoipa::path(post, path = "/v1/tasks/{id}/done", params(("id" = String, Path, format = "uuid")), request_body = api::FinishTask, responses((status = 200, body = api::Task)))]
pub(crate) async fn done(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<String>, PathRejection>,
    body: Result<Json<api::FinishTask>, JsonRejection>,
) -> Result<Json<api::Task>, ApiError> {
    who.need(Scope::Tasks)?;
    let task = task_id(path)?;
    let Json(body) = body?;
    seen(&web, &who, task).await?;
    let by = by(&who, body.by)?;
    let charged = body.found.as_deref() == Some("charged");
    if !charged && (body.acquirer_ref.is_some() || body.approval_code.is_some()) {
        return Err(ApiError::invalid(
            "acquirer_ref and approval_code belong to found = charged",
        ));
    }
    let found = match body.found.as_deref() {
        None => None,
        Some("not-charged") => Some(Found::NotCharged),
        Some("charged") => {
            let acquirer_ref = body.acquirer_ref.ok_or_else(|| {
                ApiError::invalid(
                    "acquirer_ref: what was charged has a reference at the acquirer; give it",
                )
            })?;
            Some(Found::Charged {
                acquirer_ref: id("acquirer_ref", AcquirerRef::new(acquirer_ref))?,
                approval_code: body.approval_code,
            })
        }
        Some(_) => return Err(ApiError::invalid("found: charged or not-charged")),
    };
    let done = web.journal.finish_task(task, &by, &body.note, found).await;
    Ok(Json(view(&web, done.map_err(refused)?)))
}

/// The person that a body names, and the door he came by. Who has signed in is that person, and need not say it.
pub(crate) fn by(who: &Who, named: impl Into<Option<String>>) -> Result<By, ApiError> {
    let named = named.into();
    let named = named.map(|n| id("by", OperatorId::new(n))).transpose()?;
    let person = match (who.person(), named) {
        (Some(own), None) => own.name.clone(),
        (Some(own), Some(named)) if own.name == named => named,
        (Some(own), Some(_)) => {
            return Err(ApiError::forbidden(format!(
                "by: you have signed in as {}, and do nothing in another's name; leave it out",
                own.name
            )));
        }
        (None, Some(named)) => named,
        (None, None) => {
            return Err(ApiError::invalid(
                "by: say who does it; only a person who has signed in may leave it out",
            ));
        }
    };
    Ok(By {
        person,
        via: who.name().to_owned(),
    })
}

fn task_id(path: Result<Path<String>, PathRejection>) -> Result<TaskId, ApiError> {
    let Path(text) = path.map_err(|_| ApiError::invalid("the task's id is no text"))?;
    text.parse().map_err(|e| ApiError::invalid(format!("{e}")))
}

/// A task that this key may see. Another tenant's is not told from one that does not exist; one without a tenant is the admin's.
async fn seen(web: &Web, who: &Who, task: TaskId) -> Result<Task, ApiError> {
    let may = |task: &Task| match (&task.tenant, who.tenant()) {
        (_, None) => true,
        (Some(tenant), Some(own)) => tenant == own,
        (None, Some(_)) => false,
    };
    let found = web.journal.task(task).await?.filter(may);
    found.ok_or_else(|| refused(TaskError::NotFound))
}

fn refused(error: TaskError) -> ApiError {
    match error {
        TaskError::NotFound => ApiError::not_found("there is no such task"),
        TaskError::PaymentNotFound => ApiError::not_found(NO_PAYMENT),
        TaskError::Done => ApiError::task_done(),
        TaskError::Exists { task_id } => ApiError::task_exists(
            "a call back is promised already; it is in task_id, close that one first",
            task_id,
        ),
        TaskError::Taken { by } => ApiError::task_taken(format!(
            "the task is taken by {by}; ask them, or close it if it is done"
        )),
        TaskError::NotFoundOut => ApiError::invalid(
            "found: look the payment up at the acquirer, then say charged (with acquirer_ref) or not-charged",
        ),
        TaskError::TooEarly { sure_ms } => ApiError::too_early(format!(
            "the acquirer may still answer: look again at {}, and say not-charged then",
            rfc3339(sure_ms)
        )),
        TaskError::Recording => ApiError::invalid(
            "delete or redact the recording, then `ivrpay recording resolve ID`; that closes the task",
        ),
        TaskError::Journal(error) => error.into(),
        other => ApiError::invalid(other.to_string()),
    }
}

fn view(web: &Web, task: Task) -> api::Task {
    api::Task {
        id: task.id,
        kind: task.kind.name().to_owned(),
        state: task.state.name().to_owned(),
        tenant: task.tenant.map(Into::into),
        payment_id: task.payment,
        order_id: task.order.map(Into::into),
        recording_id: task.recording.map(|id| id.to_string()),
        caller_number: task.caller_number,
        owner: task.owner.map(Into::into),
        due_at: rfc3339(task.due_ms),
        overdue: task.state != TaskState::Done && task.due_ms <= web.now_ms(),
        reason: task.reason,
        created_at: rfc3339(task.created_ms),
        created_by: task.created_by.map(Into::into),
        taken_by: task.taken_by.map(Into::into),
        taken_at: task.taken_ms.map(rfc3339),
        done_by: task.done_by,
        done_at: task.done_ms.map(rfc3339),
        note: task.note,
    }
}
