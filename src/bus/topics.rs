//! Names of the topics: the orders, one retry topic per delay, and the dead letters, all named after the first; and the
//! prefix that tells the deployments of one Kafka apart.

use std::time::Duration;

/// What the names of a deployment's topics, groups and clients begin with, unless it is told otherwise.
pub const PREFIX: &str = "rushgate";
/// The longest name of a topic that the database keeps is 190 long; ours is the prefix and some 40 more at most.
const PREFIX_MAX: usize = 100;

/// The text cannot begin the name of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot begin the names of topics: 1 to {PREFIX_MAX} letters, digits, `.`, `_` and `-` are allowed, the first and \
     the last a letter or a digit"
)]
pub struct PrefixError(String);

/// Whether names of topics and groups may begin so.
pub fn check_prefix(prefix: &str) -> Result<(), PrefixError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let outer = |c: char| c.is_ascii_alphanumeric();
    let fits = (1..=PREFIX_MAX).contains(&prefix.len())
        && prefix.chars().all(legal)
        && prefix.starts_with(outer)
        && prefix.ends_with(outer);
    if fits {
        Ok(())
    } else {
        Err(PrefixError(prefix.to_owned()))
    }
}

/// Where everybody else hears what becomes of orders.
#[cfg(feature = "testing")]
pub const ORDER_EVENTS_TOPIC: &str = "rushgate.order-events";

/// The orders topic of a deployment.
pub fn orders_topic(prefix: &str) -> String {
    format!("{prefix}.orders")
}

/// The group of a deployment's landers.
pub fn landing_group(prefix: &str) -> String {
    format!("{prefix}-landing")
}

/// Where orders wait that could not land for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryTopic {
    pub name: String,
    /// How long each record waits there.
    pub delay: Duration,
}

/// The topics one order may pass through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub orders: String,
    /// In the order in which a record that keeps failing passes them.
    pub retries: Vec<RetryTopic>,
    pub dead_letters: String,
    /// Every change of an order, for everybody else: no order passes through it.
    pub order_events: String,
}

/// The text does not name delays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a list of different delays such as \"5s,30s,5m\" (ms, s, m or h; empty for none): {1}")]
pub struct DelaysError(String, String);

impl Topics {
    /// `delays` is a list such as `5s,30s,5m`, or empty: then what fails goes to the dead letters at once. Each
    /// delay as it is written ends the name of its topic.
    pub fn new(orders: &str, delays: &str) -> Result<Self, DelaysError> {
        let wrong = |why: String| DelaysError(delays.to_owned(), why);
        let mut retries: Vec<RetryTopic> = Vec::new();
        for text in delays.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let delay = delay(text).ok_or_else(|| wrong(format!("{text:?} is no delay")))?;
            if retries.iter().any(|retry| retry.delay == delay) {
                return Err(wrong(format!("{text} stands there twice")));
            }
            retries.push(RetryTopic {
                name: format!("{orders}.retry.{text}"),
                delay,
            });
        }
        Ok(Self {
            orders: orders.to_owned(),
            retries,
            dead_letters: format!("{orders}.dlt"),
            order_events: order_events(orders),
        })
    }

    /// Every name: orders, retry topics, dead letters, order events.
    pub fn names(&self) -> Vec<&str> {
        let last = [self.dead_letters.as_str(), self.order_events.as_str()];
        self.landed().into_iter().chain(last).collect()
    }

    /// Names of those that are landed: orders, retry topics.
    pub fn landed(&self) -> Vec<&str> {
        let retries = self.retries.iter().map(|retry| retry.name.as_str());
        std::iter::once(self.orders.as_str()).chain(retries).collect()
    }

    /// Whether records keep their partition when they are moved there, so that it needs as many as the orders.
    pub fn keeps_partitions(&self, name: &str) -> bool {
        name != self.order_events
    }
}

/// The topic of order events that belongs to an orders topic.
fn order_events(orders: &str) -> String {
    let prefix = orders.strip_suffix(".orders").unwrap_or(orders);
    format!("{prefix}.order-events")
}

/// `200ms`, `5s`, `5m` or `1h`; above 0.
fn delay(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = number.parse::<u64>().ok()?.checked_mul(ms)?;
    (ms > 0).then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_name_their_topics() {
        let topics = Topics::new("rushgate.orders", " 200ms, 5s,5m").expect("delays");
        assert_eq!(
            topics.names(),
            [
                "rushgate.orders",
                "rushgate.orders.retry.200ms",
                "rushgate.orders.retry.5s",
                "rushgate.orders.retry.5m",
                "rushgate.orders.dlt",
                "rushgate.order-events"
            ]
        );
        let delays: Vec<u128> = topics
            .retries
            .iter()
            .map(|retry| retry.delay.as_millis())
            .collect();
        assert_eq!(delays, [200, 5000, 300_000]);
        let none = Topics::new("o", "").expect("none");
        assert_eq!(none.names(), ["o", "o.dlt", "o.order-events"]);
        assert_eq!((topics.landed().len(), none.landed()), (4, vec!["o"]));
    }

    #[test]
    fn a_prefix_is_what_kafka_and_the_database_take() {
        for prefix in ["rushgate", "a", "shop-2.eu_west", &"p".repeat(100)] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for prefix in [
            "",
            ".",
            "a.",
            "-a",
            "a b",
            "größe",
            "a/b",
            "__consumer",
            &"p".repeat(101),
        ] {
            let error = check_prefix(prefix).expect_err(prefix).to_string();
            assert!(error.contains("1 to 100 letters"), "{error}");
        }
        let topics = Topics::new(&orders_topic("shop"), "5s").expect("delays");
        assert_eq!(
            topics.names(),
            [
                "shop.orders",
                "shop.orders.retry.5s",
                "shop.orders.dlt",
                "shop.order-events"
            ]
        );
    }

    #[test]
    fn what_is_no_delay_is_named() {
        for (text, named) in [
            ("5s,soon", "\"soon\" is no delay"),
            ("5", "\"5\" is no delay"),
            ("0s", "\"0s\" is no delay"),
            ("-5s", "\"-5s\" is no delay"),
            ("5 s", "\"5 s\" is no delay"),
            ("60s,1m", "1m stands there twice"),
            ("99999999999999999999s", "is no delay"),
        ] {
            let error = Topics::new("o", text).expect_err(text).to_string();
            assert!(error.contains(named) && error.contains("5s,30s,5m"), "{error}");
        }
    }
}
