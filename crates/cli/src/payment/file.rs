//! `ivrpay payment capture|void|refund --file`: the rows of a CSV file, judged all before one is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use ivrpay_api::{LaterDone, Payments};
use serde::Serialize;

use super::later::{self, Args, Asks, Plan, Wish, what, would};
use super::{Answer, encode, refused};
use crate::csv_quotes::{Fields, quotes};
use crate::{Exit, fail, runtime};

/// Longest file, bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most rows.
const ROWS_MAX: usize = 10_000;
/// Longest field, characters.
const FIELD_MAX: usize = 255;

const COLUMNS: &str = "id, order_id, tenant, part, amount, key";

/// A row that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    line: u64,
    about: About,
    amount: Option<u64>,
    key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Id(String),
    Order {
        tenant: String,
        order: String,
        part: u32,
    },
}

/// A row that can't. Nothing of the row itself is said: a card number may stand there by mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bad {
    line: u64,
    why: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

fn bad(line: u64, why: impl Into<String>) -> Bad {
    Bad {
        line,
        why: why.into(),
    }
}

/// Numbers of lines, asked for in the order of the file. The reader's own stand before the empty lines that it skips, and before the LF
/// of a CRLF.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position.map_or(0, csv::Position::byte);
        let from = usize::try_from(byte).unwrap_or(self.at).max(self.at);
        let rest = self.text.get(from..).unwrap_or_default();
        let skipped = rest.iter().take_while(|b| b"\r\n".contains(b)).count();
        let to = from.saturating_add(skipped);
        let between = self.text.get(self.at..to).unwrap_or_default();
        let ends = between
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"));
        self.line = self.line.saturating_add(ends.count() as u64);
        self.at = to;
        self.line
    }
}

/// Rows and, one by one, what can't be read; nothing of a file that is none.
fn read(bytes: &[u8]) -> Result<(Vec<Row>, Vec<Bad>), Bad> {
    if bytes.len() > BYTES_MAX {
        return Err(bad(
            1,
            format!("the file is longer than {BYTES_MAX} bytes; cut it in two"),
        ));
    }
    // Excel writes this mark before UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        bad(
            lines as u64 + 1,
            "is not UTF-8 (Shift_JIS?); save the file as \"CSV UTF-8\"",
        )
    })?;
    quotes(text, ',', Fields::EndInTheirLine).map_err(|wrong| bad(wrong.line, wrong.why))?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|_| bad(1, "is no CSV"))?
        .iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    if let [one] = header.as_slice() {
        // As Excel writes it in some countries.
        let other = [(';', "semicolons"), ('\t', "tabs")];
        let other = other.into_iter().find(|(sign, _)| one.contains(*sign));
        if let Some((_, name)) = other {
            return Err(bad(
                1,
                format!(
                    "the fields are separated by {name}; save the file with commas between them"
                ),
            ));
        }
    }
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.split(", ").any(|known| known == name) {
            return Err(bad(1, format!("column {} is none of: {COLUMNS}", at + 1)));
        }
        if header.iter().take(at).any(|before| before == name) {
            return Err(bad(1, format!("column {name} stands there twice")));
        }
    }
    let has = |name: &str| header.iter().any(|column| column == name);
    if has("id") && has("order_id") {
        return Err(bad(
            1,
            "id and order_id both name the payment: leave one of the two out",
        ));
    }
    if !has("id") && !has("order_id") {
        return Err(bad(
            1,
            "the first line names the columns: id, or order_id and tenant",
        ));
    }
    if has("order_id") != has("tenant") || (has("part") && !has("order_id")) {
        return Err(bad(
            1,
            "order_id and tenant belong together, and part to them",
        ));
    }
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    let mut lines = Lines {
        text: text.as_bytes(),
        at: 0,
        line: 1,
    };
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                let line = lines.of(error.position());
                wrong.push(bad(line, "has more or fewer fields than the first line"));
                continue;
            }
        }
        if rows.len() + wrong.len() == ROWS_MAX {
            return Err(bad(
                1,
                format!("more than {ROWS_MAX} rows; cut the file in two"),
            ));
        }
        let line = lines.of(record.position());
        match row(line, &header, &record) {
            Ok(row) => rows.push(row),
            Err(why) => wrong.push(bad(line, why)),
        }
    }
    if rows.is_empty() && wrong.is_empty() {
        return Err(bad(1, "there are no rows"));
    }
    Ok((rows, wrong))
}

fn row(line: u64, header: &[String], record: &csv::StringRecord) -> Result<Row, &'static str> {
    if record.iter().any(|field| field.chars().count() > FIELD_MAX) {
        return Err("a field is longer than 255 characters");
    }
    let field = |name: &str| {
        let at = header.iter().position(|column| column == name);
        at.and_then(|at| record.get(at))
            .filter(|text| !text.is_empty())
    };
    let about = if header.iter().any(|column| column == "id") {
        let id = field("id").ok_or("id is empty")?;
        let id: uuid::Uuid = id.parse().map_err(|_| "id is no payment's id")?;
        About::Id(id.to_string())
    } else {
        About::Order {
            order: field("order_id").ok_or("order_id is empty")?.to_owned(),
            tenant: field("tenant").ok_or("tenant is empty")?.to_owned(),
            part: match field("part") {
                None => 0,
                Some(part) => part.parse().map_err(|_| "part is a whole number")?,
            },
        }
    };
    let amount = match field("amount") {
        None => None,
        Some(text) => {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let amount = text.parse().ok().filter(|minor| *minor > 0 && digits);
            Some(amount.ok_or(
                "amount is a whole number of minor units (yen, cents) above 0, without comma or point",
            )?)
        }
    };
    Ok(Row {
        line,
        about,
        amount,
        key: field("key").unwrap_or_default().to_owned(),
    })
}

/// What came, or would come, of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Came {
    Would,
    Done,
    /// By an earlier run.
    Before,
    Refused,
    Unknown,
    NotDone,
}

impl Came {
    const fn is_good(self) -> bool {
        matches!(self, Self::Would | Self::Done | Self::Before)
    }
}

#[derive(Serialize)]
struct Told<'a> {
    line: u64,
    payment_id: Option<&'a str>,
    came: Came,
    says: String,
}

/// Tells of rows as they come, and counts them.
struct Tally {
    json: bool,
    good: usize,
    failed: usize,
}

impl Tally {
    fn tell(&mut self, line: u64, payment: Option<&str>, came: Came, says: String) {
        if came.is_good() {
            self.good += 1;
        } else {
            self.failed += 1;
        }
        let told = Told {
            line,
            payment_id: payment,
            came,
            says,
        };
        if self.json {
            say!("{}", serde_json::to_string(&told).unwrap_or_default());
        } else {
            let payment = payment
                .map(|id| format!("payment {id}: "))
                .unwrap_or_default();
            say!("line {line}: {payment}{}", told.says);
        }
    }
}

/// A row that may be asked for.
struct Ready {
    line: u64,
    wish: Wish,
    key: String,
    /// What an earlier run has made of it.
    before: Option<ivrpay_api::Operation>,
    says: String,
}

pub(super) fn run(operation: &str, args: &Args, file: &Path) -> ExitCode {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("ivrpay: {}: {error}", file.display());
            return Exit::Usage.into();
        }
    };
    let (rows, wrong) = match read(&bytes) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("ivrpay: {}: {error}", file.display());
            return Exit::Usage.into();
        }
    };
    let service = match args.from.service() {
        Ok(service) => service,
        Err(code) => return code,
    };
    let asks = Asks {
        service,
        operation,
        by: &args.by,
    };
    let ran = runtime().and_then(|runtime| runtime.block_on(all(&asks, args, rows, wrong)));
    match ran {
        Ok(0) => Exit::Done.into(),
        Ok(_) => Exit::Failed.into(),
        Err(error) => fail(
            &error.context("the run was interrupted; run it again: what is done is not done twice"),
        ),
    }
}

/// How many rows failed.
async fn all(
    asks: &Asks<'_>,
    args: &Args,
    rows: Vec<Row>,
    wrong: Vec<Bad>,
) -> anyhow::Result<usize> {
    let mut tally = Tally {
        json: args.from.json(),
        good: 0,
        failed: 0,
    };
    for bad in wrong {
        tally.tell(bad.line, None, Came::Refused, bad.why);
    }
    let count = rows.len();
    let mut ready = Vec::new();
    let mut seen = Seen::default();
    for (at, row) in rows.into_iter().enumerate() {
        progress(args, "looked at", at, count);
        match judge(asks, &row, &mut seen).await? {
            Ok(row) => ready.push(row),
            Err((payment, why)) => tally.tell(row.line, payment.as_deref(), Came::Refused, why),
        }
    }
    let refused = tally.failed;
    if args.dry_run {
        for row in ready {
            let came = match row.before.as_ref().map(|before| before.state.as_str()) {
                None => Came::Would,
                Some("approved") => Came::Before,
                Some("declined") => Came::Refused,
                Some(_) => Came::Unknown,
            };
            tally.tell(row.line, Some(&row.wish.payment), came, row.says);
        }
        summary(args, &tally, "could be done");
        return Ok(tally.failed);
    }
    if refused > 0 && !args.keep_going {
        eprintln!(
            "ivrpay: {refused} of {} rows can't be done, so nothing was; mend them, or use --keep-going",
            refused + ready.len()
        );
        return Ok(refused);
    }
    let count = ready.len();
    for (at, row) in ready.into_iter().enumerate() {
        progress(args, "asked for", at, count);
        let (came, says) = match row.before {
            Some(before) if before.state == "approved" => {
                (Came::Before, format!("was done before, at {}", before.at))
            }
            _ => one(asks, &row).await?,
        };
        tally.tell(row.line, Some(&row.wish.payment), came, says);
    }
    summary(args, &tally, "done");
    Ok(tally.failed)
}

async fn one(asks: &Asks<'_>, row: &Ready) -> anyhow::Result<(Came, String)> {
    let text = match asks.go(&row.wish, &row.key).await? {
        Answer::Good(text) => text,
        Answer::Refused(why) => return Ok((Came::Refused, why)),
    };
    let LaterDone { operation, payment } = serde_json::from_str(&text)?;
    let what = what(&operation.kind, operation.amount, &payment.currency);
    Ok(match operation.state.as_str() {
        "approved" => (Came::Done, format!("{what}: done")),
        "unknown" | "in-flight" => (
            Came::Unknown,
            format!("{what}: not known; it may have been done. `ivrpay payment inquire` asks"),
        ),
        "not-charged" => (
            Came::NotDone,
            format!(
                "{what}: {}; {}",
                refused(&operation),
                match (operation.why.as_deref(), &operation.hint) {
                    (Some("rejected"), _) => later::AT_THE_ACQUIRER,
                    (_, Some(hint)) => hint,
                    _ => "run the file again",
                }
            ),
        ),
        _ => (Came::Refused, format!("{what}: {}", refused(&operation))),
    })
}

/// Rows of the same payment, so that they are judged together.
#[derive(Default)]
struct Seen {
    payments: BTreeMap<String, Before>,
    /// The line of each key: two rows of one key are done once.
    keys: BTreeMap<String, u64>,
}

struct Before {
    line: u64,
    /// Sum of the rows so far, of a refund.
    sum: Option<u64>,
}

/// Whether a row could be done, behind those before it; else what is known of its payment, and why not.
async fn judge(
    asks: &Asks<'_>,
    row: &Row,
    seen: &mut Seen,
) -> anyhow::Result<Result<Ready, (Option<String>, String)>> {
    let payment = match payment(asks, &row.about).await? {
        Ok(payment) => payment,
        Err(why) => return Ok(Err((None, why))),
    };
    let wish = Wish {
        payment: payment.clone(),
        amount: row.amount,
        key: row.key.clone(),
    };
    let refuse = |why: String| Ok(Err((Some(payment.clone()), why)));
    let (planned, key) = match asks.plan(&wish).await? {
        Plan::May(planned, key) => (planned, key),
        Plan::Refused(why) => return refuse(why),
    };
    let says = would(&planned);
    if let Some(line) = seen.keys.insert(key.clone(), row.line) {
        return refuse(format!(
            "is the same as line {line}, and would be done once; if it is meant, give each a key"
        ));
    }
    if let Some(before) = seen.payments.get_mut(&payment) {
        let line = before.line;
        let (Some(sum), Some(amount), "refund") = (before.sum, row.amount, asks.operation) else {
            return refuse(format!(
                "line {line} is about the same payment; only parts of a refund may be several, each with its amount"
            ));
        };
        let sum = sum.saturating_add(if planned.before.is_none() { amount } else { 0 });
        if planned.before.is_none() && sum > 0 {
            // Together they may be too much.
            let together = Wish {
                amount: Some(sum),
                key: format!("together, {}", row.key),
                ..wish.clone()
            };
            if let Plan::Refused(why) = asks.plan(&together).await? {
                return refuse(format!("with the lines before it: {why}"));
            }
        }
        before.sum = Some(sum);
        before.line = row.line;
    } else {
        let open = planned.before.is_none();
        let before = Before {
            line: row.line,
            sum: row.amount.map(|amount| if open { amount } else { 0 }),
        };
        seen.payments.insert(payment, before);
    }
    Ok(Ok(Ready {
        line: row.line,
        wish,
        key,
        before: planned.before,
        says,
    }))
}

/// The payment of a row: of an order the one that was charged.
async fn payment(asks: &Asks<'_>, about: &About) -> anyhow::Result<Result<String, String>> {
    let (tenant, order, part) = match about {
        About::Id(id) => return Ok(Ok(id.clone())),
        About::Order {
            tenant,
            order,
            part,
        } => (tenant, order, part),
    };
    let path = format!(
        "/v1/payments?limit=200&tenant={}&order_id={}",
        encode(tenant),
        encode(order)
    );
    let text = match asks.service.request(&path, None, None).await? {
        Answer::Good(text) => text,
        Answer::Refused(why) => return Ok(Err(why)),
    };
    let Payments { payments, .. } = serde_json::from_str(&text)?;
    let of_part = payments.iter().filter(|payment| payment.part == *part);
    // One that was voided may have been by an earlier run of the same file.
    let charged = of_part.filter(|payment| {
        payment.transaction_type.moves_money()
            && (payment.captured.is_some() || payment.acquirer_ref.is_some())
    });
    let charged: Vec<_> = charged.collect();
    Ok(match charged[..] {
        [one] => Ok(one.id.to_string()),
        [] => Err("this order has no payment that was charged".to_owned()),
        _ => Err("this order was charged more than once: name the payment by its id".to_owned()),
    })
}

/// For a person who waits.
fn progress(args: &Args, did: &str, at: usize, count: usize) {
    if !args.from.json() && std::io::stderr().is_terminal() && at > 0 && at.is_multiple_of(50) {
        eprintln!("{did} {at} of {count}");
    }
}

fn summary(args: &Args, tally: &Tally, what: &str) {
    if !args.from.json() {
        say!(
            "{} of {} rows {what}",
            tally.good,
            tally.good + tally.failed
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0193a1b2-0000-7000-8000-000000000001";

    #[test]
    fn rows_are_read_as_excel_and_databases_write_them() {
        let (rows, wrong) = read(
            "\u{feff}order_id,tenant,amount,key,part\r\n\"A-1\",shop,1200,,\r\n\"A \"\"2\"\", b\", shop ,,k-1,2\r\n".as_bytes(),
        )
        .unwrap();
        assert_eq!(wrong, []);
        let order = |order: &str, part| About::Order {
            tenant: "shop".into(),
            order: order.into(),
            part,
        };
        assert_eq!(
            rows,
            [
                Row {
                    line: 2,
                    about: order("A-1", 0),
                    amount: Some(1200),
                    key: String::new(),
                },
                Row {
                    line: 3,
                    about: order("A \"2\", b", 2),
                    amount: None,
                    key: "k-1".into(),
                },
            ]
        );
    }

    #[test]
    fn a_file_that_is_none_is_named_by_its_line() {
        for (bytes, says) in [
            (&b""[..], "line 1: the first line names the columns"),
            (b"id\n", "line 1: there are no rows"),
            (b"amount\n1\n", "line 1: the first line names"),
            (
                b"id,order_id,tenant\n",
                "line 1: id and order_id both name the payment",
            ),
            (
                b"id;amount;key\n1;2;\n",
                "line 1: the fields are separated by semicolons",
            ),
            (
                b"order_id\ttenant\n",
                "line 1: the fields are separated by tabs",
            ),
            (
                b"order_id\nA-1\n",
                "line 1: order_id and tenant belong together",
            ),
            (b"id,part\n", "line 1: order_id and tenant belong together"),
            (b"id,id\n", "line 1: column id stands there twice"),
            (b"id,4111 1111 1111 1111\n", "line 1: column 2 is none of"),
            (b"id\nx\n\x92\xb7\n", "line 3: is not UTF-8 (Shift_JIS?)"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error:?} does not begin {says:?}");
        }
        let rows = format!("id\n{}", format!("{ID}\n").repeat(ROWS_MAX + 1));
        let error = read(rows.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("more than 10000 rows"), "{error}");
    }

    /// Each would move another sum than the one that stands there, or skip rows.
    #[test]
    fn a_quote_that_stands_wrong_makes_the_file_none() {
        for (row, says) in [
            ("{ID},\"1\"00,", "closing quote"),
            ("{ID},\"400\"5,", "closing quote"),
            ("{ID},\"400\" 5,", "closing quote"),
            ("{ID},4\"0\",", "inside of a field"),
            ("{ID}, \"400\",", "inside of a field"),
            ("{ID},400,\"k", "not closed"),
            ("{ID},400,\"", "not closed"),
            ("{ID},400,\"k\"\"", "not closed"),
            ("{ID},400,\"a\nb\"", "not closed"),
            ("{ID},400,\"a\rb\"", "not closed"),
            ("\"{ID},400,", "not closed"),
        ] {
            let row = row.replace("{ID}", ID);
            for end in ["", "\n", "\r\n", &format!("\n{ID},2,\"k\"\n")] {
                let text = format!("id,amount,key\n{ID},1,\n{row}{end}");
                let error = read(text.as_bytes()).unwrap_err();
                assert_eq!(error.line, 3, "{row:?}");
                assert!(error.why.contains(says), "{row:?}: {error}");
            }
        }
        let good = format!("id,amount,key\n\"{ID}\",\"1\" ,\"\"\n{ID},\"2\",\"a, \"\"b\"\"\"");
        let (rows, wrong) = read(good.as_bytes()).unwrap();
        assert_eq!(wrong, []);
        let read: Vec<_> = rows.iter().map(|r| (r.amount, &*r.key)).collect();
        assert_eq!(read, [(Some(1), ""), (Some(2), "a, \"b\"")]);
    }

    #[test]
    fn a_row_that_is_wrong_is_named_without_what_stands_in_it() {
        for (row, says) in [
            ("x,,", "id is no payment's id"),
            (",1,", "id is empty"),
            (&format!("{ID},0,"), "amount is a whole number"),
            (&format!("{ID},-1,"), "amount is a whole number"),
            (&format!("{ID},+1,"), "amount is a whole number"),
            (&format!("{ID},\"1,200\","), "amount is a whole number"),
            (&format!("{ID},12.00,"), "amount is a whole number"),
            (ID, "has more or fewer fields"),
            (&format!("{ID},1,{}", "k".repeat(256)), "longer than 255"),
            ("4111 1111 1111 1111,,", "id is no payment's id"),
        ] {
            let text = format!("id,amount,key\n{ID},1,\n\n{row}\n{ID},2,\n");
            let (rows, wrong) = read(text.as_bytes()).unwrap();
            assert_eq!(rows.len(), 2, "{row}");
            let [bad] = wrong.as_slice() else {
                panic!("{row}: {wrong:?}");
            };
            assert!(
                bad.why.starts_with(says) || bad.why.contains(says),
                "{row}: {bad}"
            );
            assert_eq!(bad.line, 4, "{row}");
            assert!(!bad.to_string().contains("4111"));
        }
    }
}
