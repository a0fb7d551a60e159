//! What `rushgate dev` prints when it is up: where it listens, the demo campaign, and commands that
//! work when pasted.

use std::fmt;
use std::net::SocketAddr;

/// The demo campaign of `rushgate dev`.
pub(super) const DEMO: &str = "demo";
pub(super) const DEMO_SKU: &str = "mug";
pub(super) const DEMO_STOCK: u64 = 100;

/// Where a listener is reached: scheme and address.
#[derive(Clone, Copy)]
pub(super) struct Url(pub(super) &'static str, pub(super) SocketAddr);

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0, self.1)
    }
}

pub(super) struct Banner<'a> {
    pub(super) orders: Url,
    pub(super) admin: Url,
    /// `in memory` or the path of the database.
    pub(super) persistence: &'a str,
    /// The demo's rule in sentences; empty when `--data` came back without the demo campaign.
    pub(super) rule: &'a [String],
    /// What of the stock is left.
    pub(super) remaining: i64,
    /// Token of the control plane, where one is needed.
    pub(super) admin_token: bool,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            orders,
            admin,
            persistence,
            ..
        } = self;
        writeln!(
            f,
            "rushgate {} dev: everything in one process, for trying out",
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  orders     {orders}   anybody may be anybody: \"Bearer dev:<user>\""
        )?;
        writeln!(
            f,
            "  shop       {orders}/shop   a page to order from in a browser, and to see orders live"
        )?;
        writeln!(
            f,
            "  console    {admin}/console   sales live, their rules and orders, in a browser"
        )?;
        writeln!(f, "  control    {admin}   metrics at /metrics, health at /readyz")?;
        writeln!(
            f,
            "  engine     embedded (the Lua that Redis would run)   bus  in process"
        )?;
        writeln!(f, "  database   SQLite, {persistence}")?;
        if self.rule.is_empty() {
            return writeln!(f, "  campaigns  as they were: curl {admin}/admin/v1/campaigns");
        }
        writeln!(
            f,
            "  campaign   {DEMO}: {} of {DEMO_STOCK} units of {DEMO_SKU:?} left",
            self.remaining
        )?;
        for sentence in self.rule {
            writeln!(f, "             {sentence}")?;
        }
        writeln!(f, "\nPlace an order:\n")?;
        writeln!(f, "{}", indent(&order(*orders)))?;
        writeln!(
            f,
            "\nAgain, and it is refused with the limit's name. Raise the limit to 2 while it runs:\n"
        )?;
        for command in raise(*admin, self.admin_token) {
            writeln!(f, "{}", indent(&command))?;
        }
        writeln!(f, "\nand order again. Ctrl-C stops.")
    }
}

fn order(orders: Url) -> String {
    format!(
        "curl -i {orders}/v1/campaigns/{DEMO}/orders -H 'Authorization: Bearer dev:ada' \\\n  \
         -H 'Content-Type: application/json' -d '{{\"sku\":\"{DEMO_SKU}\",\"quantity\":1}}'"
    )
}

fn raise(admin: Url, token: bool) -> [String; 2] {
    let auth = if token {
        " -H \"Authorization: Bearer $RUSHGATE_ADMIN_TOKEN\""
    } else {
        ""
    };
    let json = "-H 'Content-Type: application/json'";
    let campaign = format!("{admin}/admin/v1/campaigns/{DEMO}");
    [
        format!(
            "curl {campaign}/revisions{auth} {json} \\\n  \
             -d '{{\"rules\":[{{\"module\":\"n-per-user\",\"params\":{{\"limit\":2}}}}]}}'"
        ),
        format!("curl {campaign}/activate{auth} {json} -d '{{\"revision\":2}}'"),
    ]
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_and_what_next() {
        let rule = ["Each user may order at most 1 unit in the whole campaign.".to_owned()];
        let banner = Banner {
            orders: Url("http", ([127, 0, 0, 1], 8080).into()),
            admin: Url("https", ([127, 0, 0, 1], 8081).into()),
            persistence: "in memory",
            rule: &rule,
            remaining: 100,
            admin_token: false,
        };
        let text = banner.to_string();
        for part in [
            "http://127.0.0.1:8080/v1/campaigns/demo/orders",
            "http://127.0.0.1:8080/shop ",
            "https://127.0.0.1:8081/console ",
            "Each user may order at most 1 unit",
            "https://127.0.0.1:8081/admin/v1/campaigns/demo/revisions",
            "in memory",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
