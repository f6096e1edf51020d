//! Both hang up, in every pair of steps; and the steps of one alone that `super::hang_ups` leaves out.

use super::*;

/// Where a customer hangs up: its name, the step, and what he does in it.
const AT: [(&str, &str, &str); 8] = [
    ("greeting", "greeting", "hangup"),
    ("amount", "payment-amount", "hangup"),
    ("number", "payment-card-number", "424242 hangup"),
    ("expiry", "expiration-date", "12 hangup"),
    ("code", "security-code", "12 hangup"),
    ("confirmation", "confirmation", "hangup"),
    // Who hangs up at once may do so before the charge is sent.
    ("processing", "payment-processing", "sleep:1000 hangup"),
    ("result", "payment-completed", "hangup"),
];
/// From this one on the charge is out.
const SENT: usize = 6;

/// In each run: at the same moment in the number, while the acquirer is asked, and one behind the other.
const USUAL: [(usize, usize, By); 3] = [(2, 2, By::Stay), (SENT, SENT, By::Hold), (2, 4, By::Hold)];

fn waits(by: By) -> &'static str {
    match by {
        By::Stay => "who stayed",
        By::Hold | By::Queue => "who waited",
    }
}

/// The keys up to a step, then what he does there.
fn upto(step: usize) -> String {
    let (_, name, does) = AT[step];
    let whole = keys(VISA, "1230", "123");
    let wait = format!("wait:{name}");
    let before = match name {
        "greeting" => "",
        // Behind all keys.
        "payment-processing" | "payment-completed" => whole.as_str(),
        _ => whole.split_once(&wait).map_or("", |(before, _)| before),
    };
    format!("hears:500 {before} {wait} {does}")
}

/// The operator hangs up in one step, his customer in the same or a later one: of an earlier one the operator would not know any other.
fn case_of(operator: usize, customer: usize, by: By) -> Case {
    let (his, hers) = (AT[operator], AT[customer]);
    let name = format!(
        "both hang up: the operator {} in {}, the customer in {}",
        waits(by),
        his.0,
        hers.0
    );
    let (results, states) = if customer < SENT {
        (HUNG_UP, WAITING)
    } else {
        (EITHER, PAID)
    };
    let leaves = if his.1 == "payment-processing" {
        "sleep:1000 hangup"
    } else {
        "hangup"
    };
    let mut case = case(&name, by)
        .customer(&upto(customer))
        .operator(&format!("{PRESS} wait:{} {leaves}", his.1))
        .ends(results, states);
    case.together = false;
    case.brief = customer == 0;
    if operator == SENT || customer == SENT {
        // Answered after 3 s.
        case.amounts = vec![9001];
    }
    case
}

/// The pairs of each run.
pub(super) fn usual() -> Vec<Case> {
    let cases = USUAL.into_iter();
    cases
        .map(|(operator, customer, by)| case_of(operator, customer, by))
        .collect()
}

/// All others, and who hangs up alone where it is not tried in each run.
pub(super) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for by in [By::Hold, By::Stay] {
        for customer in 0..AT.len() {
            for operator in 0..=customer {
                if !USUAL.contains(&(operator, customer, by)) {
                    all.push(case_of(operator, customer, by));
                }
            }
        }
        for step in [1, 3] {
            let name = format!(
                "the customer hangs up: {}, the operator {}",
                AT[step].0,
                stands(by)
            );
            all.push(
                case(&name, by)
                    .customer(&upto(step))
                    .operator(&format!("{PRESS} until-end"))
                    .ends(HUNG_UP, WAITING)
                    .customer_leaves(),
            );
        }
        for step in [0, 1, 3, 4, 7] {
            let (name, wait, _) = AT[step];
            let name = format!(
                "the operator hangs up: {name}, he {}, and is rung again",
                stands(by)
            );
            all.push(
                case(&name, by)
                    .operator(&format!("{PRESS} wait:{wait} hangup"))
                    .then(BACK),
            );
        }
    }
    all
}

fn stands(by: By) -> &'static str {
    match by {
        By::Stay => "stays",
        By::Hold | By::Queue => "waits",
    }
}
