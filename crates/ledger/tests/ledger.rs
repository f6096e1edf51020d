//! Rows, the sums of a day, and a settlement file against them.

#![allow(clippy::unwrap_used, reason = "a test")]

use ivrpay_ledger::settlement::{Kind, Map, Read, Reader, Settled, built_in};
use ivrpay_ledger::{Entry, close, decimal, export, reconcile};
use ivrpay_payment::OperationKind::{Authorise, Capture, Charge, Refund, Void};
use ivrpay_payment::{
    Brand, Currency, Money, OperationId, OperationKind, OperatorId, OrderId, PaymentId, Plan,
    SiteId, TenantId, Truncated,
};
use jiff::tz::TimeZone;

/// One of payment `number`.
fn entry(number: u64, kind: OperationKind, minor: u64, day: &str) -> Entry {
    let id = |number: u64| format!("00000000-0000-4000-8000-{number:012}");
    Entry {
        at: format!("{day}T14:59:59Z").parse().unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        site: None,
        operator: None,
        order: Some(OrderId::new(format!("A-{number}")).unwrap()),
        part: 0,
        payment: id(number).parse::<PaymentId>().unwrap(),
        operation: id(number + 500).parse::<OperationId>().unwrap(),
        kind,
        amount: Money::new(minor, Currency::Jpy).unwrap(),
        undone_minor: 0,
        card: Truncated::new(Brand::Visa, [4, 2, 4, 2]).unwrap(),
        plan: Plan::LumpSum,
        approval_code: None,
        connector: "gmo".into(),
        acquirer_order: format!("{number:017}"),
        acquirer_ref: Some(format!("ref-{number}")),
    }
}

fn void(number: u64, undone: u64, day: &str) -> Entry {
    Entry {
        undone_minor: undone,
        ..entry(number, Void, 1000, day)
    }
}

const DAY: &str = "2026-11-26";

#[test]
fn a_row_has_the_day_of_the_merchant_and_no_formula() {
    let tokyo = TimeZone::fixed(jiff::tz::offset(9));
    let mut entry = Entry {
        at: "2026-11-26T15:00:00Z".parse().unwrap(),
        order: Some(OrderId::new("-1").unwrap()),
        amount: Money::new(1234, Currency::Usd).unwrap(),
        ..entry(1, Refund, 1, DAY)
    };
    let row = export::row(&entry, &tokyo);
    let of = |name: &str| {
        let at = export::COLUMNS.iter().position(|c| *c == name).unwrap();
        row.get(at).unwrap().as_str()
    };
    assert_eq!((of("date"), of("time")), ("2026-11-27", "00:00:00+09:00"));
    assert_eq!((of("amount"), of("moved")), ("12.34", "-12.34"));
    assert_eq!(of("order_id"), "'-1");
    entry.kind = Authorise;
    assert_eq!(entry.moved(), 0);
    assert_eq!(decimal(-5, Currency::Usd), "-0.05");
}

#[test]
fn a_day_is_added_up_by_site_and_operator() {
    let by = |entry: Entry, site: &str, operator: &str| Entry {
        site: Some(SiteId::new(site).unwrap()),
        operator: Some(OperatorId::new(operator).unwrap()),
        ..entry
    };
    let entries = [
        by(entry(1, Charge, 1000, DAY), "osaka", "mori"),
        by(entry(2, Charge, 500, DAY), "osaka", "mori"),
        by(entry(2, Refund, 200, DAY), "osaka", "sato"),
        by(entry(3, Authorise, 9000, DAY), "tokyo", "mori"),
        by(void(1, 1000, DAY), "osaka", "mori"),
        entry(4, Capture, 300, DAY),
    ];
    let closing = close::close(&entries);
    let mori = closing.rows.iter().find(|(whose, _)| {
        whose.site.as_deref() == Some("osaka") && whose.operator.as_deref() == Some("mori")
    });
    let mori = mori.unwrap().1;
    assert_eq!((mori.sales.count, mori.sales.minor), (2, 1500));
    assert_eq!(
        (mori.voids.count, mori.voids.minor, mori.net_minor),
        (1, -1000, 500)
    );
    assert_eq!(closing.rows.len(), 4, "one has neither site nor operator");
    let total = closing.totals.values().next().unwrap();
    assert_eq!((total.net_minor, total.authorisations.minor), (600, 9000));
}

fn row(line: u64, number: u64, kind: Kind, minor: u64) -> Settled {
    Settled {
        line,
        order: Some(format!("{number:017}")),
        reference: None,
        kind,
        minor,
        currency: Currency::Jpy,
    }
}

#[test]
fn a_settlement_file_is_compared_to_the_yen() {
    let before = "2026-10-01";
    let entries = [
        entry(1, Charge, 1000, DAY),
        entry(2, Charge, 1000, DAY),
        // Taken and voided before it was settled: in no file.
        entry(3, Charge, 1000, DAY),
        void(3, 1000, DAY),
        entry(4, Authorise, 1000, DAY),
        // Of last month, given back now.
        entry(5, Charge, 1000, before),
        entry(5, Refund, 300, DAY),
        entry(5, Refund, 300, before),
        entry(6, Charge, 1000, DAY),
        // Settled on the day behind.
        entry(7, Charge, 1000, before),
        // Voided here; the acquirer has settled the sale and not what undoes it.
        entry(8, Charge, 1000, DAY),
        void(8, 1000, DAY),
        // Voided on the day behind, before it was settled: in no file either.
        entry(10, Charge, 700, DAY),
        void(10, 700, "2026-11-28"),
        // Of the day before, which may have been settled then.
        entry(11, Charge, 800, before),
        void(11, 800, DAY),
    ];
    let rows = [
        row(2, 1, Kind::Sale, 1000),
        row(3, 5, Kind::Refund, 300),
        row(4, 6, Kind::Sale, 1001),
        row(5, 7, Kind::Sale, 1000),
        row(6, 9, Kind::Sale, 1000),
        row(7, 8, Kind::Sale, 1000),
        // Twice there.
        row(8, 1, Kind::Sale, 1000),
        Settled {
            order: None,
            reference: Some("ref-2".into()),
            kind: Kind::Refund,
            ..row(9, 0, Kind::Refund, 1000)
        },
    ];
    let is_of_the_day = |entry: &Entry| entry.at.to_string().starts_with(DAY);
    let done = reconcile::reconcile(&rows, &entries, is_of_the_day);
    let lines = |rows: &[&Settled]| rows.iter().map(|r| r.line).collect::<Vec<_>>();
    let matched: Vec<_> = done.matched.iter().map(|(row, _)| row.line).collect();
    assert_eq!(matched, [2, 3, 5, 7]);
    assert_eq!(lines(&done.missing_here), [6]);
    let different: Vec<_> = done
        .different
        .iter()
        .map(|(row, here)| (row.line, here.len()))
        .collect();
    assert_eq!(different, [(4, 1), (8, 1), (9, 0)]);
    let there: Vec<_> = done
        .missing_there
        .iter()
        .map(|e| (e.kind, e.moved()))
        .collect();
    assert_eq!(
        there,
        [(Charge, 1000), (Void, -1000), (Void, -800)],
        "of payments 2, 8 and 11"
    );
    let cancelled: Vec<_> = done.cancelled.iter().map(|e| e.moved()).collect();
    assert_eq!(cancelled, [1000, -1000, 700]);
    assert!(!done.is_even());
    // The refund of the day, and not that of last month.
    let (_, refund) = done.matched.iter().find(|(row, _)| row.line == 3).unwrap();
    assert!(is_of_the_day(refund));
}

#[test]
fn the_maps_that_come_along_read_their_files() {
    for (map, header, line, read) in [
        (
            "stripe",
            "balance_transaction_id,reporting_category,currency,gross,fee,payment_intent_id",
            "txn_1,refund,usd,-12.34,0.00,pi_1",
            (Kind::Refund, 1234, None, Some("pi_1")),
        ),
        (
            "adyen",
            "Psp Reference,Merchant Reference,Type,Gross Currency,Gross Debit (GC),Gross Credit (GC)",
            "P1,17954352000001234,Settled,JPY,,1500",
            (Kind::Sale, 1500, Some("17954352000001234"), Some("P1")),
        ),
        (
            "ivrpay",
            "order,reference,kind,amount,currency",
            "17954352000001234,,sale,1500,JPY",
            (Kind::Sale, 1500, Some("17954352000001234"), None),
        ),
    ] {
        let map: Map = built_in(map).unwrap();
        let reader = Reader::new(&map, header.split(',')).unwrap();
        let fields: Vec<&str> = line.split(',').collect();
        let Ok(Read::Settled(row)) = reader.read(2, &fields, Currency::Jpy) else {
            panic!("{line}");
        };
        let got = (
            row.kind,
            row.minor,
            row.order.as_deref(),
            row.reference.as_deref(),
        );
        assert_eq!(got, read);
    }
    assert!(built_in("gmo").is_none());
}
