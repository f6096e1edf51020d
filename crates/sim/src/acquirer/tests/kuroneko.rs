//! クロネコwebコレクト refuses what is wrong, with a client that is none of ours.

use super::*;

/// acquirers' own example: a form, its fields as they are.
const CREDIT: &[(&str, &str)] = &[
    ("function_div", "A01"),
    ("trader_code", "888885555"),
    ("device_div", "3"),
    ("order_no", "TEL0001"),
    ("settle_price", "1500"),
    ("goods_name", "phone"),
    ("buyer_name_kanji", "電話"),
    ("buyer_tel", "0312345678"),
    ("buyer_email", "none@example.jp"),
    ("auth_div", "2"),
    ("pay_way", "1"),
    ("option_service_div", "00"),
    ("card_code_api", "9"),
    ("card_no", "4111111111111111"),
    ("card_owner", "TEL"),
    ("card_exp", "1240"),
    ("security_code", "123"),
];

fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let encoded = |text: &str| -> String {
        text.bytes()
            .map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
                _ => format!("%{b:02X}"),
            })
            .collect()
    };
    let pairs = fields.iter().map(|(n, v)| format!("{n}={}", encoded(v)));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

/// The example with these fields otherwise; `None` leaves one out.
fn with(others: &[(&'static str, Option<&'static str>)]) -> Vec<(&'static str, &'static str)> {
    let mut fields = CREDIT.to_vec();
    for (name, value) in others {
        let at = fields.iter().position(|(n, _)| n == name);
        match (at, value) {
            (Some(at), Some(value)) => fields[at].1 = value,
            (Some(at), None) => drop(fields.remove(at)),
            (None, value) => fields.extend(value.map(|value| (*name, value))),
        }
    }
    fields
}

async fn send(lab: &Lab, api: &str, kind: &str, body: Vec<u8>) -> (u16, String) {
    let url = format!("https://{}/kuroneko/{api}", lab.running.listen);
    let request = lab.client.post(url).header("content-type", kind).body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What stands between an element's tags; empty where it is not there.
fn at(answer: &str, name: &str) -> String {
    let inside = answer.split(&format!("<{name}>")).nth(1);
    let inside = inside.and_then(|rest| rest.split(&format!("</{name}>")).next());
    inside.unwrap_or_default().to_owned()
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn wrong_requests_are_refused() {
    let lab = Lab::start().await;
    let member = [
        ("member_id", Some("member01")),
        ("authentication_key", Some("authkey1")),
        ("option_service_div", Some("01")),
    ];
    let signed = |sum| [&member[..], &[("check_sum", Some(sum))]].concat();
    let doubled = [CREDIT, &[("settle_price", "1")]].concat();
    let mut foreign = form(CREDIT);
    foreign.extend_from_slice(b"&reserve_1=%93%64");
    for (what, code, body) in [
        (
            "no function",
            "Z012000002",
            form(&with(&[("function_div", None)])),
        ),
        (
            "another function",
            "Z012000003",
            form(&with(&[("function_div", Some("A08"))])),
        ),
        (
            "another shop",
            "Z012000007",
            form(&with(&[("trader_code", Some("888885556"))])),
        ),
        ("no order", "A011010401", form(&with(&[("order_no", None)]))),
        (
            "an order of small letters",
            "A011010404",
            form(&with(&[("order_no", Some("tel0001"))])),
        ),
        (
            "an order too long",
            "A011010402",
            form(&with(&[("order_no", Some("000000000000000000000024"))])),
        ),
        (
            "no price",
            "A011010504",
            form(&with(&[("settle_price", None)])),
        ),
        (
            "a price with a point",
            "A011010504",
            form(&with(&[("settle_price", Some("1500.0"))])),
        ),
        (
            "no buyer",
            "A011010601",
            form(&with(&[("buyer_name_kanji", None)])),
        ),
        (
            "a telephone with blanks",
            "A011010704",
            form(&with(&[("buyer_tel", Some("03 1234 5678"))])),
        ),
        ("no plan", "A011010902", form(&with(&[("pay_way", None)]))),
        (
            "an unknown company",
            "A011011172",
            form(&with(&[("card_code_api", Some("13"))])),
        ),
        (
            "no security code where one was promised",
            "A011010904",
            form(&with(&[("security_code", None)])),
        ),
        ("no number", "A082000008", form(&with(&[("card_no", None)]))),
        (
            "an expiry turned round",
            "A082000008",
            form(&with(&[("card_exp", Some("4012"))])),
        ),
        (
            "an unknown field",
            "A011019904",
            form(&with(&[("card_name", Some("TEL"))])),
        ),
        ("a doubled field", "A011019904", form(&doubled)),
        ("another charset", "A011010671", foreign),
        (
            "a member without a digest",
            "A031010571",
            form(&with(&member)),
        ),
        (
            "a digest of other keys",
            "A031010571",
            form(&with(&signed(
                "bf19a3ec2bae0149afc166aaa3bdf9534564245d2e0d54487b5858f1ad61b2dc",
            ))),
        ),
    ] {
        let (status, answer) = send(&lab, "credit.api", FORM, body).await;
        assert_eq!(
            (status, at(&answer, "returnCode")),
            (200, "1".to_owned()),
            "{what}"
        );
        assert_eq!(at(&answer, "errorCode"), code, "{what}");
    }
    let (_, answer) = send(&lab, "credit.api", "application/json", form(CREDIT)).await;
    assert_eq!(at(&answer, "errorCode"), "Z012000001");
    for api in ["credit", "creditToken.api", "nothing.api"] {
        assert_eq!(send(&lab, api, FORM, form(CREDIT)).await.0, 404, "{api}");
    }
    let log = lab.log().await;
    assert_eq!(log["acquirers"]["kuroneko"]["orders"], json!([]));
    assert!(!log.to_string().contains("4111111111111111"));
}

/// An order is authorised once, and every later step knows what state it is in.
#[tokio::test]
async fn an_order_has_a_state() {
    let lab = Lab::start().await;
    let ask = async |api: &str, fields: Vec<(&str, &str)>| {
        let (_, answer) = send(&lab, &format!("{api}.api"), FORM, form(&fields)).await;
        (at(&answer, "errorCode"), answer)
    };
    let later = |function, more: &[(&'static str, &'static str)]| {
        let first = [
            ("function_div", function),
            ("trader_code", "888885555"),
            ("order_no", "TEL0001"),
        ];
        [&first[..], more].concat()
    };
    let ship = [("slip_no", "TEL0001"), ("delivery_service_code", "99")];
    for (api, fields, code) in [
        ("creditCancel", later("A06", &[]), "A062010001"),
        ("shipmentEntry", later("E01", &ship), "E011010351"),
        ("credit", CREDIT.to_vec(), ""),
        ("credit", CREDIT.to_vec(), "A082000003"),
        (
            "shipmentEntry",
            later("E01", &[("slip_no", "1"), ("delivery_service_code", "99")]),
            "E011010402",
        ),
        ("shipmentEntry", later("E01", &ship), ""),
        ("shipmentEntry", later("E01", &ship), "E011010351"),
        (
            "creditChangePrice",
            later("A07", &[("new_price", "1500")]),
            "A074000001",
        ),
        (
            "creditChangePrice",
            later("A07", &[("new_price", "1100")]),
            "",
        ),
        ("creditCancel", later("A06", &[]), ""),
        ("creditCancel", later("A06", &[]), "A062010003"),
        (
            "creditChangePrice",
            later("A07", &[("new_price", "900")]),
            "A073000001",
        ),
    ] {
        assert_eq!(ask(api, fields).await.0, code, "{api}");
    }
    let (_, answer) = ask("tradeInfo", later("E04", &[])).await;
    assert_eq!(
        (at(&answer, "statusInfo"), at(&answer, "settlePrice")),
        ("40".to_owned(), "1100".to_owned())
    );
    assert_eq!(at(&answer, "crdCResCd").len(), 6);
    let order = [
        ("function_div", "E04"),
        ("trader_code", "888885555"),
        ("order_no", "TEL0002"),
    ];
    let (_, answer) = ask("tradeInfo", order.to_vec()).await;
    assert_eq!(at(&answer, "resultCount"), "0");
}
