//! Every word of the console, in each language: English and Chinese. A text that one of them lacks does not compile. What the control
//! plane says in sentences (rules, problems, what was done) is in the language of its modules, and codes are the same everywhere.

mod texts;

pub(super) use texts::Words;
use texts::{EN, SCOPES_ZH, ZH};

use crate::access::Scope;

impl Words {
    /// The language that a cookie names, or the first of those a browser asks for that there is.
    pub(super) fn of(cookie: Option<&str>, accepted: Option<&str>) -> &'static Self {
        let accepted = accepted.unwrap_or_default().split(',').map(str::trim);
        let named = cookie.into_iter().chain(accepted).find_map(|tag| {
            let tag = tag.to_ascii_lowercase();
            match (tag.starts_with("zh"), tag.starts_with("en")) {
                (true, _) => Some(&ZH),
                (_, true) => Some(&EN),
                _ => None,
            }
        });
        named.unwrap_or(&EN)
    }

    /// A state of a sale.
    pub(super) fn sale_state(&self, word: &str) -> &'static str {
        match word {
            "open" => self.open,
            "scheduled" => self.scheduled,
            "paused" => self.paused,
            "closed" => self.closed,
            "archived" => self.archived,
            "sold-out" => self.sold_out,
            _ => self.gate_closed,
        }
    }

    /// A reason for a rejection; its code stands beside it.
    pub(super) fn why_rejected(&self, code: &str) -> &'static str {
        match code {
            "sold-out" => self.reason_sold_out,
            "not-open" => self.reason_not_open,
            "closed" => self.reason_closed,
            "paused" => self.reason_paused,
            "unknown-sku" => self.reason_unknown_sku,
            "window-full" => self.reason_window_full,
            "attribute-missing" | "attribute-unreadable" | "claim-not-single" => self.reason_attribute,
            "key-reused" => self.reason_key_reused,
            "precheck-failed" => self.reason_precheck,
            _ => self.reason_rule,
        }
    }

    /// A state of an order.
    pub(super) fn order_state(&self, code: &str) -> &'static str {
        match code {
            "pending" => self.state_pending,
            "accepted" => self.state_accepted,
            "confirmed" => self.state_confirmed,
            "revoked" => self.state_revoked,
            "paid" => self.state_paid,
            "cancelled" => self.state_cancelled,
            "expired" => self.state_expired,
            "refunded" => self.state_refunded,
            _ => "",
        }
    }

    /// What a scope lets one do.
    pub(super) fn scope(&self, scope: Scope) -> &'static str {
        let named = SCOPES_ZH.iter().find(|(of, _)| *of == scope.as_str());
        match named {
            Some((_, text)) if self.lang == "zh" => text,
            _ => scope.meaning(),
        }
    }

    /// What becomes of a counter's counts.
    pub(super) fn counts(&self, code: &str) -> &'static str {
        match code {
            "kept" => self.counts_kept,
            "filled" => self.counts_filled,
            "carried" => self.counts_carried,
            "zero" => self.counts_zero,
            _ => self.counts_unread,
        }
    }

    /// So much time, to two units.
    pub(super) fn span(&self, ms: i64) -> String {
        let seconds = ms.unsigned_abs() / 1000;
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        let (text, a, b) = match seconds {
            0..60 => (self.span_seconds, seconds, 0),
            60..3600 => (self.span_minutes, minutes, seconds % 60),
            3600..86_400 => (self.span_hours, hours, minutes % 60),
            _ => (self.span_days, hours / 24, hours % 24),
        };
        fill(text, &[("a", &a), ("b", &b)])
    }
}

/// A text with what stands for its `{…}`.
pub(super) fn fill(text: &str, with: &[(&str, &dyn std::fmt::Display)]) -> String {
    let mut filled = text.to_owned();
    for (name, value) in with {
        filled = filled.replace(&format!("{{{name}}}"), &value.to_string());
    }
    filled
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn grouped(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::texts::PAIRS;
    use super::*;

    fn holes(text: &str) -> Vec<&str> {
        let mut holes: Vec<&str> = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name)
            .collect();
        holes.sort_unstable();
        holes
    }

    #[test]
    fn both_languages_say_everything_with_the_same_numbers_in_it() {
        for (name, en, zh) in PAIRS {
            assert!(!en.is_empty() && !zh.is_empty(), "{name}");
            assert_eq!(holes(en), holes(zh), "{name}");
        }
    }

    #[test]
    fn both_languages_say_what_each_scope_is() {
        let missing = |scope: &Scope| !SCOPES_ZH.iter().any(|(of, _)| *of == scope.as_str());
        assert_eq!(Scope::ALL.into_iter().filter(missing).count(), 0);
        assert_eq!(EN.scope(Scope::Audit), Scope::Audit.meaning());
        assert_ne!(ZH.scope(Scope::Audit), Scope::Audit.meaning());
    }

    #[test]
    fn the_language_is_the_cookie_s_or_the_browser_s() {
        for (cookie, accepted, lang) in [
            (None, None, "en"),
            (None, Some("zh-CN,zh;q=0.9,en;q=0.8"), "zh"),
            (None, Some("fr-FR, zh-TW;q=0.7"), "zh"),
            (None, Some("fr"), "en"),
            (Some("en"), Some("zh"), "en"),
            (Some("zh"), None, "zh"),
            (Some("xx"), Some("zh"), "zh"),
        ] {
            assert_eq!(Words::of(cookie, accepted).lang, lang, "{cookie:?} {accepted:?}");
        }
    }

    #[test]
    fn numbers_and_spans_are_easily_read() {
        assert_eq!(
            [0_i64, 999, 1000, -1_234_567].map(grouped),
            ["0", "999", "1,000", "-1,234,567"]
        );
        let spans = [0, 59_999, 61_000, 7_500_000, 90_000_000].map(|ms| EN.span(ms));
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "2 h 5 min", "1 d 1 h"]);
    }
}
