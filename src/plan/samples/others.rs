//! Samples of everything besides one limit per buyer: several subjects, tables, lists, early access,
//! the shape of one order, and the gateway's own reasons.

use super::Sample;
use super::story::{Draft, HOUR, MINUTE, SPRING, Story, again, claim, client, order, release, sku_attribute};
use crate::plan::{Attribute, Expr, Window};

pub(super) fn samples() -> Vec<Sample> {
    vec![
        no_rules(),
        several_subjects(),
        tiers(),
        region_quota(),
        reserves(),
        allow_list(),
        deny_list(),
        arrays(),
        folded(),
        early_access(),
        cap_and_packs(),
        last_units(),
        said_by_a_claim(),
        beginnings_and_ends(),
        attributes_of_skus(),
    ]
}

fn no_rules() -> Sample {
    Story::new("no rules: only stock and schedule", Draft::default()).steps(vec![
        order(-1, "ann", "shirt", 1, "", "not-open"),
        order(0, "ann", "hat", 1, "", "unknown-sku"),
        order(0, "ann", "shirt", 60, "", "admitted"),
        order(1, "bob", "shirt", 41, "", "sold-out"),
        order(1, "bob", "shirt", 40, "", "admitted"),
        order(2, "cid", "shirt", 1, "", "sold-out"),
        order(2, "cid", "shoe", 1, "", "admitted"),
        again(2, 2),
        release(3, 2),
        order(4, "cid", "shirt", 60, "", "admitted"),
        again(5, 2),
        order(96 * HOUR - 1, "cid", "shoe", 1, "", "admitted"),
        order(96 * HOUR, "cid", "shoe", 1, "", "closed"),
        order(96 * HOUR, "cid", "hat", 1, "", "unknown-sku"),
        again(96 * HOUR, 4),
    ])
}

fn several_subjects() -> Sample {
    let mut draft = Draft::default();
    let subjects = [
        (vec![Attribute::User], 2, "user-limit"),
        (vec![client("device")], 3, "device-limit"),
        (vec![client("street"), client("town")], 2, "address-limit"),
    ];
    for (key, most, reason) in subjects {
        let orders = draft.orders(&key, Window::Campaign);
        let limit = draft.push(Expr::Int(most));
        draft.at_most(orders, limit, "A limit for each of user, device and address.");
        draft.last().reason = reason.to_owned();
    }
    let at =
        |device, street, town| format!("client:device={device} client:street={street} client:town={town}");
    Story::new("several subjects at once", draft).steps(vec![
        order(0, "ann", "shirt", 1, &at("d", "a", "bc"), "admitted"),
        order(0, "ann", "shirt", 1, &at("d", "ab", "c"), "admitted"),
        order(0, "ann", "shirt", 1, &at("e", "x", "y"), "user-limit"),
        order(0, "bob", "shirt", 1, &at("d", "a", "bc"), "admitted"),
        order(0, "bob", "shirt", 1, &at("d", "x", "y"), "device-limit"),
        order(0, "bob", "shirt", 1, &at("e", "a", "bc"), "address-limit"),
        order(0, "bob", "shirt", 1, &at("e", "ab", "c"), "admitted"),
        order(0, "cid", "shirt", 1, &at("e", "ab", "c"), "address-limit"),
    ])
}

fn tiers() -> Sample {
    let mut draft = Draft::default();
    let orders = draft.orders(&[Attribute::User], Window::Campaign);
    let tier = draft.push(Expr::Attribute(claim("tier")));
    let limit = draft.push(Expr::Lookup {
        of: tier,
        entries: vec![("gold".into(), 3), ("silver".into(), 2), ("banned".into(), 0)],
        default: 1,
    });
    draft.at_most(orders, limit, "Gold buys 3, silver 2, everybody else 1.");
    Story::new("tier to limit", draft).steps(vec![
        order(0, "ann", "shirt", 1, "claim:tier=gold", "admitted"),
        order(0, "ann", "shirt", 1, "claim:tier=gold", "admitted"),
        order(0, "ann", "shirt", 1, "claim:tier=silver", "limit"),
        order(0, "ann", "shirt", 1, "claim:tier=gold", "admitted"),
        order(0, "ann", "shirt", 1, "claim:tier=gold", "limit"),
        order(0, "bob", "shirt", 1, "claim:tier=Gold", "admitted"),
        order(0, "bob", "shirt", 1, "", "limit"),
        order(0, "cid", "shirt", 1, "claim:tier=banned", "limit"),
    ])
}

fn region_quota() -> Sample {
    let mut draft = Draft::default();
    let units = draft.units(&[claim("region")], Window::Campaign);
    let of = draft.push(Expr::Attribute(claim("region")));
    let quota = draft.push(Expr::Lookup {
        of,
        entries: vec![("eu".into(), 5), ("us".into(), 3)],
        default: 0,
    });
    draft.at_most(units, quota, "5 units for the EU, 3 for the US.");
    Story::new("region quota", draft).steps(vec![
        order(0, "ann", "shirt", 4, "claim:region=eu", "admitted"),
        order(0, "bob", "shirt", 2, "claim:region=eu", "limit"),
        order(0, "cid", "shirt", 3, "claim:region=us", "admitted"),
        order(0, "dan", "shirt", 1, "claim:region=asia", "limit"),
        order(0, "dan", "shirt", 1, "", "limit"),
        release(1, 0),
        order(1, "bob", "shirt", 2, "claim:region=eu", "admitted"),
        order(1, "ann", "shirt", 3, "claim:region=eu", "admitted"),
        order(1, "ann", "shirt", 1, "claim:region=eu", "limit"),
    ])
}

/// What an order leaves must do for what the other region has not had of its share.
fn reserves() -> Sample {
    let mut draft = Draft::default();
    let of = draft.push(Expr::Attribute(claim("region")));
    let quantity = draft.push(Expr::Attribute(Attribute::Quantity));
    let zero = draft.push(Expr::Int(0));
    let mut asked = quantity;
    for (region, share) in [("eu", 8), ("us", 4)] {
        let name = draft.push(Expr::Text(region.into()));
        let own = draft.push(Expr::Eq(of, name));
        let cost = Expr::Select(own, quantity, zero);
        let units = draft.counted(&[Attribute::Sku], Window::Campaign, cost);
        let used = draft.push(Expr::Counter(units));
        let share = draft.push(Expr::Int(share));
        let unused = draft.push(Expr::Sub(share, used));
        let unused = draft.push(Expr::Max(unused, zero));
        let for_others = draft.push(Expr::Select(own, zero, unused));
        asked = draft.push(Expr::Add(asked, for_others));
    }
    let remaining = draft.push(Expr::Remaining);
    let enough = draft.push(Expr::Le(asked, remaining));
    let now = draft.push(Expr::Now);
    let released = draft.push(Expr::Int(SPRING + HOUR));
    let before = draft.push(Expr::Lt(now, released));
    draft.require(enough, "reserved", "8 units for the EU, 4 for the US.");
    draft.last().when = Some(before);
    Story::new("reserved for two regions", draft).steps(vec![
        order(0, "ann", "shoe", 9, "", "reserved"),
        order(0, "ann", "shoe", 8, "", "admitted"),
        order(0, "bob", "shoe", 1, "claim:region=asia", "reserved"),
        order(0, "cid", "shoe", 9, "claim:region=eu", "reserved"),
        order(0, "cid", "shoe", 7, "claim:region=eu", "admitted"),
        order(0, "dan", "shoe", 5, "claim:region=us", "reserved"),
        order(0, "dan", "shoe", 4, "claim:region=us", "admitted"),
        order(0, "dan", "shoe", 1, "claim:region=us", "reserved"),
        release(1, 1),
        order(1, "dan", "shoe", 8, "claim:region=us", "admitted"),
        order(1, "ann", "shoe", 1, "", "reserved"),
        order(HOUR - 1, "ann", "shoe", 1, "", "reserved"),
        order(HOUR, "ann", "shoe", 1, "", "admitted"),
    ])
}

fn allow_list() -> Sample {
    let mut draft = Draft::default();
    let invited = draft.push(Expr::Member {
        audience: "invited".into(),
        of: Attribute::User,
    });
    draft.require(invited, "not-invited", "Only invited users can buy.");
    let story = Story::new("member of an uploaded list", draft).audience("invited", &["ann", "O'Hara \"x\""]);
    story.steps(vec![
        order(0, "ann", "shirt", 1, "", "admitted"),
        order(0, "bob", "shirt", 1, "", "not-invited"),
        order(0, "O'Hara \"x\"", "shirt", 1, "", "admitted"),
        order(0, "Ann", "shirt", 1, "", "not-invited"),
    ])
}

fn deny_list() -> Sample {
    let mut draft = Draft::default();
    let stolen = draft.push(Expr::Member {
        audience: "stolen".into(),
        of: client("device"),
    });
    let blocked = draft.push(Expr::Member {
        audience: "blocked".into(),
        of: Attribute::Sku,
    });
    let either = draft.push(Expr::Or(stolen, blocked));
    let neither = draft.push(Expr::Not(either));
    draft.require(
        neither,
        "on-a-list",
        "Stolen devices and blocked SKUs are turned away.",
    );
    let story = Story::new("not member of an uploaded list", draft);
    story
        .audience("stolen", &["d9"])
        .audience("blocked", &["shoe"])
        .steps(vec![
            order(0, "ann", "shirt", 1, "client:device=d1", "admitted"),
            order(0, "ann", "shirt", 1, "", "admitted"),
            order(0, "ann", "shirt", 1, "client:device=d9", "on-a-list"),
            order(0, "ann", "shoe", 1, "client:device=d1", "on-a-list"),
        ])
}

/// Buyers who are of several groups and companies.
fn arrays() -> Sample {
    let mut draft = Draft::default();
    let groups = draft.push(Expr::Attribute(claim("groups")));
    let staff = draft.push(Expr::OneOf(groups, vec!["staff".into(), "press".into()]));
    let many: Vec<String> = (0..9).map(|n| format!("team-{n}")).collect();
    let team = draft.push(Expr::OneOf(groups, many));
    let outside = draft.push(Expr::Not(staff));
    draft.require(outside, "staff", "Not for staff and press.");
    let barred = draft.push(Expr::Member {
        audience: "barred".into(),
        of: claim("company"),
    });
    let welcome = draft.push(Expr::Not(barred));
    draft.require(welcome, "barred", "Not for these companies.");
    let orders = draft.orders(&[Attribute::User], Window::Campaign);
    let partner = draft.push(Expr::Member {
        audience: "partners".into(),
        of: claim("company"),
    });
    let (two, one) = (draft.push(Expr::Int(2)), draft.push(Expr::Int(1)));
    let either = draft.push(Expr::Or(team, partner));
    let limit = draft.push(Expr::Select(either, two, one));
    draft.at_most(orders, limit, "One order per user, two of a team or a partner.");
    let team = "claim:groups=\u{1f}a\u{1f}team-7 claim:company=\u{1f}b\u{1f}good";
    let press = "claim:groups=\u{1f}a\u{1f}press\u{1f}b";
    let none = "claim:groups=\u{1f} claim:company=\u{1f}";
    let barred = "claim:company=\u{1f}good\u{1f}evilcorp\u{1f}acme";
    let partner = "claim:company=\u{1f}x\u{1f}acme";
    let story = Story::new("claims of several texts", draft)
        .audience("barred", &["evilcorp", "badcorp"])
        .audience("partners", &["acme", "umbrella"]);
    story.steps(vec![
        order(0, "ann", "shirt", 1, team, "admitted"),
        order(0, "ann", "shirt", 1, team, "admitted"),
        order(0, "ann", "shirt", 1, team, "limit"),
        order(0, "bob", "shirt", 1, press, "staff"),
        order(0, "bob", "shirt", 1, "claim:groups=staff", "staff"),
        order(0, "bob", "shirt", 1, barred, "barred"),
        order(0, "bob", "shirt", 1, "claim:company=badcorp", "barred"),
        order(0, "bob", "shirt", 1, none, "admitted"),
        order(0, "bob", "shirt", 1, "", "limit"),
        order(0, "cid", "shirt", 1, partner, "admitted"),
        order(0, "cid", "shirt", 1, partner, "admitted"),
        order(0, "cid", "shirt", 1, partner, "limit"),
        order(0, "dan", "shirt", 1, "claim:company=x", "admitted"),
        order(0, "dan", "shirt", 1, "claim:company=x", "limit"),
        release(1, 0),
        order(1, "ann", "shirt", 1, team, "admitted"),
    ])
}

/// Buyers who write one thing in many ways.
fn folded() -> Sample {
    let fold = |(name, steps): (&str, &str)| (name.to_owned(), steps.parse().expect("steps"));
    let folds: [(&str, &str); 3] = [
        ("claim:email", "trim+lowercase+email+nfc"),
        ("claim:tier", "trim+lowercase"),
        ("client:phone", "digits"),
    ];
    let mut draft = Draft::default();
    let known = draft.push(Expr::Member {
        audience: "blocked".into(),
        of: claim("email"),
    });
    let welcome = draft.push(Expr::Not(known));
    draft.require(welcome, "blocked", "Not for these addresses.");
    let tier = draft.push(Expr::Attribute(claim("tier")));
    let gold = draft.push(Expr::OneOf(tier, vec!["gold".into()]));
    let (two, one) = (draft.push(Expr::Int(2)), draft.push(Expr::Int(1)));
    let limit = draft.push(Expr::Select(gold, two, one));
    let orders = draft.orders(&[claim("email"), client("phone")], Window::Campaign);
    draft.at_most(orders, limit, "One order per address and number, two for gold.");
    draft.fold(&folds.map(fold).into_iter().collect());
    let list = "blocked~trim+lowercase+email+nfc";
    let story = Story::new("folded attributes", draft).audience(list, &["eve@x.org", "fr\u{e9}d@x.org"]);
    let at = |email, phone, tier| format!("claim:email={email} client:phone={phone} claim:tier={tier}");
    let by = |at_ms, user, attributes: String, expect| order(at_ms, user, "shirt", 1, &attributes, expect);
    story.steps(vec![
        by(0, "a", at("eve@x.org", "", ""), "blocked"),
        by(0, "a", at("EVE+1@X.org", "", ""), "blocked"),
        by(0, "a", at("Fre\u{301}d@x.org", "", ""), "blocked"),
        by(0, "a", at("\u{1f}ok@x.org\u{1f}Eve@x.org", "", ""), "blocked"),
        by(0, "a", at("Ann@X.org", "+49-170", ""), "admitted"),
        by(0, "b", at("ann+z@x.org", "49170", ""), "limit"),
        by(0, "b", at("ann@x.org", "0170", ""), "admitted"),
        by(0, "c", at("ann@x.org", "0-170", "GOLD"), "admitted"),
        by(0, "d", at("ANN@x.org", "(0170)", "Gold"), "limit"),
        release(1, 7),
        by(1, "d", at("ann@x.org", "0170", "gold"), "admitted"),
        by(1, "d", at("ann@x.org", "4917-0", ""), "limit"),
    ])
}

fn early_access() -> Sample {
    let mut draft = Draft::default();
    let tier = draft.push(Expr::Attribute(claim("tier")));
    let gold = draft.push(Expr::OneOf(tier, vec!["gold".into(), "platinum".into()]));
    let invited = draft.push(Expr::Member {
        audience: "invited".into(),
        of: Attribute::User,
    });
    draft.early(HOUR, gold, "Gold and platinum members come in an hour early.");
    draft.early(MINUTE, invited, "Invited users come in a minute early.");
    let orders = draft.orders(&[Attribute::User], Window::Campaign);
    let one = draft.push(Expr::Int(1));
    draft.at_most(orders, one, "One order per user.");
    Story::new("early access", draft)
        .audience("invited", &["ann"])
        .steps(vec![
            order(-HOUR - 1, "gil", "shirt", 1, "claim:tier=gold", "not-open"),
            order(-HOUR, "gil", "shirt", 1, "claim:tier=gold", "admitted"),
            order(-HOUR, "gil", "shirt", 1, "claim:tier=gold", "limit"),
            order(-HOUR, "ann", "shirt", 1, "", "not-open"),
            order(-MINUTE - 1, "ann", "shirt", 1, "", "not-open"),
            order(-MINUTE, "ann", "shirt", 1, "", "admitted"),
            order(-1, "bob", "shirt", 1, "claim:tier=silver", "not-open"),
            order(0, "bob", "shirt", 1, "", "admitted"),
        ])
}

fn cap_and_packs() -> Sample {
    let mut draft = Draft::default();
    let quantity = draft.push(Expr::Attribute(Attribute::Quantity));
    let twelve = draft.push(Expr::Int(12));
    let within = draft.push(Expr::Le(quantity, twelve));
    draft.require(within, "too-many", "At most 12 units in one order.");
    let sku = draft.push(Expr::Attribute(Attribute::Sku));
    let shoe = draft.push(Expr::Text("shoe".into()));
    let is_shoe = draft.push(Expr::Eq(sku, shoe));
    let rest = draft.push(Expr::Mod(quantity, 6));
    let zero = draft.push(Expr::Int(0));
    let full = draft.push(Expr::Eq(rest, zero));
    draft.require(full, "not-a-pack", "Shoes are sold in packs of 6.");
    draft.last().when = Some(is_shoe);
    Story::new("cap per order and packs", draft).steps(vec![
        order(0, "ann", "shirt", 13, "", "too-many"),
        order(0, "ann", "shirt", 11, "", "admitted"),
        order(0, "ann", "shoe", 18, "", "too-many"),
        order(0, "ann", "shoe", 5, "", "not-a-pack"),
        order(0, "ann", "shoe", 6, "", "admitted"),
        order(0, "ann", "shoe", 12, "", "admitted"),
    ])
}

/// At most a tenth of what the SKU started with while more than half is left, then one by one.
fn last_units() -> Sample {
    let mut draft = Draft::default();
    let stock = draft.push(Expr::Stock);
    let remaining = draft.push(Expr::Remaining);
    let half = draft.push(Expr::Div(stock, 2));
    let tenth = draft.push(Expr::Div(stock, 10));
    let one = draft.push(Expr::Int(1));
    let plenty = draft.push(Expr::Lt(half, remaining));
    let most = draft.push(Expr::Select(plenty, tenth, one));
    let quantity = draft.push(Expr::Attribute(Attribute::Quantity));
    let fits = draft.push(Expr::Le(quantity, most));
    draft.require(fits, "last-units", "Small orders only once half is sold.");
    Story::new("smaller orders as stock runs out", draft).steps(vec![
        order(0, "ann", "shoe", 3, "", "last-units"),
        order(0, "ann", "shoe", 2, "", "admitted"),
        order(0, "ann", "shoe", 2, "", "admitted"),
        order(0, "ann", "shoe", 2, "", "admitted"),
        order(0, "ann", "shoe", 2, "", "admitted"),
        order(0, "ann", "shoe", 2, "", "admitted"),
        order(0, "ann", "shoe", 2, "", "last-units"),
        order(0, "ann", "shoe", 1, "", "admitted"),
        order(0, "ann", "shirt", 10, "", "admitted"),
    ])
}

/// Orders count as many points as the token says, up to as many as it says.
fn said_by_a_claim() -> Sample {
    let mut draft = Draft::default();
    let said = |draft: &mut Draft, name, high, missing, unreadable| {
        let of = draft.push(Expr::Attribute(claim(name)));
        Expr::Number {
            of,
            low: 0,
            high,
            missing,
            unreadable,
        }
    };
    let weight = said(&mut draft, "weight", 9, 1, 9);
    let points = draft.counted(&[Attribute::User], Window::Campaign, weight);
    let most = said(&mut draft, "most", 100, 2, 0);
    let most = draft.push(most);
    draft.at_most(points, most, "As many points as the token allows.");
    Story::new("a limit and a cost that claims say", draft).steps(vec![
        order(0, "ann", "shirt", 1, "claim:most=5 claim:weight=3", "admitted"),
        order(0, "ann", "shirt", 1, "claim:most=5 claim:weight=3", "limit"),
        order(0, "ann", "shirt", 1, "claim:most=5 claim:weight=2", "admitted"),
        order(0, "ann", "shirt", 1, "claim:most=5 claim:weight=0", "admitted"),
        order(0, "bob", "shirt", 1, "", "admitted"),
        order(0, "bob", "shirt", 1, "", "admitted"),
        order(0, "bob", "shirt", 1, "", "limit"),
        order(0, "cid", "shirt", 1, "claim:most=05", "limit"),
        order(0, "cid", "shirt", 1, "claim:most=5.0", "limit"),
        order(0, "cid", "shirt", 1, "claim:most=101", "limit"),
        order(0, "cid", "shirt", 1, "claim:most=-1", "limit"),
        order(0, "cid", "shirt", 1, "claim:most=many", "limit"),
        order(
            0,
            "cid",
            "shirt",
            1,
            "claim:most=100 claim:weight=heavy",
            "admitted",
        ),
        order(0, "cid", "shirt", 1, "claim:most=9", "limit"),
        order(0, "cid", "shirt", 1, "claim:most=10", "admitted"),
        release(1, 12),
        order(1, "cid", "shirt", 1, "claim:most=2", "admitted"),
        order(1, "cid", "shirt", 1, "claim:most=2", "limit"),
    ])
}

/// Postcodes that begin with one of these, and no more than one order of others than members of the house.
fn beginnings_and_ends() -> Sample {
    let mut draft = Draft::default();
    let code = draft.push(Expr::Attribute(client("postcode")));
    let near = draft.push(Expr::StartsWith(code, vec!["10".into(), "12".into(), "ü".into()]));
    draft.require(near, "too-far", "Only to postcodes that begin with 10, 12 or ü.");
    let orders = draft.orders(&[Attribute::User], Window::Campaign);
    let email = draft.push(Expr::Attribute(claim("email")));
    let house = draft.push(Expr::EndsWith(email, vec!["@example.com".into()]));
    let one = draft.push(Expr::Int(1));
    draft.at_most(orders, one, "One order for whoever is not of the house.");
    let other = draft.push(Expr::Not(house));
    draft.last().when = Some(other);
    Story::new("what begins and what ends with a text", draft).steps(vec![
        order(0, "ann", "shirt", 1, "client:postcode=10115", "admitted"),
        order(0, "ann", "shirt", 1, "client:postcode=10115", "limit"),
        order(
            0,
            "ann",
            "shirt",
            1,
            "client:postcode=10 claim:email=ann@example.com",
            "admitted",
        ),
        order(
            0,
            "ann",
            "shirt",
            1,
            "client:postcode=12 claim:email=ann@example.com.evil",
            "limit",
        ),
        order(
            0,
            "ann",
            "shirt",
            1,
            "client:postcode=12 claim:email=example.com",
            "limit",
        ),
        order(0, "bob", "shirt", 1, "client:postcode=1", "too-far"),
        order(0, "bob", "shirt", 1, "client:postcode=010", "too-far"),
        order(0, "bob", "shirt", 1, "", "too-far"),
        order(
            0,
            "bob",
            "shirt",
            1,
            "client:postcode=über claim:email=@example.com",
            "admitted",
        ),
        order(0, "bob", "shirt", 1, "client:postcode=über claim:email=", "limit"),
    ])
}

/// Whatever an order says of a SKU does not count: the campaign says it.
fn attributes_of_skus() -> Sample {
    let mut draft = Draft::default();
    let units = draft.units(&[Attribute::User, sku_attribute("category")], Window::Campaign);
    let category = draft.push(Expr::Attribute(sku_attribute("category")));
    let limit = draft.push(Expr::Lookup {
        of: category,
        entries: vec![("mugs".into(), 2), ("shirts".into(), 3)],
        default: 1,
    });
    draft.at_most(units, limit, "2 mugs, 3 shirts, one of everything else.");
    draft.last().reason = "category-limit".to_owned();
    let orders = draft.orders(&[Attribute::User, Attribute::Sku], Window::Campaign);
    let one = draft.push(Expr::Int(1));
    draft.at_most(orders, one, "Limited editions: one order each.");
    let edition = draft.push(Expr::Attribute(sku_attribute("edition")));
    let limited = draft.push(Expr::Text("limited".into()));
    let is_limited = draft.push(Expr::Eq(edition, limited));
    draft.last().when = Some(is_limited);
    let of = sku_attribute("colour");
    let audience = "faded".to_owned();
    let faded = draft.push(Expr::Member { audience, of });
    let fresh = draft.push(Expr::Not(faded));
    draft.require(fresh, "faded", "No colour that has faded.");
    Story::new("attributes of the SKU", draft)
        .sku("shirt", "category=shirts edition=limited colour=blue")
        .sku("mug-red", "category=mugs colour=red")
        .sku("mug-blue", "category=mugs colour=blue")
        .sku("mug-grey", "category=mugs colour=grey")
        .audience("faded", &["grey", "white"])
        .steps(vec![
            order(0, "ann", "mug-red", 1, "", "admitted"),
            order(0, "ann", "mug-blue", 1, "", "admitted"),
            order(0, "ann", "mug-red", 1, "", "category-limit"),
            order(0, "ann", "mug-red", 1, "sku:category=shirts", "category-limit"),
            order(0, "ann", "mug-grey", 1, "", "category-limit"),
            order(0, "ann", "shirt", 1, "", "admitted"),
            order(0, "ann", "shirt", 1, "", "limit"),
            order(0, "ann", "shoe", 1, "", "admitted"),
            order(0, "ann", "shoe", 1, "", "category-limit"),
            order(0, "bob", "mug-grey", 1, "sku:colour=red", "faded"),
            order(0, "bob", "mug-blue", 2, "sku:colour=grey", "admitted"),
            release(1, 0),
            order(1, "ann", "mug-blue", 1, "client:colour=grey", "admitted"),
            order(1, "cid", "shirt", 4, "", "category-limit"),
        ])
}
