//! ZEUS's server with a client of its own: what ZEUS refuses is refused here too.

use super::*;

const CARD: &str = "4111111111111111";
const WHO: &str = "<authentication><clientip>1234567890</clientip><key>0123456789abcdef0123456789abcdef01234567</key></authentication>";

fn request(attributes: &str, inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><request{attributes}>{WHO}{inside}</request>"
    )
}

fn payment(sendpoint: &str) -> String {
    request(
        " service=\"secure_link\" action=\"payment\"",
        &format!(
            "<card><number>{CARD}</number><expires><year>2040</year><month>12</month></expires><cvv>123</cvv><name>TEL ORDER</name></card><payment><amount>1500</amount><count>01</count></payment><user><telno validation=\"strict\">0312345678</telno><email language=\"japanese\">none@example.jp</email></user><uniq_key><sendid>CUST0001</sendid><sendpoint>{sendpoint}</sendpoint></uniq_key>"
        ),
    )
}

struct Client(Lab);

impl Client {
    async fn post(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let url = format!("https://{}/zeus/{path}", self.0.running.listen);
        let request = self.0.client.post(url).header("content-type", kind);
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        // The inquiry answers in Shift_JIS.
        let bytes = answer.bytes().await.unwrap();
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => encoding_rs::SHIFT_JIS.decode(&bytes).0.into_owned(),
        };
        (status, text)
    }

    /// Status and code.
    async fn send(&self, body: impl Into<reqwest::Body>) -> (String, String) {
        let (status, text) = self.post("secure/api.cgi", "text/xml", body).await;
        assert_eq!(status, 200);
        (
            between(&text, "status").to_owned(),
            between(&text, "code").to_owned(),
        )
    }

    async fn stands(&self, number: &str) -> (String, String) {
        let body = format!("clientip=1234567890&zkey=zkey0123456789&order_no={number}");
        let kind = "application/x-www-form-urlencoded";
        let (_, text) = self.post("order_ref.cgi", kind, body).await;
        (
            between(&text, "RESULT").to_owned(),
            between(&text, "KING").to_owned(),
        )
    }
}

fn between<'a>(text: &'a str, name: &str) -> &'a str {
    let inside = text.split_once(&format!("<{name}>")).map_or("", |t| t.1);
    inside.split('<').next().unwrap_or_default()
}

#[tokio::test]
async fn zeus_refuses_what_is_wrong() {
    let client = Client(Lab::start().await);
    let good = payment("TEL0001");
    for (from, to, code) in [
        ("<number>4111111111111111</number>", "", "02130514"),
        ("<number>4", "<number>4-", "02130517"),
        ("<year>2040</year>", "<year>40</year>", "02130717"),
        ("<month>12</month>", "<month></month>", "02130814"),
        ("<month>12</month>", "<month>13</month>", "02130825"),
        ("<year>2040</year>", "<year>2020</year>", "02130922"),
        ("<cvv>123<", "<cvv>12<", "02131017"),
        ("<name>TEL ORDER</name>", "", "02131114"),
        ("<count>01<", "<count>1<", "02131317"),
        ("0312345678", "03-1234-5678", "02131417"),
        ("none@example.jp", "", "02131514"),
        (" validation=\"strict\"", "", ""),
        ("<amount>1500<", "<amount>0<", ""),
        ("<amount>1500<", "<amount>10000000<", ""),
        (
            "<sendid>CUST0001<",
            "<sendid>12345678901234567890123456<",
            "",
        ),
        ("<sendpoint>", "<sendpoints>1</sendpoints><sendpoint>", ""),
        ("<cvv>123</cvv>", "<cvv>123</cvv><cvv>123</cvv>", ""),
        ("1234567890", "1234567891", ""),
        ("abcdef", "abcdee", ""),
        ("\"payment\"", "\"payments\"", ""),
        ("utf-8", "Shift_JIS", ""),
        ("</uniq_key>", "", ""),
    ] {
        assert!(good.contains(from), "{from}");
        let said = client.send(good.replacen(from, to, 1)).await;
        assert_eq!(said, ("invalid".to_owned(), code.to_owned()), "{from} {to}");
    }
    let mut other = good.clone().into_bytes();
    let at = good.find("TEL ORDER").unwrap();
    other[at] = 0x93;
    assert_eq!(client.send(other).await.0, "invalid", "no UTF-8");
    for (path, kind) in [
        ("secure/api.cgi", "application/json"),
        ("secure/other.cgi", "text/xml"),
    ] {
        assert_eq!(client.post(path, kind, good.clone()).await.0, 404);
    }
    let form = "application/x-www-form-urlencoded";
    for body in [
        "clientip=1234567890&zkey=other&order_no=1",
        "clientip=1234567890&zkey=zkey0123456789&order_no=1&x=1",
    ] {
        let (_, text) = client.post("order_ref.cgi", form, body).await;
        assert_eq!(between(&text, "RESULT"), "");
    }
    let log = client.0.log().await;
    assert_eq!(log["acquirers"]["zeus"]["orders"], json!([]));
}

#[tokio::test]
async fn zeus_takes_twice_what_comes_twice_and_keeps_the_state_of_orders() {
    let client = Client(Lab::start().await);
    let (_, text) = client
        .post("secure/api.cgi", "text/xml", payment("TEL0001"))
        .await;
    let number = between(&text, "order_number").to_owned();
    assert!(number.starts_with("TEST-"));
    assert_eq!(client.send(payment("TEL0001")).await.0, "success");
    let log = client.0.log().await;
    let orders = log["acquirers"]["zeus"]["orders"].as_array().unwrap();
    assert_eq!(orders.iter().filter(|o| o["booked"] == true).count(), 2);
    assert!(!log.to_string().contains(CARD));
    // The card that came with the same id before, and one that never came.
    let stored = |id: &str| {
        let keyed = payment("TEL0002");
        let (head, rest) = keyed.split_once("<card>").unwrap();
        let tail = rest.split_once("</card>").unwrap().1;
        let history = "<history action=\"send_email\"><key>sendid</key></history>";
        format!("{head}<card>{history}</card>{tail}").replace("CUST0001", id)
    };
    assert_eq!(client.send(stored("CUST0001")).await.0, "success");
    assert_eq!(client.send(stored("CUST0002")).await.0, "invalid");
    let is = |result: &str, king: &str| (result.to_owned(), king.to_owned());
    assert_eq!(client.stands(&number).await, is("決済完了", "1500"));
    let change = request(
        "",
        &format!(
            "<transaction><money>1100</money><order_number>{number}</order_number><pubsec>yes</pubsec></transaction>"
        ),
    );
    let path = "credit/price_change/reflect/index.cgi";
    let (_, text) = client.post(path, "text/xml", change).await;
    let new = between(&text, "result_order_number").to_owned();
    assert_eq!(client.stands(&number).await.0, "取り消し");
    assert_eq!(client.stands(&new).await, is("決済完了", "1100"));
    let give_back = request(
        " service=\"secure_link\" action=\"payment_return\"",
        &format!("<return><order_number>{new}</order_number></return>"),
    );
    assert_eq!(client.send(give_back.clone()).await.0, "success");
    assert_eq!(client.send(give_back).await.0, "failure");
    assert_eq!(client.stands(&new).await.0, "取り消し");
    assert_eq!(client.stands("TEST-1").await, is("", ""));
}
