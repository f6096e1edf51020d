//! `/v1/recordings`, on the Unix socket alone: recordings in which a card was spoken or keyed. Paths, never contents.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use ivrpay_api as api;
use ivrpay_journal::{NewRecording, Recording, RecordingError, RecordingState};
use ivrpay_payment::RecordingId;

use crate::Web;
use crate::error::ApiError;

/// Its file is about to be deleted, or is, and its task is open.
const DELETING: &str = "deleting";

/// Marks a recording in which a card was spoken or keyed.
#[utoipa::path(post, path = "/v1/recordings", request_body = api::MarkRecording, responses((status = 200, body = api::Recording)))]
pub(crate) async fn mark(
    State(web): State<Web>,
    body: Result<Json<api::MarkRecording>, JsonRejection>,
) -> Result<Json<api::Recording>, ApiError> {
    let Json(body) = body?;
    let new = NewRecording {
        origin: body.origin,
        file: body.file,
        call: body.call,
        by: body.by,
        reason: body.reason,
    };
    let due_ms = web.quarantine.due(web.now_ms());
    let owner = web.quarantine.owner.clone();
    let kept = web.journal.quarantine(new, owner, due_ms).await;
    kept.map(|recording| Json(view(&web, recording)))
        .map_err(refused)
}

/// Recordings in which a card was spoken or keyed.
#[utoipa::path(get, path = "/v1/recordings", responses((status = 200, body = api::Recordings)))]
pub(crate) async fn list(State(web): State<Web>) -> Result<Json<api::Recordings>, ApiError> {
    let recordings = web.journal.recordings().await?;
    Ok(Json(api::Recordings {
        recordings: recordings.into_iter().map(|r| view(&web, r)).collect(),
    }))
}

/// Ends the matter: it is deleted or redacted.
#[utoipa::path(post, path = "/v1/recordings/{id}/resolve", params(("id" = String, Path, format = "uuid")), request_body = api::ResolveRecording, responses((status = 200, body = api::Recording)))]
pub(crate) async fn resolve(
    State(web): State<Web>,
    id: Result<Path<RecordingId>, PathRejection>,
    body: Result<Json<api::ResolveRecording>, JsonRejection>,
) -> Result<Json<api::Recording>, ApiError> {
    let Ok(Path(id)) = id else {
        return Err(refused(RecordingError::NotFound));
    };
    let Json(body) = body?;
    let (journal, by) = (&web.journal, body.by.as_str());
    let resolved = match body.action.as_str() {
        DELETING => journal.delete_recording(id, by).await,
        "deleted" => {
            let state = RecordingState::Deleted;
            journal.resolve_recording(id, state, by).await
        }
        "redacted" => {
            let state = RecordingState::Redacted;
            journal.resolve_recording(id, state, by).await
        }
        _ => {
            return Err(ApiError::invalid("action: deleting, deleted or redacted"));
        }
    };
    resolved
        .map(|recording| Json(view(&web, recording)))
        .map_err(refused)
}

fn refused(error: RecordingError) -> ApiError {
    match error {
        RecordingError::NotFound => {
            ApiError::not_found("there is no such recording; `ivrpay recording list` shows all")
        }
        RecordingError::Journal(error) => error.into(),
        other => ApiError::invalid(other.to_string()),
    }
}

fn view(web: &Web, recording: Recording) -> api::Recording {
    let deleting = recording.deleting_by.is_some() && recording.resolved_ms.is_none();
    let state = if deleting {
        DELETING
    } else {
        recording.state.name()
    };
    api::Recording {
        id: recording.id.to_string(),
        state: state.to_owned(),
        due_at: time(web.quarantine.due(recording.marked_ms)),
        origin: recording.origin,
        file: recording.file,
        call: recording.call,
        marked_by: recording.marked_by,
        reason: recording.reason,
        marked_at: time(recording.marked_ms),
        resolved_by: recording.resolved_by,
        resolved_at: recording.resolved_ms.map(time),
    }
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}
