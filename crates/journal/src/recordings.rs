//! Recorders that are paused for a call, and recordings that hold a card: what may happen to them, and in which transaction.

use ivrpay_payment::{CallId, OperatorId, RecordingId};
use serde_json::json;

use crate::journal::{Journal, fresh_id};
use crate::store::{Durability, Tx};
use crate::types::{NewRecording, RecorderPause, Recording, RecordingState};
use crate::{Error, RecordingError, scrub, tasks};

impl Journal {
    /// Keeps that a recorder is about to be paused: before it is asked, so that whatever becomes of this process, somebody
    /// knows that it has to run again.
    ///
    /// # Errors
    /// The journal's own; the recorder must not be paused then.
    pub async fn recorder_pausing(&self, pause: &RecorderPause) -> Result<(), Error> {
        // Survives this process; a machine that loses power has no call any more.
        let mut tx = self.begin(Durability::Rides).await?;
        let kept = tx.insert_recorder_pause(pause).await;
        tx.end(kept).await
    }

    /// The recorder runs again.
    ///
    /// # Errors
    /// The journal's own; it is told to run once more at the next start then, which changes nothing.
    pub async fn recorder_resumed(&self, recorder: &str, call: CallId) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let gone = tx.delete_recorder_pause(recorder, call).await;
        tx.end(gone).await
    }

    /// Recorders that have not said that they run again: those of one call, or all.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn recorders_paused(
        &self,
        call: Option<CallId>,
    ) -> Result<Vec<RecorderPause>, Error> {
        self.store().recorders_paused(call).await
    }

    /// Keeps that a recording holds a card, with a task for its owner; or, where it is known already, that its file lies in
    /// quarantine now.
    ///
    /// # Errors
    /// [`RecordingError::Field`], or the journal's own.
    pub async fn quarantine(
        &self,
        new: NewRecording,
        owner: Option<OperatorId>,
        due_ms: i64,
    ) -> Result<Recording, RecordingError> {
        check("origin", &new.origin, 4096)?;
        check("by", &new.by, 64)?;
        if let Some(file) = &new.file {
            check("file", file, 4096)?;
        }
        if new.reason.chars().count() > 200 {
            return Err(RecordingError::Field { field: "reason" });
        }
        if new
            .call
            .as_ref()
            .is_some_and(|call| call.chars().count() > 150)
        {
            return Err(RecordingError::Field { field: "call" });
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let kept = quarantine(&mut tx, new, owner, due_ms).await;
        tx.end(kept).await
    }

    /// Keeps that somebody is about to delete the file of a recording: before it goes, so that nothing is deleted that nobody wrote
    /// down. Its task stays open until [`Self::resolve_recording`]. Said twice, the first stands.
    ///
    /// # Errors
    /// As of [`Self::resolve_recording`]; the file must not be deleted then.
    pub async fn delete_recording(
        &self,
        id: RecordingId,
        by: &str,
    ) -> Result<Recording, RecordingError> {
        check("by", by, 64)?;
        let mut tx = self.begin(Durability::Synced).await?;
        let deleting = delete(&mut tx, id, by).await;
        tx.end(deleting).await
    }

    /// Keeps what became of a recording in quarantine, and closes its task.
    ///
    /// # Errors
    /// [`RecordingError::NotFound`], [`RecordingError::Resolved`], [`RecordingError::Field`], or the journal's own.
    pub async fn resolve_recording(
        &self,
        id: RecordingId,
        state: RecordingState,
        by: &str,
    ) -> Result<Recording, RecordingError> {
        check("by", by, 64)?;
        if !matches!(state, RecordingState::Deleted | RecordingState::Redacted) {
            return Err(RecordingError::Field { field: "action" });
        }
        let mut tx = self.begin(Durability::Synced).await?;
        let resolved = resolve(&mut tx, id, state, by).await;
        tx.end(resolved).await
    }

    /// Recordings that were marked, the newest first; at most 1,000.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn recordings(&self) -> Result<Vec<Recording>, Error> {
        self.store().recordings().await
    }
}

async fn quarantine(
    tx: &mut Tx<'_>,
    new: NewRecording,
    owner: Option<OperatorId>,
    due_ms: i64,
) -> Result<Recording, RecordingError> {
    let by = scrub::text(&new.by);
    let moved_ms = new.file.as_ref().map(|_| tx.now_ms);
    let state = match new.file {
        Some(_) => RecordingState::Quarantined,
        None => RecordingState::Marked,
    };
    // A second mark of a call is about another of its files; a file that is moved is what was marked.
    let call = new.file.as_ref().and(new.call.as_deref());
    let known = tx.open_recording(&new.origin, call).await?;
    let is_new = known.is_none();
    let recording = match known {
        // Marked twice, or told again: the first stands.
        Some(known) if new.file.is_none() || known.file.is_some() => return Ok(known),
        Some(known) => Recording {
            state,
            file: new.file,
            quarantined_ms: moved_ms,
            deleting_by: None,
            ..known
        },
        None => Recording {
            id: RecordingId::new(fresh_id(tx.now_ms)),
            state,
            origin: new.origin,
            file: new.file,
            call: new.call,
            marked_by: by.clone(),
            reason: scrub::text(&new.reason),
            marked_ms: tx.now_ms,
            quarantined_ms: moved_ms,
            resolved_by: None,
            resolved_ms: None,
            deleting_by: None,
        },
    };
    tx.put_recording(&recording).await?;
    if is_new {
        let reason = "a card was spoken or keyed where it was recorded (PCI DSS 12.10.7)";
        tasks::quarantined(tx, recording.id, owner.as_ref(), due_ms, reason).await?;
    }
    record(tx, &recording, recording.state.name(), &by).await?;
    Ok(recording)
}

/// One that nobody has resolved yet.
async fn open(tx: &mut Tx<'_>, id: RecordingId) -> Result<Recording, RecordingError> {
    let recording = tx.recording(id).await?.ok_or(RecordingError::NotFound)?;
    if recording.resolved_ms.is_some() {
        return Err(RecordingError::Resolved);
    }
    Ok(recording)
}

async fn delete(tx: &mut Tx<'_>, id: RecordingId, by: &str) -> Result<Recording, RecordingError> {
    let mut recording = open(tx, id).await?;
    if recording.deleting_by.is_none() {
        let by = scrub::text(by);
        recording.deleting_by = Some(by.clone());
        tx.put_recording(&recording).await?;
        record(tx, &recording, "deleting", &by).await?;
    }
    Ok(recording)
}

async fn resolve(
    tx: &mut Tx<'_>,
    id: RecordingId,
    state: RecordingState,
    by: &str,
) -> Result<Recording, RecordingError> {
    let by = scrub::text(by);
    let recording = Recording {
        state,
        resolved_by: Some(by.clone()),
        resolved_ms: Some(tx.now_ms),
        ..open(tx, id).await?
    };
    tx.put_recording(&recording).await?;
    tx.close_task_of_recording(id, &by).await?;
    record(tx, &recording, state.name(), &by).await?;
    Ok(recording)
}

/// Who did what to which recording, in the chain that nobody can change.
async fn record(
    tx: &mut Tx<'_>,
    recording: &Recording,
    state: &str,
    by: &str,
) -> Result<(), Error> {
    let body = json!({ "recording": recording.id, "recording_state": state, "by": by, "reason": recording.reason });
    tx.append_alone("recording", body).await
}

/// Not empty, and not too long.
fn check(field: &'static str, text: &str, max: usize) -> Result<(), RecordingError> {
    if text.trim().is_empty() || text.chars().count() > max {
        return Err(RecordingError::Field { field });
    }
    Ok(())
}
