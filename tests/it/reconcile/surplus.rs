//! Orders that nobody has, and that the sums do not show: a unit too many hides each of them.

use rushgate::order::OrderState;
use rushgate::reconcile::Kind;
use rushgate::reconcile::missing::Looks;

use crate::reconcile::missing::{SECOND, landed, lose, missing, round};
use crate::reconcile::sale::{Sale, Side, now};
use crate::reconcile::{differences, on_both_sides};

on_both_sides!(
    a_surplus_hides_no_lost_order,
    an_order_whose_unit_was_given_back_by_hand_is_found_once_nobody_orders,
);

async fn a_surplus_hides_no_lost_order(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    // Somebody puts a unit on sale by hand.
    sale.redis("HINCRBY", "stock", &["mug", "1"]).await;
    let (mut looks, start) = (Looks::default(), now());
    for at in [0, 60] {
        round(&sale, &mut looks, start + at * SECOND).await;
        let figures = missing(&looks).expect("there is one too many");
        assert_eq!((figures.units, figures.surplus, figures.orders), (0, 1, 0));
    }
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (1, 0)
    );
    // Now the sums are right, because an order is lost.
    let event = lose(&sale, "bob", &[]).await;
    round(&sale, &mut looks, start + 70 * SECOND).await;
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (2, 1)
    );
    assert_eq!(landed(&sale, &event).await, (OrderState::Confirmed, None));
    for at in [80, 140, 600] {
        round(&sale, &mut looks, start + at * SECOND).await;
        let figures = missing(&looks).expect("it is there still");
        assert_eq!((figures.units, figures.surplus), (0, 1));
    }
    assert_eq!(looks.metrics.scans.get(), 2, "nothing new");
    assert_eq!(differences(&sale).await, [(Kind::Overcommitted, 99, 98)]);
}

async fn an_order_whose_unit_was_given_back_by_hand_is_found_once_nobody_orders(side: Side) {
    let sale = Sale::open(side, 100).await;
    let (mut looks, start) = (Looks::default(), now());
    for at in [0, 10] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    assert_eq!(
        looks.metrics.scans.get(),
        1,
        "what was there before this gateway looked is read once"
    );
    for at in [100, 190] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    // Between two looks: the sums never say anything.
    let event = lose(&sale, "bob", &[]).await;
    sale.redis("HINCRBY", "stock", &["mug", "1"]).await;
    round(&sale, &mut looks, start + 280 * SECOND).await;
    assert_eq!((missing(&looks), looks.metrics.scans.get()), (None, 1));
    round(&sale, &mut looks, start + 290 * SECOND).await;
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (2, 1)
    );
    assert_eq!(landed(&sale, &event).await, (OrderState::Confirmed, None));
    // What hid it is told now.
    for at in [300, 310, 400] {
        round(&sale, &mut looks, start + at * SECOND).await;
        let figures = missing(&looks).expect("there is one too many");
        assert_eq!((figures.units, figures.surplus), (0, 1));
    }
    assert_eq!(looks.metrics.scans.get(), 2);
}
