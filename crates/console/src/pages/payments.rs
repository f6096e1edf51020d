//! The search.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use ivrpay_api as api;
use ivrpay_payment::State as PaymentState;

use super::{Frame, allowed, answer, html};
use crate::Console;
use crate::client::{Trouble, filtered};
use crate::guard::{Asked, Form};
use crate::sessions::Signed;
use crate::words::{self, Lang};
use crate::{show, view};

/// Payments of a page.
const PAGE: &str = "50";

/// Fields of the search, as our page and the API call them.
const FIELDS: [(&str, &str); 6] = [
    ("order", "order_id"),
    ("phone", "caller_number"),
    ("last4", "last4"),
    ("approval", "approval_code"),
    ("operator", "operator"),
    ("state", "state"),
];

/// A payment in a list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) at: String,
    pub(super) order: String,
    pub(super) amount: String,
    pub(super) state: &'static str,
    pub(super) state_name: String,
    pub(super) card: String,
    pub(super) operator: String,
    pub(super) approval: String,
    pub(super) test: bool,
}

pub(super) fn row(payment: &api::Payment, console: &Console, lang: Lang) -> Row {
    let brand = payment.brand.map(|brand| view::brand(brand.name()));
    let last4 = payment.last4.as_deref().unwrap_or_default();
    Row {
        id: payment.id.to_string(),
        at: show::time(&payment.created_at, &console.zone),
        order: payment.order_id.clone().unwrap_or_default(),
        amount: show::amount(payment.amount, &payment.currency),
        state: payment.state.name(),
        state_name: words::state(payment.state.name(), lang).to_owned(),
        card: format!("{} {last4}", brand.unwrap_or_default())
            .trim()
            .to_owned(),
        operator: payment.operator.clone().unwrap_or_default(),
        approval: payment.approval_code.clone().unwrap_or_default(),
        test: payment.mode == "test",
    }
}

/// What was searched for, as the form shows it again.
struct Search {
    order: String,
    phone: String,
    last4: String,
    approval: String,
    operator: String,
    from: String,
    to: String,
}

struct Choice {
    value: &'static str,
    name: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "payments.html")]
struct PaymentsPage {
    f: Frame,
    q: Search,
    states: Vec<Choice>,
    rows: Vec<Row>,
    next: String,
}

pub(crate) async fn page(
    State(console): State<Console>,
    signed: Signed,
    Asked(query): Asked,
) -> Response {
    let page = found(&console, &signed, &query).await;
    answer(&console, &signed, "/payments", page)
}

async fn found(console: &Console, signed: &Signed, query: &Form) -> Result<Response, Trouble> {
    allowed(&signed.person, "/payments")?;
    let day = |name: &str, last| match query.get(name) {
        "" => Ok(String::new()),
        text => show::day(text, &console.zone, last).ok_or(Trouble::Ours("bad-day")),
    };
    let (from, to) = (day("from", false)?, day("to", true)?);
    let mut filters: Vec<(&str, &str)> = FIELDS
        .iter()
        .map(|(ours, theirs)| (*theirs, query.get(ours)))
        .collect();
    filters.extend([
        ("created_from", &*from),
        ("created_to", &*to),
        ("after", query.get("after")),
        ("limit", PAGE),
    ]);
    let path = filtered("/v1/payments", &filters);
    let answer: api::Payments = console.client.get(&signed.token, &path).await?;
    let lang = signed.lang;
    let states = PaymentState::ALL.map(|state| Choice {
        value: state.name(),
        name: words::state(state.name(), lang).to_owned(),
        chosen: query.get("state") == state.name(),
    });
    let next = answer.next.map_or(String::new(), |after| {
        let after = after.to_string();
        let names = [
            "order", "phone", "last4", "approval", "operator", "state", "from", "to",
        ];
        let mut again: Vec<_> = names.iter().map(|name| (*name, query.get(name))).collect();
        again.push(("after", &after));
        filtered("/payments", &again)
    });
    Ok(html(&PaymentsPage {
        f: Frame::of(console, signed, "/payments", lang.words().payments),
        q: Search {
            order: query.get("order").to_owned(),
            phone: query.get("phone").to_owned(),
            last4: query.get("last4").to_owned(),
            approval: query.get("approval").to_owned(),
            operator: query.get("operator").to_owned(),
            from: query.get("from").to_owned(),
            to: query.get("to").to_owned(),
        },
        states: states.into_iter().collect(),
        rows: answer
            .payments
            .iter()
            .map(|p| row(p, console, lang))
            .collect(),
        next,
    }))
}
