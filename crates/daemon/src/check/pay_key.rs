//! The ring `pay-key`: whether a press of the operator's key would reach the service.
//!
//! The port is tried. What Asterisk has loaded (features, dialplan, globals) is asked over AMI, by the user of `ivrpay audit`; ARI shows none
//! of it. Where the dialplan gives nobody the key, PJSIP's endpoints are looked at, over ARI. What only a press shows (who may press, the
//! customer's side) is not judged here. Of the second way, without AGI, its own AMI user is tried.

mod user;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ivrpay_ari::{RequestError, Setting};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Verdict};
use crate::config::{Agi, Config};

const RING: &str = "pay-key";
/// Name of the feature (`asterisk-conf/ivrpay-features.conf`).
const FEATURE: &str = "ivrpay-pay";
/// That by which an operator keys a card himself.
const KEYED: &str = "ivrpay-pay-keyed";
/// Context of the dialplan that the key runs.
const CONTEXT: &str = "ivrpay-key";
/// Its extensions: the operator's part before, and what moves the two.
const EXTENSIONS: [&str; 2] = ["s", "go"];
/// The operator's part where he keys the card, and what asks without AGI.
const KEYED_EXTENSION: &str = "keyed";
const ASKS_EXTENSION: &str = "asks";
/// What makes the key ask without AGI.
const WAY: &str = "IVRPAY_KEY_WAY=ami";
/// Port of `agi://HOST` without one (`res/res_agi.c: AGI_PORT`).
const AGI_PORT: u16 = 4573;
/// Endpoints whose settings are asked for, one after the other.
const ENDPOINTS_MAX: usize = 500;
/// As long as Asterisk waits for a connection (`res/res_agi.c: MAX_AGI_CONNECT`).
const CONNECT_MAX: Duration = Duration::from_secs(2);

const ADD_FEATURE: &str = "include asterisk-conf/ivrpay-features.conf at the end of features.conf, or add below its [applicationmap]: ivrpay-pay => *9,self,Dial,\"Local/go@ivrpay-key/n,60,B(ivrpay-key^s^1)\",default; then `module reload features`";
const ADD_KEYED: &str = "add below [applicationmap] of features.conf: ivrpay-pay-keyed => *7,self,Dial,\"Local/go@ivrpay-key/n,60,B(ivrpay-key^keyed^1)\",default (asterisk-conf/ivrpay-features.conf); then `module reload features`; or take operator_keyed out";
const ADD_VARIABLE: &str = "pjsip.conf, in each operator's endpoint: set_var = DYNAMIC_FEATURES=ivrpay-pay (with # between, where there are others), then `module reload res_pjsip.so`; or before the Dial() or Queue() of calls that may be paid in: same => n,Set(__DYNAMIC_FEATURES=ivrpay-pay); not seen here: what other channel drivers set";
const ADD_CONTEXT: &str = "add to extensions.conf: #include ivrpay.conf (dialplan/ivrpay.conf, copied beside it); then `dialplan reload`";
const ADD_WAY: &str =
    "add below [globals] of extensions.conf: IVRPAY_KEY_WAY = ami; then `dialplan reload`";
const ADD_MODULE: &str = "add to modules.conf: load = res_agi.so; then `module load res_agi.so`";

/// What Asterisk says, a line each.
struct Loaded {
    features: Vec<String>,
    dialplan: Vec<String>,
    globals: Vec<String>,
    modules: Vec<String>,
    endpoints: Endpoints,
}

/// Whether an endpoint of PJSIP gives its channels the key (`set_var`).
enum Endpoints {
    /// This one does.
    Has(String),
    HasNot,
    /// None that was looked at; there are more, or Asterisk did not tell.
    NotSeen,
}

type Found = (Verdict, String, Option<String>);

/// What of the configuration the judgement is about.
struct Ours<'a> {
    agi: Option<&'a Agi>,
    /// There is a user for the second way.
    redirects: bool,
    /// A tenant lets operators key cards.
    keyed: bool,
}

impl Check<'_> {
    pub(super) async fn pay_key(&mut self, config: &Config) {
        if config.agi.is_none() && config.pay_key.is_none() {
            return self.good(RING, "there is none: neither [agi] nor [pay_key] is set");
        }
        if let Some(agi) = &config.agi {
            self.pay_key_port(agi).await;
        }
        if let Some(user) = &config.pay_key {
            self.pay_key_user(user).await;
        }
        let Some(ami) = &config.ami else {
            return self.warn(
                RING,
                "whether features and dialplan have it was not looked at: there is no [ami]",
                "add [ami], with the user ivrpay-audit of asterisk-conf/ivrpay-manager.conf",
            );
        };
        match ask(ami).await {
            Ok(mut loaded) => {
                if !set_in_dialplan(&loaded).any(|line| line.contains(FEATURE)) {
                    loaded.endpoints = endpoints(config).await;
                }
                let ours = Ours {
                    agi: config.agi.as_ref(),
                    redirects: config.pay_key.is_some(),
                    keyed: config.tenants.iter().any(|t| t.operator_keyed),
                };
                for (verdict, fact, hint) in judge(&ours, &loaded) {
                    self.say(RING, verdict, fact, hint);
                }
            }
            Err(error) => self.warn(
                RING,
                format!("whether features and dialplan have it was not looked at: {error}"),
                error.hint(),
            ),
        }
    }

    async fn pay_key_port(&mut self, agi: &Agi) {
        // What listens everywhere listens on loopback.
        let ip = match agi.listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, agi.listen.port());
        match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(_)) => self.good(RING, format!("somebody listens at {address}")),
            Ok(Err(_)) | Err(_) => self.warn(
                RING,
                format!("nobody listens at {address}: an operator who presses it hears that the service is away"),
                "start `ivrpay serve`; if it runs, it was started with another [agi] listen",
            ),
        }
    }
}

async fn ask(ami: &ivrpay_ami::Config) -> Result<Loaded, ivrpay_ami::Error> {
    let (client, _events) = ivrpay_ami::connect(ami).await?;
    Ok(Loaded {
        features: client.command("features show").await?,
        dialplan: client.command("dialplan show").await?,
        globals: client.command("dialplan show globals").await?,
        modules: client.command("module show like res_agi.so").await?,
        endpoints: Endpoints::HasNot,
    })
}

async fn endpoints(config: &Config) -> Endpoints {
    let asked = async {
        let client = ivrpay_ari::Client::new(&config.ari).ok()?;
        let known = client.endpoints().await.ok()?;
        let ours = known.iter().filter(|e| e.technology == "PJSIP");
        for endpoint in ours.clone().take(ENDPOINTS_MAX) {
            match client.pjsip_settings("endpoint", &endpoint.resource).await {
                Ok(settings) if gives_key(&settings) => {
                    return Some(Endpoints::Has(endpoint.resource.clone()));
                }
                // Not of a file: made by another ARI application, or gone.
                Ok(_) | Err(RequestError::Gone) => {}
                Err(_) => return None,
            }
        }
        (ours.count() <= ENDPOINTS_MAX).then_some(Endpoints::HasNot)
    };
    asked.await.unwrap_or(Endpoints::NotSeen)
}

/// ARI names a variable of `set_var` as a setting of its own (measured, Asterisk 22).
fn gives_key(settings: &[Setting]) -> bool {
    settings.iter().any(|setting| {
        setting.attribute.trim_start_matches('_') == "DYNAMIC_FEATURES"
            && setting.value.split('#').any(|f| f.trim() == FEATURE)
    })
}

fn judge(ours: &Ours<'_>, loaded: &Loaded) -> Vec<Found> {
    let found = [
        ours.agi.and_then(|_| module(loaded)),
        Some(feature(loaded)),
        keyed_feature(loaded, ours.keyed),
        Some(variable(loaded)),
        context(loaded, ours),
        ours.agi.and_then(|agi| address(agi, loaded)),
        way(loaded, ours),
    ];
    found.into_iter().flatten().collect()
}

fn bad(fact: impl Into<String>, hint: impl Into<String>) -> Found {
    (Verdict::Bad, fact.into(), Some(hint.into()))
}

fn module(loaded: &Loaded) -> Option<Found> {
    let running = loaded
        .modules
        .iter()
        .any(|line| line.starts_with("res_agi.so") && !line.contains("Not Running"));
    (!running).then(|| {
        bad(
            "Asterisk has no AGI(): res_agi.so is not loaded",
            ADD_MODULE,
        )
    })
}

/// The key of a row of `features show`: name, `no def`, key.
fn key<'a>(loaded: &'a Loaded, feature: &str) -> Option<&'a str> {
    let row = loaded
        .features
        .iter()
        .find(|line| line.split_whitespace().next() == Some(feature))?;
    let (_, key) = row.split_once("no def")?;
    Some(key.trim()).filter(|key| !key.is_empty())
}

fn feature(loaded: &Loaded) -> Found {
    match key(loaded, FEATURE) {
        Some(key) => (
            Verdict::Good,
            format!("features.conf has {FEATURE}: an operator presses {key}"),
            None,
        ),
        None => bad(format!("features.conf has no key {FEATURE}"), ADD_FEATURE),
    }
}

/// Where no tenant allows it, a key that is there is refused at each press: not judged.
fn keyed_feature(loaded: &Loaded, keyed: bool) -> Option<Found> {
    keyed.then(|| match key(loaded, KEYED) {
        Some(key) => (
            Verdict::Good,
            format!(
                "features.conf has {KEYED}: an operator who keys the card himself presses {key}"
            ),
            None,
        ),
        None => bad(
            format!("a tenant has operator_keyed, and features.conf has no key {KEYED}"),
            ADD_KEYED,
        ),
    })
}

/// Lines that set `DYNAMIC_FEATURES`, but for our own contexts: they give back what was there.
fn set_in_dialplan(loaded: &Loaded) -> impl Iterator<Item = &String> {
    let mut ours = false;
    let in_dialplan = loaded.dialplan.iter().filter(move |line| {
        if let Some(name) = context_of(line) {
            ours = name.starts_with("ivrpay-") && !name.starts_with("ivrpay-sample");
        }
        !ours
    });
    in_dialplan
        .chain(&loaded.globals)
        .filter(|line| line.contains("DYNAMIC_FEATURES"))
}

fn variable(loaded: &Loaded) -> Found {
    let lines: Vec<&String> = set_in_dialplan(loaded).collect();
    if lines.iter().any(|line| line.contains(FEATURE)) {
        let fact = format!("the dialplan sets DYNAMIC_FEATURES to {FEATURE}");
        return (Verdict::Good, fact, None);
    }
    let warning = |fact: String| (Verdict::Warning, fact, Some(ADD_VARIABLE.to_owned()));
    match &loaded.endpoints {
        Endpoints::Has(endpoint) => (
            Verdict::Good,
            format!("the endpoint {endpoint} sets DYNAMIC_FEATURES to {FEATURE} (set_var)"),
            None,
        ),
        _ if !lines.is_empty() => warning(format!(
            "the dialplan sets DYNAMIC_FEATURES, and neither a line of it nor an endpoint of PJSIP names {FEATURE}"
        )),
        Endpoints::NotSeen => warning(
            "no DYNAMIC_FEATURES is in the dialplan, and not all endpoints of PJSIP could be looked at".into(),
        ),
        Endpoints::HasNot => bad(
            "no DYNAMIC_FEATURES is in the dialplan or in an endpoint of PJSIP: no key of an operator is looked at",
            ADD_VARIABLE,
        ),
    }
}

fn context(loaded: &Loaded, ours: &Ours<'_>) -> Option<Found> {
    let lines: Vec<&str> = lines_of(loaded, CONTEXT).collect();
    if lines.is_empty() {
        return Some(bad(
            format!("the dialplan has no context {CONTEXT}"),
            ADD_CONTEXT,
        ));
    }
    let keyed = ours.keyed.then_some(KEYED_EXTENSION);
    let asks = ours.redirects.then_some(ASKS_EXTENSION);
    let needed = EXTENSIONS.into_iter().chain(keyed).chain(asks);
    let missing = super::lacks(&lines, needed);
    Some(match missing {
        Some(extension) => bad(
            format!("the context {CONTEXT} of the dialplan has no extension {extension}"),
            ADD_CONTEXT,
        ),
        None => (
            Verdict::Good,
            format!("the dialplan has the context {CONTEXT}"),
            None,
        ),
    })
}

/// Whether what the dialplan asks by is there: over AGI, or by the second way.
fn way(loaded: &Loaded, ours: &Ours<'_>) -> Option<Found> {
    let mut lines = loaded.dialplan.iter().chain(&loaded.globals);
    match (lines.any(|line| line.contains(WAY)), ours.redirects) {
        (true, true) => Some((
            Verdict::Good,
            format!("the dialplan has {WAY}: it asks without AGI"),
            None,
        )),
        (true, false) => Some(bad(
            format!("the dialplan has {WAY}, and there is no [pay_key]"),
            format!(
                "take that line out, or add [pay_key] to ivrpay.toml; {}",
                user::ADD
            ),
        )),
        (false, true) if ours.agi.is_none() => Some(bad(
            "the dialplan asks over AGI, and there is no [agi]",
            ADD_WAY,
        )),
        (false, true) => Some((
            Verdict::Warning,
            "[pay_key] is of no use: the dialplan asks over AGI".to_owned(),
            Some(format!("{ADD_WAY}; or take [pay_key] out")),
        )),
        (false, false) => None,
    }
}

/// An address with a variable in it is not judged.
fn address(agi: &Agi, loaded: &Loaded) -> Option<Found> {
    let ours = agi.listen.port();
    lines_of(loaded, CONTEXT).find_map(|line| {
        let (_, url) = line.split_once("agi://")?;
        let authority = url.split(['/', ',', ')', '?']).next()?;
        if authority.contains('$') {
            return None;
        }
        let port = match authority.rsplit_once(':') {
            Some((_, port)) => port.parse().ok()?,
            None => AGI_PORT,
        };
        (port != ours).then(|| {
            bad(
                format!("the context {CONTEXT} asks at port {port}, and [agi] listens at {ours}"),
                format!(
                    "write agi://{} into the dialplan, or the other port into [agi] listen",
                    agi.listen
                ),
            )
        })
    })
}

/// `[ Context 'NAME' created by 'pbx_config' ]`
fn context_of(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("[ Context '")?.split_once('\'')?;
    Some(name)
}

fn lines_of<'a>(loaded: &'a Loaded, context: &'static str) -> impl Iterator<Item = &'a str> {
    let mut inside = false;
    loaded
        .dialplan
        .iter()
        .map(String::as_str)
        .filter(move |line| match context_of(line) {
            Some(name) => {
                inside = name == context;
                false
            }
            None => inside,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Asterisk 22 prints them.
    const FEATURES: &str = "\
Builtin Feature           Default Current
---------------           ------- -------
Blind Transfer            #       ##

Dynamic Feature           Default Current
---------------           ------- -------
ivrpay-quarantine         no def  *8
ivrpay-pay                no def  *9

Feature Groups:
---------------
(none)";
    const DIALPLAN: &str = "\
[ Context 'ivrpay-key' created by 'pbx_config' ]
  'go' =>           1. Set(__DYNAMIC_FEATURES=ivrpay-pay)         [ivrpay.conf:9]
                    2. ChannelRedirect(${CUSTOMER},a,s,1)         [ivrpay.conf:10]
  's' =>            1. AGI(agi://127.0.0.1:4573/pay,mode=hold)    [ivrpay.conf:12]

[ Context 'office' created by 'pbx_config' ]
  '_X.' =>          1. Set(__DYNAMIC_FEATURES=ivrpay-pay)         [extensions.conf:3]
                    2. Dial(PJSIP/${EXTEN})                       [extensions.conf:4]

-= 3 extensions (5 priorities) in 2 contexts. =-";
    const GLOBALS: &str = "   OPERATOR=PJSIP/op\n    -- 1 variable(s)";
    const MODULES: &str = "\
Module                         Description                              Use Count  Status      Support Level
res_agi.so                     Asterisk Gateway Interface (AGI)         3          Running              core
1 modules loaded";

    fn verdicts(change: (&str, &str), globals: &str) -> Vec<Found> {
        judged(change, globals, false)
    }

    fn judged(change: (&str, &str), globals: &str, keyed: bool) -> Vec<Found> {
        with_endpoints(change, globals, keyed, Endpoints::HasNot)
    }

    fn with_endpoints(
        change: (&str, &str),
        globals: &str,
        keyed: bool,
        endpoints: Endpoints,
    ) -> Vec<Found> {
        let lines = |text: &str| {
            let text = text.replace(change.0, change.1);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let loaded = Loaded {
            features: lines(FEATURES),
            dialplan: lines(DIALPLAN),
            globals: globals.lines().map(str::to_owned).collect(),
            modules: lines(MODULES),
            endpoints,
        };
        let agi = agi();
        let ours = Ours {
            agi: Some(&agi),
            redirects: false,
            keyed,
        };
        judge(&ours, &loaded)
    }

    fn agi() -> Agi {
        Agi {
            listen: "127.0.0.1:4573".parse().unwrap(),
            allowed: ivrpay_agi::Allowed::Loopback,
            calls_max: 1,
        }
    }

    #[test]
    fn the_way_of_the_dialplan_is_that_of_the_configuration() {
        let agi = agi();
        let global = format!("   {WAY}");
        for (global, has_agi, redirects, expected) in [
            ("", true, false, None),
            (&*global, true, true, Some(Verdict::Good)),
            (&*global, false, true, Some(Verdict::Good)),
            (&*global, true, false, Some(Verdict::Bad)),
            ("", false, true, Some(Verdict::Bad)),
            ("", true, true, Some(Verdict::Warning)),
        ] {
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
            let loaded = Loaded {
                features: lines(FEATURES),
                dialplan: lines(DIALPLAN),
                globals: lines(global),
                modules: Vec::new(),
                endpoints: Endpoints::HasNot,
            };
            let ours = Ours {
                agi: has_agi.then_some(&agi),
                redirects,
                keyed: false,
            };
            let case = format!("{global:?}, [agi] {has_agi}, [pay_key] {redirects}");
            assert_eq!(way(&loaded, &ours).map(|f| f.0), expected, "{case}");
            // Without [agi] nobody needs its module; the second way needs an extension of its own.
            let found = judge(&ours, &loaded);
            let says = |text: &str| found.iter().any(|f| f.1.contains(text));
            assert_eq!(says("res_agi.so"), has_agi, "{case}");
            assert_eq!(says("has no extension asks"), redirects, "{case}");
        }
    }

    #[test]
    fn the_key_of_an_operator_who_keys_is_looked_for_where_a_tenant_allows_it() {
        let wrong = |change| {
            let found = judged(change, GLOBALS, true);
            let wrong = found.into_iter().filter(|f| f.0 != Verdict::Good);
            wrong.map(|f| f.1).collect::<Vec<_>>()
        };
        let [feature, extension] = wrong(("", "")).try_into().unwrap();
        assert!(feature.ends_with("no key ivrpay-pay-keyed"), "{feature}");
        assert!(extension.ends_with("no extension keyed"), "{extension}");
        let row = "ivrpay-pay                no def  *9";
        let both = format!("{row}\nivrpay-pay-keyed          no def  *7");
        assert_eq!(wrong((row, &both)).len(), 1);
    }

    #[test]
    fn an_endpoint_may_give_the_key_instead_of_the_dialplan() {
        let set = "Set(__DYNAMIC_FEATURES=ivrpay-pay)         [extensions.conf:3]";
        let has = || Endpoints::Has("201".into());
        for (line, endpoints, verdict, fact) in [
            ("NoOp()", has(), Verdict::Good, "the endpoint 201 sets"),
            (
                "Set(DYNAMIC_FEATURES=other)",
                has(),
                Verdict::Good,
                "the endpoint 201 sets",
            ),
            (
                "NoOp()",
                Endpoints::NotSeen,
                Verdict::Warning,
                "not all endpoints",
            ),
            (
                "NoOp()",
                Endpoints::HasNot,
                Verdict::Bad,
                "or in an endpoint",
            ),
        ] {
            let found = with_endpoints((set, line), GLOBALS, false, endpoints);
            let told = found.iter().find(|f| f.1.contains(fact));
            assert_eq!(told.map(|f| f.0), Some(verdict), "{line}: {found:?}");
        }
        let setting = |attribute: &str, value: &str| Setting {
            attribute: attribute.into(),
            value: value.into(),
        };
        for (attribute, value, gives) in [
            ("DYNAMIC_FEATURES", "ivrpay-pay", true),
            (
                "DYNAMIC_FEATURES",
                "other#ivrpay-pay#ivrpay-quarantine",
                true,
            ),
            ("__DYNAMIC_FEATURES", "ivrpay-pay", true),
            ("DYNAMIC_FEATURES", "ivrpay-pay-keyed", false),
            ("set_var", "", false),
            ("callerid", "ivrpay-pay", false),
        ] {
            let settings = [setting("webrtc", "no"), setting(attribute, value)];
            assert_eq!(gives_key(&settings), gives, "{attribute}={value}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_line_to_add() {
        let whole = verdicts(("", ""), GLOBALS);
        assert!(whole.iter().all(|f| f.0 == Verdict::Good), "{whole:?}");
        assert!(
            whole.iter().any(|f| f.1.contains("presses *9")),
            "{whole:?}"
        );
        let set = "Set(__DYNAMIC_FEATURES=ivrpay-pay)         [extensions.conf:3]";
        for (change, globals, verdict, fact, hint) in [
            (
                ("ivrpay-pay                no def  *9\n", ""),
                GLOBALS,
                Verdict::Bad,
                "no key ivrpay-pay",
                ADD_FEATURE,
            ),
            (
                (
                    "ivrpay-pay                no def  *9",
                    "ivrpay-pay                no def",
                ),
                GLOBALS,
                Verdict::Bad,
                "no key ivrpay-pay",
                ADD_FEATURE,
            ),
            (
                (set, "NoOp()"),
                GLOBALS,
                Verdict::Bad,
                "no DYNAMIC_FEATURES",
                ADD_VARIABLE,
            ),
            (
                (set, "Set(__DYNAMIC_FEATURES=other)"),
                GLOBALS,
                Verdict::Warning,
                "neither a line of it nor an endpoint",
                ADD_VARIABLE,
            ),
            (
                ("'ivrpay-key'", "'ivrpay-kee'"),
                GLOBALS,
                Verdict::Bad,
                "no context ivrpay-key",
                ADD_CONTEXT,
            ),
            (
                ("'go' =>", "'og' =>"),
                GLOBALS,
                Verdict::Bad,
                "no extension go",
                ADD_CONTEXT,
            ),
            (
                (":4573/", ":4574/"),
                GLOBALS,
                Verdict::Bad,
                "asks at port 4574, and [agi] listens at 4573",
                "agi://127.0.0.1:4573",
            ),
            (
                (" Running ", " Not Running "),
                GLOBALS,
                Verdict::Bad,
                "res_agi.so is not loaded",
                ADD_MODULE,
            ),
            (
                ("res_agi.so  ", "res_speech.so"),
                GLOBALS,
                Verdict::Bad,
                "res_agi.so is not loaded",
                ADD_MODULE,
            ),
        ] {
            let found = verdicts(change, globals);
            let wrong: Vec<_> = found.iter().filter(|f| f.0 != Verdict::Good).collect();
            assert_eq!(wrong.len(), 1, "{change:?}: {wrong:?}");
            assert_eq!(wrong[0].0, verdict);
            assert!(wrong[0].1.contains(fact), "{wrong:?}");
            assert!(
                wrong[0].2.as_ref().is_some_and(|h| h.contains(hint)),
                "{wrong:?}"
            );
        }
        // What is as good.
        for (change, globals) in [
            ((set, "NoOp()"), "   DYNAMIC_FEATURES=ivrpay-pay#other"),
            ((":4573/", "/"), GLOBALS),
            (("127.0.0.1:4573", "${IVRPAY_AGI}"), GLOBALS),
        ] {
            let found = verdicts(change, globals);
            assert!(
                found.iter().all(|f| f.0 == Verdict::Good),
                "{change:?}: {found:?}"
            );
        }
    }
}
