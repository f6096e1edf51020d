//! Scripts of keys and waits; the whole transcript is a snapshot. See `scripts/README.md` for the words of a script.

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{Runner, key, offers, outcome, setup, step};
use ivrpay_dialogue::{Command, NotWritten, Settings, keyed};
use ivrpay_payment::{Action, Brand, Reason, Transaction, Truncated};

#[test]
fn transcripts() {
    common::transcripts("scripts", 30, "../snapshots", play);
}

/// Who tries cards that are not his hears the same words at the same times, whatever the reason of a decline is, whether it is for good,
/// and whatever the code allows: through the menu to the operator, and through all cards that a call may have.
#[test]
fn every_decline_sounds_the_same() {
    const CARD: &str = "wait payment-card-number\nkeys 4111111111111111#1228123\nwait confirmation\nhear\nkeys 1\nwait card-declined\nhear\n";
    let begin = "wait payment-amount\nhear\nkeys 1\n";
    let two = format!("{begin}{CARD}keys 2\nend payment-connector-error");
    let all = format!(
        "{begin}{}end too-many-failed-attempts",
        format!("{CARD}keys 1\n").repeat(3)
    );
    let keyed_out = all.replacen("wait card-declined\nhear\nkeys 1\nend", "end", 1);
    let hangs_up = format!("{begin}{CARD}hang-up\nend caller-hung-up");
    let actions = Action::ALL.into_iter().map(Action::name).chain([""]);
    let answers: Vec<String> = actions
        .flat_map(|action| {
            Reason::ALL.into_iter().flat_map(move |reason| {
                ["", "!"].map(|hard| format!("{}{hard}/{action}", reason.name()))
            })
        })
        .collect();
    for setup in ["", "setup self-service\n", "setup operator-keys\n"] {
        for script in [&two, &keyed_out, &hangs_up] {
            let heard = |answer: &String| {
                let answers = format!("acquirer {answer}\n").repeat(3);
                let played = play(answer, &format!("{setup}{answers}{script}"));
                played.replace(answer.split(['!', '/']).next().unwrap_or_default(), "…")
            };
            let first = heard(&answers[0]);
            assert!(first.contains("declined …"), "{first}");
            for answer in &answers {
                assert_eq!(heard(answer), first, "{setup}{answer}");
            }
        }
    }
}

fn play(name: &str, script: &str) -> String {
    let lines: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("//"))
        .collect();
    let (mut call_setup, mut rest) = (setup(1_500), lines.as_slice());
    let mut settings = Settings::default();
    while let Some((first, behind)) = rest.split_first() {
        let Some(given) = first.strip_prefix("setup ") else {
            break;
        };
        for word in given.split_whitespace() {
            match word {
                "self-service" => call_setup.attended = false,
                "training" => call_setup.training = true,
                "no-greeting" => call_setup.greeting = false,
                "amount-confirmed" => call_setup.amount_confirmed = true,
                "no-code" => call_setup.security_code = false,
                "can-pause" => call_setup.can_pause = true,
                "operator-keys" => {
                    call_setup.operator_keys = true;
                    settings = keyed::settings(&settings);
                }
                "plans" => call_setup.offers = offers(),
                "not-at-once" => {
                    let brands = call_setup.rules.brands.clone();
                    let carried = offers().carried(&brands, |plan, _| !plan.is_lump_sum());
                    call_setup.offers = carried;
                }
                "reference" => call_setup.reference = Some(4_711),
                "tokenize" => call_setup.transaction = Transaction::Tokenise,
                "verify" => call_setup.transaction = Transaction::Verify,
                "stored" => call_setup.stored = Truncated::new(Brand::Jcb, [0, 5, 0, 5]),
                _ => match word.strip_prefix("plan=") {
                    Some(plan) => call_setup.plan = Some(plan.parse().expect("a plan")),
                    None => panic!("{name}: no such setup: {word}"),
                },
            }
        }
        rest = behind;
    }
    let mut runner = Runner::new(settings, call_setup);
    for line in rest {
        obey(name, &mut runner, line);
    }
    assert!(
        runner.end.is_some(),
        "{name}: the script stops before the call ends\n{}",
        runner.transcript
    );
    runner.transcript
}

fn obey(name: &str, runner: &mut Runner, line: &str) {
    let mut words = line.split_whitespace();
    let verb = words.next().expect("empty lines are left out");
    let (options, plain): (Vec<&str>, Vec<&str>) = words.partition(|w| w.contains('='));
    let options: HashMap<&str, &str> = options
        .into_iter()
        .filter_map(|o| o.split_once('='))
        .collect();
    let span = |key: &str, default: u64| {
        Duration::from_millis(options.get(key).map_or(default, |ms| {
            ms.parse().unwrap_or_else(|_| panic!("{name}: {line}"))
        }))
    };
    let word = plain.first().copied().unwrap_or_default();
    match verb {
        "wait" => {
            let wanted = step(word);
            assert!(
                runner.until(|r| r.step == Some(wanted)),
                "{name}: `{line}` never comes\n{}",
                runner.transcript
            );
        }
        "hear" => assert!(runner.until(|r| !r.playing()), "{name}: it never ends"),
        "keys" => {
            for c in word.chars() {
                runner.key(span("gap", 250), key(c), span("held", 100));
            }
        }
        // Each key as two events, `lag` apart; `first=single`: but the first.
        "doubled" => {
            for (n, c) in word.chars().enumerate() {
                runner.key(span("gap", 250), key(c), span("held", 100));
                if n > 0 || options.get("first") != Some(&"single") {
                    runner.key(span("lag", 5), key(c), span("second-held", 100));
                }
            }
        }
        "pause" => {
            let seconds: f64 = word.trim_end_matches('s').parse().expect("seconds");
            runner.advance(runner.now.plus(Duration::from_secs_f64(seconds)));
        }
        "acquirer" => runner.acquirer.push_back(outcome(word)),
        "acquirer-after" => {
            runner.acquirer_after =
                Duration::from_secs(word.trim_end_matches('s').parse().expect("seconds"))
        }
        "journal" => match word {
            "failed" => runner.journal.push_back(Some(NotWritten::Failed)),
            "taken" => runner.journal.push_back(Some(NotWritten::OrderTaken)),
            "plan-refused" => runner.journal.push_back(Some(NotWritten::PlanNotOffered)),
            _ => panic!("{name}: {line}"),
        },
        "journal-after" => {
            runner.journal_after =
                Duration::from_secs(word.trim_end_matches('s').parse().expect("seconds"))
        }
        "hang-up" => runner.hang_up(),
        "keys-lost" => runner.keys_lost(),
        "cancel" => runner.command(Command::Cancel),
        "operator-pauses" => runner.command(Command::Pause),
        "resume" => runner.command(Command::Resume),
        "shutdown" => runner.command(Command::Shutdown),
        "re-ask" => runner.command(Command::ReAsk(step(word))),
        "end" => {
            assert!(
                runner.until(|r| r.end.is_some()),
                "{name}: it never ends\n{}",
                runner.transcript
            );
            if !word.is_empty() {
                assert_eq!(
                    runner.result().map(ivrpay_dialogue::CallResult::name),
                    Some(word),
                    "{name}\n{}",
                    runner.transcript
                );
            }
        }
        _ => panic!("{name}: no such word: {line}"),
    }
}
