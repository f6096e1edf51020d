//! SQL of what people must do.

use ivrpay_payment::{
    OperationId, OperatorId, OrderId, Owner, PaymentId, RecordingId, TaskId, TenantId,
};

use super::{DAMAGED, Store, Tx, named, parsed};
use crate::Error;
use crate::db::{Row, query};
use crate::types::{
    Operation, Promise, Task, TaskCount, TaskFilter, TaskKind, TaskNews, TaskState,
};

/// Tasks of one round of news.
const NEWS: u32 = 100;

/// What every list of tasks asks for.
macro_rules! select_tasks {
    ($rest:literal) => {
        concat!(
            "SELECT * FROM tasks WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR owner = ?2 OR taken_by = ?2) AND ",
            $rest,
            " LIMIT ?5"
        )
    };
}

impl Store {
    pub(crate) async fn task(&self, id: TaskId) -> Result<Option<Task>, Error> {
        let row = query("SELECT * FROM tasks WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(task).transpose()
    }

    pub(crate) async fn tasks_of(&self, payment: PaymentId) -> Result<Vec<Task>, Error> {
        let rows = query("SELECT * FROM tasks WHERE payment = ?1 ORDER BY created_ms, id")
            .bind(payment.to_string())
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(task).collect()
    }

    pub(crate) async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, Error> {
        // Each has an index of its own, so that the first page stays as fast in a journal of many years.
        let sql = if filter.state == Some(TaskState::Done) {
            select_tasks!(
                "state = 'done' AND ?3 = 'done' AND (?4 IS NULL OR (done_ms, id) < (SELECT done_ms, id FROM tasks WHERE id = ?4))
                 ORDER BY done_ms DESC, id DESC"
            )
        } else {
            select_tasks!(
                "state <> 'done' AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR (due_ms, id) > (SELECT due_ms, id FROM tasks WHERE id = ?4))
                 ORDER BY due_ms, id"
            )
        };
        let rows = query(sql)
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.owner.as_ref().map(Owner::as_str))
            .bind(filter.state.map(TaskState::name))
            .bind(filter.after.map(|id| id.to_string()))
            .bind(filter.limit.unwrap_or(TaskFilter::MAX).min(TaskFilter::MAX))
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(task).collect()
    }

    /// One line a kind that has any.
    pub(crate) async fn task_counts(&self, now_ms: i64) -> Result<Vec<TaskCount>, Error> {
        let rows = query(
            "SELECT kind, count(*) FILTER (WHERE state = 'open') AS open, count(*) FILTER (WHERE state = 'taken') AS taken,
                    count(*) FILTER (WHERE due_ms <= ?1) AS overdue
             FROM tasks WHERE state <> 'done' GROUP BY kind ORDER BY kind",
        )
        .bind(now_ms)
        .fetch_all(&self.reads)
        .await?;
        let count =
            |row: &Row, name: &str| usize::try_from(row.try_get::<i64>(name)?).map_err(|_| DAMAGED);
        rows.iter()
            .map(|row| {
                Ok(TaskCount {
                    kind: named(row, "kind", TaskKind::from_name)?,
                    open: count(row, "open")?,
                    taken: count(row, "taken")?,
                    overdue: count(row, "overdue")?,
                })
            })
            .collect()
    }

    /// Whether there is anything to tell of.
    pub(crate) async fn task_news_wait(&self, now_ms: i64) -> Result<bool, Error> {
        let some: bool = query(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE announced_ms IS NULL)
                 OR EXISTS (SELECT 1 FROM tasks WHERE overdue_ms IS NULL AND state <> 'done' AND due_ms <= ?1)",
        )
        .bind(now_ms)
        .scalar(&self.reads)
        .await?;
        Ok(some)
    }
}

impl Tx<'_> {
    pub(crate) async fn task(&mut self, id: TaskId) -> Result<Option<Task>, Error> {
        let row = query("SELECT * FROM tasks WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(self.on())
            .await?;
        row.as_ref().map(task).transpose()
    }

    /// The promise about this payment, or this order, that is to be kept.
    pub(crate) async fn promise(&mut self, new: &Promise) -> Result<Option<TaskId>, Error> {
        let row = query(
            "SELECT id FROM tasks WHERE kind = 'promised-call-back' AND state <> 'done'
               AND (payment = ?1 OR (?1 IS NULL AND payment IS NULL AND tenant = ?2 AND order_id = ?3))",
        )
        .bind(new.payment.map(|id| id.to_string()))
        .bind(new.tenant.as_str())
        .bind(new.order.as_ref().map(OrderId::as_str))
        .fetch_optional(self.on())
        .await?;
        row.map(|row| parsed(&row, "id")?.ok_or(DAMAGED))
            .transpose()
    }

    /// Opens a task, unless one of its kind is to be done for the payment.
    pub(crate) async fn insert_task(&mut self, task: &Task) -> Result<(), Error> {
        self.insert_task_once(task).await.map(drop)
    }

    /// The same; says whether it was opened now.
    pub(crate) async fn insert_task_once(&mut self, task: &Task) -> Result<bool, Error> {
        let inserted = query(
            "INSERT INTO tasks (id, kind, state, tenant, payment, operation, recording, order_id, caller_number, owner, due_ms, reason,
                created_ms, created_by)
             VALUES (?1, ?2, 'open', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING",
        )
        .bind(task.id.to_string())
        .bind(task.kind.name())
        .bind(task.tenant.as_ref().map(TenantId::as_str))
        .bind(task.payment.map(|id: PaymentId| id.to_string()))
        .bind(task.operation.map(|id: OperationId| id.to_string()))
        .bind(task.recording.map(|id: RecordingId| id.to_string()))
        .bind(task.order.as_ref().map(OrderId::as_str))
        .bind(&task.caller_number)
        .bind(task.owner.as_ref().map(Owner::as_str))
        .bind(task.due_ms)
        .bind(&task.reason)
        .bind(task.created_ms)
        .bind(task.created_by.as_ref().map(OperatorId::as_str))
        .execute(self.on())
        .await?;
        let made = inserted > 0;
        self.made_task |= made;
        Ok(made)
    }

    /// Writes who is at a task, and what he did.
    pub(crate) async fn update_task(&mut self, task: &Task) -> Result<(), Error> {
        query(
            "UPDATE tasks SET state = ?2, taken_ms = ?3, taken_by = ?4, done_ms = ?5, done_by = ?6, note = ?7 WHERE id = ?1",
        )
        .bind(task.id.to_string())
        .bind(task.state.name())
        .bind(task.taken_ms)
        .bind(task.taken_by.as_ref().map(OperatorId::as_str))
        .bind(task.done_ms)
        .bind(&task.done_by)
        .bind(&task.note)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// Closes the task of this kind that the payment has, if it has one.
    pub(crate) async fn close_task(
        &mut self,
        payment: PaymentId,
        kind: TaskKind,
        by: &str,
        note: Option<&str>,
    ) -> Result<(), Error> {
        query(
            "UPDATE tasks SET state = 'done', done_ms = ?3, done_by = ?4, note = ?5 WHERE payment = ?1 AND kind = ?2 AND state <> 'done'",
        )
        .bind(payment.to_string())
        .bind(kind.name())
        .bind(self.now_ms)
        .bind(by)
        .bind(note)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// Closes the task of an unknown operation, if it has one; those of another operation of the payment stay.
    pub(crate) async fn close_unknown(
        &mut self,
        of: &Operation,
        by: &str,
        note: Option<&str>,
    ) -> Result<(), Error> {
        query(
            "UPDATE tasks SET state = 'done', done_ms = ?3, done_by = ?4, note = ?5
             WHERE payment = ?1 AND kind = 'unknown-outcome' AND (operation = ?2 OR operation IS NULL) AND state <> 'done'",
        )
        .bind(of.payment.to_string())
        .bind(of.id.to_string())
        .bind(self.now_ms)
        .bind(by)
        .bind(note)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn close_task_of_recording(
        &mut self,
        recording: RecordingId,
        by: &str,
    ) -> Result<(), Error> {
        query(
            "UPDATE tasks SET state = 'done', done_ms = ?2, done_by = ?3 WHERE recording = ?1 AND state <> 'done'",
        )
        .bind(recording.to_string())
        .bind(self.now_ms)
        .bind(by)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// The next tasks to tell of, each once: they are marked as told.
    pub(crate) async fn task_news(&mut self) -> Result<TaskNews, Error> {
        let made = query(
            "UPDATE tasks SET announced_ms = ?1 WHERE id IN (SELECT id FROM tasks WHERE announced_ms IS NULL ORDER BY id LIMIT ?2)
             RETURNING *",
        )
        .bind(self.now_ms)
        .bind(NEWS)
        .fetch_all(self.on())
        .await?;
        let overdue = query(
            "UPDATE tasks SET overdue_ms = ?1 WHERE id IN
               (SELECT id FROM tasks WHERE overdue_ms IS NULL AND state <> 'done' AND due_ms <= ?1 ORDER BY due_ms LIMIT ?2)
             RETURNING *",
        )
        .bind(self.now_ms)
        .bind(NEWS)
        .fetch_all(self.on())
        .await?;
        let in_order = |rows: &[Row]| {
            let mut tasks = rows.iter().map(task).collect::<Result<Vec<_>, Error>>()?;
            tasks.sort_by_key(|task| task.id);
            Ok::<_, Error>(tasks)
        };
        Ok(TaskNews {
            made: in_order(&made)?,
            overdue: in_order(&overdue)?,
        })
    }
}

fn task(row: &Row) -> Result<Task, Error> {
    Ok(Task {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        kind: named(row, "kind", TaskKind::from_name)?,
        state: named(row, "state", TaskState::from_name)?,
        tenant: parsed(row, "tenant")?,
        payment: parsed(row, "payment")?,
        operation: parsed(row, "operation")?,
        recording: parsed(row, "recording")?,
        order: parsed(row, "order_id")?,
        caller_number: row.try_get("caller_number")?,
        owner: parsed(row, "owner")?,
        due_ms: row.try_get("due_ms")?,
        reason: row.try_get("reason")?,
        created_ms: row.try_get("created_ms")?,
        created_by: parsed(row, "created_by")?,
        taken_by: parsed(row, "taken_by")?,
        taken_ms: row.try_get("taken_ms")?,
        done_by: row.try_get("done_by")?,
        done_ms: row.try_get("done_ms")?,
        note: row.try_get("note")?,
    })
}
