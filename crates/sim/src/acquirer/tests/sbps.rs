//! SB Payment Service's server with a client of its own: what SBPS refuses is refused here too.

use std::time::{SystemTime, UNIX_EPOCH};

use sha1::{Digest, Sha1};

use super::*;

const CARD: &str = "4242424242424242";
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// Elements of a request in their order; those with a slash stand in a group.
type Elements = Vec<(&'static str, String)>;

/// Now in Japan, `yyyyMMddHHmmss`, from the civil calendar.
fn now(back_s: u64) -> String {
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 9 * 3_600
        - back_s;
    let (days, second) = (at / 86_400 + 719_468, at % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let of_years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_years + of_years / 4 - of_years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + of_years + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year}{month:02}{day:02}{hour:02}{minute:02}{:02}",
        second % 60
    )
}

fn authorisation(order: &str) -> Elements {
    [
        ("merchant_id", "99999"),
        ("service_id", "001"),
        ("cust_code", "CUST0001"),
        ("order_id", order),
        ("item_id", "ITEM01"),
        ("amount", "1500"),
        ("pay_method_info/cc_number", CARD),
        ("pay_method_info/cc_expiration", "204012"),
        ("pay_method_info/security_code", "123"),
        ("pay_method_info/dealings_type", "10"),
        ("encrypted_flg", "0"),
        ("request_date", &now(0)),
        ("limit_second", "600"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn later(transaction: &str, tracking: &str, more: &[(&'static str, &str)]) -> Elements {
    let mut elements: Elements = vec![
        ("merchant_id", "99999".into()),
        ("service_id", "001".into()),
        ("sps_transaction_id", transaction.into()),
        ("tracking_id", tracking.into()),
    ];
    elements.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    elements.push(("request_date", now(0)));
    elements
}

fn hash(elements: &Elements) -> String {
    let values: String = elements.iter().map(|(_, value)| value.trim()).collect();
    let digest = Sha1::digest(values + KEY);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// The document of a function; groups are opened and closed as their elements come.
fn document(id: &str, elements: &Elements, hash: &str) -> String {
    let mut xml =
        format!("<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><sps-api-request id=\"{id}\">");
    let mut open = "";
    for (path, value) in elements {
        let (group, name) = path.split_once('/').unwrap_or(("", path));
        if open != group {
            if !open.is_empty() {
                xml += &format!("</{open}>");
            }
            if !group.is_empty() {
                xml += &format!("<{group}>");
            }
            open = group;
        }
        xml += &format!("<{name}>{value}</{name}>");
    }
    if !open.is_empty() {
        xml += &format!("</{open}>");
    }
    xml + &format!("<sps_hashcode>{hash}</sps_hashcode></sps-api-request>")
}

struct Client(Lab);

impl Client {
    async fn post(
        &self,
        password: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, String) {
        let url = format!("https://{}/sbps/xmlapi.do", self.0.running.listen);
        let request = self
            .0
            .client
            .post(url)
            .basic_auth("99999001", Some(password));
        let answer = request.header("content-type", kind).body(body).send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What is answered to a signed request: `OK`, or the error's code.
    async fn send(&self, id: &str, elements: &Elements) -> (String, String) {
        let body = document(id, elements, &hash(elements));
        let (status, text) = self.post(KEY, "text/xml; charset=Shift_JIS", body).await;
        assert_eq!(status, 200);
        (result(&text), text)
    }
}

fn between<'a>(text: &'a str, name: &str) -> &'a str {
    let inside = text.split_once(&format!("<{name}>")).map_or("", |t| t.1);
    inside.split('<').next().unwrap_or_default()
}

fn result(text: &str) -> String {
    match between(text, "res_result") {
        "OK" => "OK".into(),
        _ => between(text, "res_err_code").to_owned(),
    }
}

#[tokio::test]
async fn sbps_refuses_what_is_wrong() {
    let client = Client(Lab::start().await);
    let with = |name: &'static str, value: &str| {
        let mut elements = authorisation("ORD-1");
        let at = elements.iter().position(|e| e.0 == name).unwrap();
        elements[at].1 = value.to_owned();
        elements
    };
    let without = |name: &str| {
        let mut elements = authorisation("ORD-1");
        elements.retain(|e| e.0 != name);
        elements
    };
    let more = |name: &'static str| {
        let mut elements = authorisation("ORD-1");
        elements.insert(2, (name, "1".into()));
        elements
    };
    let stale = with("request_date", &now(700));
    for (elements, code) in [
        (without("cust_code"), "10103003"),
        (without("pay_method_info/cc_number"), "10103200"),
        (with("order_id", &"1".repeat(39)), "10105004"),
        (with("pay_method_info/dealings_type", "100"), "10105202"),
        (with("amount", " 1500"), "10106008"),
        (with("amount", "0"), "10107008"),
        (with("pay_method_info/dealings_type", "11"), "10107202"),
        (with("pay_method_info/cc_expiration", "203013"), "10106201"),
        (with("merchant_id", "99998"), "10114001"),
        (stale, "10110023"),
        (more("cust_name"), "10104999"),
        (more("cust_code"), "10104999"),
    ] {
        assert_eq!(client.send("ST01-00111-101", &elements).await.0, code);
    }
    let good = authorisation("ORD-1");
    let (kind, signed) = ("text/xml; charset=Shift_JIS", hash(&good));
    let id = "ST01-00111-101";
    let body = document(id, &good, &signed);
    for (kind, body, code) in [
        (
            kind,
            document(id, &good, &"0".repeat(40)).into_bytes(),
            "10109025",
        ),
        (
            kind,
            document("ST01-00999-101", &good, &signed).into_bytes(),
            "10102999",
        ),
        (
            "text/xml; charset=utf-8",
            body.clone().into_bytes(),
            "10100999",
        ),
        (
            kind,
            body.replace("Shift_JIS", "UTF-8").into_bytes(),
            "10100999",
        ),
        (
            kind,
            body.replace("CUST0001", "客").into_bytes(),
            "10109025",
        ),
        (
            kind,
            body.replace("</cust_code>", "").into_bytes(),
            "10100999",
        ),
        (
            kind,
            b"<?xml version=\"1.0\" encoding=\"Shift_JIS\"?>".to_vec(),
            "10100999",
        ),
    ] {
        let (status, text) = client.post(KEY, kind, body).await;
        assert_eq!((status, result(&text).as_str()), (200, code), "{text}");
        assert!(!text.contains(" id="), "an error has no id");
    }
    assert_eq!(client.post("guess", kind, body.clone()).await.0, 401);
    assert_eq!(client.post(KEY, "application/json", body).await.0, 404);
    let log = client.0.log().await;
    assert_eq!(log["acquirers"]["sbps"]["orders"], json!([]));
    assert_eq!(
        log["acquirers"]["sbps"]["wrong"].as_array().unwrap().len(),
        21
    );
}

#[tokio::test]
async fn sbps_keeps_the_state_of_an_order() {
    let client = Client(Lab::start().await);
    let (said, text) = client.send("ST01-00111-101", &authorisation("ORD-1")).await;
    assert_eq!(said, "OK");
    assert_eq!(
        client
            .send("ST01-00111-101", &authorisation("ORD-1"))
            .await
            .0,
        "10196004"
    );
    let transaction = between(&text, "res_sps_transaction_id").to_owned();
    let tracking = between(&text, "res_tracking_id").to_owned();
    let amount = |amount: &'static str| vec![("pay_option_manage/amount", amount)];
    for (id, more, said, state) in [
        ("ST02-00201-101", amount("1500"), "10137999", "01"),
        ("ST02-00101-101", vec![], "OK", "11"),
        ("ST02-00101-101", vec![], "10160999", "11"),
        ("ST02-00307-101", amount("1"), "101K0999", "11"),
        ("ST02-00201-101", amount("1501"), "10179008", "11"),
        ("ST02-00201-101", amount("1000"), "OK", "12"),
        ("ST02-00201-101", amount("1000"), "10141999", "12"),
        ("ST02-00305-101", vec![], "10137999", "12"),
        ("ST02-00307-101", amount("400"), "OK", "12"),
        ("ST02-00307-101", amount("601"), "101K1008", "12"),
        ("ST02-00303-101", vec![], "OK", "14"),
        ("ST02-00303-101", vec![], "10146999", "14"),
    ] {
        let asked = client
            .send(id, &later(&transaction, &tracking, &more))
            .await;
        assert_eq!(asked.0, said, "{id}");
        let inquiry = later(&transaction, &tracking, &[("response_info_type", "2")]);
        let (_, text) = client.send("MG01-00101-101", &inquiry).await;
        let stands = [
            between(&text, "commit_status"),
            between(&text, "payment_status"),
        ];
        assert_eq!(stands.concat(), state, "{id}");
        assert_eq!(between(&text, "cc_number"), "************4242");
    }
    let other = later(&transaction, "00000000000099", &[]);
    assert_eq!(client.send("ST02-00303-101", &other).await.0, "10183027");
    let other = later("B99999001ST010011110100000000099", &tracking, &[]);
    assert_eq!(client.send("ST02-00303-101", &other).await.0, "10111026");
    let log = client.0.log().await;
    assert!(!log.to_string().contains(CARD));
}
