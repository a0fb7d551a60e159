#!/bin/sh
# A shop that orders, with curl: one order with an Idempotency-Key, sent until there is one clear answer, and looked up until its
# state is final.
#
#   sh examples/order.sh http://127.0.0.1:8080 demo mug dev:ada        beside `rushgate dev`
#
# The last word is the buyer's token. A key may be given behind it: a shop keeps it with the cart, so that a retry tomorrow is the
# same order, too.
set -eu

if [ $# -lt 4 ]; then
    echo "usage: order.sh http://HOST:PORT CAMPAIGN SKU TOKEN [KEY]" >&2
    exit 2
fi
gateway=$1 campaign=$2 sku=$3 token=$4
key=${5:-cart-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The token stands in a file, not on a command line that others can list; in a URL it would be in every log.
printf 'Authorization: Bearer %s\n' "$token" >"$folder/token"

# curl sends a request again after a timeout, a connection that broke, 429 and 503, when Retry-After says. It is the same order
# each time: the key makes that so. Other answers stand.
ask() {
    curl --silent --show-error --retry 8 --retry-max-time 60 --retry-all-errors --max-time 5 \
        --output "$folder/answer" --write-out '%{http_code}' --header "@$folder/token" "$@"
}

# A member of the answer that is a text.
member() {
    sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p' "$folder/answer"
}

status=$(ask "$gateway/v1/campaigns/$campaign/orders" --header 'Content-Type: application/json' \
    --header "Idempotency-Key: $key" --data "{\"sku\":\"$sku\",\"quantity\":1}")
if [ "$status" != 202 ] && [ "$status" != 201 ]; then
    echo "$status $(member reason): $(member detail)" >&2
    exit 1
fi
echo "taken: $(cat "$folder/answer")"
order=$(member order)

tries=0
while [ "$tries" -lt 60 ]; do
    status=$(ask "$gateway/v1/campaigns/$campaign/orders/$order")
    case "$status $(member state)" in
        '200 pending' | '200 accepted') sleep 0.5 ;;
        '200 '*)
            echo "settled: $(cat "$folder/answer")"
            exit 0
            ;;
        *) sleep 1 ;;
    esac
    tries=$((tries + 1))
done
echo "the order was taken and has not landed yet: look again later" >&2
exit 1
