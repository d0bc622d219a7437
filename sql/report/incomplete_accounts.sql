-- Which accounts are not wholly loaded in both periods?
-- Grain: one row per account that has conferences since the period before began.
-- Promise: without any, both periods can be compared.
-- NULL: SID and name where Twilio gave none; `last_full_date` of one that no scheduled run listed.
-- Caveats: one that was refused or left before both periods has nothing in them.
SELECT b.account_name AS account, b.first_full_date, b.last_full_date
FROM analytics.by_account AS b
WHERE b.last_date >= $prior
    AND b.first_date < $to
    AND (
        b.first_full_date > $prior
        OR b.last_full_date IS NULL
        OR b.last_full_date < CAST($to AS DATE) - CAST(1 AS INTEGER)
    )
ORDER BY b.account_name ASC NULLS LAST, b.account_sid ASC NULLS LAST
