select c.country as country, sum(o.amount) as revenue
from {{ ref('orders') }} as o
join {{ ref('customers') }} as c on o.customer_id = c.customer_id
group by c.country
