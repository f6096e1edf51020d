//! GMO-PG refuses what is wrong, with a client that is none of ours.

use super::ask::books;
use super::*;

const FORM: &str = "application/x-www-form-urlencoded;charset=Windows-31J";
const SHOP: &str = "ShopID=tshop00000001&ShopPass=shoppass01";

async fn send(lab: &Lab, api: &str, kind: &str, body: &str) -> (u16, String) {
    let url = format!("https://{}/gmo/{api}.idPass", lab.running.listen);
    let request = lab.client.post(url).header("content-type", kind);
    let answer = request.body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn get(answer: &str, name: &str) -> String {
    let mut pairs = answer.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map_or_else(String::new, |(_, value)| value.to_owned())
}

/// What opens an order to what comes next.
async fn entered(lab: &Lab, order: &str, job: &str) -> String {
    let body = format!("{SHOP}&OrderID={order}&JobCd={job}&Amount=1500");
    let (_, answer) = send(lab, "EntryTran", FORM, &body).await;
    assert_eq!(get(&answer, "AccessPass").len(), 32, "{answer}");
    answer
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let lab = Lab::start().await;
    let entry = format!("{SHOP}&OrderID=T-1&JobCd=AUTH&Amount=1500");
    let without = |name: &str| {
        let pairs = entry.split('&').filter(|pair| !pair.starts_with(name));
        pairs.collect::<Vec<_>>().join("&")
    };
    let with = |from: &str, to: &str| entry.replace(from, to);
    let mut refused = 0;
    for (kind, body, error) in [
        (FORM, without("ShopID"), "E01030002"),
        (FORM, without("ShopPass"), "E01030002"),
        (FORM, with("shoppass01", "shoppass02"), "E01030002"),
        (FORM, without("OrderID"), "E01040001"),
        (FORM, with("T-1", "T_1"), "E01040003"),
        (FORM, with("T-1", &"9".repeat(28)), "E01040003"),
        (FORM, without("JobCd"), "E01050002"),
        (FORM, without("Amount"), "E01060001"),
        (FORM, with("1500", "10000000"), "E01060005"),
        (FORM, with("1500", "0"), "E01060005"),
        (FORM, with("AUTH", "CHECK"), "E01060001"),
        (FORM, format!("{entry}&Ammount=1"), "E01990001"),
        (FORM, format!("{entry}&OrderID=T-2"), "E01990001"),
        // Of another table of letters.
        (
            "application/x-www-form-urlencoded;charset=UTF-8",
            entry.clone(),
            "E01990001",
        ),
        (FORM, format!("{entry}&ItemCode=%FF%FF"), "E01990001"),
    ] {
        let (status, answer) = send(&lab, "EntryTran", kind, &body).await;
        let said = (status, get(&answer, "ErrInfo"));
        assert_eq!(said, (200, error.to_owned()), "{body}");
        refused += 1;
    }
    let (status, _) = send(&lab, "EntryTran", "application/json", &entry).await;
    assert_eq!(status, 404);
    refused += 1;
    let access = entered(&lab, "T-1", "AUTH").await;
    let execute =
        format!("{access}&OrderID=T-1&Method=1&CardNo={VISA}&Expire=4012&SecurityCode=123");
    for (from, to, error) in [
        ("Method=1", "Method=7", "E01260001"),
        ("Method=1", "Method=2", "E01270001"),
        ("Method=1", "Method=2&PayTimes=4", "E01270010"),
        (VISA, "", "E01170001"),
        (VISA, "411111111", "E01170003"),
        (VISA, "4111111111111112", "E41170099"),
        ("Expire=4012", "Expire=1240", "E01180006"),
        ("Expire=4012", "Expire=2012", "42G830000"),
        ("SecurityCode=123", "SecurityCode=12", "E01460008"),
        ("OrderID=T-1", "OrderID=T-9", "E01110002"),
        ("AccessID=0", "AccessID=1", "E01110002"),
    ] {
        let (_, answer) = send(&lab, "ExecTran", FORM, &execute.replace(from, to)).await;
        assert_eq!(get(&answer, "ErrInfo"), error, "{to}");
        refused += usize::from(error.starts_with("E01") && error != "E01110002");
    }
    let (orders, wrong) = books(&lab, "gmo").await;
    assert_eq!(
        (orders[0]["booked"].clone(), wrong),
        (json!(false), refused)
    );
    assert!(!lab.log().await.to_string().contains(VISA));
}

/// An order number is used once for ever; what may be done to an order hangs on its state.
#[tokio::test]
async fn an_order_has_a_state() {
    let lab = Lab::start().await;
    let access = entered(&lab, "T-1", "AUTH").await;
    let again = format!("{SHOP}&OrderID=T-1&JobCd=AUTH&Amount=1500");
    let (_, answer) = send(&lab, "EntryTran", FORM, &again).await;
    assert_eq!(get(&answer, "ErrInfo"), "E01040010");
    let execute = format!("{access}&OrderID=T-1&Method=1&CardNo={VISA}&Expire=4012");
    let alter = |job: &str| format!("{SHOP}&{access}&JobCd={job}");
    for (api, body, error, status) in [
        (
            "AlterTran",
            alter("SALES&Amount=1500"),
            "E11010003",
            "UNPROCESSED",
        ),
        ("ExecTran", execute.clone(), "", "AUTH"),
        ("ExecTran", execute, "E11010001", "AUTH"),
        // What is only reserved has no part that could be given back.
        (
            "ChangeTran",
            alter("CAPTURE&Amount=1100"),
            "E11010003",
            "AUTH",
        ),
        ("AlterTran", alter("SALES&Amount=1400"), "E01060010", "AUTH"),
        ("AlterTran", alter("SALES&Amount=1500"), "", "SALES"),
        ("AlterTran", alter("VOID"), "E11010003", "SALES"),
        ("ChangeTran", alter("CAPTURE&Amount=1100"), "", "SALES"),
        ("AlterTran", alter("RETURN"), "", "RETURN"),
        ("AlterTran", alter("RETURN"), "E11010003", "RETURN"),
    ] {
        let (_, answer) = send(&lab, api, FORM, &body).await;
        assert_eq!(get(&answer, "ErrInfo"), error, "{api} {body}");
        let search = format!("{SHOP}&OrderID=T-1");
        let (_, found) = send(&lab, "SearchTrade", FORM, &search).await;
        assert_eq!(get(&found, "Status"), status, "{api} {body}");
    }
    let (_, answer) = send(&lab, "SearchTrade", FORM, &format!("{SHOP}&OrderID=T-2")).await;
    assert_eq!(get(&answer, "ErrInfo"), "E01110002");
}
