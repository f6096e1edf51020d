//! What there is to say of an acquirer before anything is sent: its name, hosts, settings and abilities.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;

use crate::{Capabilities, Connector, connectors};

/// An acquirer, described. Each connector's module has one, `ABOUT`.
pub struct About {
    /// Spelling in the configuration, and the name of its folder here, in `docs/acquirers` and in `ivrpay-sim`.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it can do where nothing is left out that may be; a connector that was made says what it can do itself ([`Connector::about`]).
    pub capabilities: Capabilities,
    /// Its own addresses; `None` where each merchant has his own, or where nothing is sent.
    pub hosts: Option<Hosts>,
    /// Whether it asks for user and password of HTTP Basic.
    pub basic: bool,
    /// Whether it takes card numbers only from merchants who have a contract about it.
    pub raw_pan: bool,
    /// What else it has to be told.
    pub settings: &'static [Setting],
    /// What is known of its test system.
    pub sandbox: Sandbox,
    /// Makes the connector from settings that [`configured`] has looked at.
    pub make: fn(&Settings) -> Result<Box<dyn Connector>, SettingError>,
}

/// Addresses of an acquirer, without the path that its requests bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    /// For tests.
    pub test: &'static str,
    /// Where money moves; `None` where every merchant is given his own.
    pub live: Option<&'static str>,
    /// Others that are known to be the one or the other; one that begins with a hyphen is the end of each merchant's own.
    pub others: &'static [(&'static str, Mode)],
}

impl Hosts {
    /// Which of the two is behind an address, where that is known; `None` too where one host is both.
    #[must_use]
    pub fn mode_of(&self, url: &str) -> Option<Mode> {
        let asked = host(url).to_ascii_lowercase();
        let is = |own: &str| asked == own || own.starts_with('-') && asked.ends_with(own);
        let test = is(host(self.test));
        let live = self.live.is_some_and(|live| is(host(live)));
        match (test, live) {
            (true, false) => Some(Mode::Test),
            (false, true) => Some(Mode::Live),
            (true, true) => None,
            (false, false) => {
                let other = self.others.iter().find(|(own, _)| is(own));
                other
                    .map(|(_, mode)| *mode)
                    .or_else(|| self.numbered(&asked))
            }
        }
    }

    /// Where the live host is `p01.` and the test host `pt01.`, another number is another shop's: `p` and digits move money.
    fn numbered(&self, asked: &str) -> Option<Mode> {
        let live = self.live.map(host)?;
        let mut known = self.others.iter().map(|(own, _)| *own).chain([live]);
        let (label, domain) = asked.split_once('.')?;
        let number = |label: &str, before: &str| {
            label
                .strip_prefix(before)
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        let is_ours = |own: &str| {
            own.split_once('.')
                .is_some_and(|(first, rest)| rest == domain && number(first, "p"))
        };
        if !known.any(is_ours) {
            return None;
        }
        match label {
            label if number(label, "pt") => Some(Mode::Test),
            label if number(label, "p") => Some(Mode::Live),
            _ => None,
        }
    }
}

/// The host of an address, without its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split([':', '/', '?', '#']).next().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

/// A test system, as its acquirer has published it: for `ivrpay connector test`.
#[derive(Clone, Copy)]
pub struct Sandbox {
    /// A card that it approves; `None` where each merchant has his own.
    pub approved: Option<TestCard>,
    /// A card that it refuses.
    pub declined: Option<TestCard>,
    /// Whether an operation that comes twice is refused, or answered as before, and not done twice.
    pub knows_doubles: bool,
}

impl Sandbox {
    /// No published cards, and no operation is done twice.
    pub const NO_CARDS: Self = Self {
        approved: None,
        declined: None,
        knows_doubles: true,
    };
}

/// A published test card. Its digits are no secret; nothing prints it all the same.
#[derive(Clone, Copy)]
pub struct TestCard {
    /// Number.
    pub number: &'static str,
    /// `MMYY`, where only this one is right; else any later month.
    pub expiry: Option<&'static str>,
    /// Security code.
    pub code: &'static str,
}

impl TestCard {
    /// With any later month.
    #[must_use]
    pub const fn new(number: &'static str, code: &'static str) -> Self {
        Self {
            number,
            expiry: None,
            code,
        }
    }
}

/// A thing that a connector has to be told.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name in `[connectors.NAME.parameters]` or `[connectors.NAME.secrets]`.
    pub name: &'static str,
    /// Whether it is read from a file of its own and never shown.
    pub secret: bool,
    /// Whether it must be there.
    pub required: bool,
    /// Longest, bytes.
    pub max: usize,
    /// What it is, for an error and the documents.
    pub what: &'static str,
    /// Whether a value that is there is as the acquirer gives it.
    pub good: fn(&str) -> bool,
}

impl Setting {
    /// A required text.
    #[must_use]
    pub const fn text(name: &'static str, max: usize, what: &'static str) -> Self {
        Self {
            name,
            secret: false,
            required: true,
            max,
            what,
            good: |_| true,
        }
    }

    /// The same, of a form that can be looked at.
    #[must_use]
    pub const fn checked(self, good: fn(&str) -> bool) -> Self {
        Self { good, ..self }
    }

    /// A required secret.
    #[must_use]
    pub const fn secret(name: &'static str, max: usize, what: &'static str) -> Self {
        Self {
            secret: true,
            ..Self::text(name, max, what)
        }
    }

    /// The same, and it may be left out.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            required: false,
            ..self
        }
    }
}

/// Whether money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The acquirer's test system, or a simulator.
    Test,
    /// Money moves.
    Live,
}

impl Mode {
    /// Spelling in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// What a merchant has said about his contract with an acquirer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether money moves.
    pub mode: Mode,
    /// `raw_pan = "contracted"`: the merchant says that his contract lets him send card numbers.
    pub raw_pan: bool,
    /// Texts.
    pub parameters: BTreeMap<String, String>,
    /// Secrets, each read from a file.
    pub secrets: BTreeMap<String, SecretString>,
}

impl Settings {
    /// Nothing said.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Self {
            mode,
            raw_pan: false,
            parameters: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// A text; empty where it may be left out and was.
    pub(crate) fn text(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_default()
    }

    /// A secret; empty where it may be left out and was.
    pub(crate) fn secret(&self, name: &str) -> SecretString {
        self.secrets.get(name).cloned().unwrap_or_default()
    }

    /// A text and a secret that may be left out, but only together. Each by its name, and what it is to the other.
    pub(crate) fn pair(
        &self,
        (text, text_what): (&'static str, &'static str),
        (secret, secret_what): (&'static str, &'static str),
    ) -> Result<Option<(String, SecretString)>, SettingError> {
        use secrecy::ExposeSecret;
        let pair = (self.text(text), self.secret(secret));
        match (pair.0.is_empty(), pair.1.expose_secret().is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(pair)),
            (true, false) => Err(SettingError::Missing {
                name: text,
                what: text_what,
                secret: false,
            }),
            (false, true) => Err(SettingError::Missing {
                name: secret,
                what: secret_what,
                secret: true,
            }),
        }
    }
}

/// Why a connector can't be made from its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A name that this acquirer has not.
    #[error("`{name}` is no setting of this acquirer; it has {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
        /// Whether it stands among the secrets.
        secret: bool,
    },
    /// One is missing.
    #[error("`{name}` is missing: {what}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What it is.
        what: &'static str,
        /// Whether it belongs among the secrets.
        secret: bool,
    },
    /// A secret stands among the texts, or the other way round.
    #[error("`{name}` is {what}", what = if *secret { "a secret: write it into a file, and the file's name under secrets" } else { "no secret: write it under parameters" })]
    Place {
        /// Its name.
        name: &'static str,
        /// Whether it is a secret.
        secret: bool,
    },
    /// Longer than the acquirer takes.
    #[error("`{name}` is longer than the {max} bytes that this acquirer takes: {what}")]
    Long {
        /// Its name.
        name: &'static str,
        /// Most bytes; a letter of Japanese has three.
        max: usize,
        /// What it is.
        what: &'static str,
        /// Whether it is a secret.
        secret: bool,
    },
    /// Of the wrong letters, or of a wrong form.
    #[error("`{name}` is not as this acquirer gives it: {what}")]
    Value {
        /// Its name.
        name: String,
        /// What it should be.
        what: &'static str,
        /// Whether it is a secret.
        secret: bool,
    },
    /// Card numbers without a word about the contract.
    #[error(
        "this acquirer takes card numbers only from merchants whose contract says so; if yours does, set raw_pan = \"contracted\" (docs/acquirers has a letter to ask for it)"
    )]
    RawPan,
}

impl SettingError {
    /// The key of `[connectors.NAME]` at which it is.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::RawPan => "raw_pan",
            Self::Unknown { secret, .. }
            | Self::Missing { secret, .. }
            | Self::Long { secret, .. }
            | Self::Value { secret, .. }
                if *secret =>
            {
                "secrets"
            }
            Self::Place { secret: false, .. } => "secrets",
            _ => "parameters",
        }
    }
}

/// One of the connectors that there are.
#[derive(Clone, Copy)]
pub struct Kind(&'static About);

impl Kind {
    /// The "Generic Pay" contract: an HTTPS endpoint of the merchant or of a payment provider.
    pub const GENERIC: Self = Self(&crate::generic::ABOUT);
    /// Training and canary calls: nothing leaves, no money moves.
    pub const NULL: Self = Self(&crate::null::ABOUT);

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        connectors::ALL.iter().copied().map(Self)
    }

    /// What there is to say of it before it is configured.
    #[must_use]
    pub const fn about(self) -> &'static About {
        self.0
    }

    /// Spelling in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether it sends anything, and so needs an [`crate::EndpointConfig`].
    #[must_use]
    pub fn needs_endpoint(self) -> bool {
        self != Self::NULL
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Kind {}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No connector of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown acquirer kind; known are {known}", known = Kind::all().map(Kind::name).collect::<Vec<_>>().join(", "))]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::all().find(|k| k.name() == text).ok_or(UnknownKind)
    }
}

/// The connector of that kind, from the merchant's settings.
///
/// # Errors
/// [`SettingError`]: the first thing that is wrong with them.
pub fn configured(kind: Kind, settings: &Settings) -> Result<Box<dyn Connector>, SettingError> {
    let about = kind.about();
    if about.raw_pan && !settings.raw_pan {
        return Err(SettingError::RawPan);
    }
    // The generic contract leaves the names to the merchant, and looks at them itself.
    if kind != Kind::GENERIC {
        look_at(about, settings)?;
    }
    (about.make)(settings)
}

fn look_at(about: &About, settings: &Settings) -> Result<(), SettingError> {
    let given = settings.parameters.keys().map(|name| (name, false));
    let given = given.chain(settings.secrets.keys().map(|name| (name, true)));
    for (name, secret) in given {
        let setting = about.settings.iter().find(|s| s.name == name);
        let Some(setting) = setting else {
            let known: Vec<_> = about.settings.iter().map(|s| s.name).collect();
            return Err(SettingError::Unknown {
                name: name.clone(),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
                secret,
            });
        };
        if setting.secret != secret {
            return Err(SettingError::Place {
                name: setting.name,
                secret: setting.secret,
            });
        }
    }
    for setting in about.settings {
        use secrecy::ExposeSecret;
        let value = if setting.secret {
            settings
                .secrets
                .get(setting.name)
                .map(|s| s.expose_secret())
        } else {
            settings.parameters.get(setting.name).map(String::as_str)
        };
        match value {
            None | Some("") if setting.required => {
                return Err(SettingError::Missing {
                    name: setting.name,
                    what: setting.what,
                    secret: setting.secret,
                });
            }
            // What is wrong in form, too, is told by its form.
            Some(value)
                if value.chars().any(char::is_control)
                    || !(value.is_empty() || (setting.good)(value)) =>
            {
                return Err(SettingError::Value {
                    name: setting.name.to_owned(),
                    what: setting.what,
                    secret: setting.secret,
                });
            }
            Some(value) if value.len() > setting.max => {
                return Err(SettingError::Long {
                    name: setting.name,
                    max: setting.max,
                    what: setting.what,
                    secret: setting.secret,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_an_address() {
        use Mode::{Live, Test};
        for (name, url, mode) in [
            ("gmo", "https://pt01.mul-pay.jp/payment", Some(Test)),
            ("gmo", "https://P01.mul-pay.jp:443/payment", Some(Live)),
            ("gmo", "https://pt01.smbc-gp.co.jp/payment", Some(Test)),
            ("gmo", "https://p01.smbc-gp.co.jp/payment", Some(Live)),
            ("gmo", "https://127.0.0.1:8443/p01.mul-pay.jp", None),
            // Another number is another shop's.
            ("gmo", "https://pt02.mul-pay.jp/payment", Some(Test)),
            ("gmo", "https://p02.smbc-gp.co.jp./payment", Some(Live)),
            ("gmo", "https://px.mul-pay.jp/payment", None),
            ("gmo", "https://p02.example.com/payment", None),
            ("adyen", "https://checkout-test.adyen.com/v72", Some(Test)),
            (
                "adyen",
                "https://1797a841fbb37ca7-Shop-checkout-live.adyenpayments.com/checkout/v72",
                Some(Live),
            ),
            (
                "adyen",
                "https://checkout-live.adyenpayments.com.example.com",
                None,
            ),
            ("hyperswitch", "https://sandbox.hyperswitch.io", Some(Test)),
            // One host is both.
            ("stripe", "https://api.stripe.com/v1", None),
            ("zeus", "https://linkpt.cardservice.co.jp/cgi-bin", None),
        ] {
            let kind: Kind = name.parse().unwrap();
            assert_eq!(kind.about().hosts.unwrap().mode_of(url), mode, "{url}");
        }
    }

    #[test]
    fn names_read_back_and_stand_once() {
        let mut names: Vec<_> = Kind::all().map(Kind::name).collect();
        for kind in Kind::all() {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert!(kind.about().capabilities.charge, "{kind}");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!("no-such".parse::<Kind>(), Err(UnknownKind));
        assert!(UnknownKind.to_string().contains("generic"));
    }

    /// What each acquirer needs is asked for by name, and nothing else is taken.
    #[test]
    fn settings_are_asked_for_by_name() {
        for kind in Kind::all().filter(|k| *k != Kind::GENERIC) {
            let about = kind.about();
            let mut settings = Settings::new(Mode::Test);
            settings
                .parameters
                .insert("no_such".to_owned(), "1".to_owned());
            if about.raw_pan {
                assert_eq!(
                    configured(kind, &settings).err(),
                    Some(SettingError::RawPan)
                );
                settings.raw_pan = true;
            }
            let unknown = configured(kind, &settings).err();
            assert!(
                matches!(&unknown, Some(SettingError::Unknown { name, .. }) if name == "no_such"),
                "{kind}: {unknown:?}"
            );
            settings.parameters.clear();
            if let Some(first) = about.settings.iter().find(|s| s.required) {
                let missing = configured(kind, &settings).err();
                assert_eq!(
                    missing,
                    Some(SettingError::Missing {
                        name: first.name,
                        what: first.what,
                        secret: first.secret,
                    }),
                    "{kind}"
                );
                // Its length is told where that is all that is wrong.
                let long = "9".repeat(first.max + 1);
                let tells = if (first.good)(&long) {
                    format!("longer than the {} bytes", first.max)
                } else {
                    first.what.to_owned()
                };
                if first.secret {
                    let name = first.name.to_owned();
                    settings.secrets.insert(name, long.into());
                } else {
                    settings.parameters.insert(first.name.to_owned(), long);
                }
                let long = configured(kind, &settings).err().unwrap();
                assert!(long.to_string().contains(&tells), "{kind}: {long}");
                let place = if first.secret {
                    "secrets"
                } else {
                    "parameters"
                };
                assert_eq!(long.key(), place);
            }
        }
    }
}
