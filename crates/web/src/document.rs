//! The OpenAPI document, made of the routes and the types of `api`, and a page to read it.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use axum::Json;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use ivrpay_api as api;
use ivrpay_payment::{OperatorId, OrderId};
use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, Type,
};
use utoipa::{Modify, OpenApi as _};

use crate::{
    approvals, assign, calls, captures, disputes, drain, evidence, expiring, feed, hooks, keys,
    later, oidc, orders, payments, people, receipts, recordings, sessions, starts, story, tasks,
    trail, webhooks,
};

/// The key's scheme in the document.
const KEY: &str = "key";
/// What nobody needs a key for; `/hooks/` has keys of its own.
const OPEN: [&str; 8] = [
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/hooks/{connector}",
    "/v1/sessions",
    "/v1/sessions/oidc",
    "/v1/sign-in/oidc",
];
/// What the Unix socket alone has.
const ADMIN: [&str; 2] = ["/v1/recordings", "/v1/drain"];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "ivrpay",
        description = "Card payments by telephone keypad. Amounts are whole minor units, times RFC 3339 in UTC, ids UUIDs.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        payments::create, payments::list, payments::show, story::show, evidence::show, receipts::issue, receipts::list, receipts::show, disputes::begin, disputes::end, assign::payment, assign::order, expiring::list, captures::cancel_payment,
        later::capture, later::change, later::void, later::refund, later::inquire, calls::create, calls::show, captures::list, captures::show, captures::ask, captures::pause, captures::resume, captures::cancel, captures::switch, captures::complete, starts::create, orders::show, orders::split, orders::add,
        tasks::promise, tasks::list, tasks::show, tasks::take, tasks::done, webhooks::list, webhooks::show, webhooks::resend, webhooks::test, feed::events, crate::pools, crate::findings, crate::metrics,
        sessions::create, oidc::begin, oidc::end, sessions::show, sessions::end, sessions::password,
        people::list, people::create, people::show, people::disable, people::enable, people::unlock, people::password, people::second_factor, people::confirm,
        keys::list, keys::create, keys::show, keys::rotate, keys::revoke, trail::list, approvals::list, approvals::show, approvals::approve, approvals::refuse,
        recordings::mark, recordings::list, recordings::resolve, drain::begin, drain::show, drain::end, hooks::take,
        crate::health, crate::ready, json, page
    ),
    components(schemas(api::Problem, api::Gap)),
    modifiers(&Same)
)]
struct Document;

/// What is the same for all.
struct Same;

impl Modify for Same {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .security_schemes
            .insert(KEY.into(), RefOr::T(bearer));
        for (path, item) in &mut document.paths.paths {
            let posts = item.post.is_some();
            for (method, operation) in [("get", &mut item.get), ("post", &mut item.post)] {
                if let Some(operation) = operation {
                    one(path, posts, operation);
                    operation.operation_id = Some(name(method, path));
                }
            }
        }
    }
}

/// `post_payments_id_refund`: what generated clients call it.
fn name(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .fold(method.to_owned(), |name, word| format!("{name}_{word}"))
}

fn one(path: &str, posts: bool, operation: &mut Operation) {
    let admin = ADMIN.iter().any(|admin| path.starts_with(admin));
    let tag = match path.strip_prefix("/v1/") {
        Some(_) if admin => "unix socket",
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => "service",
    };
    operation.tags = Some(vec![tag.to_owned()]);
    for (status, answer) in &mut operation.responses.responses {
        // OpenAPI 3.1 wants one.
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            answer.description = match status.as_str() {
                "201" => "Made",
                "202" => "A second person is asked",
                "204" => "Done",
                "503" => "Not now",
                _ => "As asked",
            }
            .to_owned();
        }
    }
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut error = ResponseBuilder::new()
        .description("What went wrong (RFC 9457)")
        .content("application/problem+json", problem);
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    error = error.header(
        "X-Request-Id",
        HeaderBuilder::new().schema(Some(text())).build(),
    );
    operation
        .responses
        .responses
        .insert("default".into(), RefOr::T(error.build()));
    if OPEN.contains(&path) {
        return;
    }
    if !admin {
        let key = SecurityRequirement::new::<_, _, String>(KEY, []);
        operation.security = Some(vec![key]);
    }
    if posts && !admin && operation.request_body.is_some() {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The same key and body again get the same answer, for 24 hours",
            ))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .min_length(Some(1))
                    .max_length(Some(255)),
            ))
            .build();
        operation
            .parameters
            .get_or_insert_default()
            .push(RefOr::T(key));
    }
}

/// The document, as it is committed in `docs/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    bound(&mut document);
    document
}

/// Adds what no type says: names that are bounded alike wherever they stand, and that a number which is not negative has 32 bits
/// of its own, where `int32` would end at half of it.
fn bound(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(bound),
        Value::Object(object) => {
            if object.get("format").is_some_and(|format| format == "int32")
                && object.get("minimum").is_some_and(|least| least == 0)
            {
                object.insert("format".to_owned(), "int64".into());
            }
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                for (name, schema) in properties {
                    bound_as(name, schema);
                }
            }
            let name = object
                .get("name")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if let (Some(name), Some(schema)) = (name, object.get_mut("schema")) {
                bound_as(&name, schema);
            }
            object.values_mut().for_each(bound);
        }
        _ => {}
    }
}

fn bound_as(name: &str, schema: &mut Value) {
    let bounds: [(&str, usize); 2] = match name {
        "by" => [("minLength", 1), ("maxLength", OperatorId::MAX)],
        "order_id" => [("minLength", 1), ("maxLength", OrderId::MAX)],
        _ => return,
    };
    if let Value::Object(schema) = schema {
        schema.extend(bounds.map(|(bound, at)| (bound.to_owned(), at.into())));
    }
}

static WHOLE: LazyLock<Value> = LazyLock::new(openapi);

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object)))]
pub(crate) async fn json() -> Response {
    Json(&*WHOLE).into_response()
}

/// The same to read.
#[utoipa::path(get, path = "/docs", responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn page() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| html(&WHOLE));
    let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    (headers, Html(PAGE.as_str())).into_response()
}

pub(crate) async fn style() -> Response {
    (
        [(header::CONTENT_TYPE, "text/css")],
        include_str!("docs.css"),
    )
        .into_response()
}

/// Text between tags.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |f: &mut fmt::Formatter<'_>, open: &mut bool| {
            *open = !*open;
            f.write_str(if *open { "<code>" } else { "</code>" })
        };
        let mut open = false;
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '`' => code(f, &mut open)?,
                c => f.write_char(c)?,
            }
        }
        if open { code(f, &mut open) } else { Ok(()) }
    }
}

fn html(document: &Value) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>ivrpay API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"><h1>ivrpay API</h1>\
         <p>For programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1). \
         <a href=\"#types\">Types</a>, <a href=\"#errors\">errors</a>.</p>",
    );
    // A string takes every character.
    write(&mut page, document).ok();
    page
}

fn write(page: &mut String, document: &Value) -> fmt::Result {
    let text = |value: &'_ Value| Text(value.as_str().unwrap_or_default()).to_string();
    let none = serde_json::Map::new();
    let all = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| none.clone());
    for (path, item) in all(&document["paths"]) {
        for (method, operation) in all(&item) {
            write!(
                page,
                "<section><h2><span>{}</span> {}</h2><p>{}</p>",
                Text(&method.to_uppercase()),
                Text(&path),
                text(&operation["summary"])
            )?;
            if let Some(more) = operation["description"].as_str() {
                write!(page, "<p>{}</p>", Text(more))?;
            }
            let parameters = operation["parameters"].as_array();
            if let Some(parameters) = parameters.filter(|all| !all.is_empty()) {
                page.push_str("<table>");
                for one in parameters {
                    let required = one["required"] == true;
                    field(
                        page,
                        &text(&one["name"]),
                        &one["schema"],
                        required,
                        &one["description"],
                    )?;
                }
                page.push_str("</table>");
            }
            for body in all(&operation["requestBody"]["content"]).values() {
                write!(page, "<p>Body: {}</p>", kind(&body["schema"]))?;
            }
            for (status, answer) in all(&operation["responses"]) {
                for (media, body) in all(&answer["content"]) {
                    let (status, media) = (Text(&status), Text(&media));
                    write!(
                        page,
                        "<p>{status}: {} <small>{media}</small></p>",
                        kind(&body["schema"])
                    )?;
                }
            }
            page.push_str("</section>");
        }
    }
    page.push_str("<h1 id=\"types\">Types</h1>");
    for (name, schema) in all(&document["components"]["schemas"]) {
        let name = Text(&name);
        write!(
            page,
            "<section><h2 id=\"type-{name}\">{name}</h2><p>{}</p>",
            text(&schema["description"])
        )?;
        let fields = all(&schema["properties"]);
        if fields.is_empty() {
            write!(page, "<p>{}</p>", kind(&schema))?;
        } else {
            page.push_str("<table>");
            let required = schema["required"].as_array();
            for (name, one) in fields {
                let required = required.is_some_and(|all| all.iter().any(|r| *r == name));
                field(
                    page,
                    &Text(&name).to_string(),
                    &one,
                    required,
                    &one["description"],
                )?;
            }
            page.push_str("</table>");
        }
        page.push_str("</section>");
    }
    page.push_str("<h1 id=\"errors\">Errors</h1><table>");
    for code in api::ErrorCode::ALL {
        let (name, title, hint) = (code.name(), Text(code.title()), Text(code.hint()));
        write!(
            page,
            "<tr id=\"{name}\"><td><code>{name}</code><td>{title}<td>{hint}</tr>"
        )?;
    }
    page.push_str("</table></html>");
    Ok(())
}

fn field(
    page: &mut String,
    name: &str,
    schema: &Value,
    required: bool,
    text: &Value,
) -> fmt::Result {
    let must = if required { " <b>required</b>" } else { "" };
    let text = Text(text.as_str().unwrap_or_default());
    write!(
        page,
        "<tr><td><code>{name}</code>{must}<td>{}<td>{text}</tr>",
        kind(schema)
    )
}

/// A type in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = Text(name.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#type-{name}\">{name}</a>");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str);
        let words: Vec<String> = words
            .map(|word| format!("<code>{}</code>", Text(word)))
            .collect();
        return words.join(", ");
    }
    let several = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| schema[*key].as_array());
    if let Some(several) = several {
        let kinds: Vec<String> = several.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    if schema["items"].is_object() {
        return format!("list of {}", kind(&schema["items"]));
    }
    let format = schema["format"].as_str().map(|f| format!(" ({})", Text(f)));
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        kind => kind.as_str().unwrap_or("any").to_owned(),
    };
    format!("{}{}", Text(&kinds), format.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let routes = crate::keyed()
            .merge(crate::admins())
            .merge(crate::open())
            .merge(crate::doors())
            .merge(hooks::routes());
        let known: BTreeSet<(String, String)> = routes
            .known()
            .into_iter()
            // The look of the page.
            .filter(|(_, path)| *path != "/docs/style.css")
            .map(|(method, path)| (path.to_owned(), method.to_owned()))
            .collect();
        let document = openapi();
        let told: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(known, told);
        let ids: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), told.len(), "{ids:?}");
        let mut answers = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .flat_map(|operation| operation["responses"].as_object().unwrap().values());
        assert!(answers.all(|answer| answer["description"].is_string()));
    }

    #[test]
    fn the_committed_document_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let now = format!("{}\n", serde_json::to_string_pretty(&openapi()).unwrap());
        if std::env::var_os("RENEW").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == now,
            "docs/openapi.json is not that of the code; renew it with: RENEW=1 cargo test -p ivrpay-web committed_document"
        );
    }

    #[test]
    fn the_page_shows_what_is_written_as_text() {
        let page = html(&openapi());
        for part in [
            "/v1/payments/{id}/refund",
            "id=\"order-taken\"",
            "id=\"type-CreatePayment\"",
            "<b>required</b>",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<script"));
        assert_eq!(
            Text("a<b>&`c` \"").to_string(),
            "a&lt;b&gt;&amp;<code>c</code> &quot;"
        );
    }
}
