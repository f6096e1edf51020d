//! `ivrpay task` and `ivrpay payment assign|cancel` as a user runs them, against a service that says what the API says.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::{Value, json};

const ID: &str = "01890000-0000-7000-8000-000000000001";
const PAYMENT: &str = "01890000-0000-7000-8000-000000000002";

/// What the service was asked: method and path, and body.
type Asked = (String, Value);

/// Runs `ivrpay` with these arguments and a service that answers once. What was asked is `None` where it was not.
fn ivrpay(args: &[&str], status: u16, answer: &Value) -> (Option<Asked>, String, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ivrpay.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answer = answer.to_string();
    let service = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut first = String::new();
        reader.read_line(&mut first).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            // Nobody asked: the test itself ends the wait.
            if reader.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(
            &stream,
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .unwrap();
        let asked = first.trim().trim_end_matches(" HTTP/1.1").to_owned();
        Some((asked, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    });
    let output = Command::new(env!("CARGO_BIN_EXE_ivrpay"))
        .args(args)
        .arg("--socket")
        .arg(&socket)
        .output()
        .unwrap();
    drop(std::os::unix::net::UnixStream::connect(&socket));
    let asked = service.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (asked, text(output.stdout), text(output.stderr), code)
}

fn task() -> Value {
    json!({"id": ID, "kind": "approved-caller-gone", "state": "open", "tenant": "shop", "payment_id": PAYMENT, "order_id": "A-1",
        "recording_id": null, "caller_number": "0312345678", "owner": "sato", "due_at": "2026-11-24T09:00:00.123Z", "overdue": true,
        "reason": "the caller did not hear it", "created_at": "2026-11-24T05:00:00Z", "created_by": null, "taken_by": null,
        "taken_at": null, "done_by": null, "done_at": null, "note": null})
}

#[test]
fn a_list_is_a_table() {
    let args = ["task", "list", "--owner", "role:front desk", "--limit", "2"];
    let page = json!({"tasks": [task()], "next": ID});
    let (asked, out, err, code) = ivrpay(&args, 200, &page);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        asked.unwrap().0,
        "GET /v1/tasks?limit=2&owner=role%3Afront%20desk"
    );
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["id", "kind", "state", "due", "whose", "number", "order"],
            vec![
                ID,
                "approved-caller-gone",
                "OVERDUE",
                "2026-11-24T09:00:00Z",
                "sato",
                "0312345678",
                "A-1"
            ],
            vec!["more", "with", "--after", ID],
        ]
    );
    let (_, out, _, _) = ivrpay(&["task", "list"], 200, &json!({"tasks": []}));
    assert_eq!(out, "no tasks\n");
    let (_, out, _, _) = ivrpay(&["task", "list", "--json"], 200, &page);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), page);
}

#[test]
fn what_is_asked_of_the_service() {
    let done = ["task", "done", ID, "--by", "sato", "--note", "x y"];
    let charged = ["--found", "charged", "--acquirer-ref", "ch_1"];
    let charged: Vec<&str> = done.into_iter().chain(charged).collect();
    let payment = json!({"id": PAYMENT, "tenant": "shop", "order_id": "A/1", "part": 0, "state": "waiting", "amount": 1200, "currency": "JPY",
        "operator": "suzuki", "operator_extension": "202", "mode": "test", "created_at": "x", "updated_at": "x"});
    let assign = ["--operator", "suzuki", "--extension", "202", "--by", "mori"];
    let by_id: Vec<&str> = ["payment", "assign", PAYMENT]
        .into_iter()
        .chain(assign)
        .collect();
    let by_order = ["payment", "assign", "--order", "A/1", "--tenant", "shop"];
    let by_order: Vec<&str> = by_order.into_iter().chain(assign).collect();
    let told = format!("payment {PAYMENT} waits for suzuki at 202\n");
    let cancelled = json!({"payment_id": PAYMENT, "call_id": ID, "result": "agent-cancelled"});
    let ends =
        format!("call {ID} ends (agent-cancelled); nothing is charged for payment {PAYMENT}\n");
    let table: [(&[&str], &str, Value, &Value, &str); 7] = [
        (
            &["payment", "cancel", PAYMENT, "--by", "mori"],
            &format!("POST /v1/payments/{PAYMENT}/cancel"),
            json!({"by": "mori"}),
            &cancelled,
            &ends,
        ),
        (
            &["task", "show", ID],
            "GET /v1/tasks/{id}",
            Value::Null,
            &task(),
            "due                   2026-11-24T09:00:00Z (overdue)\n",
        ),
        (
            &["task", "take", ID, "--by", "sato"],
            "POST /v1/tasks/{id}/take",
            json!({"by": "sato"}),
            &task(),
            "why                   the caller did not hear it\n",
        ),
        (
            &done,
            "POST /v1/tasks/{id}/done",
            json!({"by": "sato", "note": "x y", "found": null, "acquirer_ref": null, "approval_code": null}),
            &task(),
            "owner                 sato\n",
        ),
        (
            &charged,
            "POST /v1/tasks/{id}/done",
            json!({"by": "sato", "note": "x y", "found": "charged", "acquirer_ref": "ch_1", "approval_code": null}),
            &task(),
            "owner                 sato\n",
        ),
        (
            &by_id,
            &format!("POST /v1/payments/{PAYMENT}/operator"),
            json!({"operator": "suzuki", "operator_extension": "202", "by": "mori"}),
            &payment,
            &told,
        ),
        (
            &by_order,
            "POST /v1/payments/operator",
            json!({"tenant": "shop", "order_id": "A/1", "part": 0, "operator": "suzuki", "operator_extension": "202", "by": "mori"}),
            &payment,
            &told,
        ),
    ];
    for (args, line, body, answer, says) in table {
        let (asked, out, err, code) = ivrpay(args, 200, answer);
        assert_eq!(code, 0, "{args:?}: {err}");
        let line = line.replace("{id}", ID);
        assert_eq!(asked, Some((line, body)), "{args:?}");
        assert!(out.contains(says), "{args:?}: {out}");
    }
}

#[test]
fn what_is_refused_says_why() {
    let taken = json!({"type": "/docs#task-taken", "title": "taken", "status": 409, "detail": "the task is taken by mori; ask them",
        "code": "task-taken", "hint": "ask them", "request_id": ID});
    let (_, out, err, code) = ivrpay(&["task", "take", ID, "--by", "sato"], 409, &taken);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("taken by mori"), "{err}");
    for args in [
        &["task", "done", ID, "--by", "sato"][..],
        &["task", "take", ID],
        &[
            "task", "done", ID, "--by", "x", "--note", "x", "--found", "maybe",
        ],
        &["payment", "cancel", PAYMENT],
        &["payment", "assign", PAYMENT, "--by", "x"],
        &["payment", "assign", "--operator", "x", "--by", "x"],
        &[
            "payment",
            "assign",
            "--order",
            "A",
            "--operator",
            "x",
            "--by",
            "x",
        ],
        &[
            "payment",
            "assign",
            PAYMENT,
            "--part",
            "1",
            "--operator",
            "x",
            "--by",
            "x",
        ],
    ] {
        let (asked, _, err, code) = ivrpay(args, 200, &json!({}));
        assert_eq!((asked, code), (None, 2), "{args:?}: {err}");
    }
}
