//! `[tenants.receipt]`: how a merchant issues receipts, checked at the start down to the letters of its font.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ivrpay_receipt::{Font, Issuer, Language, Rounding, Template};
use ivrpay_web::Receipts;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::config::ConfigError;

/// Where Debian's `fonts-ipafont-gothic` has a font with Japanese letters.
const FONT: &str = "/usr/share/fonts/opentype/ipafont-gothic/ipagp.ttf";
/// Longest line of an address, and of a name.
const LINE_MAX: usize = 80;
/// Most lines of an address.
const ADDRESS_MAX: usize = 8;
/// Letters that every receipt may have, whatever its template.
const LETTERS: &str = "0123456789,.¥-%※年月日様再発行回目見本領収書適格返還請求返金明細内容税率額込抜消費等対象外下桁払割一括";

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReceipt {
    issuer: String,
    #[serde(default)]
    address: Vec<String>,
    registration_number: Option<String>,
    registered_on: Option<jiff::civil::Date>,
    tax_id: Option<String>,
    #[serde(default)]
    simplified: bool,
    purpose: Option<String>,
    rate: Option<String>,
    #[serde(default)]
    rounding: Rounding,
    language: Option<Language>,
    prefix: Option<String>,
    template_ja: Option<PathBuf>,
    template_en: Option<PathBuf>,
    font: Option<PathBuf>,
    #[serde(default)]
    font_face: u32,
}

/// Reads what it names, and judges it.
pub(crate) fn checked(
    at: &str,
    raw: RawReceipt,
    zone: &TimeZone,
    folder: &Path,
) -> Result<Arc<Receipts>, ConfigError> {
    let key = |key: &str| format!("{at}.{key}");
    let line = |name: &str, text: &str| {
        let good = !text.trim().is_empty()
            && text.chars().count() <= LINE_MAX
            && !text.chars().any(char::is_control);
        if good {
            Ok(text.to_owned())
        } else {
            let wants = format!("one line, 1 to {LINE_MAX} characters");
            Err(ConfigError::value(key(name), wants))
        }
    };
    if raw.address.len() > ADDRESS_MAX {
        let wants = format!("at most {ADDRESS_MAX} lines");
        return Err(ConfigError::value(key("address"), wants));
    }
    let address = raw.address.iter().map(|text| line("address", text));
    let registration = raw.registration_number.map(|text| {
        let number = text.parse();
        number.map_err(|error| ConfigError::value(key("registration_number"), error))
    });
    let rate = raw.rate.map(|text| {
        text.parse()
            .map_err(|error| ConfigError::value(key("rate"), error))
    });
    let language = raw.language.unwrap_or(Language::Ja);
    let prefix = raw.prefix.unwrap_or_else(|| "R-".to_owned());
    let is_prefix = prefix.len() <= 12
        && prefix
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    if !is_prefix || prefix.starts_with("TEST-") {
        let wants = "at most 12 of A to Z, 0 to 9 and -; TEST- in front is that of test payments";
        return Err(ConfigError::value(key("prefix"), wants));
    }
    let template = |name: &str, file: Option<&PathBuf>, language| {
        let text = match file {
            None => Template::built_in(language).to_owned(),
            Some(file) => {
                let path = folder.join(file);
                std::fs::read_to_string(&path).map_err(|error| {
                    ConfigError::value(key(name), format!("{}: {error}", path.display()))
                })?
            }
        };
        Template::read(&text).map_err(|error| {
            let file = file.map_or_else(|| Path::new("built in"), PathBuf::as_path);
            ConfigError::value(key(name), format!("{}, {error}", file.display()))
        })
    };
    let templates = [
        template("template_ja", raw.template_ja.as_ref(), Language::Ja)?,
        template("template_en", raw.template_en.as_ref(), Language::En)?,
    ];
    let issuer = Issuer {
        name: line("issuer", &raw.issuer)?,
        address: address.collect::<Result<_, _>>()?,
        registration: registration.transpose()?,
        registered_on: raw.registered_on,
        tax_id: raw.tax_id.map(|text| line("tax_id", &text)).transpose()?,
        simplified: raw.simplified,
        purpose: raw.purpose.map(|text| line("purpose", &text)).transpose()?,
        rate: rate.transpose()?,
        rounding: raw.rounding,
        language,
    };
    let font = font(&key, raw.font.as_deref(), raw.font_face, folder)?;
    let texts = [
        ("font", LETTERS),
        ("issuer", &*issuer.name),
        ("address", &*issuer.address.join("")),
        (
            "purpose",
            issuer.purpose.as_deref().unwrap_or("お品代として"),
        ),
        ("tax_id", issuer.tax_id.as_deref().unwrap_or_default()),
        ("template_ja", templates[0].text()),
        ("template_en", templates[1].text()),
    ];
    for (name, text) in texts {
        if let Some(letter) = font.lacks(&text.replace(['\r', '\t'], "")) {
            let wants = format!(
                "the font has no glyph for {letter:?}: name another font, or write it otherwise"
            );
            return Err(ConfigError::value(key(name), wants));
        }
    }
    Ok(Arc::new(Receipts {
        issuer,
        one_language: raw.language.is_some(),
        prefix,
        zone: zone.clone(),
        templates,
        font,
    }))
}

fn font(
    key: &impl Fn(&str) -> String,
    file: Option<&Path>,
    face: u32,
    folder: &Path,
) -> Result<Font, ConfigError> {
    let path = file.map_or_else(|| PathBuf::from(FONT), |file| folder.join(file));
    let data = std::fs::read(&path).map_err(|error| {
        let wants = format!(
            "{}: {error}; install fonts-ipafont-gothic, or name a font with the letters of your receipts",
            path.display()
        );
        ConfigError::value(key("font"), wants)
    })?;
    Font::new(data, face)
        .map_err(|error| ConfigError::value(key("font"), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{Folder, SAMPLE};

    #[test]
    fn receipts_are_checked_at_the_start() {
        let folder = Folder::new();
        folder.secret(
            "own.toml",
            "page = \"a4\"\n[[block]]\ntext = \"{titel}\"\n",
            0o600,
        );
        folder.secret("no-font.ttf", "no font", 0o600);
        let load = |rest: &str| {
            let table = format!("[tenants.receipt]\nissuer = \"みどり通販\"\n{rest}\n\n");
            let text = SAMPLE.replacen("#[tenants.receipt]\n", &table, 1);
            assert!(text.contains(&table), "{rest}");
            let config = folder.load(&text);
            config.map(|config| {
                config
                    .tenants
                    .iter()
                    .any(|tenant| tenant.receipts.is_some())
            })
        };
        assert!(
            load("registration_number = \"T7000012050002\"\nrate = \"10\"").is_ok_and(|has| has)
        );
        for (rest, says) in [
            (
                "registration_number = \"T7000012050003\"",
                "receipt.registration_number: the first digit",
            ),
            ("rate = \"ten\"", "receipt.rate: a rate is per cent"),
            ("prefix = \"r_\"", "receipt.prefix: at most 12"),
            ("prefix = \"TEST-A\"", "receipt.prefix: at most 12"),
            ("address = [\"\"]", "receipt.address: one line"),
            (
                "template_ja = \"own.toml\"",
                "receipt.template_ja: own.toml, line 3: there is no place {titel}",
            ),
            ("template_ja = \"none.toml\"", "receipt.template_ja: "),
            ("font = \"no-font.ttf\"", "receipt.font: "),
            (
                "purpose = \"\u{1F600}\"",
                "receipt.purpose: the font has no glyph",
            ),
            ("rounding = \"bankers\"", "rounding"),
        ] {
            let error = load(rest).map_err(|error| error.to_string());
            assert!(
                error.as_ref().is_err_and(|text| text.contains(says)),
                "{rest}: {error:?}"
            );
        }
    }
}
