//! The optional precheck: a look at each order before it is decided. For a module, it needs the feature `precheck`.

use alloc::string::{String, ToString};
use core::marker::PhantomData;

use crate::bindings::exports::rushgate::policy::types as plain;
use crate::{Attribute, Reason, Rule};

/// What wit-bindgen writes for a world that has the precheck alone; its part of the component's type is joined with
/// the rule's when the module is wrapped.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        inline: "
            package rushgate:sdk;
            world with-precheck {
                export rushgate:policy/types@1.0.0;
                export rushgate:policy/precheck@1.0.0;
            }
        ",
        path: "../../wit",
        world: "rushgate:sdk/with-precheck",
    });
}

use bindings::exports::rushgate::policy::precheck::Guest;
use bindings::exports::rushgate::policy::types as wit;

/// An order as a precheck sees it: with the attributes that [`Rule::attributes`] declares, and no others.
#[derive(Debug)]
pub struct Request(wit::Request);

impl Request {
    pub fn user(&self) -> &str {
        &self.0.user
    }

    pub fn sku(&self) -> &str {
        &self.0.sku
    }

    pub fn quantity(&self) -> u32 {
        self.0.quantity
    }

    /// The value of an attribute; the empty text where the order has none, or the rule does not declare it.
    pub fn text(&self, attribute: &Attribute) -> String {
        match &attribute.0 {
            plain::Attribute::User => self.0.user.clone(),
            plain::Attribute::Sku => self.0.sku.clone(),
            plain::Attribute::Quantity => self.0.quantity.to_string(),
            other => {
                let found = self.0.attributes.iter().find(|(name, _)| same(name, other));
                found.map_or_else(String::new, |(_, value)| value.clone())
            }
        }
    }
}

fn same(a: &wit::Attribute, b: &plain::Attribute) -> bool {
    match (a, b) {
        (wit::Attribute::Ip, plain::Attribute::Ip) => true,
        (wit::Attribute::Claim(a), plain::Attribute::Claim(b)) => a == b,
        (wit::Attribute::Client(a), plain::Attribute::Client(b)) => a == b,
        _ => false,
    }
}

/// A rule that also looks at each order before it is decided. It may only reject: what it lets pass, the plan
/// decides. It runs for every order, in a fresh instance, within a million instructions; where it panics or takes
/// longer, the order is refused and the buyer told to try again.
pub trait Precheck: Rule {
    /// `Err` names one of [`Rule::REASONS`].
    fn check(params: Self::Params, order: &Request) -> Result<(), Reason>;
}

/// The component's exports for a precheck; see [`crate::export_with_precheck!`].
pub struct Checked<R>(PhantomData<R>);

impl<R: Precheck> Guest for Checked<R> {
    fn check(params: String, request: wit::Request) -> wit::Verdict {
        // They were read when the revision was compiled; if not now, refusing the order is all there is to do.
        let params = serde_json::from_str(&params).expect("parameters that compiled");
        match R::check(params, &Request(request)) {
            Ok(()) => wit::Verdict::Pass,
            Err(reason) => wit::Verdict::Reject(reason.code.to_string()),
        }
    }
}

/// Makes a type that implements [`Rule`] and [`Precheck`] the module's rule, instead of [`crate::export!`].
///
/// wit-bindgen's own macro for a second world would clash with the first one's, so this spells out the export.
#[macro_export]
macro_rules! export_with_precheck {
    ($rule:ty) => {
        $crate::export!($rule);
        const _: () = {
            use $crate::precheck::{Checked, bindings::exports::rushgate::policy::precheck as exported};

            #[unsafe(export_name = "rushgate:policy/precheck@1.0.0#check")]
            unsafe extern "C" fn check(
                params: *mut u8,
                params_len: usize,
                user: *mut u8,
                user_len: usize,
                sku: *mut u8,
                sku_len: usize,
                quantity: i32,
                attributes: *mut u8,
                attributes_len: usize,
            ) -> *mut u8 {
                unsafe {
                    exported::_export_check_cabi::<Checked<$rule>>(
                        params,
                        params_len,
                        user,
                        user_len,
                        sku,
                        sku_len,
                        quantity,
                        attributes,
                        attributes_len,
                    )
                }
            }

            #[unsafe(export_name = "cabi_post_rushgate:policy/precheck@1.0.0#check")]
            unsafe extern "C" fn drop_verdict(verdict: *mut u8) {
                unsafe { exported::__post_return_check::<Checked<$rule>>(verdict) }
            }
        };
    };
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Context, Diagnostic, Plan, claim, client};

    const ODD: Reason = Reason::new("odd", "Not so many");

    struct Even;

    impl Rule for Even {
        type Params = u32;
        const ID: &'static str = "even";
        const VERSION: &'static str = "1.0.0";
        const TITLE: &'static str = "Even";
        const SUMMARY: &'static str = "";
        const REASONS: &'static [Reason] = &[ODD];

        fn compile(_: &Context, _: u32) -> Result<Plan, vec::Vec<Diagnostic>> {
            Ok(Plan::new())
        }
    }

    impl Precheck for Even {
        fn check(by: u32, order: &Request) -> Result<(), Reason> {
            let gold = order.text(&claim("tier")) == "gold" && order.text(&client("tier")).is_empty();
            if gold || order.quantity().is_multiple_of(by) {
                Ok(())
            } else {
                Err(ODD)
            }
        }
    }

    fn verdict(quantity: u32, attributes: vec::Vec<(wit::Attribute, String)>) -> bool {
        let request = wit::Request {
            user: "ann".into(),
            sku: "mug".into(),
            quantity,
            attributes,
        };
        match <Checked<Even> as Guest>::check("2".into(), request) {
            wit::Verdict::Pass => true,
            wit::Verdict::Reject(code) => {
                assert_eq!(code, "odd");
                false
            }
        }
    }

    #[test]
    fn a_reason_becomes_its_code_and_attributes_are_told_apart() {
        assert!(verdict(2, vec![]));
        assert!(!verdict(3, vec![]));
        assert!(verdict(
            3,
            vec![(wit::Attribute::Claim("tier".into()), "gold".into())]
        ));
        assert!(!verdict(
            3,
            vec![(wit::Attribute::Client("tier".into()), "gold".into())]
        ));
    }
}
