//! Each thing that must not be, made by hand and found.

use rushgate::cli::load::{Logged, LoggedAnswer, SenderOutcome};

use super::*;
use crate::database::{Charge, Release, Row, Step};
use crate::events::{self, Event};
use crate::kafka::Copy;
use crate::life;
use crate::told;

const CAMPAIGN: &str = "spring";

/// A run in which each buyer `u<n>` sent one attempt, all accepted, all landed.
struct Run {
    told: Told,
    logs: Logs,
    books: Books,
    rules: Rules,
}

fn line(user: &str, key: &str, said: &[(u16, &str)], outcome: SenderOutcome) -> Logged {
    let answers = said.iter().map(|(status, said)| LoggedAnswer {
        at: 1,
        status: *status,
        said: (*said).to_owned(),
        by: "gate".to_owned(),
    });
    Logged {
        campaign: CAMPAIGN.to_owned(),
        key: key.to_owned(),
        user: user.to_owned(),
        device: Some("d".to_owned()),
        sku: "mug".to_owned(),
        quantity: 1,
        begun: 0,
        ended: 1,
        answers: answers.collect(),
        outcome,
        order: None,
    }
}

fn id(user: &str, key: &str) -> String {
    rushgate::order::OrderId::keyed(CAMPAIGN, user, key).to_string()
}

impl Run {
    fn new(buyers: usize) -> Self {
        let mut run = Self {
            told: Told::new(),
            logs: Logs::default(),
            books: Books::default(),
            rules: Rules {
                per_user: Some(2),
                per_device: Some(3),
                ..Rules::default()
            },
        };
        run.books.stock.insert("mug".to_owned(), (100, 0));
        for n in 0..buyers {
            run.sell(&format!("u{n}"), "k");
        }
        run
    }

    fn sell(&mut self, user: &str, key: &str) {
        told::add(
            &mut self.told,
            line(user, key, &[(0, "timeout"), (202, "accepted")], SenderOutcome::Ok),
        );
        self.land(user, key);
    }

    fn land(&mut self, user: &str, key: &str) {
        let charge = Charge {
            counter: "n-per-user/orders".to_owned(),
            window: 0,
            subject: user.to_owned(),
            cost: 1,
        };
        let counted = (charge.counter.clone(), 0, user.to_owned());
        *self.books.usage.entry(counted).or_default() += 1;
        if let Some((_, sold)) = self.books.stock.get_mut("mug") {
            *sold += 1;
        }
        self.logs.orders.push(Copy {
            order: id(user, key),
            key: user.as_bytes().to_vec(),
            turn: None,
            placed_at: self.logs.orders.len() as i64,
            quantity: 1,
        });
        self.books.rows.push(Row {
            order: id(user, key),
            user: user.to_owned(),
            device: Some("d".to_owned()),
            sku: "mug".to_owned(),
            quantity: 1,
            state: "confirmed".to_owned(),
            confirmed: true,
            holds_stock: true,
            holds_allowance: true,
            revoked_reason: None,
            charges: vec![charge],
        });
    }

    fn judge(&self) -> Findings {
        judge(&self.rules, &self.told, &self.logs, &self.books)
    }

    /// The names of what is wrong.
    fn wrong(&self) -> Vec<&'static str> {
        let found = self.judge();
        let wrong = found.wrong().into_iter().filter(|(_, count)| *count > 0);
        wrong.map(|(name, _)| name).collect()
    }
}

#[test]
fn a_run_without_faults_is_right() {
    let mut run = Run::new(3);
    run.rules.remaining = Some(97);
    let found = run.judge();
    assert!(found.is_right(), "{found}");
    assert_eq!((found.ok, found.confirmed, found.leaked), (3, 3, Some(0)));
}

#[test]
fn an_accepted_order_without_a_row_is_lost_and_among_the_dead_letters_is_not() {
    let mut run = Run::new(3);
    let row = run.books.rows.remove(0);
    run.books.usage.clear();
    run.books.rows.iter_mut().for_each(|row| row.charges.clear());
    run.books.stock.insert("mug".to_owned(), (100, 2));
    assert_eq!(run.wrong(), ["lost"]);
    run.books.dead.insert(row.order, ("dead".to_owned(), 1));
    assert!(run.judge().is_right(), "{}", run.judge());
}

#[test]
fn copies_in_kafka_are_absorbed_and_counted_twice_they_are_doubled() {
    let mut run = Run::new(2);
    let copy = run.logs.orders[0].clone();
    run.logs.orders.push(copy);
    let found = run.judge();
    assert!(found.is_right() && found.duplicates_absorbed == 1, "{found}");
    run.books.stock.insert("mug".to_owned(), (100, 3));
    assert_eq!(run.wrong(), ["doubled"]);
    run.books.stock.insert("mug".to_owned(), (1, 2));
    assert_eq!(run.wrong(), ["oversold"]);
}

#[test]
fn a_change_of_the_stock_is_done_and_in_the_total() {
    let mut run = Run::new(2);
    run.books.stock.insert("mug".to_owned(), (105, 2));
    let changed = |total, open| ("mug".to_owned(), total, open);
    run.books.changes = vec![changed(Some(110), false), changed(Some(105), false)];
    assert!(run.judge().is_right(), "{}", run.judge());
    run.books.changes.push(changed(None, true));
    assert_eq!(run.wrong(), ["half changed"]);
    run.books.changes = vec![changed(Some(110), false)];
    assert_eq!(run.wrong(), ["half changed"]);
}

#[test]
fn limits_are_counted_from_rows_alone() {
    let mut run = Run::new(3);
    assert!(run.judge().is_right());
    run.sell("u3", "k");
    assert_eq!(
        run.judge().over_limit,
        1,
        "four orders of a device that may have three"
    );
    run.rules.per_device = None;
    run.sell("u0", "k2");
    run.sell("u0", "k3");
    assert_eq!(run.wrong(), ["over limit"]);
}

#[test]
fn a_row_of_somebody_who_was_told_no_is_a_phantom() {
    let mut run = Run::new(1);
    told::add(
        &mut run.told,
        line("u8", "k", &[(409, "sold-out")], SenderOutcome::Rejected),
    );
    assert!(run.judge().is_right());
    run.land("u8", "k");
    assert_eq!(run.wrong(), ["phantom"]);
    let mut run = Run::new(1);
    run.land("u9", "k");
    assert_eq!(run.wrong(), ["phantom"], "asked for by nobody");
}

#[test]
fn unknown_attempts_may_or_may_not_have_become_orders() {
    let mut run = Run::new(1);
    told::add(
        &mut run.told,
        line("u8", "k", &[(0, "timeout")], SenderOutcome::Unknown),
    );
    told::add(
        &mut run.told,
        line("u9", "k", &[(503, "")], SenderOutcome::Unknown),
    );
    run.land("u8", "k");
    let found = run.judge();
    assert!(found.is_right(), "{found}");
    assert_eq!((found.unknown, found.unknown_landed), (2, 1));
}

#[test]
fn only_a_redis_that_lost_writes_excuses_revoked_orders() {
    let mut run = Run::new(1);
    run.books.rows[0].confirmed = false;
    run.books.rows[0].state = "revoked".to_owned();
    (run.books.rows[0].holds_stock, run.books.rows[0].holds_allowance) = (false, false);
    run.books.rows[0].revoked_reason = Some("oversold".to_owned());
    run.books.usage.clear();
    run.books.stock.insert("mug".to_owned(), (0, 0));
    assert_eq!(run.wrong(), ["revoked wrongly"]);
    run.rules.redis_lost = true;
    let found = run.judge();
    assert!(found.is_right(), "{found}");
    assert_eq!(found.revoked["oversold"], 1);
}

#[test]
fn a_key_out_of_order_is_counted() {
    let mut run = Run::new(1);
    run.sell("u0", "k2");
    run.logs.orders.swap(0, 1);
    assert_eq!(run.judge().inverted, 1);
}

#[test]
fn an_order_before_its_turn_in_its_shard_is_counted() {
    let mut run = Run::new(1);
    run.sell("u1", "k1");
    let ordinal = |epoch, number| rushgate::order::Ordinal { epoch, number };
    let turns = [(0, ordinal(1, 7)), (0, ordinal(1, 6))];
    for (copy, turn) in run.logs.orders.iter_mut().zip(turns) {
        copy.turn = Some(turn);
    }
    assert_eq!(run.judge().inverted, 1);
    run.logs.orders[1].turn = Some((0, ordinal(2, 0)));
    assert_eq!(run.judge().inverted, 0, "of a later epoch");
    run.logs.orders[1].turn = Some((1, ordinal(1, 0)));
    assert_eq!(run.judge().inverted, 0, "of another shard");
}

#[test]
fn whoever_was_told_of_an_order_in_any_state_has_one() {
    for (said, outcome) in [
        (&[(202, "pending")][..], SenderOutcome::Ok),
        (&[(202, "accepted")], SenderOutcome::Ok),
        (&[(202, "pending"), (503, "gate-closed")], SenderOutcome::Unknown),
        (
            &[(0, "timeout"), (202, "pending"), (409, "sold-out")],
            SenderOutcome::Rejected,
        ),
        (&[(201, "confirmed")], SenderOutcome::Ok),
        (&[(202, "revoked")], SenderOutcome::Ok),
    ] {
        let mut run = Run::new(1);
        told::add(&mut run.told, line("late", "k", said, outcome));
        assert_eq!(run.judge().lost, 1, "{said:?}");
        // Redis may forget what it had only admitted, not what Kafka had acknowledged.
        run.rules.redis_lost = true;
        let found = run.judge();
        let only_pending = !said
            .iter()
            .any(|(_, said)| matches!(*said, "accepted" | "confirmed"));
        assert_eq!(
            (found.lost == 0, found.pending_gone == 1),
            (only_pending, only_pending),
            "{said:?}"
        );
    }
}

#[test]
fn whoever_was_told_of_none_has_lost_none() {
    let mut run = Run::new(1);
    told::add(
        &mut run.told,
        line("late", "k", &[(0, "timeout"), (503, "")], SenderOutcome::Unknown),
    );
    assert!(run.judge().is_right());
}

/// A run with one order that was paid, one that was cancelled, one that expired, and one that is as it landed.
fn lived() -> Run {
    let mut run = Run::new(4);
    run.rules.per_device = None;
    (run.rules.lived, run.rules.remaining) = (true, Some(98));
    for (row, to) in [(0, "paid"), (1, "cancelled"), (2, "expired")] {
        let row = &mut run.books.rows[row];
        row.state = to.to_owned();
        let step = Step {
            number: 2,
            from: "confirmed".to_owned(),
            to: to.to_owned(),
            key: Some(format!("{to}-{}", row.order)),
        };
        run.books.steps.insert(row.order.clone(), vec![step]);
        if to != "paid" {
            (row.holds_stock, row.holds_allowance) = (false, false);
            run.books.releases.insert(row.order.clone(), Release::default());
            run.books.usage.retain(|(.., subject), _| *subject != row.user);
        }
    }
    run.books.stock.insert("mug".to_owned(), (100, 2));
    run
}

impl Run {
    fn wrong_of_lives(&self, acts: &[life::Act]) -> Vec<&'static str> {
        let mut found = self.judge();
        life::judge(&mut found, acts, &self.books);
        let wrong = found.wrong().into_iter().filter(|(_, count)| *count > 0);
        wrong.map(|(name, _)| name).collect()
    }
}

#[test]
fn what_was_released_is_on_sale_again_once() {
    assert_eq!(lived().wrong_of_lives(&[]), [""; 0]);
    let mut run = lived();
    run.rules.remaining = Some(99);
    assert_eq!(run.wrong_of_lives(&[]), ["unreleased"], "Redis has one too many");
    run.rules.redis_lost = true;
    assert_eq!(run.wrong_of_lives(&[]), [""; 0]);
    let mut run = lived();
    let cancelled = run.books.rows[1].order.clone();
    run.books
        .releases
        .insert(cancelled.clone(), Release { waiting: true });
    assert_eq!(
        run.wrong_of_lives(&[]),
        ["unreleased"],
        "Redis has not got it back"
    );
    run.books.releases.remove(&cancelled);
    assert_eq!(run.wrong_of_lives(&[]), ["unreleased"], "nobody says that it did");
    let mut run = lived();
    let paid = run.books.rows[0].order.clone();
    run.books.releases.insert(paid, Release::default());
    assert_eq!(run.wrong_of_lives(&[]), ["unreleased"], "it is paid");
    let mut run = lived();
    run.books.stock.insert("mug".to_owned(), (100, 3));
    assert_eq!(run.wrong_of_lives(&[]), ["doubled"], "sold says otherwise");
}

#[test]
fn each_change_follows_from_the_one_before_and_answers_are_borne_out() {
    let mut run = lived();
    run.books.rows[1].state = "paid".to_owned();
    assert!(run.wrong_of_lives(&[]).contains(&"misstated"));
    let mut run = lived();
    let expired = run.books.rows[2].order.clone();
    run.books.steps.get_mut(&expired).expect("a step")[0].number = 3;
    assert_eq!(run.wrong_of_lives(&[]), ["misstated"]);
    let run = lived();
    let act = |row: usize, act: &str, key: &str, status| life::Act {
        order: run.books.rows[row].order.clone(),
        act: act.to_owned(),
        key: key.to_owned(),
        status,
    };
    let key = format!("paid-{}", run.books.rows[0].order);
    let yes = act(0, "pay", &key, 200);
    assert_eq!(run.wrong_of_lives(std::slice::from_ref(&yes)), [""; 0]);
    assert_eq!(run.wrong_of_lives(&[act(0, "pay", "other", 200)]), ["misstated"]);
    assert_eq!(
        run.wrong_of_lives(&[yes.clone(), act(0, "cancel", "no", 409)]),
        [""; 0]
    );
    assert_eq!(
        run.wrong_of_lives(&[yes, act(0, "cancel", &key, 200)]),
        ["misstated"]
    );
}

impl Run {
    /// One event of every change.
    fn events(&self) -> Vec<Event> {
        let event = |row: &Row, number, state: &str| Event {
            order: row.order.clone(),
            number,
            state: state.to_owned(),
            user: row.user.clone(),
            sku: row.sku.clone(),
            quantity: row.quantity,
        };
        let of_row = |row: &Row| {
            let later = self.books.steps.get(&row.order).into_iter().flatten();
            let later = later.map(|step| event(row, step.number, &step.to));
            std::iter::once(event(row, 1, "confirmed"))
                .chain(later)
                .collect::<Vec<_>>()
        };
        self.books.rows.iter().flat_map(of_row).collect()
    }

    fn wrong_of_events(&self, events: &[Event]) -> Vec<(&'static str, u64)> {
        let mut found = Findings::default();
        events::judge(&mut found, events, &self.books);
        let wrong = found.wrong().into_iter();
        wrong.filter(|(_, count)| *count > 0).collect()
    }
}

#[test]
fn every_change_is_told_and_nothing_else() {
    let run = lived();
    let events = run.events();
    assert_eq!(run.wrong_of_events(&events), []);
    let twice: Vec<Event> = events.iter().chain(&events[..2]).cloned().collect();
    assert_eq!(run.wrong_of_events(&twice), [], "copies are allowed");
    for missing in 0..events.len() {
        let mut fewer = events.clone();
        fewer.remove(missing);
        assert_eq!(run.wrong_of_events(&fewer), [("untold", 1)]);
    }
    let change: [fn(&mut Event); 5] = [
        |event| event.state = "refunded".to_owned(),
        |event| event.user = "eve".to_owned(),
        |event| event.sku = "plate".to_owned(),
        |event| event.quantity += 1,
        |event| event.number = 7,
    ];
    for change in change {
        let mut one = events[0].clone();
        change(&mut one);
        let with = |more: Event| events.iter().cloned().chain([more]).collect::<Vec<_>>();
        assert_eq!(run.wrong_of_events(&with(one)), [("mistold", 1)]);
    }
    let mut found = Findings::default();
    events::judge(&mut found, &events[1..], &run.books);
    assert_eq!(found.document()["wrong"], serde_json::json!({"untold": 1}));
    assert_eq!(
        run.wrong_of_events(&[]),
        [("untold", events.len() as u64)],
        "of nobody who tells nothing"
    );
}
