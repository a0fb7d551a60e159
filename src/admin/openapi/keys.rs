//! Keys and merchants, described.

use super::super::keys::{MerchantPage, Page, PageQuery};
use crate::control::{KeyView, MerchantChange, MerchantView, NewKey, NewKeyView, NewMerchant};
use crate::wire::openapi::Operation;
use crate::wire::problem::CONFLICT;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/admin/v1/keys", "createKey", "Makes a key for somebody")
            .says("It may do no more than the key that makes it, and does not outlive it. It goes on where that one is revoked.")
            .keyed()
            .body::<NewKey>()
            .answers_either::<NewKeyView, KeyView>(201, "The key, which nobody is shown again: a repeated answer is without its member key.")
            .tells("Location", "The key by its id.")
            .replays(),
        Operation::get("/admin/v1/keys", "listKeys", "Keys, newest first")
            .query::<PageQuery>()
            .answers::<Page>(200, "A page of keys.")
            .of_something(),
        Operation::delete("/admin/v1/keys/{id}", "revokeKey", "Revokes a key")
            .says("It is nobody's at once, at every gateway; downloads and streams that it began end within a second or two.")
            .answers_nothing(204, "It is revoked, now or before.")
            .of_something(),
        Operation::post("/admin/v1/merchants", "createMerchant", "Makes a merchant")
            .keyed()
            .body::<NewMerchant>()
            .answers::<MerchantView>(201, "The merchant.")
            .replays()
            .refuses(&[&CONFLICT]),
        Operation::patch("/admin/v1/merchants/{id}", "changeMerchant", "Changes a merchant's name, or who says who its buyers are")
            .says("Gateways go by another issuer within a second or two. Users of one issuer are none of another: orders stand under \
                the name that their buyer had.")
            .body::<MerchantChange>()
            .answers::<MerchantView>(200, "The merchant as it is now.")
            .of_something(),
        Operation::get("/admin/v1/merchants", "listMerchants", "Merchants, newest first")
            .query::<PageQuery>()
            .answers::<MerchantPage>(200, "A page of merchants; of a key of one merchant, that one.")
            .of_something(),
    ]
}
