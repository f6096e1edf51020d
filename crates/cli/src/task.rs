//! `ivrpay task list|show|take|done`: what people must do, from the running service over its Unix socket.

use std::process::ExitCode;

use ivrpay_api::{FinishTask, TakeTask, Task, Tasks};

use crate::payment::{From, encode, filtered, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// What is to be done, the most urgent first.
    List {
        #[command(flatten)]
        from: From,
        /// Only this state: open, taken or done; open and taken ones when absent. Those that are done come latest first.
        #[arg(long)]
        state: Option<String>,
        /// Only those that are this owner's (an operator, or role:NAME), or that he took.
        #[arg(long)]
        owner: Option<String>,
        /// Only this merchant.
        #[arg(long)]
        tenant: Option<String>,
        /// Behind this task: the next page.
        #[arg(long)]
        after: Option<String>,
        /// At most so many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// One task, whole.
    Show {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
    },
    /// Say that you are at a task.
    Take {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
        /// Who you are.
        #[arg(long)]
        by: String,
    },
    /// Close a task.
    Done {
        #[command(flatten)]
        from: From,
        /// Its id.
        id: String,
        /// Who you are.
        #[arg(long)]
        by: String,
        /// What you did, at most 500 characters; never a card number.
        #[arg(long)]
        note: String,
        /// Of an unknown outcome: what the acquirer says.
        #[arg(long, value_parser = ["charged", "not-charged"])]
        found: Option<String>,
        /// The acquirer's reference, where it was charged.
        #[arg(long)]
        acquirer_ref: Option<String>,
        /// The issuer's approval code, where it was charged and is known.
        #[arg(long)]
        approval_code: Option<String>,
    },
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            from,
            state,
            owner,
            tenant,
            after,
            limit,
        } => {
            let filters = [
                ("state", state),
                ("owner", owner),
                ("tenant", tenant),
                ("after", after),
            ];
            let path = filtered(format!("/v1/tasks?limit={limit}"), filters);
            from.show(&path, None, list)
        }
        Command::Show { from, id } => from.show(&format!("/v1/tasks/{}", encode(&id)), None, show),
        Command::Take { from, id, by } => {
            let path = format!("/v1/tasks/{}/take", encode(&id));
            from.show(&path, Some(json(&TakeTask { by: Some(by) })), show)
        }
        Command::Done {
            from,
            id,
            by,
            note,
            found,
            acquirer_ref,
            approval_code,
        } => {
            let body = FinishTask {
                by: Some(by),
                note,
                found,
                acquirer_ref,
                approval_code,
            };
            let path = format!("/v1/tasks/{}/done", encode(&id));
            from.show(&path, Some(json(&body)), show)
        }
    }
}

fn list(Tasks { tasks, next }: Tasks) -> anyhow::Result<()> {
    if tasks.is_empty() {
        say!("no tasks");
        return Ok(());
    }
    say!(
        "{:<36}  {:<21}  {:<7}  {:<20}  {:<20}  {:<16}  order",
        "id",
        "kind",
        "state",
        "due",
        "whose",
        "number"
    );
    for task in &tasks {
        say!(
            "{:<36}  {:<21}  {:<7}  {:<20}  {:<20}  {:<16}  {}",
            task.id.to_string(),
            task.kind,
            if task.overdue { "OVERDUE" } else { &task.state },
            short(&task.due_at),
            whose(task),
            task.caller_number.as_deref().unwrap_or("-"),
            task.order_id.as_deref().unwrap_or("-"),
        );
    }
    if let Some(next) = next {
        say!("more with --after {next}");
    }
    Ok(())
}

/// Who did it, else who is at it, else whose it is.
fn whose(task: &Task) -> &str {
    [&task.done_by, &task.taken_by, &task.owner]
        .into_iter()
        .find_map(Option::as_deref)
        .unwrap_or("-")
}

/// Without parts of a second.
fn short(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

fn show(task: Task) -> anyhow::Result<()> {
    let id = |id: Option<String>| id.unwrap_or_default();
    let late = if task.overdue { " (overdue)" } else { "" };
    let rows = [
        ("id", task.id.to_string()),
        ("kind", task.kind),
        ("state", task.state),
        ("why", task.reason),
        ("due", format!("{}{late}", short(&task.due_at))),
        ("owner", id(task.owner)),
        ("number", id(task.caller_number)),
        ("order", id(task.order_id)),
        ("payment", id(task.payment_id.map(|id| id.to_string()))),
        ("recording", id(task.recording_id)),
        ("tenant", id(task.tenant)),
        ("made", task.created_at),
        ("promised by", id(task.created_by)),
        ("taken by", id(task.taken_by)),
        ("taken", id(task.taken_at)),
        ("done by", id(task.done_by)),
        ("done", id(task.done_at)),
        ("note", id(task.note)),
    ];
    for (name, value) in rows {
        if !value.is_empty() {
            say!("{name:<21} {value}");
        }
    }
    Ok(())
}
