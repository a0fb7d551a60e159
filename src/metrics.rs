//! What Prometheus reads, and where it is counted: in the module that it is about.
//!
//! A module's counters are the fields of a struct that `metrics!` makes: the name and the help text stand with the field,
//! and whoever counts holds the struct. What is computed when somebody scrapes is a [`gauge`]. What is registered here has
//! its head on the page also while nothing is counted yet: what can be asked for can be seen.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// One metric of a struct `M` of them.
pub struct Described<M> {
    pub name: &'static str,
    /// As its documentation has it: lines begin with a space.
    pub help: &'static str,
    pub of: fn(&M) -> &dyn EncodeMetric,
}

/// A struct whose fields are metrics; its clones count into the same ones.
pub trait Metrics: fmt::Debug + Clone + Send + Sync + Sized + 'static {
    const EACH: &'static [Described<Self>];
}

/// Makes a struct of metrics. The documentation of a field is its help text, and the name behind it the one on the page,
/// without `rushgate_`. A type without a default is made by the expression after `made by`. What the module puts on the
/// page in another way, and counts with these, stands in a second block, after `and`:
///
/// ```text
/// metrics! {
///     /// What the relay counts.
///     pub struct Metrics {
///         /// Own orders acknowledged
///         pub published: Counter = "relay_orders_published";
///     }
/// }
/// ```
macro_rules! metrics {
    (
        $(#[doc = $about:literal])*
        $visible:vis struct $Metrics:ident {
            $(
                $(#[doc = $help:literal])+
                $seen:vis $field:ident: $metric:ty = $name:literal $(, made by $make:expr)?;
            )+
        }
        $(and {
            $(
                $(#[doc = $what:literal])+
                $seen_too:vis $other:ident: $kind:ty;
            )+
        })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        $visible struct $Metrics {
            $(
                $(#[doc = $help])+
                $seen $field: $metric,
            )+
            $($(
                $(#[doc = $what])+
                $seen_too $other: $kind,
            )+)?
        }

        impl Default for $Metrics {
            fn default() -> Self {
                Self {
                    $($field: $crate::metrics::metrics!(@new $($make)?),)+
                    $($($other: Default::default(),)+)?
                }
            }
        }

        impl $crate::metrics::Metrics for $Metrics {
            const EACH: &'static [$crate::metrics::Described<Self>] = &[
                $($crate::metrics::Described {
                    name: $name,
                    help: concat!($($help),+),
                    of: |metrics| &metrics.$field,
                },)+
            ];
        }
    };
    (@new) => { Default::default() };
    (@new $make:expr) => { $make };
}
pub(crate) use metrics;

/// Puts these metrics on the page.
pub fn register(registry: &mut Registry, metrics: &impl Metrics) {
    registry.register_collector(Box::new(Alone(metrics.clone())));
}

/// Puts on the page what several of the same kind count, told apart by a label: its name, and (value, metrics).
pub fn register_by<M: Metrics>(registry: &mut Registry, label: &'static str, members: Vec<(String, M)>) {
    registry.register_collector(Box::new(By { label, members }));
}

/// A gauge without labels, read whenever somebody scrapes.
pub fn gauge<V: TryInto<i64>>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> V + Send + Sync + 'static,
) {
    scraped(registry, name, help, MetricType::Gauge, move |encoder| {
        ConstGauge::new(fitted(read())).encode(encoder)
    });
}

/// A gauge with labels, of which each scrape reads as many as there are.
pub fn gauges<L: EncodeLabelSet, V: TryInto<i64>>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> Vec<(L, V)> + Send + Sync + 'static,
) {
    scraped(registry, name, help, MetricType::Gauge, move |mut encoder| {
        read().into_iter().try_for_each(|(labels, value)| {
            ConstGauge::new(fitted(value)).encode(encoder.encode_family(&labels)?)
        })
    });
}

/// The same of sums that are kept elsewhere.
pub fn counters<L: EncodeLabelSet>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> Vec<(L, u64)> + Send + Sync + 'static,
) {
    scraped(registry, name, help, MetricType::Counter, move |mut encoder| {
        read()
            .into_iter()
            .try_for_each(|(labels, value)| ConstCounter::new(value).encode(encoder.encode_family(&labels)?))
    });
}

fn fitted(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[derive(Debug)]
struct Alone<M>(M);

impl<M: Metrics> Collector for Alone<M> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        M::EACH.iter().try_for_each(|each| {
            let metric = (each.of)(&self.0);
            metric.encode(head(&mut encoder, each.name, each.help, metric.metric_type())?)
        })
    }
}

#[derive(Debug)]
struct By<M> {
    label: &'static str,
    members: Vec<(String, M)>,
}

impl<M: Metrics> Collector for By<M> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some((_, any)) = self.members.first() else {
            return Ok(());
        };
        M::EACH.iter().try_for_each(|each| {
            let kind = (each.of)(any).metric_type();
            let mut family = head(&mut encoder, each.name, each.help, kind)?;
            self.members.iter().try_for_each(|(value, metrics)| {
                let labels = [(self.label, value.as_str())];
                (each.of)(metrics).encode(family.encode_family(&labels)?)
            })
        })
    }
}

fn head<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help.trim_start(), None, kind)
}

fn scraped(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    write: impl Fn(MetricEncoder<'_>) -> fmt::Result + Send + Sync + 'static,
) {
    let write = Box::new(write);
    registry.register_collector(Box::new(Scraped {
        name,
        help,
        kind,
        write,
    }));
}

struct Scraped {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    write: Box<dyn Fn(MetricEncoder<'_>) -> fmt::Result + Send + Sync>,
}

impl fmt::Debug for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scraped").field(&self.name).finish()
    }
}

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.write)(head(&mut encoder, self.name, self.help, self.kind)?)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;

    use super::*;

    metrics! {
        /// What a test counts.
        struct Counted {
            /// Orders
            /// that came
            came: Counter = "orders_came";
            /// Orders by colour
            colours: Family<[(&'static str, &'static str); 1], Counter> = "orders_by_colour";
        }
    }

    fn page(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).expect("encodes");
        text
    }

    #[test]
    fn fields_are_told_with_their_help_and_families_without_members_by_their_head() {
        let (mut registry, counted) = (Registry::with_prefix("r"), Counted::default());
        register(&mut registry, &counted);
        counted.came.inc();
        assert_eq!(
            page(&registry),
            "# HELP r_orders_came Orders that came\n# TYPE r_orders_came counter\nr_orders_came_total 1\n\
             # HELP r_orders_by_colour Orders by colour\n# TYPE r_orders_by_colour counter\n# EOF\n"
        );
        counted.colours.get_or_create(&[("colour", "red")]).inc();
        assert!(page(&registry).contains("r_orders_by_colour_total{colour=\"red\"} 1\n"));
    }

    metrics! {
        /// The same, without a family.
        struct Plain {
            /// Orders
            came: Counter = "came";
        }
    }

    #[test]
    fn several_of_a_kind_stand_under_one_head() {
        let (mut registry, one, two) = (Registry::default(), Plain::default(), Plain::default());
        let members = vec![("a".to_owned(), one.clone()), ("b".to_owned(), two.clone())];
        register_by(&mut registry, "topic", members);
        one.came.inc_by(2);
        assert_eq!(
            page(&registry),
            "# HELP came Orders\n# TYPE came counter\ncame_total{topic=\"a\"} 2\ncame_total{topic=\"b\"} 0\n# EOF\n"
        );
    }

    #[test]
    fn gauges_are_read_when_they_are_asked_for() {
        let mut registry = Registry::default();
        gauge(&mut registry, "waiting", "Orders", || u64::MAX);
        gauges(&mut registry, "lag", "Records", || {
            vec![([("partition", "3")], 7_u64)]
        });
        assert_eq!(
            page(&registry),
            "# HELP waiting Orders\n# TYPE waiting gauge\nwaiting 9223372036854775807\n\
             # HELP lag Records\n# TYPE lag gauge\nlag{partition=\"3\"} 7\n# EOF\n"
        );
    }
}
