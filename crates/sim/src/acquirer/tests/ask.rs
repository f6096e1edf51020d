//! A plain client of an acquirer with a protocol of its own.

use super::*;

/// One request: method, path below the acquirer's name, headers, body; and what it is answered, as JSON.
pub(super) async fn ask(
    lab: &Lab,
    acquirer: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Value) {
    let url = format!("https://{}/{acquirer}{path}", lab.running.listen);
    let mut request = lab
        .client
        .request(method.parse().unwrap(), url)
        .body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// What the acquirer's books say: its orders, and how many requests it took for wrong.
pub(super) async fn books(lab: &Lab, acquirer: &str) -> (Value, usize) {
    let log = lab.log().await["acquirers"][acquirer].clone();
    let wrong = log["wrong"].as_array().unwrap().len();
    (log["orders"].clone(), wrong)
}
