//! Operations that are no payments: those of a connector's test (`ivrpay connector test`).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ivrpay_payment::{AcquirerOrder, Durable, Intent};
use serde_json::json;

use crate::journal::acquirer_order_floor;

/// A file in which each operation stands, synced, before it goes out: a line of JSON each. The journal knows nothing of them, so that no
/// list of payments and no report does.
pub struct Rehearsal {
    file: File,
    next: u64,
}

impl Rehearsal {
    /// A new file, which only its owner may read.
    ///
    /// # Errors
    /// When it is there already, or can't be written.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // The name is on disk as well.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        Ok(Self {
            file,
            next: acquirer_order_floor(now_ms).cast_unsigned(),
        })
    }

    /// An order number, as payments have them: neither they nor another installation give the same one.
    ///
    /// # Panics
    /// Never: there are ten times as many numbers as milliseconds until the year 2286.
    #[must_use]
    pub fn order(&mut self) -> AcquirerOrder {
        self.next += 1;
        AcquirerOrder::new(self.next).expect("within seventeen digits")
    }

    /// Writes and syncs.
    ///
    /// # Errors
    /// The disk's; it may not be sent then.
    pub fn write(&mut self, intent: Intent) -> io::Result<Durable<Intent>> {
        let line = json!({
            "operation": intent.operation_id, "kind": intent.kind.name(), "amount_minor": intent.amount.minor(),
            "currency": intent.amount.currency().code(), "acquirer_order": intent.acquirer_order.to_string(),
        });
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.file.sync_data()?;
        Ok(Durable::attest(intent))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_of_its_own_and_numbers_that_grow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let mut rehearsal = Rehearsal::begin(&path).unwrap();
        let (first, second) = (rehearsal.order(), rehearsal.order());
        assert!(first < second && first.to_string().starts_with('1'));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Rehearsal::begin(&path).is_err(), "nothing is overwritten");
    }
}
