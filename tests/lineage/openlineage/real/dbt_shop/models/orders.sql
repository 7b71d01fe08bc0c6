select order_id, customer_id, amount, day from {{ ref('raw_orders') }}
