//! Yamato クロネコwebコレクト, API type: `credit` (A01), `creditInfoGet` (A03), `creditCancel` (A06), `creditChangePrice` (A07),
//! `shipmentEntry` (E01) and `tradeInfo` (E04) of its test system. From the lists of codes and the requests of clients
//! (common-repository/yamato-credit-for-woo, the vendor's own EC-CUBE plugin YamatoPayment4).
//!
//! The codes of A01's wrong parameters are in no public list. Those of A08, its sister with a token, are: they are used here with A01 in
//! front. The registered address of the client is not looked at: every client of a test comes from this machine.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cards;
use super::http::{Received, form};
use super::protocol::{Answered, Protocol};
use super::trouble::{Cut, Faults, Trouble};

const TRADER: &str = "888885555";
const ACCESS_KEY: &str = "accesskey01";
const XML: &str = "text/xml;charset=UTF-8";

/// 与信完了.
const AUTHORISED: u8 = 4;
/// 購入者都合エラー: here, what an authorisation that was refused leaves behind.
const BUYERS_ERROR: u8 = 11;
/// 精算確定待ち: the shipment is entered.
const SHIPPED: u8 = 30;
/// 取消.
const CANCELLED: u8 = 40;

struct Order {
    price: u64,
    status: u8,
    pay_way: String,
    approval: String,
    last4: String,
    requests: u64,
}

/// A card that a member has left.
#[derive(Clone)]
struct Card {
    number: String,
    expiry: String,
    company: String,
    last_used: String,
}

#[derive(Default)]
pub(crate) struct Kuroneko {
    orders: BTreeMap<String, Order>,
    /// By member and authentication key.
    members: BTreeMap<(String, String), Vec<Card>>,
    serial: u64,
}

type Fields = Vec<(String, String)>;

/// `errorCode`, `creditErrorCode`, and for the log what it is about.
struct Refused(&'static str, &'static str, String);

fn refused(code: &'static str) -> Refused {
    Refused(code, "", String::new())
}

fn wrong(code: &'static str, about: &str) -> Refused {
    Refused(code, "", about.to_owned())
}

fn get<'a>(fields: &'a Fields, name: &str) -> &'a str {
    let found = fields.iter().find(|(n, _)| n == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// Fields that a function knows, each once; another one is refused by name, so that a misspelled one does not pass.
fn known(fields: &Fields, names: &[&str]) -> Result<(), Refused> {
    for (at, (name, _)) in fields.iter().enumerate() {
        let doubled = fields.iter().skip(at + 1).any(|(other, _)| other == name);
        let common = ["function_div", "trader_code"].contains(&name.as_str());
        if doubled || !(common || names.contains(&name.as_str())) {
            return Err(wrong("A011019904", name));
        }
    }
    Ok(())
}

fn price(text: &str) -> Result<u64, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let price = text.parse().ok().filter(|_| digits);
    price
        .filter(|price| (1..=99_999_999).contains(price))
        .ok_or_else(|| wrong("A011010504", "price"))
}

fn order_no(fields: &Fields) -> Result<String, Refused> {
    let text = get(fields, "order_no");
    let good = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase() || b"#-*/<>:@".contains(&b);
    match text.len() {
        0 => Err(wrong("A011010401", "order_no")),
        1..=23 if text.bytes().all(good) => Ok(text.to_owned()),
        1..=23 => Err(wrong("A011010404", "order_no")),
        _ => Err(wrong("A011010402", "order_no")),
    }
}

fn stamp(serial: u64) -> String {
    format!("20260401{}", cards::time_of_day(serial))
}

impl Kuroneko {
    fn run(
        &mut self,
        api: &str,
        fields: &Fields,
        faults: &Faults,
    ) -> (Result<String, Refused>, Option<Trouble>) {
        let taken = price(get(fields, "settle_price")).ok();
        let trouble = faults.of("kuroneko", api, taken);
        match trouble.map(|t| t.cut) {
            Some(Cut::Maintenance) => return (Err(refused("Z010000000")), None),
            Some(Cut::Throttled) => return (Err(refused("Z012000006")), None),
            _ => {}
        }
        if trouble.is_some_and(|t| !t.booked) {
            return (Ok(String::new()), trouble);
        }
        (self.done(api, fields), trouble)
    }

    fn done(&mut self, api: &str, fields: &Fields) -> Result<String, Refused> {
        self.serial += 1;
        let function = get(fields, "function_div");
        let expected = match api {
            "credit" => "A01",
            "creditInfoGet" => "A03",
            "creditCancel" => "A06",
            "creditChangePrice" => "A07",
            "shipmentEntry" => "E01",
            _ => "E04",
        };
        if function.is_empty() {
            return Err(wrong("Z012000002", "function_div"));
        }
        if function != expected {
            return Err(wrong("Z012000003", "function_div"));
        }
        if get(fields, "trader_code") != TRADER {
            return Err(wrong("Z012000007", "trader_code"));
        }
        match function {
            "A01" => self.credit(fields),
            "A03" => self.stored(fields),
            "A06" => self.cancel(fields),
            "A07" => self.change(fields),
            "E01" => self.ship(fields),
            _ => self.info(fields),
        }
    }
}

/// The member whose request this is, by the digest over his keys and the shop's.
fn member(fields: &Fields) -> Result<(String, String), Refused> {
    let (id, key) = (get(fields, "member_id"), get(fields, "authentication_key"));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
    if !(1..=64).contains(&id.len()) || !plain(id) {
        return Err(wrong("A031010371", "member_id"));
    }
    if !(1..=8).contains(&key.len()) || !plain(key) {
        return Err(wrong("A031010471", "authentication_key"));
    }
    let digest = Sha256::digest([id, key, ACCESS_KEY].concat().as_bytes());
    let expected: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    if get(fields, "check_sum") != expected {
        return Err(wrong("A031010571", "check_sum"));
    }
    Ok((id.to_owned(), key.to_owned()))
}

impl Kuroneko {
    fn credit(&mut self, fields: &Fields) -> Result<String, Refused> {
        known(
            fields,
            &[
                "device_div",
                "order_no",
                "settle_price",
                "goods_name",
                "buyer_name_kanji",
                "buyer_tel",
                "buyer_email",
                "auth_div",
                "pay_way",
                "option_service_div",
                "card_code_api",
                "card_no",
                "card_owner",
                "card_exp",
                "security_code",
                "member_id",
                "authentication_key",
                "check_sum",
                "card_key",
                "last_credit_date",
                "reserve_1",
            ],
        )?;
        if !matches!(get(fields, "device_div"), "1" | "2" | "3") {
            return Err(wrong("A011010306", "device_div"));
        }
        let order_no = order_no(fields)?;
        let price = price(get(fields, "settle_price"))?;
        for (name, code, most) in [
            ("goods_name", "A011011072", 600),
            ("buyer_name_kanji", "A011010601", 60),
            ("buyer_email", "A011010801", 64),
        ] {
            if !(1..=most).contains(&get(fields, name).len()) {
                return Err(wrong(code, name));
            }
        }
        let telephone = get(fields, "buyer_tel");
        let dialled = |b: u8| b.is_ascii_digit() || b == b'-';
        if !(8..=13).contains(&telephone.len()) || !telephone.bytes().all(dialled) {
            return Err(wrong("A011010704", "buyer_tel"));
        }
        let pay_way = get(fields, "pay_way");
        if !pay_way.parse::<u8>().is_ok_and(|n| n < 100) {
            return Err(wrong("A011010902", "pay_way"));
        }
        let company: u8 = get(fields, "card_code_api").parse().unwrap_or(0);
        if !(1..=12).contains(&company) {
            return Err(wrong("A011011172", "card_code_api"));
        }
        let member = match get(fields, "option_service_div") {
            "00" => None,
            "01" => Some(member(fields)?),
            _ => return Err(wrong("A011011506", "option_service_div")),
        };
        let code = get(fields, "security_code");
        let coded = (3..=4).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        match get(fields, "auth_div") {
            "0" if code.is_empty() => {}
            "2" if coded => {}
            _ => return Err(wrong("A011010904", "auth_div")),
        }
        let key = get(fields, "card_key");
        let card = match &member {
            Some(member) if !key.is_empty() => {
                let cards = self.members.get(member);
                let at = key.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let card = cards.and_then(|cards| cards.get(at?)).cloned();
                let card = card.ok_or_else(|| refused("A033000001"))?;
                if card.last_used != get(fields, "last_credit_date") {
                    return Err(refused("A043000001"));
                }
                card
            }
            _ => Card {
                number: get(fields, "card_no").to_owned(),
                expiry: get(fields, "card_exp").to_owned(),
                company: company.to_string(),
                last_used: String::new(),
            },
        };
        let month = expiry(&card.expiry);
        let digits = card.number.bytes().all(|b| b.is_ascii_digit());
        let (Some(month), true, 12..=19) = (month, digits, card.number.len()) else {
            return Err(refused("A082000008"));
        };
        if let Some(order) = self.orders.get_mut(&order_no) {
            order.requests += 1;
            return Err(wrong("A082000003", "order_no twice"));
        }
        let verdict = match code {
            "000" => Some("G44"),
            _ if month < cards::this_month() => Some("G83"),
            _ if company_of(&card.number) != company => Some("0200003"),
            _ => verdict(&card.number),
        };
        let approval = format!("{:06}", 123_455 + self.serial);
        let order = Order {
            price,
            status: if verdict.is_none() {
                AUTHORISED
            } else {
                BUYERS_ERROR
            },
            pay_way: pay_way.to_owned(),
            approval: approval.clone(),
            last4: cards::last4(&card.number),
            requests: 1,
        };
        self.orders.insert(order_no, order);
        if let Some(verdict) = verdict {
            return Err(Refused("A012060001", verdict, String::new()));
        }
        if let Some(member) = member {
            let last_used = stamp(self.serial);
            let cards = self.members.entry(member).or_default();
            match cards.iter_mut().find(|c| c.number == card.number) {
                Some(card) => card.last_used = last_used,
                None => cards.push(Card { last_used, ..card }),
            }
        }
        Ok(format!("<crdCResCd>{approval}</crdCResCd>"))
    }

    fn stored(&self, fields: &Fields) -> Result<String, Refused> {
        known(fields, &["member_id", "authentication_key", "check_sum"])?;
        let cards = self.members.get(&member(fields)?);
        let cards = cards.map(Vec::as_slice).unwrap_or_default();
        let each = cards.iter().enumerate().map(|(at, card)| {
            let last4 = cards::last4(&card.number);
            format!(
                "<cardData><cardKey>{}</cardKey><maskingCardNo>************{last4}</maskingCardNo><cardExp>{}</cardExp><cardOwner>TEL</cardOwner><cardCodeApi>{}</cardCodeApi><lastCreditDate>{}</lastCreditDate></cardData>",
                at + 1,
                card.expiry,
                card.company,
                card.last_used
            )
        });
        let each: String = each.collect();
        Ok(format!("<cardUnit>{}</cardUnit>{each}", cards.len()))
    }

    fn cancel(&mut self, fields: &Fields) -> Result<String, Refused> {
        known(fields, &["order_no"])?;
        let order = self.orders.get_mut(&order_no(fields)?);
        let order = order.ok_or_else(|| refused("A062010001"))?;
        if ![AUTHORISED, SHIPPED].contains(&order.status) {
            return Err(refused("A062010003"));
        }
        order.status = CANCELLED;
        Ok(String::new())
    }

    fn change(&mut self, fields: &Fields) -> Result<String, Refused> {
        known(fields, &["order_no", "new_price"])?;
        let price = price(get(fields, "new_price"))?;
        let order = self.orders.get_mut(&order_no(fields)?);
        let order = order.filter(|o| [AUTHORISED, SHIPPED].contains(&o.status));
        let order = order.ok_or_else(|| refused("A073000001"))?;
        if order.price == price {
            return Err(refused("A074000001"));
        }
        order.price = price;
        Ok(String::new())
    }

    fn ship(&mut self, fields: &Fields) -> Result<String, Refused> {
        known(fields, &["order_no", "slip_no", "delivery_service_code"])?;
        let order_no = order_no(fields)?;
        let slip = get(fields, "slip_no");
        match get(fields, "delivery_service_code") {
            "99" if slip == order_no => {}
            "00" if slip.len() == 12 && slip.bytes().all(|b| b.is_ascii_digit()) => {}
            "00" | "99" => return Err(wrong("E011010402", "slip_no")),
            _ => return Err(wrong("E011010404", "delivery_service_code")),
        }
        let order = self.orders.get_mut(&order_no);
        let order = order.filter(|order| order.status == AUTHORISED);
        order.ok_or_else(|| refused("E011010351"))?.status = SHIPPED;
        Ok("<slipUrlPc></slipUrlPc>".to_owned())
    }

    fn info(&self, fields: &Fields) -> Result<String, Refused> {
        known(fields, &["order_no"])?;
        let order_no = order_no(fields)?;
        Ok(match self.orders.get(&order_no) {
            None => "<resultCount>0</resultCount>".to_owned(),
            Some(order) => format!(
                "<resultCount>1</resultCount><resultData><orderNo>{order_no}</orderNo><settlePrice>{}</settlePrice><settleMethodDiv>0</settleMethodDiv><settleMethod>9</settleMethod><statusInfo>{}</statusInfo><payWay>{}</payWay><crdCResCd>{}</crdCResCd><crdCResDate>20260401120001</crdCResDate><threeDCode></threeDCode></resultData>",
                order.price, order.status, order.pay_way, order.approval
            ),
        })
    }
}

/// Year and month of `MMYY`.
fn expiry(text: &str) -> Option<(u32, u32)> {
    let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    let (month, year) = digits.then(|| text.split_at(2))?;
    let (month, year): (u32, u32) = (month.parse().ok()?, year.parse().ok()?);
    (1..=12).contains(&month).then_some((2000 + year, month))
}

/// カード会社コード (API用) of a number's brand.
fn company_of(number: &str) -> u8 {
    match cards::brand(number) {
        "diners-club" => 2,
        "jcb" => 3,
        "mastercard" => 10,
        "amex" => 12,
        _ => 9,
    }
}

/// The refusal that a card stands for: the published refused cards of another test system, with the nearest verdict.
fn verdict(number: &str) -> Option<&'static str> {
    match number {
        "4000000000000002" => Some("G12"),
        "4000000000009995" => Some("G55"),
        "4000000000009987" | "4000000000009979" => Some("G60"),
        "4000000000000069" => Some("G83"),
        "4000000000000127" => Some("G44"),
        "4000000000000119" => Some("999"),
        _ if !cards::luhn(number) => Some("0200001"),
        _ => None,
    }
}

impl Protocol for Kuroneko {
    fn name(&self) -> &'static str {
        "kuroneko"
    }

    fn settings(&self) -> Value {
        json!({
            "parameters": {
                "trader_code": TRADER, "goods_name": "お電話でのご注文", "buyer_name": "電話注文", "buyer_tel": "0312345678",
                "buyer_email": "none@example.jp",
            },
            "secrets": {"access_key": ACCESS_KEY},
        })
    }

    fn answer(&mut self, request: &Received, faults: &Faults) -> Answered {
        const APIS: [&str; 6] = [
            "credit",
            "creditInfoGet",
            "creditCancel",
            "creditChangePrice",
            "shipmentEntry",
            "tradeInfo",
        ];
        let api = request
            .path
            .strip_prefix('/')
            .and_then(|p| p.strip_suffix(".api"));
        let Some(api) = api.filter(|api| APIS.contains(api)) else {
            return Answered::nowhere();
        };
        let kind = request.header("content-type").unwrap_or_default();
        let is_form = kind.split(';').next() == Some("application/x-www-form-urlencoded");
        let fields: Option<Fields> = form(&request.body).and_then(|fields| {
            let text = |(name, value)| Some((name, String::from_utf8(value).ok()?));
            fields.into_iter().map(text).collect()
        });
        let (done, trouble) = match (request.method.as_str(), is_form, &fields) {
            ("POST", true, Some(fields)) => self.run(api, fields, faults),
            ("POST", true, None) => (Err(wrong("A011010671", "charset")), None),
            _ => (Err(wrong("Z012000001", "method or content type")), None),
        };
        let wrong = match &done {
            Err(Refused(code, _, about)) if !about.is_empty() => {
                Some(format!("{api}: {code} {about}"))
            }
            _ => None,
        };
        let (code, more) = match done {
            Ok(more) => (0, format!("<errorCode></errorCode>{more}")),
            Err(Refused(error, "", _)) => (1, format!("<errorCode>{error}</errorCode>")),
            Err(Refused(error, credit, _)) => (
                1,
                format!(
                    "<errorCode>{error}</errorCode><creditErrorCode>{credit}</creditErrorCode>"
                ),
            ),
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<return><returnCode>{code}</returnCode>{more}<returnDate>{}</returnDate></return>",
            stamp(self.serial)
        );
        Answered::new(200, XML, body).with(trouble).wrong(wrong)
    }

    fn orders(&self) -> Vec<Value> {
        self
                .orders
                .iter()
                .map(|(id, order)| {
                    let booked = [AUTHORISED, SHIPPED].contains(&order.status);
                    json!({
                        "order": id, "state": order.status, "amount": order.price, "requests": order.requests, "last4": order.last4,
                        "plan": order.pay_way, "booked": booked,
                    })
                })
                .collect()
    }
}
