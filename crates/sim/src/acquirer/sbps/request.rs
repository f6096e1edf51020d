//! How SBPS reads a request: charset, elements, sizes, 3DES and signature.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use encoding_rs::SHIFT_JIS;
use sha1::{Digest, Sha1};

use super::super::http::Received;
use super::super::xml::Element;
use super::{DES_IV, DES_KEY, HASH_KEY};

/// Type and item of a `res_err_code`, and the name of what was wrong.
pub(super) struct Refused(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) String,
);

pub(super) fn refused(kind: &'static str, item: &'static str) -> Refused {
    Refused(kind, item, String::new())
}

/// A function: its elements between `service_id` and `request_date`; `!` in front of one that has to be there.
pub(super) struct Function {
    pub(super) id: &'static str,
    pub(super) elements: &'static [&'static str],
}

const PURCHASE: &[&str] = &[
    "!cust_code",
    "!order_id",
    "!item_id",
    "item_name",
    "tax",
    "!amount",
    "free1",
    "free2",
    "free3",
    "order_rowno",
    "sps_cust_info_return_flg",
    "dtls",
    "!pay_method_info/cc_number",
    "!pay_method_info/cc_expiration",
    "pay_method_info/security_code",
    "pay_method_info/dealings_type",
    "pay_method_info/divide_times",
    "pay_option_manage/cust_manage_flg",
    "pay_option_manage/cardbrand_return_flg",
    "encrypted_flg",
];

const AFTER: &[&str] = &["!sps_transaction_id", "!tracking_id", "processing_datetime"];

const AFTER_WITH_AMOUNT: &[&str] = &[
    "!sps_transaction_id",
    "!tracking_id",
    "processing_datetime",
    "pay_option_manage/amount",
];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        id: "ST01-00111-101",
        elements: PURCHASE,
    },
    Function {
        id: "ST01-00131-101",
        elements: &[
            "!cust_code",
            "!order_id",
            "!item_id",
            "item_name",
            "tax",
            "!amount",
            "free1",
            "free2",
            "free3",
            "order_rowno",
            "sps_cust_info_return_flg",
            "dtls",
            "pay_method_info/dealings_type",
            "pay_method_info/divide_times",
            "pay_option_manage/token",
            "pay_option_manage/token_key",
            "pay_option_manage/cust_manage_flg",
            "pay_option_manage/cardbrand_return_flg",
            "encrypted_flg",
        ],
    },
    Function {
        id: "ST02-00101-101",
        elements: AFTER,
    },
    Function {
        id: "ST02-00201-101",
        elements: AFTER_WITH_AMOUNT,
    },
    Function {
        id: "ST02-00303-101",
        elements: AFTER,
    },
    Function {
        id: "ST02-00305-101",
        elements: AFTER,
    },
    Function {
        id: "ST02-00307-101",
        elements: AFTER_WITH_AMOUNT,
    },
    Function {
        id: "MG01-00101-101",
        elements: &[
            "!sps_transaction_id",
            "!tracking_id",
            "response_info_type",
            "pay_option_manage/cardbrand_return_flg",
            "encrypted_flg",
        ],
    },
    Function {
        id: "MG02-00101-101",
        elements: &[
            "!cust_code",
            "sps_cust_info_return_flg",
            "!pay_method_info/cc_number",
            "!pay_method_info/cc_expiration",
            "pay_method_info/security_code",
            "pay_method_info/resrv1",
            "pay_method_info/resrv2",
            "pay_method_info/resrv3",
            "pay_option_manage/cardbrand_return_flg",
            "encrypted_flg",
        ],
    },
];

/// Elements that stand in every request.
pub(super) const ALWAYS: [&str; 5] = [
    "!merchant_id",
    "!service_id",
    "!request_date",
    "limit_second",
    "!sps_hashcode",
];

/// Elements of type M: base64 of Shift_JIS.
const MULTIBYTE: [&str; 4] = ["item_name", "free1", "free2", "free3"];

/// Name, most bytes of the plain value, item of its errors, whether it holds digits alone.
const SIZES: &[(&str, usize, &str, bool)] = &[
    ("merchant_id", 5, "001", true),
    ("service_id", 3, "002", true),
    ("cust_code", 64, "003", false),
    ("order_id", 38, "004", false),
    ("item_id", 32, "005", false),
    ("item_name", 40, "006", false),
    ("tax", 7, "007", true),
    ("amount", 7, "008", true),
    ("request_date", 14, "023", true),
    ("limit_second", 4, "024", true),
    ("sps_hashcode", 40, "025", false),
    ("sps_transaction_id", 32, "026", false),
    ("tracking_id", 14, "027", true),
    ("processing_datetime", 14, "028", true),
    ("cc_number", 16, "200", true),
    ("cc_expiration", 6, "201", true),
    ("dealings_type", 2, "202", true),
    ("divide_times", 3, "203", true),
    ("security_code", 4, "209", true),
];

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn des(text: &[u8], decrypt: bool) -> Option<Vec<u8>> {
    let mut key = DES_KEY.as_bytes().to_vec();
    key.resize(24, 0);
    let mut bytes = text.to_vec();
    let blocks = |bytes: &mut Vec<u8>, of: &mut dyn FnMut(&mut [u8; 8])| {
        for block in bytes.as_chunks_mut::<8>().0 {
            of(block);
        }
    };
    if decrypt {
        if bytes.is_empty() || !bytes.len().is_multiple_of(8) {
            return None;
        }
        let mut cipher =
            cbc::Decryptor::<des::TdesEde3>::new_from_slices(&key, DES_IV.as_bytes()).ok()?;
        blocks(&mut bytes, &mut |block| {
            let mut one = Array::from(*block);
            cipher.decrypt_block(&mut one);
            *block = one.into();
        });
    } else {
        bytes.resize(bytes.len().next_multiple_of(8), b' ');
        let mut cipher =
            cbc::Encryptor::<des::TdesEde3>::new_from_slices(&key, DES_IV.as_bytes()).ok()?;
        blocks(&mut bytes, &mut |block| {
            let mut one = Array::from(*block);
            cipher.encrypt_block(&mut one);
            *block = one.into();
        });
    }
    Some(bytes)
}

pub(super) fn sealed(text: &str) -> String {
    STANDARD.encode(des(text.as_bytes(), false).unwrap_or_default())
}

/// A request whose values are plain text again: bytes of Shift_JIS, in the document's order.
pub(super) struct Plain {
    pub(super) id: &'static str,
    values: Vec<(String, Vec<u8>)>,
    pub(super) encrypted: bool,
}

impl Plain {
    pub(super) fn of(function: &'static Function, root: &Element) -> Result<Self, Refused> {
        let encrypted = root.at("encrypted_flg") == "1";
        let mut values = Vec::new();
        for (path, text) in root.leaves() {
            let name = last(&path);
            let format = || {
                let item = SIZES.iter().find(|s| s.0 == name).map_or("999", |s| s.2);
                Refused("06", item, path.clone())
            };
            let inside = path.starts_with("pay_method_info/");
            let plain = if text.is_empty() {
                Vec::new()
            } else if inside && encrypted {
                let sealed = STANDARD.decode(text).map_err(|_| format())?;
                let open = des(&sealed, true).ok_or_else(format)?;
                open.trim_ascii_end().to_vec()
            } else if MULTIBYTE.contains(&name) {
                STANDARD.decode(text).map_err(|_| format())?
            } else {
                let (bytes, _, lossy) = SHIFT_JIS.encode(text);
                if lossy {
                    return Err(format());
                }
                bytes.into_owned()
            };
            values.push((path.clone(), plain));
        }
        let all: Vec<&str> = function.elements.iter().chain(&ALWAYS).copied().collect();
        for name in all.iter().filter_map(|name| name.strip_prefix('!')) {
            if !values.iter().any(|(path, v)| path == name && !v.is_empty()) {
                let item = SIZES
                    .iter()
                    .find(|s| s.0 == last(name))
                    .map_or("999", |s| s.2);
                return Err(Refused("03", item, name.to_owned()));
            }
        }
        for (path, value) in &values {
            let Some(&(_, most, item, digits)) = SIZES.iter().find(|s| s.0 == last(path)) else {
                continue;
            };
            if value.len() > most {
                return Err(Refused("05", item, path.clone()));
            }
            if digits && !value.iter().all(u8::is_ascii_digit) {
                return Err(Refused("06", item, path.clone()));
            }
        }
        Ok(Self {
            id: function.id,
            values,
            encrypted,
        })
    }

    pub(super) fn get(&self, path: &str) -> &str {
        let found = self.values.iter().find(|(p, _)| p == path);
        found.map_or("", |(_, value)| std::str::from_utf8(value).unwrap_or(""))
    }

    pub(super) fn amount(&self, path: &str) -> Result<u64, Refused> {
        match self.get(path).parse() {
            Ok(amount) if amount > 0 => Ok(amount),
            _ => Err(refused("07", "008")),
        }
    }

    pub(super) fn is_signed(&self) -> bool {
        let mut digest = Sha1::new();
        for (path, value) in &self.values {
            if path != "sps_hashcode" {
                digest.update(value.trim_ascii());
            }
        }
        digest.update(HASH_KEY);
        let hash: String = digest
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        self.get("sps_hashcode") == hash
    }

    /// Whether it is still within the seconds that it names; 600 where it names none.
    pub(super) fn is_fresh(&self) -> bool {
        let limit = self.get("limit_second").parse().unwrap_or(600);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.as_secs());
        seconds(self.get("request_date")).is_some_and(|at| now.abs_diff(at) <= limit)
    }
}

/// `yyyyMMddHHmmss` in Japan as seconds since 1970 (days of the civil calendar from 1 March on).
fn seconds(text: &str) -> Option<u64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
    (days * 86_400 + hour * 3_600 + minute * 60 + second).checked_sub(719_468 * 86_400 + 9 * 3_600)
}

/// Bytes as a document of the acquirer's charset; `None` where they are none, or where it says that it is in another one.
pub(super) fn document(request: &Received) -> Option<String> {
    let kind = request.header("content-type")?.to_ascii_lowercase();
    let charset = kind
        .split(';')
        .find_map(|part| part.trim().strip_prefix("charset="));
    let text = SHIFT_JIS.decode_without_bom_handling_and_without_replacement(&request.body)?;
    let prolog = text.split("?>").next().unwrap_or_default();
    let named =
        prolog.contains("encoding=\"Shift_JIS\"") || prolog.contains("encoding='Shift_JIS'");
    (charset.is_none_or(|c| c == "shift_jis") && named).then(|| text.into_owned())
}
