select order_id, amount from {{ ref('orders') }} where customer_id in (select customer_id from {{ ref('customers') }} where country <> 'GB') and amount < 0
