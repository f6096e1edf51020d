//! ZEUS (ゼウス), Secure API in XML: payment and its return, change of the amount, and the inquiry of an order by ZEUS's number. From the
//! requests of a public client (common-repository/usc-e-shop 7b1775d) and the parts of ZEUS's guide that public repositories quote.
//!
//! There is no key against double requests: a payment that comes twice is taken twice. An error whose code is in no source has none
//! here. Orders are test orders: their numbers begin with `TEST-`.

use serde_json::{Value, json};

use super::cards;
use super::http::{Received, form};
use super::protocol::{Answered, Protocol};
use super::trouble::{Cut, Faults, Trouble};
use super::xml::Element;

const CLIENT: &str = "1234567890";
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
const ZKEY: &str = "zkey0123456789";
/// Longest document, bytes.
const DOCUMENT_MAX: usize = 8_192;
const PAID: &str = "決済完了";
const CANCELLED: &str = "取り消し";

struct Order {
    number: String,
    sendpoint: String,
    amount: u64,
    result: &'static str,
    plan: String,
    last4: String,
}

#[derive(Default)]
pub(crate) struct Zeus {
    orders: Vec<Order>,
    /// `sendid` and the card that came with it last.
    stored: Vec<(String, String)>,
}

/// Status, code, and the name of what was wrong.
struct Refused(&'static str, String, String);

fn invalid(code: &str, name: &str) -> Refused {
    Refused("invalid", code.to_owned(), name.to_owned())
}

const KEYED: &[&str] = &[
    "authentication/clientip",
    "authentication/key",
    "card/number",
    "card/expires/year",
    "card/expires/month",
    "card/cvv",
    "card/name",
    "payment/amount",
    "payment/count",
    "user/telno",
    "user/email",
    "uniq_key/sendid",
    "uniq_key/sendpoint",
];

const BY_HISTORY: &[&str] = &[
    "authentication/clientip",
    "authentication/key",
    "card/history/key",
    "card/cvv",
    "payment/amount",
    "payment/count",
    "user/telno",
    "user/email",
    "uniq_key/sendid",
    "uniq_key/sendpoint",
];

const RETURN: &[&str] = &[
    "authentication/clientip",
    "authentication/key",
    "return/order_number",
];

const CHANGE: &[&str] = &[
    "authentication/clientip",
    "authentication/key",
    "transaction/money",
    "transaction/order_number",
    "transaction/pubsec",
];

/// Counts of 支払方法.
const COUNTS: [&str; 13] = [
    "01", "02", "03", "05", "06", "10", "12", "15", "18", "20", "24", "99", "B1",
];

/// Element, the item of its codes, whether it has to be there, its digits: fewest and most (0: any text).
const ITEMS: [(&str, &str, bool, usize, usize); 8] = [
    ("card/number", "05", true, 13, 16),
    ("card/expires/year", "07", true, 4, 4),
    ("card/expires/month", "08", true, 2, 2),
    ("card/cvv", "10", false, 3, 4),
    ("card/name", "11", true, 0, 0),
    ("payment/count", "13", true, 0, 0),
    ("user/telno", "14", true, 10, 11),
    ("user/email", "15", true, 0, 0),
];

/// What is wrong with a field, as code: 14 it is missing, 17 its form.
fn look_at(root: &Element) -> Result<(), Refused> {
    let stored = root.at("card/history/key") == "sendid";
    for (path, item, required, fewest, most) in ITEMS {
        let text = root.at(path);
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if text.is_empty() {
            if required && !(stored && path.starts_with("card/")) {
                return Err(invalid(&format!("0213{item}14"), path));
            }
        } else if most > 0 && !(digits && (fewest..=most).contains(&text.len())) {
            return Err(invalid(&format!("0213{item}17"), path));
        }
    }
    let month = root.at("card/expires/month").parse::<u32>();
    if !stored && !month.as_ref().is_ok_and(|m| (1..=12).contains(m)) {
        return Err(invalid("02130825", "card/expires/month"));
    }
    if !COUNTS.contains(&root.at("payment/count")) {
        return Err(invalid("02131317", "payment/count"));
    }
    if !root.at("user/email").contains('@') {
        return Err(invalid("02131517", "user/email"));
    }
    let attribute = |path: [&str; 2], name: &str| {
        let user = root.children.iter().find(|e| e.name == path[0])?;
        let element = user.children.iter().find(|e| e.name == path[1])?;
        element.attribute(name).map(str::to_owned)
    };
    let validation = attribute(["user", "telno"], "validation");
    if !matches!(validation.as_deref(), Some("strict" | "permissive")) {
        return Err(invalid("", "user/telno validation"));
    }
    if !matches!(
        attribute(["user", "email"], "language").as_deref(),
        Some("japanese" | "english")
    ) {
        return Err(invalid("", "user/email language"));
    }
    for (path, most) in [("uniq_key/sendid", 25), ("uniq_key/sendpoint", 50)] {
        let text = root.at(path);
        let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
        if text.len() > most || !good {
            return Err(invalid("", path));
        }
    }
    Ok(())
}

fn amount(text: &str, name: &str) -> Result<u64, Refused> {
    let good = text.len() <= 7 && text.bytes().all(|b| b.is_ascii_digit());
    let amount = text.parse().ok().filter(|amount| good && *amount > 0);
    amount.ok_or_else(|| invalid("", name))
}

/// The refusal that a card stands for: published refused cards of another test system.
fn verdict(number: &str) -> Option<Refused> {
    match number {
        "4000000000000069" => Some(invalid("02130922", "")),
        "4000000000000127" => Some(invalid("02131017", "")),
        _ if !cards::luhn(number) => Some(invalid("02130640", "")),
        _ if number.starts_with("400000000000") => {
            Some(Refused("failure", String::new(), String::new()))
        }
        _ => None,
    }
}

impl Zeus {
    fn next(&self) -> String {
        format!("TEST-20260401120000{:08}", self.orders.len() + 1)
    }

    fn pay(&mut self, root: &Element) -> Result<String, Refused> {
        look_at(root)?;
        let amount = amount(root.at("payment/amount"), "payment/amount")?;
        let sendid = root.at("uniq_key/sendid").to_owned();
        let number = if root.at("card/history/key") == "sendid" {
            let found = self.stored.iter().find(|(id, _)| *id == sendid);
            let found = found.map(|(_, number)| number.clone());
            found.ok_or_else(|| invalid("", ""))?
        } else {
            let year = root.at("card/expires/year").parse().unwrap_or(0);
            let month = root.at("card/expires/month").parse().unwrap_or(0);
            if (year, month) < cards::this_month() {
                return Err(invalid("02130922", ""));
            }
            root.at("card/number").to_owned()
        };
        if let Some(refused) = verdict(&number) {
            return Err(refused);
        }
        let order = self.next();
        let last4: String = cards::last4(&number);
        let answer = format!(
            "<card><number><prefix>{}</prefix><suffix>{last4}</suffix></number></card><order_number>{order}</order_number>",
            number.chars().take(6).collect::<String>(),
        );
        self.orders.push(Order {
            number: order,
            sendpoint: root.at("uniq_key/sendpoint").to_owned(),
            amount,
            result: PAID,
            plan: root.at("payment/count").to_owned(),
            last4,
        });
        if !sendid.is_empty() {
            self.stored.retain(|(id, _)| *id != sendid);
            self.stored.push((sendid, number));
        }
        Ok(answer)
    }

    fn paid(&mut self, number: &str) -> Result<&mut Order, Refused> {
        let mut orders = self.orders.iter_mut();
        let found = orders.find(|o| o.number == number && o.result == PAID);
        found.ok_or_else(|| Refused("failure", String::new(), String::new()))
    }

    fn give_back(&mut self, root: &Element) -> Result<String, Refused> {
        self.paid(root.at("return/order_number"))?.result = CANCELLED;
        Ok(String::new())
    }

    /// The old order is cancelled, and a new one sold.
    fn change(&mut self, root: &Element) -> Result<String, Refused> {
        let money = amount(root.at("transaction/money"), "transaction/money")?;
        let number = self.next();
        let old = self.paid(root.at("transaction/order_number"))?;
        old.result = CANCELLED;
        let new = Order {
            number: number.clone(),
            sendpoint: old.sendpoint.clone(),
            amount: money,
            result: PAID,
            plan: old.plan.clone(),
            last4: old.last4.clone(),
        };
        self.orders.push(new);
        Ok(number)
    }
}

/// What is asked of `api.cgi` and its like: the name of the request, and the document.
fn read(path: &str, body: &[u8]) -> Result<(&'static str, Element), Refused> {
    let broken = || invalid("", "no document");
    let text = std::str::from_utf8(body).map_err(|_| broken())?;
    let prolog = text
        .split("?>")
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let utf8 = !prolog.contains("encoding=") || prolog.contains("encoding=\"utf-8\"");
    if body.len() > DOCUMENT_MAX || !utf8 {
        return Err(broken());
    }
    let root = Element::read(text).filter(|root| root.name == "request");
    let root = root.ok_or_else(broken)?;
    let service = (root.attribute("service"), root.attribute("action"));
    let (name, known) = match (path, service) {
        ("/secure/api.cgi", (Some("secure_link"), Some("payment"))) => {
            let stored = root.children.iter().any(|card| {
                card.name == "card" && card.children.iter().any(|e| e.name == "history")
            });
            ("payment", if stored { BY_HISTORY } else { KEYED })
        }
        ("/secure/api.cgi", (Some("secure_link"), Some("payment_return"))) => {
            ("payment_return", RETURN)
        }
        ("/credit/price_change/reflect/index.cgi", (None, None)) => ("price_change", CHANGE),
        _ => return Err(invalid("", "service or action")),
    };
    if let Some(stranger) = root.stranger(known) {
        return Err(invalid("", &stranger));
    }
    let given = (
        root.at("authentication/clientip"),
        root.at("authentication/key"),
    );
    if given != (CLIENT, KEY) {
        return Err(invalid("", "authentication"));
    }
    Ok((name, root))
}

impl Zeus {
    /// Name of the request, and what is answered to it.
    fn run(
        &mut self,
        request: &Received,
        faults: &Faults,
    ) -> (&'static str, Result<String, Refused>, Option<Trouble>) {
        let (name, root) = match read(&request.path, &request.body) {
            Ok(read) => read,
            Err(refused) => return ("payment", Err(refused), None),
        };
        let money = root.at("payment/amount").parse().ok();
        let trouble = faults.of("zeus", name, money);
        if trouble.is_some_and(|t| t.cut == Cut::Maintenance) {
            let closed = Refused("maintenance", String::new(), String::new());
            return (name, Err(closed), None);
        }
        if trouble.is_some_and(|t| !t.booked) {
            return (name, Ok(String::new()), trouble);
        }
        let done = match name {
            "payment" => self.pay(&root),
            "payment_return" => self.give_back(&root),
            _ => self.change(&root),
        };
        (name, done, trouble)
    }

    fn look_up(&self, request: &Received, faults: &Faults) -> Answered {
        let fields: Option<Vec<(String, String)>> = form(&request.body).map(|fields| {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            fields.into_iter().map(|(n, v)| (n, text(v))).collect()
        });
        let fields = fields.unwrap_or_default();
        let get = |name: &str| {
            let found = fields.iter().find(|(n, _)| n == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let trouble = faults.of("zeus", "order_ref", None);
        let stranger = fields.len() != 3
            || fields
                .iter()
                .any(|(name, _)| !["clientip", "zkey", "order_no"].contains(&name.as_str()));
        let wrong = stranger || (get("clientip"), get("zkey")) != (CLIENT, ZKEY);
        let order = self.orders.iter().find(|o| o.number == get("order_no"));
        let data = order.filter(|_| !wrong).map(|order| {
            format!(
                "<data><ORDER_NO>{}</ORDER_NO><RESULT>{}</RESULT><KING>{}</KING></data>",
                order.number, order.result, order.amount
            )
        });
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>\n<message><response>{}</response></message>\n",
            data.unwrap_or_default()
        );
        let body = encoding_rs::SHIFT_JIS.encode(&body).0.into_owned();
        Answered::new(200, "text/xml; charset=Shift_JIS", body)
            .with(trouble)
            .wrong(wrong.then(|| "order_ref".to_owned()))
    }
}

impl Protocol for Zeus {
    fn name(&self) -> &'static str {
        "zeus"
    }

    fn settings(&self) -> Value {
        json!({
            "parameters": {"clientip": CLIENT, "telno": "0312345678", "email": "none@example.jp"},
            "secrets": {"key": KEY, "zkey": ZKEY},
        })
    }

    fn answer(&mut self, request: &Received, faults: &Faults) -> Answered {
        let kind = request.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        match (request.path.as_str(), kind, request.method.as_str()) {
            ("/order_ref.cgi", "application/x-www-form-urlencoded", "POST") => {
                return self.look_up(request, faults);
            }
            (
                "/secure/api.cgi" | "/credit/price_change/reflect/index.cgi",
                "text/xml" | "application/xml",
                "POST",
            ) => {}
            _ => return Answered::nowhere(),
        }
        let (name, done, trouble) = self.run(request, faults);
        if trouble.is_some_and(|t| t.cut == Cut::Throttled) {
            return Answered::page(503, "Service Unavailable");
        }
        let wrong = match &done {
            Err(Refused(_, code, name)) if !name.is_empty() => Some(format!("{code} {name}")),
            _ => None,
        };
        let (status, code, rest) = match done {
            Ok(rest) => ("success", String::new(), rest),
            Err(Refused(status, code, _)) => (status, code, String::new()),
        };
        let code = if code.is_empty() {
            "<code/>".to_owned()
        } else {
            format!("<code>{code}</code>")
        };
        let inside = if name == "price_change" {
            format!(
                "<response><result><status>{status}</status>{code}<result_order_number>{rest}</result_order_number></result></response>"
            )
        } else {
            format!(
                "<response service=\"secure_link\" action=\"{name}\"><result><status>{status}</status>{code}</result>{rest}</response>"
            )
        };
        let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{inside}\n");
        Answered::new(200, "text/xml; charset=utf-8", body)
            .with(trouble)
            .wrong(wrong)
    }

    fn orders(&self) -> Vec<Value> {
        self
                .orders
                .iter()
                .map(|order| {
                    json!({
                        "order": order.sendpoint, "number": order.number, "state": order.result, "amount": order.amount,
                        "last4": order.last4, "plan": order.plan, "booked": order.result == PAID,
                    })
                })
                .collect()
    }
}
