//! Attributes named in parameters, and subjects made of them.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::schema::text_parameter;
use crate::attribute::{Attribute, claim, client, ip, sku, user};
use crate::counter_id;
use crate::expr::{Bool, PerOrder};
use crate::rule::{Diagnostic, Need};

/// An attribute of the order, as text: `user`, `sku`, `ip`, `claim:<name>`, `client:<name>`. A rule that has
/// such a parameter declares [`AttributeParam::needs`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttributeParam(String);

text_parameter!(
    AttributeParam,
    pattern: "^(user|sku|ip|(claim|client):[!-~]{1,64})$",
    examples: ["user", "ip", "client:device", "claim:tier"]
);

impl core::str::FromStr for AttributeParam {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text
            .strip_prefix("claim:")
            .or_else(|| text.strip_prefix("client:"));
        let known = match named {
            Some(name) => (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()),
            None => matches!(text, "user" | "sku" | "ip"),
        };
        if known {
            return Ok(Self(text.into()));
        }
        Err("an attribute is user, sku, ip, claim:<name> or client:<name>")
    }
}

impl AttributeParam {
    /// What a rule declares that lets its parameters choose the attributes.
    pub fn needs() -> Vec<Need> {
        vec![
            Need::optional(ip()),
            Need::optional(claim("*")),
            Need::optional(client("*")),
        ]
    }

    pub fn user() -> Self {
        Self("user".into())
    }

    /// `name` is one an attribute can have.
    pub fn claim(name: &str) -> Self {
        Self(format!("claim:{name}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn attribute(&self) -> Attribute {
        match self.0.split_once(':') {
            Some(("claim", name)) => claim(name),
            Some((_, name)) => client(name),
            None => match self.0.as_str() {
                "sku" => sku(),
                "ip" => ip(),
                _ => user(),
            },
        }
    }

    /// The last part of its name: `device` for `client:device`.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Whether an order can lack it.
    pub fn can_be_missing(&self) -> bool {
        self.0.contains(':')
    }

    /// As a sentence names it: `device`, `IP address`.
    pub fn noun(&self) -> &str {
        match self.name() {
            "ip" => "IP address",
            "sku" => "SKU",
            name => name,
        }
    }
}

/// The name of a claim of the token. A rule that has such a parameter declares `claim("*")`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClaimName(String);

text_parameter!(ClaimName, pattern: "^[!-~]{1,64}$", examples: ["tier"]);

impl core::str::FromStr for ClaimName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.into()));
        }
        Err("a claim's name is 1 to 64 visible ASCII characters")
    }
}

impl ClaimName {
    pub fn tier() -> Self {
        Self("tier".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn attribute(&self) -> Attribute {
        claim(&self.0)
    }
}

/// Who or what a limit is for: every distinct combination of values is one of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Subject(Vec<AttributeParam>);

impl JsonSchema for Subject {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Subject".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = AttributeParam::json_schema(generator);
        json_schema!({"type": "array", "items": items, "minItems": 1, "maxItems": 4, "uniqueItems": true})
    }
}

impl Subject {
    pub fn user() -> Self {
        Self(vec![AttributeParam::user()])
    }

    pub fn attributes(&self) -> &[AttributeParam] {
        &self.0
    }

    /// The key of a counter: in the same order however the parameters list them.
    pub fn key(&self) -> Vec<Attribute> {
        self.sorted().into_iter().map(AttributeParam::attribute).collect()
    }

    /// Its part of a counter's id: `client-device-and-ip`.
    pub fn slug(&self) -> String {
        let names: Vec<&str> = self.sorted().into_iter().map(AttributeParam::as_str).collect();
        let slugs: Vec<String> = names.iter().map(|name| counter_id(&[name])).collect();
        slugs.join("-and-")
    }

    fn sorted(&self) -> Vec<&AttributeParam> {
        let mut attributes: Vec<&AttributeParam> = self.0.iter().collect();
        attributes.sort();
        attributes
    }

    /// `device and IP address`.
    pub fn noun(&self) -> String {
        let nouns: Vec<&str> = self.0.iter().map(AttributeParam::noun).collect();
        nouns.join(" and ")
    }

    /// Whether an order says who it is: none of the attributes that can be missing is. `None` where none can.
    pub fn is_given(&self) -> Option<Bool<PerOrder>> {
        let missing = self.0.iter().filter(|attribute| attribute.can_be_missing());
        let given = missing.map(|attribute| !attribute.attribute().equals(""));
        given.reduce(|all, next| all.and(next))
    }

    /// Refuses what makes no subject: nothing that tells one buyer from another.
    pub fn check(&self, pointer: &str, problems: &mut Vec<Diagnostic>) {
        if self.0.iter().all(|attribute| attribute.as_str() == "sku") {
            let message = "sku alone makes all buyers one subject";
            let hint = "add what tells buyers apart: user, ip, claim:… or client:…";
            problems.push(Diagnostic::error(pointer, "no-buyer", message).hint(hint));
        }
    }
}
