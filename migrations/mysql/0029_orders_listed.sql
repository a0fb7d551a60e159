-- Orders as a merchant looks at them: a campaign's by the moment they were placed, and a buyer's. A page is a range of one of
-- these, however many orders there are.

CREATE INDEX orders_placed ON orders (campaign_id, placed_at, order_id);

CREATE INDEX orders_buyer ON orders (user_id, placed_at);
