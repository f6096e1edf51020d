//! The calls whose cards are looked for: each has cards of its own, made at run time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use ivrpay_tests::acquirers::{Merchants, NAMES};
use ivrpay_tests::call::Call;
use ivrpay_tests::lab::{Lab, binary};

/// A made-up card.
#[derive(Clone)]
pub(crate) struct Card {
    pub(crate) pan: String,
    pub(crate) expiry: String,
    pub(crate) code: String,
}

/// Beginnings of published test numbers, with their lengths: Visa, Mastercard, JCB, American Express, Diners Club, UnionPay.
const BINS: &[(&str, usize)] = &[
    ("424242", 16),
    ("520082", 16),
    ("353011", 16),
    ("378282", 15),
    ("362272", 14),
    ("620550", 19),
];

/// How published test numbers of these begin, some of which stand in the program: the search knows a card by eight of its digits.
const PUBLISHED: &[&str] = &[
    "42424242", "52008282", "35301113", "37828224", "36227206", "62055000",
];

/// Cards are made here, and every one is written into the file of what is searched.
pub(crate) struct Wallet {
    cards: Vec<Card>,
    used: usize,
}

/// Security codes of one length that all cards share.
const CODES: usize = 8;

/// So many digits that nobody can foresee.
fn code(length: usize) -> String {
    let bytes = uuid::Uuid::new_v4();
    let digits = bytes.as_bytes().iter().take(length);
    digits.map(|b| char::from(b'0' + b % 10)).collect()
}

/// Whether nobody would write this number for another reason: 200, 127 and 443 stand everywhere.
fn rare(code: &str) -> bool {
    let mut digits: Vec<char> = code.chars().collect();
    digits.sort_unstable();
    digits.dedup();
    digits.len() == code.len() && !digits.contains(&'0') && !["127", "443"].contains(&code)
}

impl Wallet {
    /// Makes `count` cards of every brand in turn, and writes them to `path`, which only we can read.
    pub(crate) fn new(count: usize, path: &Path) -> anyhow::Result<Self> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let each = count.div_ceil(BINS.len());
        let mut brands: Vec<Vec<Card>> = Vec::new();
        for (bin, length) in BINS {
            let output = Command::new(binary("ivrpay-sim")?)
                .args(["card", "--bin", bin])
                .args(["--length", &length.to_string()])
                // One in a hundred begins as the published one does.
                .args(["--count", &(2 * each + 8).to_string()])
                .output()?;
            ensure!(output.status.success(), "no cards could be made");
            let text = String::from_utf8(output.stdout)?;
            let cards = text.lines().filter_map(|line| {
                let mut words = line.split_whitespace();
                Some(Card {
                    pan: words.next()?.to_owned(),
                    expiry: words.next()?.to_owned(),
                    code: words.next()?.to_owned(),
                })
            });
            let is_published = |card: &Card| PUBLISHED.iter().any(|p| card.pan.starts_with(p));
            let cards: Vec<Card> = cards
                .filter(|card| !is_published(card))
                .take(each)
                .collect();
            ensure!(cards.len() == each, "too few cards were made");
            brands.push(cards);
        }
        let mut cards: Vec<Card> = (0..each)
            .flat_map(|i| brands.iter().filter_map(move |brand| brand.get(i).cloned()))
            .collect();
        // With a code of its own for each of a thousand cards, every number of three digits would be one.
        for length in [3, 4] {
            let some: Vec<String> = std::iter::repeat_with(|| code(length))
                .filter(|code| rare(code))
                .take(CODES)
                .collect();
            let of_length = cards.iter_mut().filter(|card| card.code.len() == length);
            for (card, code) in of_length.zip(some.iter().cycle()) {
                card.code.clone_from(code);
            }
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        for card in &cards {
            writeln!(file, "{} {} {}", card.pan, card.expiry, card.code)?;
        }
        Ok(Self { cards, used: 0 })
    }

    pub(crate) fn next(&mut self) -> anyhow::Result<Card> {
        self.used += 1;
        let card = self.cards.get(self.used - 1).cloned();
        card.context("too few cards were made for these calls")
    }

    /// The next one whose number has so many digits: not every acquirer has a field for 19.
    fn next_of(&mut self, digits: usize) -> anyhow::Result<Card> {
        let rest = self.cards.get_mut(self.used..).unwrap_or_default();
        let at = rest.iter().position(|card| card.pan.len() == digits);
        rest.swap(0, at.context("no card of that length is left")?);
        self.next()
    }

    pub(crate) fn made(&self) -> usize {
        self.cards.len()
    }
}

impl Card {
    /// The keys of a whole payment.
    pub(crate) fn keys(&self) -> String {
        format!(
            "wait:payment-amount 1 wait:payment-card-number {}# wait:expiration-date {} wait:security-code {} wait:confirmation 1",
            self.pan, self.expiry, self.code
        )
    }

    /// So much of the number that it is none: of some brands not every number has a check digit.
    fn wrong(&self) -> &str {
        self.pan.split_at(11).0
    }
}

/// A call, and any of these is how it has to end.
pub(crate) struct Planned {
    pub(crate) name: &'static str,
    pub(crate) call: Call,
    pub(crate) results: &'static [&'static str],
}

/// Orders that are announced to the line without an operator.
pub(crate) const ORDERS: [&str; 2] = ["2048163", "5790426"];

const SUCCESS: &[&str] = &["success"];
const HUNG_UP: &[&str] = &["caller-hung-up"];
const UNKNOWN: &[&str] = &["outcome-unknown"];
const EITHER: &[&str] = &["caller-hung-up", "success"];
const FAILED: &[&str] = &["payment-connector-error"];
const PAID_OR_UNKNOWN: &[&str] = &["success", "outcome-unknown"];

/// Acquirers at which a card may be kept until its answer.
pub(crate) const KEEPING: [&str; 2] = ["stripe", "adyen"];
/// Booked, and the connection closed instead of an answer.
const CLOSES: u64 = 9005;

/// One at each acquirer; and where the card is kept until its answer, one whose answer does not come.
pub(crate) fn acquirers(
    lab: &Lab,
    wallet: &mut Wallet,
    merchants: &Merchants,
) -> anyhow::Result<Vec<Planned>> {
    let paid = NAMES.map(|name| (name, 1500, SUCCESS));
    let kept = KEEPING.map(|name| (name, CLOSES, PAID_OR_UNKNOWN));
    paid.into_iter()
        .chain(kept)
        .map(|(name, amount, results)| {
            let call = merchants.call(lab, name, amount, wallet.next_of(16)?.keys())?;
            Ok(Planned {
                name,
                call,
                results,
            })
        })
        .collect()
}

/// Every ending, once.
pub(crate) fn endings(lab: &Lab, wallet: &mut Wallet) -> anyhow::Result<Vec<Planned>> {
    let mut all = Vec::new();
    let mut add = |name, extension: &str, keys: String, results| {
        all.push(Planned {
            name,
            call: Call::new(extension, keys),
            results,
        });
    };
    // One of each brand.
    for _ in BINS {
        add("paid", "7711200", wallet.next()?.keys(), SUCCESS);
    }
    add(
        "paid, recorded, English",
        "7411200",
        wallet.next()?.keys(),
        SUCCESS,
    );
    add("self-service", "751200", wallet.next()?.keys(), SUCCESS);
    let [first, second] = ORDERS;
    let keys = format!(
        "wait:order , {first}# wait:confirm ,, 1 {}",
        wallet.next()?.keys()
    );
    add("the line without an operator", "72", keys, SUCCESS);
    let early = wallet.next()?.pan;
    let keys = format!(
        "wait:order , {early}# wait:order/card-number sleep:14500 {second}# wait:confirm ,, 1 {}",
        wallet.next()?.keys()
    );
    add("a card keyed for an order number", "72", keys, SUCCESS);
    let card = wallet.next()?;
    let keys = card
        .keys()
        .replacen("wait:expiration-date ", "", 1)
        .replacen("wait:security-code ", "", 1);
    add("typed ahead", "7721200", keys, SUCCESS);
    let card = wallet.next()?;
    let keys = card.keys().replacen(
        &format!("{}#", card.pan),
        &format!(
            "{}# wait:payment-card-number/invalid-card-number , {}#",
            card.wrong(),
            card.pan
        ),
        1,
    );
    add("number corrected", "7711200", keys, SUCCESS);
    let card = wallet.next()?;
    let (half, _) = card.pan.split_at(12);
    let keys = card.keys().replacen(
        &format!("{}#", card.pan),
        &format!("{half}*{}#", card.pan),
        1,
    );
    add("number cleared with *", "7711200", keys, SUCCESS);
    let (first, second) = (wallet.next()?, wallet.next()?);
    let keys = first.keys().replacen(
        "wait:confirmation 1",
        &format!(
            "wait:confirmation 2 wait:payment-card-number , {}# wait:expiration-date {} wait:security-code {} wait:confirmation 1",
            second.pan, second.expiry, second.code
        ),
        1,
    );
    add(
        "refused at the confirmation, another card",
        "7711200",
        keys,
        SUCCESS,
    );
    let card = wallet.next()?;
    let wrong = card.wrong();
    add(
        "three wrong numbers",
        "7711200",
        format!(
            "wait:payment-amount 1 wait:payment-card-number {wrong}# wait:payment-card-number/invalid-card-number , {wrong}# wait:payment-card-number/invalid-card-number , {wrong}#"
        ),
        &["too-many-failed-attempts"],
    );
    let card = wallet.next()?;
    add(
        "the operator is asked for",
        "7711200",
        format!(
            "wait:payment-amount 1 wait:payment-card-number {}# wait:expiration-date * , , *",
            card.pan
        ),
        &["caller-interrupted-with-star"],
    );
    for (name, amount, then, results) in [
        ("declined: pick up", 9456, "wait:card-declined , 2", FAILED),
        ("declined: no cover", 9430, "wait:card-declined , 2", FAILED),
        ("acquirer: never answers", 9002, "", UNKNOWN),
        ("acquirer: closes", 9005, "", UNKNOWN),
        ("acquirer: cut", 9007, "", UNKNOWN),
        ("acquirer: 500", 9010, "", UNKNOWN),
        ("acquirer: 10 MB", 9012, "", UNKNOWN),
    ] {
        add(
            name,
            &format!("771{amount}"),
            format!("{} {then}", wallet.next()?.keys()),
            results,
        );
    }
    for (name, until, results) in [
        ("hang-up: number", "wait:expiration-date", HUNG_UP),
        ("hang-up: expiry", "wait:security-code", HUNG_UP),
        ("hang-up: code", "wait:confirmation", HUNG_UP),
        ("hang-up: processing", "", EITHER),
    ] {
        let keys = wallet.next()?.keys();
        let mut keys = match keys.split_once(until) {
            Some((before, _)) if !until.is_empty() => before.to_owned(),
            _ => keys,
        };
        if name == "hang-up: number" {
            // In the middle of it: without its last digit and the #.
            keys.truncate(keys.trim_end().len() - 2);
        }
        add(name, "7719001", format!("{keys} hangup"), results);
    }
    let info = wallet.next()?.keys();
    all.push(Planned {
        name: "paid, keys by SIP INFO",
        call: Call::new("7711200", info).with(&["--dtmf", "info"]),
        results: SUCCESS,
    });
    for name in ["paid, keys in-band", "paid, keys in-band and recorded"] {
        let extension = match name {
            "paid, keys in-band" => "7711200",
            _ => "7411200",
        };
        let keys = wallet.next()?.keys();
        all.push(Planned {
            name,
            call: Call::new(extension, keys).with(&[
                "--dtmf",
                "inband",
                "--bind",
                lab.get("INBAND_IP")?,
            ]),
            results: SUCCESS,
        });
    }
    Ok(all)
}
