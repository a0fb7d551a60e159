//! What one order costs Redis: run by hand, in a release build, on a quiet machine.
//!
//! `cargo test --release --test engines speed -- --ignored --nocapture`

use rushgate::campaign::{Sku, buckets_for};
use rushgate::lua::calls::{self, Restore};
use rushgate::lua::codec::{self, Fence};
use rushgate::lua::emit::emit_with_shadow;
use rushgate::lua::{Family, fixed, lists};
use rushgate::order::Attempt;
use rushgate::plan::{Attribute, AudienceRef, CalendarUnit, CheckContext, Expr, Plan, Window, check};

use crate::decisions::one_per_user;
use crate::plans::{add_limit, attempt, context_now, push, require, with};
use crate::server::Server;
use crate::world::{Lists, REVISION, fresh_shard};

const ORDERS: u32 = 24_000;

/// Eight constraints as merchants combine them; the first so many.
fn rules(count: usize) -> Plan {
    let mut plan = one_per_user();
    let units = || Expr::Attribute(Attribute::Quantity);
    let user = [Attribute::User];
    let client = |name: &str| [Attribute::Client(name.into())];
    let claim = |name: &str| [Attribute::Claim(name.into())];
    let day = Window::Calendar {
        unit: CalendarUnit::Day,
        zone: "Asia/Shanghai".into(),
    };
    let adders: [&dyn Fn(&mut Plan); 7] = [
        &|plan| {
            add_limit(
                plan,
                "device/orders",
                &client("device"),
                Window::Campaign,
                Expr::Int(1),
                1,
            )
        },
        &|plan| add_limit(plan, "daily/units", &user, day.clone(), units(), 5),
        &|plan| {
            add_limit(
                plan,
                "region/units",
                &claim("region"),
                Window::Campaign,
                units(),
                10_000_000,
            )
        },
        &|plan| {
            let quantity = push(plan, units());
            let most = push(plan, Expr::Int(4));
            let within = push(plan, Expr::Le(quantity, most));
            require(plan, None, within);
        },
        &|plan| {
            add_limit(
                plan,
                "cool/down",
                &user,
                Window::Rolling { length_ms: 60_000 },
                Expr::Int(1),
                1,
            )
        },
        &|plan| add_limit(plan, "tiered/units", &user, Window::Campaign, units(), 9),
        &|plan| {
            let of = Attribute::User;
            let listed = push(
                plan,
                Expr::Member {
                    audience: "blocked".into(),
                    of,
                },
            );
            let free = push(plan, Expr::Not(listed));
            require(plan, None, free);
        },
    ];
    adders.iter().take(count - 1).for_each(|add| add(&mut plan));
    plan
}

/// Eight counters of the same buyer.
fn counters(count: usize) -> Plan {
    let mut plan = Plan::default();
    for index in 0..count {
        let id = format!("rule-{index}/orders");
        add_limit(
            &mut plan,
            &id,
            &[Attribute::User],
            Window::Campaign,
            Expr::Int(1),
            3,
        );
    }
    plan
}

fn family(plan: Plan, shadow: Option<Plan>) -> Family {
    let skus = vec![Sku {
        id: "mug".into(),
        stock: 100_000,
    }];
    let mut context = CheckContext {
        buckets: buckets_for(&skus),
        skus,
        ..context_now(&[])
    };
    context.audiences.insert(
        "blocked".into(),
        AudienceRef {
            version: 1,
            buckets: 64,
        },
    );
    let checked = |plan| check(plan, context.clone()).expect("a valid plan").into();
    emit_with_shadow(checked(plan), shadow.map(checked), REVISION).expect("it fits")
}

fn order(number: u32) -> Attempt {
    let user = format!("user-{number:07}");
    let order = with(
        attempt(&user, 1, "mug", 1),
        "client:device",
        &format!("device-{number:07}"),
    );
    with(order, "claim:region", ["eu", "us", "cn"][number as usize % 3])
}

/// Microseconds of Redis' own time per order, all of them admitted.
fn measure(server: &Server, family: &Family, batch: u32) -> f64 {
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut raw = client.get_connection().expect("Redis is up");
    let shard = fresh_shard("speed");
    let fence = Fence {
        uid: "u".into(),
        epoch: 1,
    };
    let mut run = |script: &rushgate::lua::Script, args: Vec<Vec<u8>>| -> redis::Value {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.sha1).arg(1).arg(shard.state());
        args.iter().for_each(|arg| drop(command.arg(arg.as_slice())));
        match command.query(&mut raw) {
            Ok(value) => value,
            Err(_) => {
                redis::cmd("SCRIPT")
                    .arg("LOAD")
                    .arg(&script.text)
                    .exec(&mut raw)
                    .expect("it loads");
                command.query(&mut raw).expect("it runs")
            }
        }
    };
    let stock = [("mug".to_owned(), 100_000)].into();
    run(
        &fixed::RESTORE,
        calls::restore_args("t", Restore::Begin { uid: "u" }),
    );
    let finish = Restore::Finish {
        fence: &fence,
        revision: REVISION,
        plan: &family.plan,
        stock: &stock,
    };
    run(&fixed::RESTORE, calls::restore_args("t", finish));
    let lists = Lists::from([(
        "blocked".to_owned(),
        (0..1000).map(|n| format!("bad-{n}")).collect(),
    )]);
    for args in lists::fill(family.plan.context(), &fence, &lists) {
        run(&fixed::AUDIENCE, args);
    }
    let calls: Vec<Vec<Vec<u8>>> = (0..ORDERS / batch)
        .map(|call| {
            let orders: Vec<Attempt> = (call * batch..(call + 1) * batch).map(order).collect();
            codec::admit_args(family, &fence, orders.iter())
        })
        .collect();
    let (warm, timed) = calls.split_at(calls.len() / 4);
    warm.iter()
        .for_each(|args| drop(run(&family.admit, args.clone())));
    let before = spent(server);
    for args in timed {
        let reply = run(&family.admit, args.clone());
        assert!(
            matches!(&reply, redis::Value::Array(parts) if parts.len() == 3 + 2 * batch as usize && parts[3] == redis::Value::Int(0))
        );
    }
    (spent(server) - before) / (timed.len() as f64 * f64::from(batch))
}

/// Microseconds Redis has spent in EVALSHA.
fn spent(server: &Server) -> f64 {
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut raw = client.get_connection().expect("Redis is up");
    let info: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(&mut raw)
        .expect("INFO");
    let line = info
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"))
        .unwrap_or_default();
    let usec = line.split("usec=").nth(1).and_then(|rest| rest.split(',').next());
    usec.map_or(0.0, |usec| usec.parse().expect("a number"))
}

#[test]
#[ignore = "measures; run by hand"]
fn speed_of_the_generated_script() {
    let server = Server::start(&[]);
    let mut base = [0.0; 2];
    println!("microseconds of Redis per admitted order (ratio to one per user) at batches of 8 and of 64");
    let mut row = |name: &str, family: &Family| {
        let mut best = [f64::MAX; 2];
        for _ in 0..3 {
            for (best, batch) in best.iter_mut().zip([8, 64]) {
                *best = best.min(measure(&server, family, batch));
            }
        }
        if base[0] == 0.0 {
            base = best;
        }
        let [small, large] = best;
        let commands = family.cost.commands;
        println!(
            "{name:24} {small:6.2} ({:4.2})  {large:6.2} ({:4.2})  bound {commands} commands, {} bytes of Lua",
            small / base[0],
            large / base[1],
            family.admit.text.len()
        );
    };
    for count in [1, 2, 4, 8] {
        row(&format!("{count} rules"), &family(rules(count), None));
    }
    for count in [2, 4, 8] {
        row(
            &format!("{count} counters of a user"),
            &family(counters(count), None),
        );
    }
    row("1 rule, 1 in shadow", &family(rules(1), Some(rules(1))));
    row("8 rules, 8 in shadow", &family(rules(8), Some(rules(8))));
}
