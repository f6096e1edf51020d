use std::collections::BTreeMap;

use super::forms::{cards, planted};
use super::search::{Found, SPAN_MAX, Search};

fn corpus() -> (tempfile::TempDir, Vec<super::forms::Card>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards");
    let text: String = [
        ("424242", 16),
        ("378282", 15),
        ("305693", 14),
        ("621094", 19),
    ]
    .into_iter()
    .map(|(bin, length)| crate::card::card(bin, length) + "\n")
    .collect();
    std::fs::write(&path, text).unwrap();
    let cards = cards(&path).unwrap();
    (folder, cards)
}

fn found(search: &Search, data: &[u8], piece: usize) -> BTreeMap<&'static str, usize> {
    let mut found = Found::default();
    let (mut from, mut seen) = (0, 0);
    while from + seen < data.len() {
        let end = (from + seen + piece).min(data.len());
        search.feed(&data[from..end], seen, &mut found);
        let keep = SPAN_MAX.min(end);
        from = end - keep;
        seen = keep;
    }
    search.finish(&mut found);
    found
        .forms
        .into_iter()
        .map(|(form, seen)| (form, seen.count))
        .collect()
}

#[test]
fn every_form_of_every_length_is_found_and_noise_is_not() {
    let (_folder, cards) = corpus();
    let search = Search::new(&cards, super::forms::TEXT_DIGITS).unwrap();
    // Printable noise with as many digits as a busy log has, and zeroes as in a memory.
    let mut noise = vec![0_u8; 200_000];
    let mut state = 7_u64;
    for byte in &mut noise[..100_000] {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        *byte = b' ' + u8::try_from((state >> 40) % 64).unwrap();
    }
    assert_eq!(found(&search, &noise, 50_000), BTreeMap::new());
    for card in &cards {
        for plant in planted(card) {
            let (name, copy) = (plant.name, plant.bytes);
            for at in [0, 49_990, 120_000] {
                let mut data = noise.clone();
                data[at..at + copy.len()].copy_from_slice(&copy);
                let length = card.digits.len();
                assert!(
                    found(&search, &data, 50_000).contains_key(plant.form),
                    "{name}, {length} digits, at {at}"
                );
            }
        }
    }
}

#[test]
fn what_may_be_shown_is_not_found() {
    let (_folder, cards) = corpus();
    let search = Search::new(&cards, super::forms::TEXT_DIGITS).unwrap();
    for card in &cards {
        let last4: String = card.digits[card.digits.len() - 4..]
            .iter()
            .map(ToString::to_string)
            .collect();
        let text =
            format!("brand=visa last4={last4} **** **** **** {last4} \"digit\":\"x\" digits=16");
        assert_eq!(found(&search, text.as_bytes(), 4_096), BTreeMap::new());
        // A time that begins like a code, behind the name of a prompt.
        let code = &card.code;
        let text = format!("security-code-amex\",\"target_uri\":\"channel:{code}5698092.4\"");
        assert_eq!(found(&search, text.as_bytes(), 4_096), BTreeMap::new());
    }
}

#[test]
fn a_file_without_cards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards");
    for (text, why) in [
        ("", "empty"),
        ("4242\n", "not `PAN MMYY CODE`"),
        ("42x 1230 123\n", "14 to 19"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = cards(&path).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
}
