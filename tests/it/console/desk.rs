//! A merchant at the console: keeps cookies, reads pages, and sends forms with every field that they have.

use std::collections::BTreeMap;

use hyper::Method;
use testkit::http::Http;
use url::form_urlencoded;

use crate::stories::gate::{Gate, command};

pub const TOKEN: &str = "t0ken-of-the-desk";

/// A page that was answered.
pub struct Page {
    pub status: u16,
    pub html: String,
    pub location: String,
    pub policy: String,
    pub set_cookie: Vec<String>,
}

pub struct Desk {
    pub gate: Gate,
    http: Http,
    pub cookies: BTreeMap<String, String>,
}

impl Desk {
    /// At `rushgate dev`, where nobody logs in.
    pub async fn open() -> Self {
        Self::at(Gate::dev().await)
    }

    /// At one with a token.
    pub async fn with_token() -> Self {
        let mut dev = command(&["dev"]);
        dev.env("RUSHGATE_ADMIN_TOKEN", TOKEN);
        Self::at(Gate::spawn(dev).await)
    }

    pub fn at(gate: Gate) -> Self {
        Self {
            gate,
            http: Http::new(),
            cookies: BTreeMap::new(),
        }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Page {
        let url = format!("{}{path}", self.gate.admin);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut all = headers.to_vec();
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        let reply = self.http.send(method, &url, &all, body).await;
        let set_cookie = reply.headers.get_all("set-cookie").iter();
        Page {
            status: reply.status,
            html: reply.text().into_owned(),
            location: reply.header("location").to_owned(),
            policy: reply.header("content-security-policy").to_owned(),
            set_cookie: set_cookie
                .filter_map(|one| one.to_str().ok())
                .map(str::to_owned)
                .collect(),
        }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    /// Sends fields as a form of this console's own page.
    pub async fn post(&self, path: &str, fields: &[(String, String)]) -> Page {
        let origin = self.gate.admin.clone();
        self.post_from(path, fields, &[("origin", &origin)]).await
    }

    pub async fn post_from(&self, path: &str, fields: &[(String, String)], headers: &[(&str, &str)]) -> Page {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body.finish().into_bytes())
            .await
    }

    /// The page that this one leads to.
    pub async fn follow(&self, page: &Page) -> Page {
        assert_eq!(page.status, 303, "{}", page.html);
        self.get(&page.location).await.expect(200)
    }

    /// Logs in, and keeps the cookie.
    pub async fn log_in(&mut self, key: &str) -> Page {
        let page = self
            .post("/console/login", &[pair("key", key), pair("next", "/console")])
            .await;
        self.keep(&page);
        page
    }

    pub fn keep(&mut self, page: &Page) {
        for cookie in &page.set_cookie {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

pub fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

impl Page {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.html);
        self
    }

    #[track_caller]
    pub fn has(&self, text: &str) -> &Self {
        assert!(self.html.contains(text), "no {text:?} in {}", self.html);
        self
    }

    /// The fields of the form that is sent to this path, as they stand, and with these set.
    #[track_caller]
    pub fn form(&self, action: &str, with: &[(&str, &str)]) -> Vec<(String, String)> {
        let start = self.html.find(&format!("method=\"post\" action=\"{action}\""));
        let start = start.unwrap_or_else(|| panic!("no form to {action} in {}", self.html));
        let text = &self.html[start..];
        let text = &text[..text.find("</form>").expect("it ends")];
        let mut fields = fields(text);
        for (name, value) in with {
            fields.retain(|(field, _)| field != name);
            fields.push(pair(name, value));
        }
        fields
    }
}

/// What a browser would send of a form: of its inputs, its choices and its texts.
fn fields(html: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (start, _) in html.match_indices('<') {
        let tag = &html[start..];
        let end = tag.find('>').unwrap_or(tag.len());
        let (head, rest) = (&tag[..end], tag.get(end + 1..).unwrap_or_default());
        let Some(name) = attribute(head, "name") else {
            continue;
        };
        let value = if head.starts_with("<input") {
            let is_off = matches!(attribute(head, "type").as_deref(), Some("radio" | "checkbox"))
                && !head.contains(" checked");
            (!is_off).then(|| attribute(head, "value").unwrap_or_default())
        } else if head.starts_with("<textarea") {
            rest.split("</textarea>").next().map(unescaped)
        } else if head.starts_with("<select") {
            let options = rest.split("</select>").next().unwrap_or_default();
            let options: Vec<&str> = options.split("<option").skip(1).collect();
            let chosen = options.iter().find(|one| {
                one.split('>')
                    .next()
                    .is_some_and(|head| head.contains(" selected"))
            });
            chosen.or(options.first()).map(|one| {
                let (head, text) = one.split_once('>').unwrap_or((one, ""));
                attribute(head, "value")
                    .unwrap_or_else(|| unescaped(text.split('<').next().unwrap_or_default()))
            })
        } else {
            None
        };
        found.extend(value.map(|value| (name, value)));
    }
    found
}

fn attribute(head: &str, name: &str) -> Option<String> {
    let (_, rest) = head.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(unescaped)
}

pub fn unescaped(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, character) in [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    text
}

/// What no page may have: anything that its policy would have to be loosened for, or that is loaded from elsewhere.
#[track_caller]
pub fn check_plain(page: &Page, path: &str) {
    assert!(
        page.policy
            .starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{path}: {}",
        page.policy
    );
    assert!(!page.policy.contains("unsafe"), "{path}: {}", page.policy);
    for word in [
        "<style",
        " style=",
        "javascript:",
        " hx-on",
        "\"js:",
        " onclick",
        " onload",
        " onerror",
        "src=\"http",
        "href=\"http",
    ] {
        assert!(!page.html.contains(word), "{path} has {word}: {}", page.html);
    }
    for script in page.html.split("<script").skip(1) {
        let (head, rest) = script.split_once('>').expect("it ends");
        assert!(
            head.contains(" src=\"/console/static/") && rest.starts_with("</script>"),
            "{path}: {head}"
        );
    }
}
