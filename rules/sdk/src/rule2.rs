//! The optional `rule2`: plans with the nodes of `types2`. For a module, it needs the feature `rule2`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::exports::rushgate::policy::rule2::Guest;
use crate::bindings::exports::rushgate::policy::types as wit;
use crate::bindings::exports::rushgate::policy::types2;
use crate::expr::{Beyond, Written};
use crate::rule::finished;
use crate::{Context, Exported, Rule};

impl<R: Rule> Guest for Exported<R> {
    fn compile(context: Context, params: String) -> Result<types2::Plan, Vec<wit::Diagnostic>> {
        let plan = finished::<R>(&context, &params)?;
        Ok(types2::Plan {
            nodes: plan.nodes.into_iter().map(node).collect(),
            counters: plan.counters,
            constraints: plan.constraints,
            early_access: plan.early_access,
        })
    }
}

fn node(written: Written) -> types2::Expr {
    match written {
        Written::Plain(plain) => types2::Expr::Plain(plain),
        Written::Beyond(Beyond::Number {
            of,
            low,
            high,
            missing,
            unreadable,
        }) => types2::Expr::Number(types2::Number {
            of,
            low,
            high,
            missing,
            unreadable,
        }),
        Written::Beyond(Beyond::StartsWith(of, texts)) => types2::Expr::StartsWith((of, texts)),
        Written::Beyond(Beyond::EndsWith(of, texts)) => types2::Expr::EndsWith((of, texts)),
        Written::Beyond(Beyond::SkuAttribute(name)) => types2::Expr::SkuAttribute(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::rushgate::policy::rule::Guest as Plain;
    use crate::{Diagnostic, Need, Plan, Reason, Window, claim, quantity, sku, sku_attribute, user};

    const LIMIT: Reason = Reason::new("limit", "Limit reached");

    struct Said;

    impl Rule for Said {
        /// Whether the claim decides.
        type Params = bool;
        const ID: &'static str = "said";
        const VERSION: &'static str = "1.0.0";
        const TITLE: &'static str = "Said";
        const SUMMARY: &'static str = "";
        const REASONS: &'static [Reason] = &[LIMIT];

        fn attributes() -> Vec<Need> {
            [Need::optional(claim("most"))].into()
        }

        fn compile(_: &Context, said: bool) -> Result<Plan, Vec<Diagnostic>> {
            let mut plan = Plan::new();
            let units = plan.counter("units", [user()], Window::Campaign, quantity());
            let limit = match said {
                true => claim("most").text().number(0..=9, 1, 0),
                false => crate::int(3),
            };
            plan.require((units.used() + quantity()).le(limit), &LIMIT, "So many.");
            Ok(plan)
        }
    }

    struct Of;

    impl Rule for Of {
        /// Whether it counts by what the SKU is.
        type Params = bool;
        const ID: &'static str = "of";
        const VERSION: &'static str = "1.0.0";
        const TITLE: &'static str = "Of";
        const SUMMARY: &'static str = "";
        const REASONS: &'static [Reason] = &[LIMIT];

        fn compile(_: &Context, counts: bool) -> Result<Plan, Vec<Diagnostic>> {
            let mut plan = Plan::new();
            let key = match counts {
                true => [user().into(), sku_attribute("category").into()],
                false => [user().into(), sku().into()],
            };
            let units = plan.counter_by("units", key, Window::Campaign, quantity());
            plan.require((units.used() + quantity()).le(2), &LIMIT, "Two.");
            if counts {
                plan.require(sku_attribute("colour").text().equals("red"), &LIMIT, "Red ones.");
            }
            Ok(plan)
        }
    }

    #[test]
    fn what_a_sku_is_stands_in_keys_and_expressions() {
        let refused = <Exported<Of> as Plain>::compile(context(), "true".into());
        assert_eq!(refused.expect_err("beyond")[0].code, "needs-rule2");
        let plan = <Exported<Of> as Guest>::compile(context(), "true".into()).expect("a plan");
        let of = |part: &types2::Attribute| matches!(part, types2::Attribute::SkuAttribute(name) if name == "category");
        assert!(of(&plan.counters[0].key[1]) && !of(&plan.counters[0].key[0]));
        let colour =
            |node: &types2::Expr| matches!(node, types2::Expr::SkuAttribute(name) if name == "colour");
        assert!(plan.nodes.iter().any(colour));
        // By the SKU itself, `rule` can say it, too.
        let plain = <Exported<Of> as Plain>::compile(context(), "false".into()).expect("plain");
        assert!(matches!(plain.counters[0].key[1], wit::Attribute::Sku));
    }

    fn context() -> Context {
        Context {
            campaign: "c".into(),
            opens_at_ms: 0,
            closes_at_ms: 1,
            skus: Vec::new(),
            contract: "1.0.0".into(),
        }
    }

    #[test]
    fn a_gateway_that_asks_only_rule_gets_what_rule_can_say() {
        let plain = <Exported<Said> as Plain>::compile(context(), "false".into());
        let beyond = <Exported<Said> as Guest>::compile(context(), "false".into());
        let (plain, beyond) = (plain.expect("plain"), beyond.expect("the same"));
        assert_eq!(plain.nodes.len(), beyond.nodes.len());

        let refused = <Exported<Said> as Plain>::compile(context(), "true".into());
        assert_eq!(refused.expect_err("beyond")[0].code, "needs-rule2");
        let plan = <Exported<Said> as Guest>::compile(context(), "true".into()).expect("a plan");
        let number = |node: &types2::Expr| matches!(node, types2::Expr::Number(said) if (said.low, said.high, said.missing, said.unreadable) == (0, 9, 1, 0));
        assert!(plan.nodes.iter().any(number));
    }
}
