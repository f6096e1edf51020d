//! Places at which `make crash` kills the process, and mistakes on purpose. A build with the feature `plant` has them; no other knows them.

use std::sync::OnceLock;

static POINT: OnceLock<fn(&str)> = OnceLock::new();

/// Who is told of each place.
pub fn tell(point: fn(&str)) {
    POINT.get_or_init(|| point);
}

pub(crate) fn point(name: &str) {
    if let Some(point) = POINT.get() {
        point(name);
    }
}

/// Whether this mistake was chosen.
pub(crate) fn is(name: &str) -> bool {
    std::env::var("IVRPAY_PLANT").is_ok_and(|chosen| chosen == name)
}
