//! SQL of recorders that are paused and of recordings in quarantine.

use ivrpay_payment::{CallId, RecordingId};

use super::{DAMAGED, Store, Tx, named, parsed};
use crate::Error;
use crate::db::{Row, query};
use crate::types::{RecorderPause, Recording, RecordingState};

impl Store {
    /// The oldest first; of one call, or of all but those of another daemon that lives.
    pub(crate) async fn recorders_paused(
        &self,
        call: Option<CallId>,
    ) -> Result<Vec<RecorderPause>, Error> {
        let (writer, epoch) = self.writer().unwrap_or_default();
        let rows = query(
            "SELECT * FROM recorder_pauses r WHERE (r.call = ?1 OR (?1 IS NULL AND NOT EXISTS
               (SELECT 1 FROM writers w WHERE w.name = r.writer AND w.epoch = r.epoch AND w.lease_ms > ?4
                  AND NOT (w.name = ?2 AND w.epoch = ?3))))
             ORDER BY r.paused_ms, r.call, r.recorder",
        )
        .bind(call.map(|call| call.to_string()))
        .bind(writer)
        .bind(epoch)
        .bind(self.server_ms().await?)
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RecorderPause {
                    recorder: row.try_get("recorder")?,
                    call: parsed(row, "call")?.ok_or(DAMAGED)?,
                    channel: row.try_get("channel")?,
                    sip_call_id: row.try_get("sip_call_id")?,
                    caller: row.try_get("caller")?,
                    extension: row.try_get("extension")?,
                    tenant: parsed(row, "tenant")?.ok_or(DAMAGED)?,
                    paused_ms: row.try_get("paused_ms")?,
                })
            })
            .collect()
    }

    /// The newest first; at most 1,000.
    pub(crate) async fn recordings(&self) -> Result<Vec<Recording>, Error> {
        let rows = query("SELECT * FROM recordings ORDER BY id DESC LIMIT 1000")
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(recording).collect()
    }
}

impl Tx<'_> {
    pub(crate) async fn insert_recorder_pause(
        &mut self,
        pause: &RecorderPause,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO recorder_pauses (recorder, call, channel, sip_call_id, caller, extension, tenant, paused_ms, writer, epoch)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )
        .bind(&pause.recorder)
        .bind(pause.call.to_string())
        .bind(&pause.channel)
        .bind(&pause.sip_call_id)
        .bind(&pause.caller)
        .bind(&pause.extension)
        .bind(pause.tenant.as_str())
        .bind(self.now_ms)
        .bind(self.writer())
        .bind(self.epoch())
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn delete_recorder_pause(
        &mut self,
        recorder: &str,
        call: CallId,
    ) -> Result<(), Error> {
        query("DELETE FROM recorder_pauses WHERE recorder = ?1 AND call = ?2")
            .bind(recorder)
            .bind(call.to_string())
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn recording(&mut self, id: RecordingId) -> Result<Option<Recording>, Error> {
        let row = query("SELECT * FROM recordings WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(self.on())
            .await?;
        row.as_ref().map(recording).transpose()
    }

    /// The one that nobody has resolved yet: by where it was, where it lies in quarantine, or, while it is only marked, by its call
    /// (Asterisk may know its file by another name, through a link or in a container).
    pub(crate) async fn open_recording(
        &mut self,
        path: &str,
        call: Option<&str>,
    ) -> Result<Option<Recording>, Error> {
        let row = query(
            "SELECT * FROM recordings WHERE state IN ('marked', 'quarantined')
               AND (origin = ?1 OR file = ?1 OR (call = ?2 AND state = 'marked'))
             ORDER BY origin = ?1 DESC, id LIMIT 1",
        )
        .bind(path)
        .bind(call)
        .fetch_optional(self.on())
        .await?;
        row.as_ref().map(recording).transpose()
    }

    /// Writes a recording as it is now.
    pub(crate) async fn put_recording(&mut self, recording: &Recording) -> Result<(), Error> {
        query(
            "INSERT INTO recordings (id, state, origin, file, call, marked_by, reason, marked_ms, quarantined_ms, resolved_by, resolved_ms, deleting_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE SET state = ?2, file = ?4, quarantined_ms = ?9, resolved_by = ?10, resolved_ms = ?11, deleting_by = ?12",
        )
        .bind(recording.id.to_string())
        .bind(recording.state.name())
        .bind(&recording.origin)
        .bind(&recording.file)
        .bind(&recording.call)
        .bind(&recording.marked_by)
        .bind(&recording.reason)
        .bind(recording.marked_ms)
        .bind(recording.quarantined_ms)
        .bind(&recording.resolved_by)
        .bind(recording.resolved_ms)
        .bind(&recording.deleting_by)
        .execute(self.on())
        .await?;
        Ok(())
    }
}

fn recording(row: &Row) -> Result<Recording, Error> {
    Ok(Recording {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        state: named(row, "state", RecordingState::from_name)?,
        origin: row.try_get("origin")?,
        file: row.try_get("file")?,
        call: row.try_get("call")?,
        marked_by: row.try_get("marked_by")?,
        reason: row.try_get("reason")?,
        marked_ms: row.try_get("marked_ms")?,
        quarantined_ms: row.try_get("quarantined_ms")?,
        resolved_by: row.try_get("resolved_by")?,
        resolved_ms: row.try_get("resolved_ms")?,
        deleting_by: row.try_get("deleting_by")?,
    })
}
