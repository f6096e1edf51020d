//! What the tests of every connector begin with. Cards are published test numbers.

use ivrpay_card::{Card, Digits, Expiry, Month, Pan, Rules, SecurityCode};
use ivrpay_payment::{
    AcquirerOrder, AcquirerRef, Brand, Currency, Durable, IdempotencyKey, Intent, Money,
    OperationId, OperationKind, PaymentId, Plan, Truncated,
};
use ivrpay_secret::Buffer;

use crate::{Asked, Connector, Progress, Reply, Request, Step};

/// The idempotency key of [`intent`].
pub(crate) const KEY: &str = "0193a1b2-0000-7000-8000-000000000003";
/// 2026-04-01 12:00:00 in Japan.
pub(crate) const NOW: i64 = 1_775_012_400;

/// A charge of `minor` yen to a published test card, order number 00000000000000042.
pub(crate) fn intent(minor: u64) -> Durable<Intent> {
    of(OperationKind::Charge, minor)
}

/// The same, of another kind and without a parent.
pub(crate) fn of(kind: OperationKind, minor: u64) -> Durable<Intent> {
    Durable::attest(Intent {
        payment_id: "0193a1b2-0000-7000-8000-000000000001"
            .parse::<PaymentId>()
            .unwrap(),
        operation_id: "0193a1b2-0000-7000-8000-000000000002"
            .parse::<OperationId>()
            .unwrap(),
        kind,
        amount: Money::new(minor, Currency::Jpy).unwrap(),
        card: Truncated::new(Brand::Visa, [1, 1, 1, 1]).unwrap(),
        idempotency_key: KEY.parse::<IdempotencyKey>().unwrap(),
        acquirer_order: AcquirerOrder::new(42).unwrap(),
        order: None,
        operator: None,
        plan: Plan::LumpSum,
        token: None,
        parent: None,
    })
}

/// A later operation about [`intent`] of 1500 yen, whose answer had this reference.
pub(crate) fn after(kind: OperationKind, minor: u64, reference: Option<&str>) -> Durable<Intent> {
    let parent = intent(1500);
    let parent = parent.get();
    Durable::attest(Intent {
        operation_id: "0193a1b2-0000-7000-8000-000000000005"
            .parse::<OperationId>()
            .unwrap(),
        idempotency_key: "0193a1b2-0000-7000-8000-000000000006"
            .parse::<IdempotencyKey>()
            .unwrap(),
        parent: Some(Box::new(parent.as_parent(
            reference.map(|text| AcquirerRef::new(text).unwrap()),
            NOW,
        ))),
        ..of(kind, minor).get().clone()
    })
}

/// `op` as it is asked at [`NOW`].
pub(crate) fn asked<'a>(op: &'a Durable<Intent>, card: Option<&'a Card>) -> Asked<'a> {
    Asked {
        op,
        card,
        now_unix_s: NOW,
    }
}

/// A published test card, 12/30.
pub(crate) fn card(number: &str, code: Option<&str>) -> Card {
    let rules = Rules {
        brands: Brand::ALL.to_vec(),
        luhn: true,
    };
    let pan = Pan::parse(digits(number), &rules).unwrap();
    let now = Month {
        year: 2026,
        month: 11,
    };
    let expiry = Expiry::parse(digits("1230"), now).unwrap();
    let code = code.map(|c| SecurityCode::parse(digits(c), pan.brand()).unwrap());
    Card { pan, expiry, code }
}

fn digits(text: &str) -> Digits {
    let mut digits = Digits::take().unwrap();
    for byte in text.bytes() {
        digits.push(byte - b'0').unwrap();
    }
    digits
}

/// A request's body as text; of a test card, in a test.
pub(crate) fn body(request: &Request) -> String {
    Buffer::expose(&request.body, |b| String::from_utf8_lossy(b).into_owned())
}

/// The request that comes next, and how far that is.
#[track_caller]
pub(crate) fn sends(
    connector: &dyn Connector,
    asked: &Asked<'_>,
    progress: &Progress,
    last: Option<&Reply>,
) -> (Request, Progress) {
    match connector.step(asked, progress, last) {
        Ok(Step::Send(request, progress)) => (request, progress),
        Ok(Step::Done(outcome)) => panic!("it ended: {outcome:?}"),
        Err(error) => panic!("{error}"),
    }
}
